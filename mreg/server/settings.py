"""Settings of the server, fixed when it starts."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.results.tokens import Token
from mreg.server.proxy import NO_PROXIES, TrustedProxies
from mreg.server.tokens import TokenFile

UPLOAD_LIMIT = 100 << 30
"""Default maximum size of an upload in bytes."""

BODY_LIMIT = 1 << 20
"""Maximum size of any other request body in bytes."""

TARGET_LIMIT = 8 << 10
"""Maximum length of a path with its query in bytes."""

HEADERS_LIMIT = 64 << 10
"""Maximum size of the headers of a request in bytes."""

HEADERS_SECONDS = 10.0
"""Timeout for the headers of a request, from the connection or from the first byte of a later request."""

KEEP_ALIVE_SECONDS = 30.0
"""Timeout of a connection between two requests."""

IDLE_SECONDS = 60.0
"""Timeout for a client that pauses in the middle of a body."""

DIRECT_SECONDS = 900
"""Time for which a presigned URL of the bucket is valid: a request must begin within it."""

DIRECT_UPLOADS = 4
"""Number of uploads of the maximum size that a client can have begun and not finished at the bucket."""

MINIMUM_RATE = 1 << 10
"""Minimum average rate of a body in bytes per second, checked after `IDLE_SECONDS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of the server.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        tokens: Tokens of clients, besides those of the catalog.
        token_file: File of further tokens, read again when it changes.
        stored_tokens: Whether the catalog has an active token. Without tokens, every client of this machine has full
            access.
        hosts: Accepted host names, in addition to IP addresses and localhost.
        root_path: Prefix of the URLs behind a reverse proxy, as `mreg.server.proxy.parse_prefix` returns it (default:
            ``X-Forwarded-Prefix`` of trusted proxies).
        trusted_proxies: Reverse proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Prefix`` are used; their
            connections have no limit per address.
        read_only: Whether all changes are refused.
        upload_limit: Maximum size of an upload in bytes.
        direct: Whether clients that ask for it get presigned URLs of the bucket.
        json_log: Whether log lines are JSON objects.
        grace_seconds: Maximum time to finish requests in progress when the server is stopped.
        connections: Maximum number of open connections (default: half of the files that the process may open, at most
            4,096).
        connections_per_address: Maximum number of open connections per address (default: half of ``connections``).

    Raises:
        BadInput: Without tokens, only loopback addresses are allowed.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[Token, ...] = ()
    token_file: TokenFile | None = None
    stored_tokens: bool = False
    hosts: tuple[str, ...] = ()
    root_path: str | None = None
    trusted_proxies: TrustedProxies = NO_PROXIES
    read_only: bool = False
    upload_limit: int = UPLOAD_LIMIT
    direct: bool = False
    json_log: bool = False
    grace_seconds: int = 600
    connections: int | None = None
    connections_per_address: int | None = None

    def __post_init__(self) -> None:
        if not (self.needs_token or self.stored_tokens) and not is_loopback(self.host):
            raise BadInput(
                f"cannot serve {quoted(self.host)} without tokens: it is not a loopback address",
                hint="mreg token create admin --role admin",
            )

    @property
    def needs_token(self) -> bool:
        """Whether tokens are configured, so that requests need one whatever the catalog has."""
        return bool(self.tokens) or self.token_file is not None

    @property
    def client_host(self) -> str:
        """The host in the URL for clients: a name that they can use if the server listens on all addresses."""
        address = _address(self.host)
        if address is None or not address.is_unspecified:
            return f"[{self.host}]" if ":" in self.host else self.host
        return self.hosts[0] if self.hosts else _own_address(address)

    @property
    def refuses_names(self) -> bool:
        """Whether clients of other machines cannot use a host name, but only an IP address."""
        return not self.hosts and not is_loopback(self.host)

    def current_tokens(self) -> tuple[Token, ...]:
        """Return the tokens that are valid for a new request.

        Raises:
            MregError: The token file is not valid.
        """
        return self.tokens + (self.token_file.current() if self.token_file else ())

    def still_valid(self, token: Token) -> bool:
        """Return whether a configured token of a request in progress is still valid, with no fewer permissions.

        A token file that cannot be read does not end a request; a file without the token does.
        """
        return self.token_file is None or token in self.tokens or self.token_file.still_has(token)

    def knows_host(self, name: str) -> bool:
        """Return whether a host name is accepted.

        An unknown name could belong to a web page that resolves its own name to this machine (DNS rebinding); an IP
        address could not.
        """
        return name == "localhost" or _address(name) is not None or name in (host.lower() for host in self.hosts)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return None


def _own_address(unspecified: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return the address of this machine for other machines; the loopback address without a network."""
    is_6 = unspecified.version == 6
    with socket.socket(socket.AF_INET6 if is_6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1" if is_6 else "192.0.2.1", 9))  # sends nothing
            found = str(probe.getsockname()[0])
        except OSError:
            found = "::1" if is_6 else "127.0.0.1"
    return f"[{found}]" if is_6 else found


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)
