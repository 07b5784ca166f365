"""The URL of a database server: its spellings, and its password, which is taken out before the URL is shown or used.

The grammar of PostgreSQL's is libpq's: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mreg.errors import BadInput, BadProfile

DATABASE = re.compile(r"(?:postgres(?:ql)?(?:\+[A-Za-z0-9_]+)?|rediss?)://")
"""The start of a URL. SQLAlchemy writes a Python driver after ``+``, which mreg does not need."""

FORM = "postgresql://USER@HOST/DATABASE"

FROM_VARIABLE, REDIS_FROM_VARIABLE = "${DATABASE_URL}", "${REDIS_URL}"

KEYWORDS = re.compile(
    r"\s*(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options|application_name|connect_timeout"
    r"|target_session_attrs|server|data source|database|driver|uid)\s*=",
    re.IGNORECASE,
)
"""The start of a connection string of libpq, ODBC or .NET."""

ENCODE = "percent-encode user name and password: %40 for @, %2F for /, %3A for :, %25 for %"


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A URL without its password, which is empty if the URL has none."""

    url: str
    password: str = ""


def is_database(text: str) -> bool:
    """Return whether a text is the URL of a database server, in any of the spellings that `split_password` reads."""
    return DATABASE.match(text) is not None


def split_password(
    text: str, label: str = "", is_written: Callable[[int, int], bool] = lambda _start, _end: False
) -> ServerUrl:
    """Return a URL of a database server in its canonical spelling, without its password.

    Args:
        text: The URL, for which `is_database` is true.
        label: Origin of the text, for messages, which never repeat a part of the text.
        is_written: Returns whether a range of the text is written in a file.

    Raises:
        BadProfile: The password is written in a file, or a user name or password is not percent-encoded.
    """
    if text.startswith("redis"):
        return _split_redis(text, label, is_written)
    start = text.index("://") + 3
    _decoded(text[start:], label)
    # libpq looks for the end of the password from the left, and up to the first slash.
    login = re.compile(r"[^@/]*@").match(text, start)
    host = login.end() if login else start
    if "@" in text[host:]:
        raise BadProfile(f"{label}the URL of catalog has an unexpected '@'", hint=ENCODE)
    if login is None and re.match(r"(?!\[)[^/?,]*:[^/?,]*[^0-9/?,]", text[start:]):
        raise BadProfile(f"{label}the URL of catalog has an invalid port", hint=f"write {FORM}; {ENCODE}")
    password, shown = "", text[start:host]
    if login and ":" in shown:
        user, _, encoded = shown[:-1].partition(":")
        _refuse_written(label, is_written, start + len(user) + 1, host - 1)
        password, shown = _decoded(encoded, label), f"{user}@" if user else ""
    place, mark, query = text[host:].partition("?")
    kept, position = [], host + len(place) + 1
    for parameter in query.split("&"):
        key, _, value = parameter.partition("=")
        name = _decoded(key, label)
        begin, position = position, position + len(parameter) + 1
        if name.strip().lower() not in ("password", "sslpassword"):
            kept.append(parameter)
            continue
        _refuse_written(label, is_written, begin + len(key) + 1, begin + len(parameter))
        if name != "password":
            raise _with_password(label, "write the password of the key in a service file")
        password = _decoded(value, label)
    parameters = "&".join(kept)
    return ServerUrl(f"postgresql://{shown}{place}{mark if parameters else ''}{parameters}", password)


def _split_redis(text: str, label: str, is_written: Callable[[int, int], bool]) -> ServerUrl:
    from mreg.domain.redis_url import PASSWORD_VARIABLE, parse_redis_url

    try:
        url, login = parse_redis_url(text)
    except BadInput as error:
        raise BadProfile(f"{label}{error.message}", hint=error.hint) from None
    if is_written(login.start, login.end):
        raise _with_password(
            label, f"take the URL from a variable: {REDIS_FROM_VARIABLE}; or set the password in {PASSWORD_VARIABLE}"
        )
    return ServerUrl(str(url), login.password)


def _refuse_written(label: str, is_written: Callable[[int, int], bool], start: int, end: int) -> None:
    if is_written(start, end):
        raise _with_password(label, f"take the URL from a variable: {FROM_VARIABLE}; or set the password in PGPASSWORD")


def _with_password(label: str, hint: str) -> BadProfile:
    return BadProfile(f"{label}the URL of catalog contains a password", hint=hint)


def _decoded(text: str, label: str) -> str:
    """Return a text with ``%XX`` decoded, as libpq does it."""
    from urllib.parse import unquote

    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", text) is None:
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            pass
    raise BadProfile(f"{label}the URL of catalog is not percent-encoded correctly", hint=ENCODE)


AZURE_KEYWORDS = re.compile(
    r"\s*(?:DefaultEndpointsProtocol|AccountName|AccountKey|BlobEndpoint|SharedAccessSignature|EndpointSuffix"
    r"|UseDevelopmentStorage)\s*=",
    re.IGNORECASE,
)
"""The start of a connection string of Azure Storage."""


def refuse_connection_string(key: str, text: str, label: str) -> None:
    """Refuse a connection string of another form, which would otherwise be the name of a file.

    Raises:
        BadProfile: The text is such a string; the message does not repeat it, since it can have a password.
    """
    if AZURE_KEYWORDS.match(text):
        raise BadProfile(
            f"{label}invalid {key}: expected a path or a URL, got a connection string of Azure Storage",
            hint="set AZURE_STORAGE_CONNECTION_STRING to it, and write az://CONTAINER/PREFIX",
        )
    if KEYWORDS.match(text):
        raise BadProfile(
            f"{label}invalid {key}: expected a path or a URL, got a connection string of keywords",
            hint=f"write {FORM if key == 'catalog' else 's3://BUCKET/PREFIX'}, or ./ before a path",
        )
