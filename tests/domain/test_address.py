"""The address of a server has one spelling, and one meaning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.address import Address
from mreg.errors import BadInput

SPELLINGS = [
    ("https://models.example", "https://models.example"),
    ("https://models.example/", "https://models.example"),
    ("HTTPS://Models.Example:443//", "https://models.example"),
    ("https://models.example:8443/mreg/", "https://models.example:8443/mreg"),
    ("https://models.example/team/mreg", "https://models.example/team/mreg"),
    ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ("http://localhost:80", "http://localhost"),
    ("http://localhost:08000", "http://localhost:8000"),
    ("http://[::1]:8000", "http://[::1]:8000"),
    ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
    ("https://[2001:DB8::A]", "https://[2001:db8::a]"),
    ("https://xn--mdel-6qa.example", "https://xn--mdel-6qa.example"),
    ("http://model_server:8000", "http://model_server:8000"),
]


@pytest.mark.parametrize(("text", "spelling"), SPELLINGS)
def test_a_server_has_one_spelling(text: str, spelling: str) -> None:
    assert str(Address.parse(text)) == spelling
    assert Address.parse(spelling) == Address.parse(text)


BAD = [
    ("", "the URL of the server has no scheme", "write https://HOST or https://HOST:PORT"),
    ("models.example", "the URL of the server has no scheme", "write https://models.example"),
    ("Models.example:8443/mreg", "the URL of the server has no scheme", "write https://models.example:8443/mreg"),
    ("localhost:8000", "the URL of the server has no scheme", "write http://localhost:8000"),
    ("/srv/models", "the URL of the server has no scheme", "write https://HOST or https://HOST:PORT"),
    ("https:/models.example", "the URL of the server has no scheme", "write https://HOST or https://HOST:PORT"),
    ("ftp://models.example", "unsupported URL scheme of the server: ftp://", "write https://HOST or https://HOST:PORT"),
    ("s3://bucket/x", "unsupported URL scheme of the server: s3://", "write https://HOST or https://HOST:PORT"),
    ("://x", "the URL of the server has no valid scheme", "write https://HOST or https://HOST:PORT"),
    ("https://", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://:8000", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://a..b", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://-a", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://a:b", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://[::1", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://[::g]", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://::1", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("http://127.1", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("http://0x7f.0.0.1", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("http://2130706433", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("http://127.0.0.01", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    (f"https://{'a' * 64}", "the URL of the server has no valid host", "write https://HOST or https://HOST:PORT"),
    ("https://a:0", "the URL of the server has an invalid port", "use a port from 1 to 65535"),
    ("https://a:65536", "the URL of the server has an invalid port", "use a port from 1 to 65535"),
    ("https://a/../b", "the URL of the server has an invalid path", "write the prefix of the server's paths, such as https://HOST/mreg"),
    ("https://a//b", "the URL of the server has an invalid path", "write the prefix of the server's paths, such as https://HOST/mreg"),
    ("https://a/%2e", "the URL of the server has an invalid path", "write the prefix of the server's paths, such as https://HOST/mreg"),
    ("https://a/b;c", "the URL of the server has an invalid path", "write the prefix of the server's paths, such as https://HOST/mreg"),
    ("https://a/b\\c", "the URL of the server has an invalid path", "write the prefix of the server's paths, such as https://HOST/mreg"),
    ("https://models.example/ui", "the URL of the server is that of its web page", "write https://models.example"),
    ("https://models.example/mreg/ui?x=1#a", "the URL of the server contains a query or a fragment", "write https://models.example/mreg"),
    ("https://models.example/models?limit=1", "the URL of the server contains a query or a fragment", "write https://models.example"),
    ("https://a..b/?x", "the URL of the server contains a query or a fragment", "write https://HOST or https://HOST:PORT"),
    ("https://models.example/models/team%2Fm", "the URL of the server has an invalid path", "write https://models.example"),
    ("https://models.example/mreg/ui/models/churn", "the URL of the server is that of its web page", "write https://models.example/mreg"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "hint"), BAD)
def test_what_is_not_the_address_of_a_server_is_refused_with_the_fix(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadInput) as caught:
        Address.parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    "text",
    [
        "https://ada:hunter2@models.example", "https://hunter2@models.example", "https://models.example?token=hunter2",
        "https://models.example/#hunter2", "https://models.example/x?y=hunter2", "ada:hunter2@models.example",
        "hunter2\n", "https://models.example/hunter2\x1b[2J", "https://mödels.example/hunter2", "https://a/ hunter2",
    ],
)  # fmt: skip
def test_a_message_never_repeats_a_secret_in_a_url(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Address.parse(text)
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("text", "is_loopback", "is_protected"),
    [
        ("http://127.0.0.1", True, True),
        ("http://127.200.3.4", True, True),
        ("http://localhost", True, True),
        ("http://[::1]", True, True),
        ("https://localhost", True, True),
        ("https://models.example", False, True),
        ("http://models.example", False, False),
        ("http://127.0.0.1.evil.example", False, False),
        ("http://localhost.evil.example", False, False),
        ("http://128.0.0.1", False, False),
        ("http://0.0.0.0", False, False),
        ("http://[::ffff:127.0.0.1]", False, False),
        ("http://[::]", False, False),
    ],
)
def test_only_this_machine_and_tls_are_protected(text: str, is_loopback: bool, is_protected: bool) -> None:
    address = Address.parse(text)
    assert (address.is_loopback, address.is_protected) == (is_loopback, is_protected)


def test_an_origin_has_no_path() -> None:
    assert Address.parse("https://models.example:443/mreg").origin == "https://models.example"
    assert Address.parse("http://models.example:443/mreg").origin == "http://models.example:443"


@given(
    st.text(st.characters(codec="utf-8"), max_size=60) | st.from_regex(r"https?://[a-z0-9.:\[\]-]{1,20}[/a-z.]{0,9}")
)
def test_a_text_is_refused_or_has_a_spelling_that_stays(text: str) -> None:
    try:
        address = Address.parse(text)
    except BadInput:
        return
    assert Address.parse(str(address)) == address
    assert str(address).startswith(address.origin)
