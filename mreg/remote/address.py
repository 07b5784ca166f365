"""The address of a server: scheme, host, port, and the path under which a proxy serves it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput

PORTS = {"http": 80, "https": 443}

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]*)*)"
)
_FORM = "write https://HOST or https://HOST:PORT/PATH"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a server; ``Address.parse(str(address)) == address``.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Lower-case name, or IP address, that of IPv6 without brackets.
        port: Port.
        path: Path of the server at its host, without a slash at the end; empty for the root.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address of a URL.

        Raises:
            BadInput: The text is not a URL of a server. The message does not repeat a URL with a password.
        """
        start, between, rest = text.partition("://")
        authority, slash, path = rest.partition("/")
        if "@" in authority:
            raise BadInput("the URL of the server contains a user name", hint="log in with a token: mreg login URL")
        if "?" in rest or "#" in rest:
            raise BadInput("the URL of the server has a query or a fragment", hint=_FORM)
        match = _URL.fullmatch(f"{start.lower()}{between}{authority.lower()}{slash}{path}")
        if match is None or not 0 < int(match["port"] or 1) < 1 << 16 or "//" in match["path"].rstrip("/"):
            raise BadInput(f"invalid URL of a server: {quoted(text)}", hint=_FORM)
        if any(part in (".", "..") for part in match["path"].lower().replace("%2e", ".").split("/")):
            raise BadInput(f"invalid URL of a server: {quoted(text)}", hint=_FORM)
        port = int(match["port"]) if match["port"] else PORTS[match["scheme"]]
        return cls(match["scheme"], match["host"].strip("[]"), port, match["path"].rstrip("/"))

    @property
    def authority(self) -> str:
        """Host and port, as in a URL; the default port of the scheme is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: a token is sent to one origin only."""
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can answer."""
        return self.host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]{1,3}){3}", self.host) is not None

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"
