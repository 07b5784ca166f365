import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.text import check_key, check_line, check_text, check_value, nearest, nearest_names, printable, quoted
from mreg.errors import BadInput

ANY_TEXT = st.text(st.characters(), max_size=50)


@given(ANY_TEXT)
def test_printable_text_never_holds_anything_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()


@given(ANY_TEXT)
def test_printing_twice_is_printing_once(text: str) -> None:
    assert printable(printable(text)) == printable(text)


def test_escapes_are_written_out() -> None:
    assert printable("a\x1b[2J\r\n\t\u202e\u200b\ud800") == "a\\x1b[2J\\r\\n\\t\\u202e\\u200b\\ud800"


def test_a_long_text_is_cut_in_the_middle_where_it_is_quoted() -> None:
    assert len(quoted("x" * 10_000)) < 90


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("team-a/nature", ()),
        ("team-a/visoin-2", ("team-a/vision-2",)),
        ("team-a/gaint", ("team-a/giant",)),
        ("team-a/im", ("team-a/imp",)),
        ("team-a/churn", ("team-b/churn",)),
        ("chrun", ("churn",)),
        ("team-b", ("team-b/churn",)),
        ("Team-A/giant", ("team-a/giant",)),
    ],
)
def test_a_common_prefix_makes_no_names_similar(name: str, similar: tuple[str, ...]) -> None:
    known = ["team-a/giant", "team-a/imp", "team-a/z", "team-a/vision-2", "team-b/churn", "churn"]
    assert nearest_names(name, known) == similar


def test_the_nearest_word_is_found_whatever_its_case() -> None:
    assert nearest("CLASIFIER", ["classifier", "ranker"]) == ("classifier",)


@pytest.mark.parametrize("key", ["", " a", "a ", "a=b", "a\nb", "\u202ea", "k" * 251])
def test_a_key_that_could_confuse_is_refused(key: str) -> None:
    with pytest.raises(BadInput):
        check_key("metric", key)


@pytest.mark.parametrize("key", ["accuracy", "val/loss", "größe", "a b", "k" * 250])
def test_other_keys_are_kept_as_they_are(key: str) -> None:
    assert check_key("metric", key) == key


def test_values_have_stated_limits() -> None:
    with pytest.raises(BadInput, match="has 1000000 characters; the limit is 5000"):
        check_value("param", "lr", "x" * 1_000_000)
    with pytest.raises(BadInput, match="NUL"):
        check_text("description", "a\0b")
    with pytest.raises(BadInput, match="not valid Unicode"):
        check_text("description", "\udcff")
    with pytest.raises(BadInput, match="run id"):
        check_line("run id", "a\nb")


@given(ANY_TEXT)
def test_printable_text_stays_as_it_is(text: str) -> None:
    kept = "".join(char for char in text if char.isprintable())
    assert printable(kept) == kept


@given(ANY_TEXT)
def test_newlines_alone_stay_where_they_are_wanted(text: str) -> None:
    assert printable(text, keep_newlines=True).split("\n") == [printable(line) for line in text.split("\n")]


def test_no_control_format_or_surrogate_character_is_shown_as_it_is() -> None:
    obeyed = [
        chr(point) for point in range(0x110000) if unicodedata.category(chr(point)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    assert not [char for char in obeyed if char in printable(char)]


@given(st.text(max_size=300))
def test_a_quoted_text_is_short_and_printable(text: str) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert shown[0] == shown[-1] == "'"
    assert len(shown) <= 2 + 80 * len("\\U00000000")


@given(st.text(max_size=20), st.lists(st.text(max_size=10), max_size=8), st.integers(1, 4))
def test_what_is_near_is_known_and_named_once(word: str, known: list[str], count: int) -> None:
    found = nearest(word, known, count)
    assert len(found) <= count
    assert set(found) <= set(known)
    assert len(set(found)) == len(found)


@given(st.lists(st.text("abcdef", min_size=3, max_size=10), min_size=1, max_size=8))
def test_a_known_word_is_nearest_to_itself(known: list[str]) -> None:
    assert nearest(known[0], known)[0] == known[0]


@pytest.mark.parametrize(
    ("kind", "key", "message", "hint"),
    [
        ("metric", "", "the name of a metric is empty", "give it a name: --metric name=value"),
        ("parameter", "", "the name of a parameter is empty", "give it a name: --param name=value"),
        ("tag", "a=b", "invalid tag name 'a=b'", "use printable characters without '=' and without spaces at the ends"),
        ("tag", "a\x1b[2J", "invalid tag name 'a\\x1b[2J'", "use printable characters without '=' and without spaces at the ends"),
        ("tag", "k" * 251, f"the tag name '{'k' * 60}...{'k' * 17}' has 251 characters; the limit is 250", ""),
    ],
)  # fmt: skip
def test_a_refused_key_is_named_with_the_reason(kind: str, key: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_key(kind, key)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@given(st.text(max_size=40))
def test_a_key_is_kept_as_it_is_or_refused(key: str) -> None:
    try:
        assert check_key("tag", key) == key
    except BadInput as error:
        assert error.message.isprintable()
    else:
        assert printable(key) == key.strip() == key
        assert "=" not in key


@given(ANY_TEXT)
def test_a_value_is_kept_as_it_is_or_refused(value: str) -> None:
    try:
        assert check_value("tag", "team", value) == value
    except BadInput as error:
        assert "\0" in value or not value.isprintable()
        assert error.message.startswith("the value of tag 'team' ")
    else:
        value.encode()


@pytest.mark.parametrize("line", ["", " ", "a ", "a\tb", "r" * 251, "\udcff"])
def test_an_identifier_of_another_system_is_one_printable_line(line: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_line("run id", line)
    assert caught.value.message == f"invalid run id {quoted(line)}"
    assert caught.value.hint == "use 1 to 250 printable characters without spaces at the ends"
    assert check_line("run id", "run-1 é") == "run-1 é"
