"""Prefixes, trusted addresses and forwarded clients, without a server."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from mreg.errors import BadInput
from mreg.server.problems import Refused
from mreg.server.proxy import (
    NO_PROXIES,
    PREFIX_LIMIT,
    TrustedProxies,
    check_not_reserved,
    parse_network,
    parse_prefix,
    place_request,
)

PREFIX_HINT = "use a path such as /mreg: letters, digits, '.', '_', '~' and '-', at most 256 characters"
LOCAL = TrustedProxies(tuple(map(parse_network, ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32"))))


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", ""),
        ("/", ""),
        ("/mreg", "/mreg"),
        ("/mreg/", "/mreg"),
        ("/a/b.c/~d_e-9", "/a/b.c/~d_e-9"),
        ("/.well-known", "/.well-known"),
        ("/...", "/..."),
        ("/a..", "/a.."),
        ("/" + "x" * (PREFIX_LIMIT - 1), "/" + "x" * (PREFIX_LIMIT - 1)),
        ("/" + "x" * (PREFIX_LIMIT - 1) + "/", "/" + "x" * (PREFIX_LIMIT - 1)),
    ],
)
def test_a_prefix_is_a_path_without_the_slash_at_its_end(text: str, prefix: str) -> None:
    assert parse_prefix(text) == prefix


@pytest.mark.parametrize("text", ["//", "/a//", "mreg", "x/mreg", "/.", "/a/..", "/a b", "/" + "x" * PREFIX_LIMIT])
def test_a_text_that_is_not_a_prefix_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_prefix(text)
    assert caught.value.message.startswith("invalid path prefix ")
    assert caught.value.hint == PREFIX_HINT


@pytest.mark.parametrize("prefix", ["/models", "/models/x"])
def test_a_prefix_that_begins_like_a_route_is_refused(prefix: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_not_reserved(prefix, {"models", "ui"})
    assert caught.value.message == f"invalid path prefix '{prefix}': routes of the server begin with it"
    assert caught.value.hint == "choose another prefix, such as /mreg"


@pytest.mark.parametrize("prefix", ["", "/mreg", "/x/models", "/model", "/models2"])
def test_a_prefix_that_begins_otherwise_is_allowed(prefix: str) -> None:
    check_not_reserved(prefix, {"models", "ui", ""})


@pytest.mark.parametrize("text", ["proxy.example", "", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:80", "*"])
def test_a_proxy_that_is_neither_an_address_nor_a_network_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_network(text)
    assert caught.value.message.startswith(f"invalid address of a proxy '{text}': ")
    assert caught.value.hint == "use an IP address or a network: mreg serve --trusted-proxy 127.0.0.1"


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::7", True),
        ("2001:db8::7%eth0", True),
        ("2001:db9::7", False),
        ("", False),
        ("localhost", False),
        (None, False),
        (0x7F000001, False),
        (b"127.0.0.1", False),
        (ip_address("127.0.0.1"), False),
    ],
)
def test_an_address_is_trusted_by_its_network(address: object, trusted: bool) -> None:
    assert (address in LOCAL) is trusted
    assert address not in NO_PROXIES


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.7:99999", "203.0.113.7"),
        ("203.0.113.7:123456", "127.0.0.1"),  # no port has six digits
        ("203.0.113.7:", "127.0.0.1"),
        ("203.0.113.7:x", "127.0.0.1"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("[2001:db9::7]", "2001:db9::7"),
        ("[2001:db9::7", "127.0.0.1"),
        ("2001:db9::7%eth0", "2001:db9::7"),
        ("[fe80::1%eth0]:80", "fe80::1"),
        ("198.51.100.1, 203.0.113.7, 10.1.2.3, 2001:db8::7", "203.0.113.7"),
        ("10.1.2.3, 10.1.2.4", "10.1.2.3"),  # all are proxies: the first of them is the client
        ("203.0.113.7, , 10.1.2.3", "10.1.2.3"),  # what is before an unknown word was not written by a proxy
        (",", "127.0.0.1"),
    ],
)
def test_the_client_is_read_from_the_end_as_long_as_proxies_are_trusted(forwarded: str, client: str) -> None:
    assert LOCAL.client_of("127.0.0.1", forwarded) == client
    assert NO_PROXIES.client_of("127.0.0.1", forwarded) == "127.0.0.1"


def placed(
    path: str,
    headers: dict[str, str] | list[tuple[str, str]],
    root_path: str | None = None,
    peer: str | None = "127.0.0.1",
) -> tuple[str, str, str, object]:
    """Return the path without the prefix, and path, prefix and client of the scope."""
    items = headers.items() if isinstance(headers, dict) else headers
    scope: dict[str, Any] = {
        "path": "/decoded",
        "raw_path": path.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in items],
        "client": (peer, 4711) if peer is not None else None,
    }
    rest = place_request(scope, root_path, LOCAL, {"models"})
    return rest, scope["path"], scope["root_path"], scope["client"]


def test_a_request_is_placed_below_its_prefix() -> None:
    of = {"x-forwarded-prefix": "/mreg/", "x-forwarded-for": "203.0.113.7"}
    client = ("203.0.113.7", 0)
    assert placed("/mreg/models?x=/y", of) == ("/models", "/mreg/models", "/mreg", client)  # not removed by the proxy
    assert placed("/models", of) == ("/models", "/mreg/models", "/mreg", client)  # removed by the proxy
    assert placed("/mreg", of) == ("/", "/mreg/", "/mreg", client)
    assert placed("/mregs", of) == ("/mregs", "/mreg/mregs", "/mreg", client)
    assert placed("/a%2Fb", of) == ("/a%2Fb", "/mreg/a%2Fb", "/mreg", client)
    assert placed("/models", {}) == ("/models", "/models", "", ("127.0.0.1", 0))
    assert placed("/models", {}, "/own") == ("/models", "/own/models", "/own", ("127.0.0.1", 0))
    assert placed("/models", of, "/own") == ("/models", "/own/models", "/own", client)
    assert placed("/models", of, "") == ("/models", "/models", "", client)
    twice = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "10.1.2.3")]
    assert placed("/models", twice) == ("/models", "/models", "", client)


@pytest.mark.parametrize("peer", ["192.0.2.1", None])
def test_the_headers_of_an_address_that_is_not_trusted_do_nothing(peer: str | None) -> None:
    headers = {"x-forwarded-prefix": "//evil.example", "x-forwarded-for": "203.0.113.7"}
    client = None if peer is None else (peer, 4711)
    assert placed("/models", headers, None, peer) == ("/models", "/models", "", client)
    assert placed("/models", headers, "/own", peer) == ("/models", "/own/models", "/own", client)


@pytest.mark.parametrize(
    ("values", "code", "message", "hint"),
    [
        (["/a", "/a"], "header_twice", "repeated header x-forwarded-prefix", "send it once"),
        (
            ["//evil.example"],
            "bad_request",
            "invalid path prefix '//evil.example' in the header x-forwarded-prefix",
            PREFIX_HINT,
        ),
        (
            ["/models"],
            "bad_request",
            "invalid path prefix '/models': routes of the server begin with it in the header x-forwarded-prefix",
            "choose another prefix, such as /mreg",
        ),
    ],
)
def test_an_invalid_prefix_is_refused_after_the_request_was_placed(
    values: list[str], code: str, message: str, hint: str
) -> None:
    headers = [(b"x-forwarded-prefix", value.encode()) for value in values]
    headers.append((b"x-forwarded-for", b"203.0.113.7"))
    scope: dict[str, Any] = {"path": "/x", "headers": headers, "client": ("127.0.0.1", 1)}
    with pytest.raises(Refused) as caught:
        place_request(scope, None, LOCAL, {"models"})
    refused = caught.value
    assert (refused.status_code, refused.code, refused.detail, refused.hint) == (400, code, message, hint)
    assert (scope["path"], scope["root_path"], scope["client"]) == ("/x", "", ("203.0.113.7", 0))
