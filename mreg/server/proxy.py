"""Reverse proxies: the prefix of the URLs, and the address of the client.

A request that came through a proxy has two addresses, and can have a path that clients do not see. The headers that
say so are used only from trusted proxies: any client can write them, and many proxies pass them on.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.server.problems import Refused

if TYPE_CHECKING:
    from starlette.types import Scope

PREFIX_LIMIT = 256
"""Maximum length of a prefix in characters."""

_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~-]+")
_PORT = re.compile(r"(\[[^\[\]]*\]|[^:]*)(?::[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_prefix(text: str) -> str:
    """Return the prefix of the URLs without a slash at its end; empty for ``/`` and an empty text.

    A prefix is written into links, headers and hints, so it has only characters that mean themselves in all of them.

    Raises:
        BadInput: The text is not an absolute path of plain segments.
    """
    prefix = text.removesuffix("/")
    if not prefix:
        return ""
    first, *segments = prefix.split("/")
    if first or len(prefix) > PREFIX_LIMIT or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise BadInput(
            f"invalid path prefix {quoted(text)}",
            hint=f"use a path such as /mreg: letters, digits, '.', '_', '~' and '-', at most {PREFIX_LIMIT} characters",
        )
    return prefix


def parse_network(text: str) -> Network:
    """Return the address or network of a proxy, such as ``127.0.0.1`` or ``10.0.0.0/8``.

    Raises:
        BadInput: The text is neither an address nor a network.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BadInput(
            f"invalid address of a proxy {quoted(text)}: {error}",
            hint="use an IP address or a network: mreg serve --trusted-proxy 127.0.0.1",
        ) from error


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose headers are used."""

    networks: tuple[Network, ...] = ()

    def __contains__(self, address: object) -> bool:
        if not self.networks or not isinstance(address, str):
            return False
        try:
            parsed = ipaddress.ip_address(str(address).partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        return any(parsed in network for network in self.networks)

    def client_of(self, peer: str, forwarded: str) -> str:
        """Return the address of the client of a request.

        Each proxy appends the address that it was called from, so the list is read from its end, for as long as the
        proxies are trusted. The part before the first other address was written by the client.

        Args:
            peer: Address at the other end of the connection.
            forwarded: Values of the ``X-Forwarded-For`` headers, joined with commas.
        """
        client = peer
        for address in _reversed_addresses(forwarded):
            if client not in self or address is None:
                break
            client = address
        return client


def _reversed_addresses(forwarded: str) -> Iterator[str | None]:
    """Yield the addresses of a list from its end, without ports; None for text that is not an address."""
    for word in reversed(forwarded.split(",")) if forwarded else ():
        found = _PORT.fullmatch(word.strip())
        text = found[1].removeprefix("[").removesuffix("]") if found else word.strip()
        try:
            yield str(ipaddress.ip_address(text.partition("%")[0]))
        except ValueError:
            yield None


NO_PROXIES = TrustedProxies()


def place_request(scope: Scope, root_path: str | None, proxies: TrustedProxies, reserved: Collection[str]) -> str:
    """Set the path, the prefix and the client of a request, and return its path without the prefix.

    Afterwards ``scope["path"]`` is the encoded path as clients write it, beginning with ``scope["root_path"]``, whether
    the proxy removed the prefix or not.

    Args:
        root_path: The prefix; None to read it from ``X-Forwarded-Prefix`` of trusted proxies.
        reserved: First segments of routes, which cannot begin a prefix.

    Raises:
        Refused: A trusted proxy sent an invalid prefix; the path and the client are set nevertheless.
    """
    path = _raw_path(scope)
    scope["path"], scope["root_path"] = path, ""
    prefix, refused = root_path or "", None
    peer = scope.get("client")
    if peer is not None and peer[0] in proxies:
        forwarded = ",".join(_values(scope, b"x-forwarded-for"))
        scope["client"] = (proxies.client_of(peer[0], forwarded), 0)
        if root_path is None:
            try:
                prefix = _forwarded_prefix(_values(scope, b"x-forwarded-prefix"), reserved)
            except Refused as error:
                refused = error
    if prefix:
        if path == prefix or path.startswith(f"{prefix}/"):
            path = path[len(prefix) :] or "/"
        scope["path"], scope["root_path"] = prefix + path, prefix
    if refused is not None:
        raise refused
    return path


def check_not_reserved(prefix: str, reserved: Collection[str]) -> None:
    """Refuse a prefix that begins like a route: a path with it could be meant with or without the prefix.

    Raises:
        BadInput: The first segment of the prefix is reserved.
    """
    if prefix and prefix.split("/")[1] in reserved:
        raise BadInput(
            f"invalid path prefix {quoted(prefix)}: routes of the server begin with it",
            hint="choose another prefix, such as /mreg",
        )


def _forwarded_prefix(values: list[str], reserved: Collection[str]) -> str:
    if not values:
        return ""
    if len(values) > 1:
        raise Refused(400, "header_twice", "repeated header x-forwarded-prefix", hint="send it once")
    try:
        prefix = parse_prefix(values[0])
        check_not_reserved(prefix, reserved)
    except BadInput as error:
        raise Refused(
            400, "bad_request", f"{error.message} in the header x-forwarded-prefix", hint=error.hint
        ) from error
    return prefix


def _values(scope: Scope, header: bytes) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == header]


def _raw_path(scope: Scope) -> str:
    """Return the encoded path, so that each segment is decoded only once."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return bytes(raw).partition(b"?")[0].decode("latin-1")
