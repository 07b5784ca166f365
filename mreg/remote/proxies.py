"""The proxy of a connection: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, as curl reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.errors import BadInput

if TYPE_CHECKING:
    import ipaddress


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        address: Address of the proxy.
        login: ``user:password``, empty if it needs none.
    """

    address: Address
    login: Password = field(default_factory=Password)

    def headers(self) -> dict[str, str]:
        """Return the header with the login."""
        if not self.login:
            return {}
        from base64 import b64encode

        return {"Proxy-Authorization": f"Basic {b64encode(self.login.reveal().encode()).decode()}"}


def find_proxy(address: Address, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for an address, None for a direct connection; this machine is always reached directly.

    Raises:
        BadInput: The variable does not have the URL of an HTTP proxy.
    """
    if address.is_loopback:
        return None
    # A CGI server sets HTTP_PROXY from a header of its client: https://httpoxy.org
    names = ["http_proxy"] if address.scheme == "http" else ["https_proxy", "HTTPS_PROXY"]
    if address.scheme == "http" and "REQUEST_METHOD" not in environ:
        names.append("HTTP_PROXY")
    name = next((name for name in (*names, "all_proxy", "ALL_PROXY") if environ.get(name)), "")
    excluded = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not name or any(_matches(word, address) for word in excluded.replace(",", " ").split()):
        return None
    scheme, between, rest = environ[name].partition("://")
    if not between:
        scheme, rest = "http", environ[name]
    login, at, authority = rest.partition("/")[0].rpartition("@")
    try:
        if scheme.lower() != "http":
            raise BadInput("another scheme")
        return Proxy(Address.parse(f"http://{authority}"), Password(unquote(login)) if at else Password())
    except BadInput:
        raise BadInput(
            f"the variable {name} does not have the URL of an HTTP proxy", hint=f"export {name}=http://HOST:PORT"
        ) from None


def _matches(word: str, address: Address) -> bool:
    """Return whether an entry of NO_PROXY names a host: ``*``, a name, a domain, an IP address or a network."""
    if word == "*":
        return True
    host, _, port = word.rpartition(":") if word.count(":") == 1 or "]:" in word else (word, "", "")
    if port and port != str(address.port):
        return False
    host = host.strip("[]").lower()
    own = _ip(address.host)
    if own is not None:
        import ipaddress

        try:
            return own in ipaddress.ip_network(host, strict=False)
        except ValueError:
            return False
    domain = host.removeprefix("*").strip(".")
    return bool(domain) and (address.host == domain or address.host.endswith(f".{domain}"))


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not (":" in host or host.replace(".", "").isdecimal()):
        return None
    import ipaddress

    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
