"""How the registry is served, decided once when the server starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.results.tokens import Token
from mreg.server.tokens import TokenFile

UPLOAD_LIMIT = 100 << 30
"""Bytes of one upload, unless said otherwise."""

BODY_LIMIT = 1 << 20
"""Bytes of any other request's body."""

TARGET_LIMIT = 8 << 10
"""Bytes of a path with its query."""

HEADERS_LIMIT = 64 << 10
"""Bytes of a request's headers."""

HEADERS_SECONDS = 10.0
"""Time to complete headers, from the connection or, for a later request, from its first byte."""

KEEP_ALIVE_SECONDS = 30.0
"""How long a connection stays open between two requests."""

IDLE_SECONDS = 60.0
"""How long a client may send nothing in the middle of a body."""

SLOWEST = 1 << 10
"""Bytes a second that a body must come in with on the whole, once it has taken `IDLE_SECONDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How the registry is served.

    Attributes:
        host: The address that is listened at.
        port: 0 for any that is free.
        tokens: The clients. Without these and a token file, any client that reaches a loopback address has full access.
        token_file: More clients, read again when the file changes.
        hosts: Names, beside addresses and localhost, by which clients may call the server.
        read_only: Nothing may be changed.
        upload_limit: Bytes of one upload.
        json_log: The access log in JSON.
        grace_seconds: How long requests under way may go on when the server is stopped.
        connections: Open connections; None: half of the files that the process may open, at most 4,096.
        connections_per_address: Open connections from one address; None: half of all.

    Raises:
        BadInput: Without tokens only loopback addresses can be served.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[Token, ...] = ()
    token_file: TokenFile | None = None
    hosts: tuple[str, ...] = ()
    read_only: bool = False
    upload_limit: int = UPLOAD_LIMIT
    json_log: bool = False
    grace_seconds: int = 600
    connections: int | None = None
    connections_per_address: int | None = None

    def __post_init__(self) -> None:
        if not self.needs_token and not is_loopback(self.host):
            raise BadInput(
                f"without tokens mreg serves loopback addresses alone, and {quoted(self.host)} is none",
                hint="make tokens by mreg token NAME --role writer, and name their file: --token-file FILE",
            )

    @property
    def needs_token(self) -> bool:
        """Whether a request needs a token."""
        return bool(self.tokens) or self.token_file is not None

    def current_tokens(self) -> tuple[Token, ...]:
        """The tokens that are valid for a new request.

        Raises:
            MregError: The token file is not one any more.
        """
        return self.tokens + (self.token_file.current() if self.token_file else ())

    def still_valid(self, token: Token) -> bool:
        """Whether a token that let a request in is valid, with the role that it had or a higher one.

        A token file that cannot be read ends no request: only a file without the token does.
        """
        return self.token_file is None or token in self.tokens or self.token_file.still_has(token)

    def knows_host(self, name: str) -> bool:
        """Whether a client may call the server by this name.

        A name that is not known could be that of a page which had itself resolved to this machine (DNS rebinding); an
        address can't be.
        """
        return name == "localhost" or _address(name) is not None or name in (host.lower() for host in self.hosts)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    found = _address(host)
    return host == "localhost" or (found is not None and found.is_loopback)
