"""Validation of the locations in a profile: paths and URLs, each with exactly one meaning."""

from __future__ import annotations

import os
import re

from mreg.domain.text import quoted
from mreg.errors import BadInput, BadProfile
from mreg.profile.reading import Values

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
SIZE = re.compile(r"[-+]?[\d.]+(?:[eE][\d.]+)? *[A-Za-z]*$")
"""A cache value that is read as a size and not as a folder."""

SCHEMES = {"catalog": ("s3", "postgresql"), "artifacts": ("s3",), "cache": (), "endpoint_url": ("http", "https")}


def location(key: str, value: str, folder: str | None, origin: str = "") -> str:
    """Return a valid value of a key; a path is made absolute.

    Args:
        folder: Folder of a relative path; None for the working folder.
        origin: Origin of the value, for messages.

    Raises:
        BadProfile: The value is invalid.
    """
    label = f"{origin}: " if origin else ""
    if "\0" in value or not value.isprintable():
        raise BadProfile(f"{label}{key} contains unprintable characters")
    if key == "addressing_style" and value not in ("auto", "path", "virtual"):
        raise BadProfile(f"{label}invalid addressing_style {quoted(value)}", hint="write auto, path or virtual")
    if key == "model" and value:
        _check_model(value, label)
    if key not in SCHEMES or (key == "cache" and SIZE.match(value)):
        return value
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


def _absolute_path(key: str, value: str, folder: str | None, label: str) -> str:
    if not value:
        raise BadProfile(f"{label}{key} is empty")
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
    _refuse_secrets(key, scheme, rest, label)
    allowed = SCHEMES[key]
    if scheme not in allowed:
        places = allowed if key == "endpoint_url" else (*allowed, "a path")
        meant = "postgresql" in allowed and scheme in ("postgres", "pg", "postgis", "psql")
        hint = "write postgresql://" if meant else f"use {' or '.join(places)}"
        raise BadProfile(f"{label}unsupported URL scheme of {key}: {scheme}://", hint=hint)
    if scheme == "s3":
        return _checked_bucket(key, value, rest.rstrip("/"), label)
    if key == "endpoint_url":
        _check_address(value, label)
    return value


def _refuse_secrets(key: str, scheme: str, rest: str, label: str) -> None:
    """Refuse a URL with a password or login; the message never repeats the value, which holds the secret."""
    login = rest.partition("/")[0].rpartition("@")[0]
    if ":" in login or (login and scheme in SCHEMES[key] and scheme != "postgresql"):
        raise BadProfile(
            f"{label}the URL of {key} contains a {'password' if ':' in login else 'user name'}",
            hint="remove it; passwords belong in PGPASSWORD, ~/.pgpass or the AWS credentials",
        )
    if scheme == "postgresql" and _has_password(rest.partition("?")[2]):
        raise BadProfile(
            f"{label}the URL of {key} contains a password",
            hint="remove it; passwords belong in PGPASSWORD, ~/.pgpass or a service file",
        )


def _checked_bucket(key: str, value: str, rest: str, label: str) -> str:
    bucket, *parts = rest.split("/")
    if not BUCKET.fullmatch(bucket):
        raise BadProfile(f"{label}the URL of {key} has no bucket: {quoted(value)}", hint="write s3://bucket/prefix")
    if key == "catalog" and (not parts or value.endswith("/")):
        raise BadProfile(
            f"{label}the URL of catalog has no object name: {quoted(value)}", hint=f"{value.rstrip('/')}/catalog.db"
        )
    if any(part in ("", ".", "..") or set(part) & set("?#\\") for part in parts):
        raise BadProfile(
            f"{label}the URL of {key} has an invalid prefix: {quoted(value)}",
            hint="write s3://bucket/some/prefix, without empty parts, '..', '?' and '#'",
        )
    return f"s3://{rest}"


def _check_address(value: str, label: str) -> None:
    from urllib.parse import urlsplit

    try:
        usable = bool(urlsplit(value).hostname) and urlsplit(value).port != 0 and " " not in value
    except ValueError:
        usable = False
    if not usable:
        raise BadProfile(f"{label}invalid address {quoted(value)}", hint="write https://host or https://host:port")


def _has_password(query: str) -> bool:
    """Return whether the parameters of a PostgreSQL URL have a password; ``passfile`` names only a file."""
    from urllib.parse import parse_qsl

    return any(
        key.strip().lower() in ("password", "sslpassword") for key, _ in parse_qsl(query, keep_blank_values=True)
    )


def pair_locations(values: Values) -> None:
    """Add the missing half of a store: the artifacts next to the catalog, or the catalog next to the artifacts.

    Nothing is added if neither is given. The default in the user's home is never the other half: a shared store with a
    private catalog would mix up models silently.

    Raises:
        BadProfile: The location of the artifacts cannot be derived from the catalog.
    """
    catalog, artifacts = values.get("catalog"), values.get("artifacts")
    if catalog and not artifacts:
        if catalog[0].startswith("s3://"):
            values["artifacts"] = (catalog[0].rpartition("/")[0], "next to the catalog")
            return
        if "://" in catalog[0]:
            raise BadProfile(f"{catalog[1]}: artifacts is required for this catalog", hint="artifacts: s3://...")
        values["artifacts"] = (os.path.join(os.path.dirname(catalog[0]), "artifacts"), "next to the catalog")
    elif artifacts and not catalog:
        if "://" in artifacts[0]:
            values["catalog"] = (f"{artifacts[0]}/catalog.db", "next to the artifacts")
            return
        values["catalog"] = (os.path.join(os.path.dirname(artifacts[0]), "catalog.db"), "next to the artifacts")
