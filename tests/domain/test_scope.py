import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.names import NAME_LIMIT, ModelName
from mreg.domain.scope import EVERYTHING, PATTERNS_LIMIT, ModelScope
from mreg.errors import BadInput
from tests.domain.test_names import NAMES

PIECES = st.sampled_from(["a", "b", "A", "/", ".", "-", "_", "*", "?", "ab"])
PATTERNS = st.lists(PIECES, min_size=1, max_size=8).map("".join)
SHORT = st.lists(st.sampled_from(["a", "b", "A", "/", ".", "-", "_"]), min_size=1, max_size=8).map("".join)


def reference_match(pattern: str, name: str) -> bool:
    """Return whether a pattern matches a name, character by character."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(reference_match(pattern[1:], name[start:]) for start in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and reference_match(pattern[1:], name[1:])


def _valid(patterns: list[str]) -> ModelScope | None:
    try:
        return ModelScope(tuple(patterns))
    except BadInput:
        return None


def _name(text: str) -> ModelName | None:
    try:
        return ModelName(text)
    except BadInput:
        return None


@given(st.lists(PATTERNS, min_size=1, max_size=3), SHORT)
def test_a_scope_allows_the_names_that_a_pattern_matches(patterns: list[str], text: str) -> None:
    scope, name = _valid(patterns), _name(text)
    if scope is not None and name is not None:
        assert scope.allows(name) == any(reference_match(pattern, text) for pattern in patterns)


@given(PATTERNS, SHORT)
def test_a_refused_pattern_matches_no_name(pattern: str, text: str) -> None:
    if _valid([pattern]) is None and _name(text) is not None and not re.search(r"[*?]", pattern):
        assert not reference_match(pattern, text)


@given(st.lists(PATTERNS, min_size=1, max_size=3))
def test_a_scope_is_what_its_text_means(patterns: list[str]) -> None:
    scope = _valid(patterns)
    if scope is not None:
        assert ModelScope.parse(str(scope)) == scope


@given(st.text(max_size=40))
def test_any_text_is_a_scope_or_bad_input(text: str) -> None:
    try:
        scope = ModelScope.parse(text)
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert str(scope).isascii()


@given(NAMES)
def test_a_name_is_a_pattern_for_itself_alone(name: ModelName) -> None:
    scope = ModelScope((str(name),))
    assert scope.limited and scope.allows(name)
    assert not scope.allows(str(name) + "x") and not scope.allows("x" + str(name))


@given(NAMES)
def test_everything_and_a_star_allow_every_name(name: ModelName) -> None:
    for scope in (EVERYTHING, ModelScope(("*",)), ModelScope(("team/*", "***"))):
        assert not scope.limited and scope.allows(name) and scope.allows("")


@pytest.mark.parametrize(
    ("pattern", "allowed", "outside"),
    [
        ("team-a/*", ["team-a/x", "team-a/x/y"], ["team-a", "team-ab/x", "Team-a/x", "x/team-a/x", "team-a-"]),
        ("team-?/churn", ["team-a/churn"], ["team-ab/churn", "team-/churn"]),
        ("*churn", ["churn", "a/churn"], ["Churn", "churn2"]),
        ("a.b_c-d", ["a.b_c-d"], ["axb_c-d", "a.bxc-d"]),
        ("a*", ["a", "a/b", "ab"], ["b", "A"]),
    ],
)
def test_a_pattern_covers_whole_names(pattern: str, allowed: list[str], outside: list[str]) -> None:
    scope = ModelScope((pattern,))
    assert [name for name in [*allowed, *outside] if scope.allows(name)] == allowed


BAD = [
    *("", " ", "a b", "-a", ".a", "/a", "a/", "a//b", "a/../b", "../a", "a\\b", "C:\\x", "a[bc]", "[!a]*", "{a,b}"),
    *("a%", "%2e", "a\0", "a\n", "a*\n", "\ta", "\x1b[2J", "é*", "a\u202eb", "a;b", "a#b", "a@1", "~a", "\ud800", "!a"),
    "a" * (NAME_LIMIT + 1),
    "*" * (NAME_LIMIT + 1),
]


@pytest.mark.parametrize("pattern", BAD, ids=ascii)
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(BadInput):
        ModelScope((pattern,))
    with pytest.raises(BadInput):
        ModelScope.parse(f"team/*,{pattern}")


@pytest.mark.parametrize("text", ["", ",", "a,", ",a", "a,,b", "a, b"])
def test_an_empty_pattern_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        ModelScope.parse(text)


def test_the_number_of_patterns_is_limited() -> None:
    assert len(ModelScope(tuple(f"m{number}" for number in range(PATTERNS_LIMIT))).patterns) == PATTERNS_LIMIT
    with pytest.raises(BadInput, match="too many model patterns: 101; the limit is 100"):
        ModelScope(tuple(f"m{number}" for number in range(PATTERNS_LIMIT + 1)))


def test_a_text_in_place_of_patterns_is_refused() -> None:
    with pytest.raises(BadInput, match="expected a list of texts"):
        ModelScope("team/*")  # type: ignore[arg-type]
