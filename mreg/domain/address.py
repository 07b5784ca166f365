"""The address of ``mreg serve``: ``https://HOST``, with a port and a path prefix if the server has them.

One server has one spelling, so that a token that is saved for an origin is found again, and sent nowhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import Self

from mreg.domain.password import without_secrets
from mreg.errors import BadInput

FORM = "https://HOST or https://HOST:PORT"

PORTS = {"http": 80, "https": 443}

PAGES = (
    *("ui", "models", "search", "history", "approvals", "policy", "docs", "redoc", "openapi.json", "api"),
    *("version", "whoami", "healthz", "readyz", "metrics"),
)
"""First segments of pages and routes of a server that users visit, and of usual pages of other servers."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?", re.IGNORECASE)
_NUMBER = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{3}}")
_LIKE_ADDRESS = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)")
_LOOPBACK = re.compile(rf"localhost|127(?:\.{_NUMBER}){{3}}|::1")
_TOKEN = re.compile(r"mreg_[A-Za-z0-9_-]*", re.IGNORECASE)
"""A token, also a part of one, instead of a URL; a host of this form has a scheme."""
_PATH = re.compile(r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of the address of a server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name in lower case, or IP address; an IPv6 address without brackets.
        path: Prefix of all paths, such as ``/mreg``; empty if the server has none.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address in a text; messages never repeat a part that can be a secret.

        Raises:
            BadInput: The text is not the address of a server.
        """
        if _TOKEN.fullmatch(text) or without_secrets(text) != text:
            raise BadInput(
                "the URL of the server is or contains a token",
                hint="mreg login https://HOST asks for the token, or reads it from standard input",
            )
        scheme, mark, rest = text.partition("://")
        scheme = scheme.lower()
        if not text.isascii() or not text.isprintable() or " " in text:
            raise BadInput(
                "the URL of the server has a character that is not allowed",
                hint="write the host name in ASCII (IDNA, xn--), and percent-encode nothing",
            )
        if not mark:
            raise BadInput("the URL of the server has no scheme", hint=_with_scheme(text))
        if scheme not in PORTS:
            raise BadInput(
                f"unsupported URL scheme of the server: {scheme}://"
                if re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme)
                else "the URL of the server has no valid scheme",
                hint=f"write {FORM}",
            )
        if "@" in rest:
            raise BadInput(
                "the URL of the server contains a user name or a password",
                hint="remove it, and save a token: mreg login URL",
            )
        if set(rest) & set("?#"):
            raise BadInput("the URL of the server contains a query or a fragment", hint=_without_query(text))
        host, slash, path = rest.partition("/")
        found = _HOST.fullmatch(host)
        name = _host(found[1].lower()) if found else ""
        if not found or not name:
            raise BadInput("the URL of the server has no valid host", hint=f"write {FORM}")
        port = int(found[2]) if found[2] else PORTS[scheme]
        if not 0 < port < 65536:
            raise BadInput("the URL of the server has an invalid port", hint="use a port from 1 to 65535")
        made = cls(scheme=scheme, host=name, port=port, path=f"{slash}{path}".rstrip("/"))
        if not _PATH.fullmatch(made.path):
            hint = "write the prefix of the server's paths, such as https://HOST/mreg"
            if _PATH.fullmatch(made.root.removeprefix(made.origin)):
                hint = f"write {made.root}"
            raise BadInput("the URL of the server has an invalid path", hint=hint)
        if "ui" in made.path.split("/"):
            raise BadInput("the URL of the server is that of its web page", hint=f"write {made.root}")
        return made

    @property
    def root(self) -> str:
        """The URL without the path of a page or of a route in it, as a user can have copied it."""
        kept = takewhile(lambda part: part not in PAGES, self.path.split("/"))
        return f"{self.origin}{'/'.join(kept)}"

    @property
    def authority(self) -> str:
        """Host and port, as in a URL; the port only if it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: a token is sent to one origin only."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by name or address."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def is_protected(self) -> bool:
        """Whether the request cannot be read on the network: by TLS, or because it stays on this machine."""
        return self.scheme == "https" or self.is_loopback

    def other_scheme(self) -> str:
        """Return the URL with the other scheme; a port that is not the usual one of this scheme stays."""
        scheme = "https" if self.scheme == "http" else "http"
        return f"{scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def _host(text: str) -> str:
    """Return a host in its one spelling, without brackets; empty if it is invalid."""
    if text.startswith("["):
        from ipaddress import AddressValueError, IPv6Address

        try:
            return str(IPv6Address(text[1:-1]))
        except AddressValueError:
            return ""
    if len(text) > 253 or not _NAME.fullmatch(text):
        return ""
    # A resolver also reads 127.1, 0x7f.1 and 2130706433 as addresses.
    return text if _ADDRESS.fullmatch(text) or not _LIKE_ADDRESS.fullmatch(text) else ""


def _without_query(text: str) -> str:
    """Return a hint with the query and the fragment removed, if that leaves a valid address."""
    try:
        return f"write {Address.parse(re.split('[?#]', text)[0]).root}"
    except BadInput as error:
        return error.hint


def _with_scheme(text: str) -> str:
    """Return a hint with the scheme added, if that makes a valid address."""
    for scheme in ("https", "http"):
        try:
            made = Address.parse(f"{scheme}://{text}")
        except BadInput:
            break
        if scheme == "http" or not made.is_loopback:
            return f"write {made}"
    return f"write {FORM}"
