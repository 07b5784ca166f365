import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.text import check_key, check_line, check_text, check_value, nearest, printable, quoted
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
