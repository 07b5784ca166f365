import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.metrics import (
    Direction,
    Verdict,
    check_metric,
    difference,
    direction,
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
    "name",
    ["accuracy", "val_accuracy", "acc", "f1_score", "f1", "f1-macro", "precision", "recall", "auc", "roc_auc", "AUROC",
     "r2", "r2_score", "bleu", "sacrebleu", "rouge1", "rougeL", "rouge_l", "mAP", "ndcg@10", "ndcg", "mcc", "iou",
     "test/f1_macro", "eval_accuracy", "top5_accuracy", "average_precision", "psnr", "ssim", "balanced_accuracy_score",
     "true_positive_rate", "throughput", "matthews_corrcoef", "cohen_kappa", "hit_rate", "mrr"],
)  # fmt: skip
def test_more_of_a_merit_is_better(name: str) -> None:
    assert direction(name) is Direction.HIGHER


@pytest.mark.parametrize(
    "name",
    ["loss", "val_loss", "train/loss", "accuracy_loss", "error", "error_rate", "mae", "mse", "rmse", "RMSE", "mape",
     "mean_squared_error", "log_loss", "perplexity", "ppl", "wer", "cer", "latency", "latency_ms", "p95_latency_ms",
     "eval_loss", "cross_entropy", "brier_score", "fid", "false_positive_rate", "hinge_loss", "nll", "inference_time"],
)  # fmt: skip
def test_more_of_a_cost_is_worse(name: str) -> None:
    assert direction(name) is Direction.LOWER


@pytest.mark.parametrize(
    "name", ["epochs", "n_samples", "support", "threshold", "step", "foo", "learning_rate", "params"]
)
def test_nothing_is_claimed_of_an_unknown_metric(name: str) -> None:
    assert direction(name) is None


def test_the_models_own_word_wins() -> None:
    assert direction("accuracy", {"accuracy": "lower"}) is Direction.LOWER


def test_the_primary_metric_is_chosen_else_well_known_else_the_first() -> None:
    assert primary_metric("auc", {"accuracy": 1}) == "auc"
    assert primary_metric("", {"zeta": 1, "recall": 1, "f1_score": 1}) == "f1_score"
    assert primary_metric("", {"zeta": 1, "beta": 1}) == "beta"
    assert primary_metric("", {}) == ""
