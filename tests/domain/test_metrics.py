import decimal
import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.metrics import (
    Direction,
    Verdict,
    check_metric,
    difference,
    exact,
    exact_arithmetic,
    parse_metric,
    percent,
    primary_metric,
    verdict,
)
from mreg.errors import BadInput

VALUES = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    "text",
    ["nan", "NaN", "inf", "-inf", "Infinity", "1e999", "-1e999", "", " ", "0x10", "1_000", "1,5", "9" * 10_000,
     "1e", "e5", ".", "--1", "1e-400", "1 ", "١", "true", "1.5.2"],
)  # fmt: skip
def test_what_is_no_finite_decimal_number_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_metric("accuracy", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.95", 0.95), ("-1", -1), ("1e-300", 1e-300), (str(2**53 + 1), 2**53 + 1), (".5", 0.5), ("5.", 5.0), ("0", 0)],
)
def test_a_number_comes_back_as_it_was_given(text: str, value: float) -> None:
    found = parse_metric("accuracy", text)
    assert found == value
    assert type(found) is type(value)


def test_negative_zero_keeps_its_sign() -> None:
    assert math.copysign(1, parse_metric("m", "-0.0")) == -1


@given(VALUES)
def test_every_finite_number_is_read_back_from_its_text(value: float) -> None:
    if len(repr(value)) <= 40:
        assert parse_metric("m", repr(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, None, "0.9", [1], 10**400])
def test_what_is_no_number_is_refused_by_the_api(value: object) -> None:
    with pytest.raises(BadInput):
        check_metric("accuracy", value)


def test_numpy_scalars_become_plain_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert type(check_metric("m", numpy.float32(0.5))) is float
    assert type(check_metric("m", numpy.float64(0.5))) is float
    assert type(check_metric("m", numpy.int64(5))) is int


@given(VALUES, VALUES, st.sampled_from(Direction))
def test_what_is_better_one_way_is_worse_the_other_way(first: float, second: float, way: Direction) -> None:
    there, back = verdict(first, second, way), verdict(second, first, way)
    assert {there, back} in ({Verdict.SAME}, {Verdict.BETTER, Verdict.WORSE})


@given(VALUES, st.sampled_from([*Direction, None]))
def test_a_missing_value_is_never_better(value: float, way: Direction | None) -> None:
    assert verdict(value, None, way) is Verdict.MISSING
    assert verdict(None, value, way) is Verdict.MISSING


def test_a_difference_without_a_direction_has_no_verdict() -> None:
    assert verdict(1, 2, None) is Verdict.UNKNOWN


def test_differences_are_decimal() -> None:
    assert difference(0.94, 0.95) == 0.01
    assert difference(2**53, 2**53 + 1) == 1
    assert difference(-1e308, 1.7e308) is None
    assert percent(0.5, 0.6) == 20
    assert percent(0, 1) is None
    assert percent(-2, -1) == 50


@given(VALUES, VALUES)
def test_a_difference_is_finite_or_absent(first: float, second: float) -> None:
    for value in (difference(first, second), percent(first, second)):
        assert value is None or isinstance(value, int) or math.isfinite(value)


@pytest.mark.parametrize(
    ("present", "metric"),
    [
        ("zeta recall f1_score", "f1_score"),
        ("zeta beta", ""),
        ("", ""),
        # Only the well-known order counts, not the alphabet.
        ("accuracy loss", "accuracy"),
        # The Hugging Face Trainer: only eval_accuracy measures quality.
        ("epoch eval_accuracy eval_loss eval_runtime eval_samples eval_samples_per_second eval_steps_per_second "
         "total_flos train_loss train_runtime train_samples train_samples_per_second", "eval_accuracy"),
        ("epoch step train_loss val_acc val_loss", "val_acc"),
        ("train.acc eval.acc step", "eval.acc"),
        ("test_accuracy val_accuracy accuracy", "accuracy"),
        ("val_accuracy test_accuracy", "test_accuracy"),
        ("train_accuracy val_loss", "val_loss"),
        ("train_accuracy", "train_accuracy"),
        ("f1-score", "f1-score"),
        ("malignant.recall benign.recall accuracy", "accuracy"),
        # The only metric with a known direction.
        ("zeta my_error", "my_error"),
        ("my_error other_error", ""),
        # Counters, rates, times and sizes.
        ("eval_runtime", ""), ("train_samples_per_second", ""), ("epoch", ""), ("rank", ""), ("peak_memory", ""),
        ("model_size_bytes", ""), ("step_time_ms", ""), ("inference_latency_seconds", ""), ("latency_ms", "latency_ms"),
    ],
)  # fmt: skip
def test_the_default_primary_metric_measures_quality(present: str, metric: str) -> None:
    assert primary_metric("", present.split()) == metric
    assert primary_metric("auc", present.split()) == "auc"


def test_a_direction_of_the_model_makes_a_primary_metric() -> None:
    assert primary_metric("", ["zeta", "beta"], {"zeta": "lower"}) == "zeta"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nan", "invalid value of the metric 'accuracy': 'nan'"),
        ("", "invalid value of the metric 'accuracy': ''"),
        ("0x10", "invalid value of the metric 'accuracy': '0x10'"),
        ("1_000", "invalid value of the metric 'accuracy': '1_000'"),
        ("1,5", "invalid value of the metric 'accuracy': '1,5'"),
        ("1\x1b[2J", "invalid value of the metric 'accuracy': '1\\x1b[2J'"),
        ("1e999", "invalid value of the metric 'accuracy': inf"),
        ("-1e999", "invalid value of the metric 'accuracy': -inf"),
        ("1e-400", "invalid value of the metric 'accuracy': '1e-400', which is too small for a 64-bit float"),
        ("9" * 10_000, f"invalid value of the metric 'accuracy': '{'9' * 60}...{'9' * 17}'"),
        ("1e99999999999999999999999", "invalid value of the metric 'accuracy': inf"),
        (
            "1e-99999999999999999999999",
            "invalid value of the metric 'accuracy': '1e-99999999999999999999999', which is too small for a 64-bit float",
        ),
    ],
)
def test_a_refused_number_is_named_with_the_next_step(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_metric("accuracy", text)
    assert caught.value.message == message
    assert caught.value.hint == "use a finite decimal number: --metric accuracy=0.95"


@given(st.text(max_size=12) | st.from_regex(r"[+-]?[0-9]{0,30}\.?[0-9]{0,30}([eE][+-]?[0-9]{1,30})?", fullmatch=True))
def test_any_text_is_a_finite_number_or_bad_input(text: str) -> None:
    try:
        value = parse_metric("m", text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert math.isfinite(value)
        assert (value == 0) == (set("123456789").isdisjoint(text.lower().partition("e")[0]))


@pytest.mark.parametrize(("text", "shown"), [("-0.0", "-0.0"), ("-0", "-0.0"), ("+0", "0"), ("007", "7"), ("0e99", "0.0"),
    ("0e9999999999999999999999999", "0.0"), ("-1e-300", "-1e-300"), (f"-{2**60 + 1}", f"-{2**60 + 1}")])  # fmt: skip
def test_small_large_and_signed_numbers_are_fine(text: str, shown: str) -> None:
    assert repr(parse_metric("m", text)) == shown


@given(VALUES)
def test_a_checked_value_is_the_value(value: float) -> None:
    found = check_metric("m", value)
    assert (type(found), repr(found)) == (type(value), repr(value))


class Worded(int):
    """An integer that calls itself something else."""

    def __repr__(self) -> str:
        return "seven"


def test_subclasses_of_numbers_become_plain_ones() -> None:
    assert type(check_metric("m", Worded(7))) is int


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "invalid value of the metric 'm': 'None'"),
        (True, "invalid value of the metric 'm': 'True'"),
        ("0.9", "invalid value of the metric 'm': '0.9'"),
        ([1, 2], "invalid value of the metric 'm': '[1, 2]'"),
        (Decimal(1), "invalid value of the metric 'm': '1'"),
        (Fraction(1, 2), "invalid value of the metric 'm': '1/2'"),
        (1j, "invalid value of the metric 'm': '1j'"),
        (float("nan"), "invalid value of the metric 'm': nan"),
        (float("-inf"), "invalid value of the metric 'm': -inf"),
        (10**400, "invalid value of the metric 'm': an integer that is too large for a 64-bit float"),
    ],
)
def test_a_value_that_is_no_finite_number_is_named(value: object, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_metric("m", value)
    assert (caught.value.message, caught.value.hint) == (message, "use a finite decimal number: --metric m=0.95")


@given(VALUES, VALUES)
def test_a_difference_the_other_way_is_its_opposite(first: float, second: float) -> None:
    there, back = difference(first, second), difference(second, first)
    assert (there is None and back is None) or (there is not None and back is not None and there == -back)


@given(VALUES, VALUES)
def test_difference_percent_and_verdict_agree(first: float, second: float) -> None:
    delta, share = difference(first, second), percent(first, second)
    judged = verdict(first, second, Direction.HIGHER)
    sign = {Verdict.BETTER: 1, Verdict.WORSE: -1, Verdict.SAME: 0}[judged]
    if delta is not None:
        assert (delta > 0) - (delta < 0) == sign
    if share is not None and share != 0:
        assert (share > 0) - (share < 0) == sign
    assert (share is None) if first == 0 else (share is not None or abs(exact(second)) > abs(exact(first)))


@given(st.decimals(-1000, 1000, places=6), st.decimals(-1000, 1000, places=6))
def test_a_difference_of_decimals_is_the_decimal_that_a_person_computes(first: Decimal, second: Decimal) -> None:
    assert difference(float(first), float(second)) == float(second - first)
    if first:
        assert percent(float(first), float(second)) == pytest.approx(float((second - first) / abs(first) * 100))


@given(VALUES)
def test_nothing_differs_from_itself(value: float) -> None:
    assert difference(value, value) == 0
    assert verdict(value, value, None) is Verdict.SAME
    assert percent(value, value) == (None if value == 0 else 0)


@given(VALUES, VALUES, VALUES, st.sampled_from(Direction))
def test_better_than_better_is_better(first: float, second: float, third: float, way: Direction) -> None:
    fine = (Verdict.BETTER, Verdict.SAME)
    if verdict(first, second, way) in fine and verdict(second, third, way) in fine:
        assert verdict(first, third, way) in fine


def test_an_integer_and_a_float_of_the_same_writing_are_the_same() -> None:
    assert verdict(1e23, 10**23, Direction.HIGHER) is Verdict.SAME
    assert difference(1e23, 10**23) == 0
    assert verdict(0.0, -0.0, Direction.HIGHER) is Verdict.SAME
    assert verdict(1, 1.0, None) is Verdict.SAME


def test_a_difference_of_integers_beyond_a_float_is_absent() -> None:
    large = int(1.7e308)
    assert difference(-large, large) is None
    assert difference(2**70, 2**70 + 1) == 1


def test_the_callers_decimal_context_changes_nothing() -> None:
    with decimal.localcontext(decimal.Context(prec=2, traps=[decimal.Inexact, decimal.Rounded])):
        assert difference(0.12345, 0.54321) == 0.41976
        assert percent(3.0, 4.0) == pytest.approx(100 / 3)
        assert verdict(0.12345, 0.12346, Direction.LOWER) is Verdict.WORSE


@given(VALUES, VALUES)
def test_sums_of_metrics_are_not_rounded(first: float, second: float) -> None:
    found = exact_arithmetic().subtract(exact(second), exact(first))
    assert Fraction(found) == Fraction(exact(second)) - Fraction(exact(first))


@given(st.dictionaries(st.sampled_from(["accuracy", "recall", "loss", "zeta"]), st.just(1)))
def test_the_primary_metric_is_one_that_is_there(present: dict[str, float]) -> None:
    assert primary_metric("", present) in {*present, ""}
    assert primary_metric("auc", present) == "auc"
