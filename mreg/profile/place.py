"""Validation of the locations in a profile: paths and URLs, each with exactly one meaning."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from mreg.domain.buckets import SCHEMES as BUCKETS
from mreg.domain.buckets import is_bucket
from mreg.domain.text import quoted
from mreg.errors import BadInput, BadProfile
from mreg.profile.reading import Values
from mreg.profile.server_url import FORM, is_database, refuse_connection_string, split_password

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
SIZE = re.compile(r"[-+]?[\d.]+(?:[eE][\d.]+)? *[A-Za-z]*$")
"""A cache value that is read as a size and not as a folder."""

CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}|\$root")
CLOUDS = r"(?:core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)|storage\.azure\.net)"
"""Domains of Azure. A token is sent to the host of a URL, so it must not be anybody's."""

ACCOUNT_HOST = re.compile(rf"[a-z0-9]{{3,24}}\.(?:z[0-9]{{1,2}}\.)?dfs\.{CLOUDS}")
BUCKET_NAMES = {
    "s3": BUCKET,
    "gs": BUCKET,
    "az": CONTAINER,
    "abfss": re.compile(f"(?:{CONTAINER.pattern})@{ACCOUNT_HOST.pattern}"),
}
"""Valid names of buckets, by scheme."""

BLOB_URL = re.compile(
    rf"https://([a-z0-9]{{3,24}}(?:\.z[0-9]{{1,2}})?)\.(?:blob|dfs)\.({CLOUDS})/([^/]+)(.*)", re.DOTALL
)
"""The address of an Azure container as the portal shows it."""

SCHEMES = {
    "catalog": (*BUCKETS, "postgresql", "redis", "rediss"),
    "artifacts": BUCKETS,
    "cache": (),
    "endpoint_url": ("http", "https"),
}

AZURE = ("az", "abfss")
AZURE_SCHEMES = ("azure", "adl", "abfs", "wasb", "wasbs")
"""Other schemes for Azure's containers, which are not supported."""

BUCKET_FORMS = {"az": "container", "abfss": "container@account.dfs.core.windows.net"}
"""The form of the name of a bucket, by scheme (default: bucket)."""

FORMS = {
    "catalog": f"write s3://BUCKET/PREFIX/catalog.db, az://CONTAINER/PREFIX/catalog.db, {FORM}, "
    "redis://HOST:PORT/DATABASE or a path",
    "artifacts": "write s3://BUCKET/PREFIX, az://CONTAINER/PREFIX or a path",
    "cache": "write a size such as 20GB, or a path",
    "endpoint_url": "write https://HOST or https://HOST:PORT",
}
"""The forms of a location, by key."""

SPELLINGS = {
    "postgres": "postgresql", "pg": "postgresql", "postgis": "postgresql", "psql": "postgresql",
    "valkey": "redis", "valkeys": "rediss", "redis+tls": "rediss", "redis+ssl": "rediss",
}  # fmt: skip
"""Other spellings of a scheme."""

FILE_SCHEME = re.compile(r"(?:file|sqlite(?:\+[a-z0-9_]+)?):///?(?P<path>[^/?#][^?#]*|/[^?#]+)?")
"""A URL of a file. SQLAlchemy writes an absolute path with four slashes, all others with three."""

WINDOWS_PATH = re.compile(r"[A-Za-z]:|\\\\")

SCHEME_LIKE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""A scheme without the two slashes, which could be the name of a file."""

PASSWORD = "password"  # noqa: S105  a key
"""The key of the password of a catalog in `Values`; no file can have it."""

TRUE = ("1", "true", "yes")
FALSE = ("", "0", "false", "no")
"""Spellings of a setting that is on or off, in any case."""


def place(
    values: Values,
    key: str,
    value: str,
    folder: str | None,
    origin: str,
    *,
    is_written: Callable[[int, int], bool] = lambda _start, _end: False,
) -> None:
    """Set a key to its valid value, and `PASSWORD` to the password of the URL of a catalog.

    Args:
        is_written: Returns whether a range of the value is written in a file, where a password is not allowed.

    Raises:
        BadProfile: The value is invalid.
    """
    values[key] = (location(key, value, folder, origin, is_written=is_written), origin)
    if key == "catalog" and is_database(value):
        password = split_password(value).password
        if password:
            values[PASSWORD] = (password, origin)


def location(
    key: str,
    value: str,
    folder: str | None,
    origin: str = "",
    *,
    is_written: Callable[[int, int], bool] = lambda _start, _end: False,
) -> str:
    """Return a valid value of a key; a path is made absolute, and a password is left out.

    Args:
        folder: Folder of a relative path; None for the working folder.
        origin: Origin of the value, for messages.
        is_written: Returns whether a range of the value is written in a file, where a password is not allowed.

    Raises:
        BadProfile: The value is invalid.
    """
    label = f"{origin}: " if origin else ""
    if "\0" in value or not value.isprintable():
        raise BadProfile(f"{label}{key} contains unprintable characters")
    if key == "addressing_style" and value not in ("auto", "path", "virtual"):
        raise BadProfile(f"{label}invalid addressing_style {quoted(value)}", hint="write auto, path or virtual")
    if key == "existing_only":
        if value.lower() not in TRUE + FALSE:
            raise BadProfile(f"{label}invalid existing_only {quoted(value)}", hint="write true or false")
        return "true" if value.lower() in TRUE else ""
    if key == "model" and value:
        _check_model(value, label)
    if key == "server":
        return _server(value, label)
    if key not in SCHEMES or (key == "cache" and SIZE.match(value)):
        return value
    if key == "catalog" and is_database(value):
        return split_password(value, label, is_written).url
    if key in ("catalog", "artifacts"):
        refuse_connection_string(key, value, label)
    if "://" in value:
        return _checked_url(key, value, label)
    if key == "endpoint_url":
        raise BadProfile(f"{label}endpoint_url must begin with https:// or http://")
    return _absolute_path(key, value, folder, label)


def _check_model(value: str, label: str) -> None:
    from mreg.domain.names import ModelName

    try:
        ModelName(value)
    except BadInput as error:
        raise BadProfile(f"{label}{error.message}", hint=error.hint) from error


def _server(value: str, label: str) -> str:
    from mreg.domain.address import Address

    try:
        return str(Address.parse(value))
    except BadInput as error:
        raise BadProfile(f"{label}{error.message}", hint=error.hint) from error


def _absolute_path(key: str, value: str, folder: str | None, label: str) -> str:
    if not value:
        raise BadProfile(f"{label}{key} is empty")
    if os.name != "nt" and WINDOWS_PATH.match(value):
        raise BadProfile(f"{label}{key} is a path of Windows", hint=FORMS[key])
    if SCHEME_LIKE.match(value):
        # The value is not repeated: what follows a misspelled scheme can have a password.
        scheme = value.partition(":")[0]
        either = f"; for a file of this name, write ./{value}" if scheme in ("file", "sqlite") else ""
        raise BadProfile(f"{label}{key} begins with {scheme}: but is not a URL", hint=FORMS[key] + either)
    path = os.path.expanduser(value)
    if not os.path.isabs(path):
        try:
            path = os.path.join(os.getcwd() if folder is None else folder, path)
        except OSError:
            raise BadProfile(f"{label}{key} is a relative path, and the working folder does not exist") from None
    return os.path.normpath(path)


def _checked_url(key: str, value: str, label: str) -> str:
    """Return the URL without a trailing slash, if it has no secret, an allowed scheme and exactly one meaning."""
    scheme, _, rest = value.partition("://")
    if value[0] in "'\"":
        raise BadProfile(f"{label}{key} begins with a quote", hint="write the URL without quotes")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.:-]*", scheme):
        raise BadProfile(f"{label}{key} is neither a URL nor a path", hint=FORMS[key])
    file = FILE_SCHEME.fullmatch(value)
    if file and key != "endpoint_url":
        path = file["path"] or ""
        path = f"/{path}" if scheme == "file" and not path.startswith("/") else path
        hint = f"write the path: {path}" if file["path"] else FORMS[key]
        raise BadProfile(f"{label}unsupported URL scheme of {key}: {scheme}://", hint=hint)
    if key != "endpoint_url" and (blob := BLOB_URL.fullmatch(value)):
        account, suffix, container, path = blob.groups()
        return _checked_url(key, f"abfss://{container}@{account}.dfs.{suffix}{path}", label)
    _refuse_secrets(key, scheme, rest, label)
    allowed = SCHEMES[key]
    if scheme not in allowed and scheme in AZURE_SCHEMES and key != "endpoint_url":
        raise BadProfile(
            f"{label}unsupported URL scheme of {key}: {scheme}://",
            hint="write az://CONTAINER/PREFIX, or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX",
        )
    if scheme not in allowed:
        near = SPELLINGS.get(scheme.lower(), scheme.lower())
        hint = f"write {near}://" if near in allowed else FORMS[key]
        raise BadProfile(f"{label}unsupported URL scheme of {key}: {scheme}://", hint=hint)
    if scheme in BUCKETS:
        return _checked_bucket(key, scheme, value, rest.rstrip("/"), label)
    if key == "endpoint_url":
        _check_address(value, label)
    return value


def _refuse_secrets(key: str, scheme: str, rest: str, label: str) -> None:
    """Refuse a URL with a password or login; the message never repeats the value, which holds the secret."""
    login = rest.partition("/")[0].rpartition("@")[0]
    if scheme in AZURE and "?" in rest:
        raise BadProfile(
            f"{label}the URL of {key} contains a query, which can be a shared access signature",
            hint="remove it from '?' on, and set AZURE_STORAGE_SAS_TOKEN to it",
        )
    if scheme == "abfss" and ":" not in login:
        return
    if scheme in SCHEMES[key] and login:
        raise BadProfile(
            f"{label}the URL of {key} contains a {'password' if ':' in login else 'user name'}",
            hint="remove it; passwords belong in the AWS credentials",
        )


def _checked_bucket(key: str, scheme: str, value: str, rest: str, label: str) -> str:
    bucket, *parts = rest.split("/")
    form = f"{scheme}://{BUCKET_FORMS.get(scheme, 'bucket')}"
    if not BUCKET_NAMES[scheme].fullmatch(bucket):
        kind = "container" if scheme in AZURE else "bucket"
        raise BadProfile(f"{label}the URL of {key} has no {kind}: {_shown(value)}", hint=f"write {form}/prefix")
    if key == "catalog" and (not parts or value.endswith("/")):
        raise BadProfile(
            f"{label}the URL of catalog has no object name: {_shown(value)}",
            hint=f"{form}/catalog.db" if set(value) & set("?#") else f"{value.rstrip('/')}/catalog.db",
        )
    if any(part in ("", ".", "..") or set(part) & set("?#\\") for part in parts):
        raise BadProfile(
            f"{label}the URL of {key} has an invalid prefix: {_shown(value)}",
            hint=f"write {form}/some/prefix, without empty parts, '..', '?' and '#'",
        )
    return f"{scheme}://{rest}"


def _check_address(value: str, label: str) -> None:
    from urllib.parse import urlsplit

    try:
        usable = bool(urlsplit(value).hostname) and urlsplit(value).port != 0 and not set(value) & set(" ?#")
    except ValueError:
        usable = False
    if not usable:
        raise BadProfile(f"{label}invalid address {_shown(value)}", hint="write https://host or https://host:port")


def _shown(value: str) -> str:
    """Return a URL for a message without what can be a signature."""
    from mreg.domain.redaction import HIDDEN

    url, mark, _ = re.split(r"([?#])", value, maxsplit=1) if set(value) & set("?#") else (value, "", "")
    return quoted(f"{url}{mark}{HIDDEN if mark else ''}")


def pair_locations(values: Values) -> None:
    """Add the missing half of a store: the artifacts next to the catalog, or the catalog next to the artifacts.

    Nothing is added if neither is given. The default in the user's home is never the other half: a shared store with a
    private catalog would mix up models silently.

    Raises:
        BadProfile: The location of the artifacts cannot be derived from the catalog.
    """
    catalog, artifacts = values.get("catalog"), values.get("artifacts")
    if catalog and not artifacts:
        if is_bucket(catalog[0]):
            values["artifacts"] = (catalog[0].rpartition("/")[0], "next to the catalog")
            return
        if "://" in catalog[0]:
            way = {"argument": "artifacts='PLACE'", "MREG_CATALOG": "export MREG_ARTIFACTS=PLACE"}
            raise BadProfile(
                f"{catalog[1]}: artifacts is required for this catalog",
                hint=f"name the artifact store: {way.get(catalog[1], 'artifacts: PLACE in the profile')}",
            )
        values["artifacts"] = (os.path.join(os.path.dirname(catalog[0]), "artifacts"), "next to the catalog")
    elif artifacts and not catalog:
        if "://" in artifacts[0]:
            values["catalog"] = (f"{artifacts[0]}/catalog.db", "next to the artifacts")
            return
        values["catalog"] = (os.path.join(os.path.dirname(artifacts[0]), "catalog.db"), "next to the artifacts")
