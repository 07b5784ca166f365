import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.events import parse_time, time_text
from mreg.domain.expression import (
    FIELDS,
    And,
    Compare,
    Expression,
    Field,
    FieldKind,
    Missing,
    Not,
    Or,
    Sort,
)
from mreg.domain.model import ModelStage, ModelStatus
from mreg.domain.parsing import LENGTH_LIMIT, parse, parse_sort
from mreg.domain.text import quoted
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
        (
            "version = 1 or version = 2 and name = a",
            Or(
                (
                    Compare(Field("", "version"), "=", (1,)),
                    And((Compare(Field("", "version"), "=", (2,)), Compare(Field("", "name"), "=", ("a",)))),
                )
            ),
        ),
    ],
)
def test_expressions_are_understood(text: str, meant: object) -> None:
    assert parse(text) == meant


def test_a_bare_name_is_a_metric() -> None:
    assert parse("accuracy > 0.9 and Stage = Production") == parse("metrics.accuracy > 0.9 and stage = Production")
    assert parse_sort("-val/f1") == parse_sort("-metrics.val/f1")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("'it''s'", "it's"), ('"it\'s ""new"""', 'it\'s "new"'), ("''''", "'"), ("''", ""), ("'a\"b'", 'a"b')],
)
def test_a_doubled_quote_stands_for_one(text: str, meant: str) -> None:
    assert parse(f"tags.note = {text}") == Compare(Field("tags", "note"), "=", (meant,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stagee = Production", "metrics.stagee is a number and cannot be compared with 'Production'; did you mean the field stage?, at character 10 of the expression"),
        ("metrics.accuracy >", "expected a value, at character 19 of the expression"),
        ("metrics.accuracy > 'x'", "metrics.accuracy is a number and cannot be compared with 'x', at character 20 of the expression"),
        ("name = 'x", "unterminated string, at character 8 of the expression"),
        ("name = x)", "expected 'and', 'or' or the end, got ')', at character 9 of the expression"),
        ("stage = Prod", "invalid stage 'Prod' (did you mean Production?), at character 9 of the expression"),
        ("name ~ x", "unexpected '~', at character 6 of the expression"),
        ("metrics > 1", "'metrics' needs a key, such as metrics.accuracy, at character 1 of the expression"),
        ("created_at > yesterday", "invalid time 'yesterday' (write it as 2026-03-01 or 2026-03-01T12:00Z), at character 14 of the expression"),
        ("version like '1'", "'like' compares text, and version is a number, at character 9 of the expression"),
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


KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_/-]{0,8}", fullmatch=True)
QUOTABLE = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\""), max_size=8)
INTEGERS = st.integers(-(10**20), 10**20)
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: len(repr(value)) <= 40)
OPERATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
NUMBER_FIELDS = st.builds(Field, st.just("metrics"), KEYS) | st.sampled_from(
    [Field("", "version"), Field("", "size_bytes")]
)
TEXT_FIELDS = st.builds(Field, st.sampled_from(["tags", "params"]), KEYS | QUOTABLE.filter(bool)) | st.sampled_from(
    [Field("", name) for name, kind in FIELDS.items() if kind is FieldKind.TEXT]
)
TESTS = st.one_of(
    st.builds(lambda f, o, v: Compare(f, o, (v,)), NUMBER_FIELDS, OPERATORS, INTEGERS | FLOATS),
    st.builds(lambda f, o, v: Compare(f, o, (v,)), TEXT_FIELDS, OPERATORS, QUOTABLE),
    st.builds(lambda f, v: Compare(f, "in", tuple(v)), TEXT_FIELDS, st.lists(QUOTABLE, min_size=1, max_size=3)),
    st.builds(lambda f, v: Compare(f, "in", tuple(v)), NUMBER_FIELDS, st.lists(INTEGERS, min_size=1, max_size=3)),
    st.builds(lambda f, v: Compare(f, "like", (v,)), TEXT_FIELDS, QUOTABLE),
    st.builds(lambda o, v: Compare(Field("", "stage"), o, (v.value,)), OPERATORS, st.sampled_from(ModelStage)),
    st.builds(lambda o, v: Compare(Field("", "status"), o, (v.value,)), OPERATORS, st.sampled_from(ModelStatus)),
    st.builds(Missing, TEXT_FIELDS | NUMBER_FIELDS),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda operands: And(tuple(operands)), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda operands: Or(tuple(operands)), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=8,
)


def in_quotes(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if len(text) % 2 else '"' + text.replace('"', '""') + '"'


def written(expression: Expression) -> str:
    """Return the text of an expression, with every part of a whole in brackets."""
    if isinstance(expression, And | Or):
        word = " and " if isinstance(expression, And) else " OR "
        return word.join(f"({written(one)})" for one in expression.operands)
    if isinstance(expression, Not):
        return f"not ({written(expression.operand)})"
    field = expression.field
    place = f"{field.group}.{in_quotes(field.key)}" if field.group else field.key.upper()
    if isinstance(expression, Missing):
        return f"{place} is NULL"
    values = [in_quotes(value) if isinstance(value, str) else repr(value) for value in expression.values]
    return f"{place} {expression.operator} " + (f"({','.join(values)})" if expression.operator == "in" else values[0])


@given(EXPRESSIONS)
def test_an_expression_is_what_its_text_means(expression: Expression) -> None:
    text = written(expression)
    if len(text) <= LENGTH_LIMIT:
        assert parse(text) == expression


@given(KEYS, st.sampled_from(["metrics", "metric", "METRICS"]))
def test_a_plain_key_needs_no_quotes(key: str, group: str) -> None:
    assert parse(f"{group}.{key} > 1") == parse(f"{group}.'{key}' > 1") == parse(f'{group} . "{key}" > 1')


@given(EXPRESSIONS, st.data())
def test_any_damage_to_an_expression_is_understood_or_bad_input(expression: Expression, data: st.DataObject) -> None:
    text = written(expression)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    put = data.draw(
        st.sampled_from(["", "'", "(", ")", " not ", ".", ",", " in ", "metrics", "1e999", "\0", "\ud800", "~"])
    )
    try:
        parse(text[:start] + put + text[end:])
    except BadInput as error:
        assert error.message.isprintable()
        if "position" in error.details:
            lines = error.hint.split("\n")
            assert len(lines) == 2
            assert lines[0].isprintable()
            assert error.details["position"] in range(1, len(text) + len(put) + 2)


@pytest.mark.parametrize(
    "piece",
    ["(", "not ", "'", '"', "''", "a.", "1", "1.", "1e1", " ", "\t", "metrics.a=1 or ", "-", "+1", "<", ",", ".", "a-", "é",
     "1x ", "version in (1) and ", "metrics.", "_"],
)  # fmt: skip
def test_the_time_of_a_text_grows_with_its_length_and_not_faster(piece: str) -> None:
    def seconds(length: int, end: str) -> float:
        """CPU time of this thread, the least of five; below a millisecond it is only noise."""
        text = (piece * length)[: length - len(end)] + end
        taken = []
        for _ in range(5):
            before = time.thread_time()
            for read in (parse, parse_sort):
                with contextlib.suppress(BadInput):
                    read(text)
            taken.append(time.thread_time() - before)
        return max(min(taken), 0.001)

    for end in ("", "x"):
        # 4 if it grows linearly, 16 if by the square.
        assert seconds(LENGTH_LIMIT, end) < 10 * seconds(LENGTH_LIMIT // 4, end)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("version = 1e999", "'1e999' does not fit into a 64-bit float, at character 11 of the expression",
         "version = 1e999\n          ^"),
        ("version = ", "expected a value, at character 11 of the expression", "version = \n          ^"),
        ("version in 1", "expected '(' after 'in', at character 12 of the expression", "version in 1\n           ^"),
        ("version in (1", "expected ',' or ')', at character 14 of the expression", "version in (1\n             ^"),
        ("(version = 1", "expected ')', at character 13 of the expression", "(version = 1\n            ^"),
        ("name not = x", "expected 'like' or 'in' after 'not', at character 10 of the expression", "name not = x\n         ^"),
        ("name is x", "expected 'null', at character 9 of the expression", "name is x\n        ^"),
        ("name like x", "expected a quoted string, at character 11 of the expression", "name like x\n          ^"),
        ("name", "expected a comparison after name, such as '=' or '>', at character 5 of the expression", "name\n    ^"),
        ("= 1", "expected a field such as metrics.accuracy, tags.team or stage, at character 1 of the expression", "= 1\n^"),
        ("tags.'\x1b[2J' ", "expected a comparison after tags.\\x1b[2J, such as '=' or '>', at character 13 of the expression",
         "tags.' [2J' \n            ^"),
        ("status = done", "invalid status 'done', at character 10 of the expression", "status = done\n         ^"),
        ("tags.x = a\x1b[2J", "unexpected '\\x1b', at character 11 of the expression", "tags.x = a [2J\n          ^"),
    ],
)  # fmt: skip
def test_an_error_says_what_was_expected_and_where(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_numbers_beside_a_text_are_compared_as_they_are_written() -> None:
    lr = Field("params", "lr")
    assert parse("params.lr in (0.10, 1e-3)") == Compare(lr, "in", (0.1, 0.001))
    assert parse("params.lr in (0.10, 'auto', 1e-3)") == Compare(lr, "in", ("0.10", "auto", "1e-3"))
    assert parse("params.lr in ('auto', 5)") == Compare(lr, "in", ("auto", "5"))
    assert parse("tags.n in (1, 2)") == Compare(Field("tags", "n"), "in", ("1", "2"))


def test_an_order_has_the_limit_of_an_expression() -> None:
    with pytest.raises(BadInput) as caught:
        parse_sort("(" * 1_000_000)
    assert caught.value.message == "the order has 1000000 characters; the limit is 4000"


@given(st.sampled_from(sorted(FIELDS)) | KEYS.map(lambda key: f"metrics.{key}"), st.booleans())
def test_an_order_is_a_field_with_or_without_a_minus(field: str, descending: bool) -> None:
    found = parse_sort(f"-{field}" if descending else field)
    assert (str(found.field), found.descending) == (field, descending)


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)), st.integers(-12, 12))  # noqa: DTZ001
def test_a_time_has_one_stored_form(at: datetime, hours: int) -> None:
    stored = time_text(at.replace(tzinfo=UTC))
    assert parse_time(at.isoformat()) == parse_time(stored) == stored
    assert parse_time(at.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=hours))).isoformat()) == stored


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9:.+Z-]{0,15}", fullmatch=True))
def test_any_text_is_a_time_or_bad_input(text: str) -> None:
    try:
        assert parse_time(parse_time(text)) == parse_time(text)
    except BadInput as error:
        assert error.message == f"invalid time {quoted(text)}"
        assert error.hint == "write it as 2026-03-01 or 2026-03-01T12:00Z"


@pytest.mark.parametrize("text", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "yesterday", "", "2026-13-01"])
def test_a_time_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_time(text)


def test_depth_counts_what_is_nested_and_not_what_is_long() -> None:
    many = parse(" or ".join(["not (version=1)"] * 150))
    assert isinstance(many, Or)
    assert len(many.operands) == 150
    assert parse("(" * 49 + "version = 1" + ")" * 49) == parse("version = 1")
    with pytest.raises(BadInput):
        parse("(" * 50 + "version = 1" + ")" * 50)
