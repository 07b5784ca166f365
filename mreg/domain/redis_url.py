"""The URL of a catalog on a Redis server: ``redis://USER:PASSWORD@HOST:PORT/DATABASE/KEY``, or ``rediss://`` for TLS.

The scheme is that of https://www.iana.org/assignments/uri-schemes/prov/redis, with the key after the database.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mreg.errors import BadInput

KEY = "mreg"
"""The key of a URL without one."""

PORT = 6379

FORM = "redis://HOST:PORT/DATABASE"

PASSWORD_VARIABLE = "REDISCLI_AUTH"  # noqa: S105
"""The variable of redis-cli with the password."""

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Parameters that name a file of TLS; the names are redis-py's."""

PARAMETERS = (*FILES, "ssl_cert_reqs")

ENCODE = "percent-encode user name and password: %40 for @, %2F for /, %3A for :, %25 for %"

_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_KEY = r"[A-Za-z0-9_{](?:[A-Za-z0-9._:{}-]{0,198}[A-Za-z0-9_}])?"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """The parts of a URL without its password.

    Attributes:
        user: Empty for the server's default user.
        database: Number of the database.
        ssl_ca_certs: File with the certificate authorities; empty for the system's.
        ssl_certfile: File with the certificate of the client; empty for none.
        ssl_keyfile: File with the key of this certificate; empty if it is in the same file.
        verified: Whether the certificate of the server is verified.
    """

    host: str
    tls: bool = False
    port: int = PORT
    database: int = 0
    key: str = KEY
    user: str = ""
    ssl_ca_certs: str = ""
    ssl_certfile: str = ""
    ssl_keyfile: str = ""
    verified: bool = True

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    @property
    def place(self) -> str:
        """The URL without user and parameters, for messages."""
        key = "" if self.key == KEY else f"/{self.key}"
        return f"redis{'s' if self.tls else ''}://{self.address}/{self.database}{key}"

    @property
    def command(self) -> str:
        """The start of a command line of redis-cli for this server."""
        host = self.host.strip("[]")
        return f"redis-cli -h {host} -p {self.port}{' --tls' if self.tls else ''} -n {self.database}"

    def __str__(self) -> str:
        """The URL in its canonical form."""
        from urllib.parse import quote

        given = {name: getattr(self, name) for name in FILES} | {"ssl_cert_reqs": "" if self.verified else "none"}
        parameters = "&".join(f"{name}={quote(value)}" for name, value in given.items() if value)
        scheme, _, rest = self.place.partition("://")
        user = f"{quote(self.user, safe='')}:@" if self.user else ""
        return f"{scheme}://{user}{rest}{'?' if parameters else ''}{parameters}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The password of a URL, and the range of the text in which it is written."""

    password: str = ""
    start: int = 0
    end: int = 0


def parse_redis_url(text: str) -> tuple[RedisUrl, Login]:
    """Return the parts of a URL that begins with ``redis://`` or ``rediss://``.

    Raises:
        BadInput: The URL is invalid. The message never repeats a part of the text, which can have a password.
    """
    scheme, _, rest = text.partition("://")
    start = len(scheme) + 3
    authority = re.match(r"[^/?#]*", rest)[0]  # type: ignore[index]  # it matches every text
    login, at, server = authority.rpartition("@")
    tail = rest[len(authority) :]
    if "@" in login or "@" in tail:
        raise BadInput("the URL of catalog has an unexpected '@'", hint=ENCODE)
    user, colon, encoded = login.partition(":")
    if at and not colon:
        # redis-cli reads it as a password, and other clients as a user name, which is shown.
        raise BadInput(
            "the URL of catalog has a login without a colon, which is either a user name or a password",
            hint="write redis://USER:@HOST for a user name, and redis://:PASSWORD@HOST in a variable",
        )
    host, port = _split_server(server)
    path, mark, query = tail.partition("?")
    if "#" in tail:
        raise BadInput("the URL of catalog has an unexpected '#'", hint=f"write {FORM}; {ENCODE}")
    database, key = _split_path(path)
    parameters = _parameters(query if mark else "")
    if parameters and scheme != "rediss":
        raise BadInput("the URL of catalog has parameters of TLS, but not the scheme of TLS", hint="write rediss://")
    begin = start + len(user) + 1
    url = RedisUrl(
        tls=scheme == "rediss",
        host=host,
        port=port,
        database=database,
        key=key,
        user=_decoded(user),
        verified=parameters.pop("ssl_cert_reqs", "required") != "none",
        **parameters,
    )
    return url, Login(password=_decoded(encoded), start=begin, end=begin + len(encoded))


def _split_server(server: str) -> tuple[str, int]:
    """Return host and port."""
    host, port = server, ""
    if not server.endswith("]"):
        host, colon, port = server.rpartition(":")
        host, port = (host, port) if colon else (server, "")
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536 and len(port) < 6):
        raise BadInput("the URL of catalog has an invalid port", hint=f"write {FORM}; {ENCODE}")
    if len(host) > 253 or not re.fullmatch(_HOST, host):
        raise BadInput("the URL of catalog has an invalid host", hint=f"write {FORM}; {ENCODE}")
    return host.lower(), int(port) if port else PORT


def _split_path(path: str) -> tuple[int, str]:
    """Return the number of the database and the key."""
    number, _, key = path[1:].rstrip("/").partition("/")
    if number and not re.fullmatch(r"[0-9]{1,9}", number):
        raise BadInput("the URL of catalog has an invalid database", hint="write its number: redis://HOST:PORT/0")
    if key and not re.fullmatch(_KEY, key):
        raise BadInput(
            "the URL of catalog has an invalid key",
            hint="write redis://HOST:PORT/0/KEY, with a key of at most 200 letters, digits and characters of ._:-{}",
        )
    return int(number or 0), key or KEY


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters of TLS."""
    found: dict[str, str] = {}
    for parameter in filter(None, query.split("&")):
        name, _, encoded = parameter.partition("=")
        if name not in PARAMETERS or name in found:
            raise BadInput(
                "the URL of catalog has an unknown parameter, or one twice", hint=f"known are {', '.join(PARAMETERS)}"
            )
        value = found[name] = _decoded(encoded)
        if name in FILES and not value.startswith("/") and not re.match(r"[A-Za-z]:[/\\]", value):
            raise BadInput(f"{name} in the URL of catalog is not an absolute path", hint=f"write {name}=/PATH")
        if name == "ssl_cert_reqs" and value not in ("required", "none"):
            raise BadInput("invalid ssl_cert_reqs in the URL of catalog", hint="write required or none")
    return found


def _decoded(text: str) -> str:
    """Return a text with ``%XX`` decoded."""
    from urllib.parse import unquote

    if re.search(r"%(?![0-9A-Fa-f]{2})|%[01][0-9A-Fa-f]|%7[Ff]", text) is None:
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            pass
    raise BadInput("the URL of catalog is not percent-encoded correctly", hint=ENCODE)
