import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.expression import And, Compare, Field, Missing, Not, Or, Sort, parse, parse_sort
from mreg.errors import BadInput


def test_the_example_of_the_manual_is_understood() -> None:
    assert parse("metrics.accuracy > 0.9 and tags.team = 'fraud' and stage = 'Staging'") == And(
        (
            Compare(Field("metrics", "accuracy"), ">", (0.9,)),
            Compare(Field("tags", "team"), "=", ("fraud",)),
            Compare(Field("", "stage"), "=", ("Staging",)),
        )
    )


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", None),
        ("  ", None),
        ("stage = production", Compare(Field("", "stage"), "=", ("Production",))),
        ("STAGE IN (staging, 'None')", Compare(Field("", "stage"), "in", ("Staging", "None"))),
        ("not name like 'a%'", Not(Compare(Field("", "name"), "like", ("a%",)))),
        ("name not like 'a%'", Not(Compare(Field("", "name"), "like", ("a%",)))),
        ("run_id is null", Missing(Field("", "run_id"))),
        ("run_id is not null", Not(Missing(Field("", "run_id")))),
        ('metrics."val loss" <= -1e-3', Compare(Field("metrics", "val loss"), "<=", (-0.001,))),
        ("metrics.val/loss < 1", Compare(Field("metrics", "val/loss"), "<", (1,))),
        ("params.lr = 0.1", Compare(Field("params", "lr"), "=", (0.1,))),
        ("created_at >= 2026-03-01", Compare(Field("", "created_at"), ">=", ("2026-03-01T00:00:00.000000Z",))),
        ("version = 1 or version = 2 and name = a", Or((
            Compare(Field("", "version"), "=", (1,)),
            And((Compare(Field("", "version"), "=", (2,)), Compare(Field("", "name"), "=", ("a",)))),
        ))),
    ],
)  # fmt: skip
def test_expressions_are_understood(text: str, meant: object) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy > 0.9", "there is no field 'accuracy'; did you mean metrics.accuracy?, at character 1 of the expression"),
        ("metrics.accuracy >", "expected a value, at character 19 of the expression"),
        ("metrics.accuracy > 'x'", "metrics.accuracy is a number and can't be compared with 'x', at character 20 of the expression"),
        ("name = 'x", "this string has no end, at character 8 of the expression"),
        ("name = x)", "expected 'and', 'or' or the end, not ')', at character 9 of the expression"),
        ("stage = Prod", "'Prod' is no stage (did you mean Production?), at character 9 of the expression"),
        ("name ~ x", "'~' means nothing here, at character 6 of the expression"),
        ("metrics > 1", "'metrics' needs a key, such as metrics.accuracy, at character 1 of the expression"),
        ("created_at > yesterday", "'yesterday' is no time (write it as 2026-03-01 or 2026-03-01T12:00Z), at character 14 of the expression"),
        ("version like '1'", "version is a number, and 'like' compares text, at character 9 of the expression"),
        ("metrics.a = 1e999", None),
        ("(" * 1000 + "version = 1" + ")" * 1000, "nested deeper than 50, at character 51 of the expression"),
        ("not " * 1000 + "version = 1", None),
        ("x" * 10_000, "the search expression has 10000 characters; the limit is 4000"),
    ],
)  # fmt: skip
def test_a_wrong_expression_points_at_the_character(text: str, message: str | None) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    if message is not None:
        assert caught.value.message == message
    if "position" in caught.value.details:
        assert caught.value.hint.endswith("^")


@given(st.text(max_size=80) | st.text("()'\" .=<>!notandorilke%_0129mtpx,-", max_size=80))
def test_any_text_is_an_expression_or_bad_input(text: str) -> None:
    try:
        parse(text)
        parse_sort(text)
    except BadInput as error:
        assert error.message.isprintable()


def test_a_minus_sorts_the_largest_first() -> None:
    assert parse_sort("-metrics.accuracy") == Sort(Field("metrics", "accuracy"), True)
    assert parse_sort("created_at") == Sort(Field("", "created_at"), False)
