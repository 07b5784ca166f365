"""The JSON of the configuration: profiles, trusted folders and logins."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.results import configuration as results
from mreg.results.tokens import Role
from mreg.wire import Form, decode_optional_time, encode_time


class ProfileEntry(TypedDict):
    """A profile that can be chosen."""

    name: Annotated[str, "name of the profile"]
    origin: Annotated[str, "file that defines it, or `built in`"]
    active: Annotated[bool, "whether it is in use here"]


class TrustedFolder(TypedDict):
    """A folder whose project file can name a store."""

    folder: Annotated[str, "absolute path without symbolic links"]
    file: Annotated[str, "its mreg.yaml"]
    profile: Annotated[str | None, "profile that the file can choose, or null"]
    catalog: Annotated[str | None, "catalog that the file can name, or null"]
    artifacts: Annotated[str | None, "artifact store that the file can name, or null"]
    server: Annotated[str | None, "server that the file can name, or null"]


class Login(TypedDict):
    """A token for a server, and what the server says of it."""

    server: Annotated[str, "URL of the server"]
    name: Annotated[str, "name of the token: the user in the audit trail"]
    role: Annotated[str, "`reader`, `writer`, `approver` or `admin`"]
    models: Annotated[list[str], "patterns of model names; empty for all models"]
    expires: Annotated[str | None, "time from which on the token is refused, or null"]
    version: Annotated[str, "version of mreg on the server"]
    source: Annotated[str | None, "`MREG_TOKEN`, `token_command`, `keyring`, the file of saved logins, or null"]


class Logout(TypedDict):
    """A saved token that was removed."""

    server: Annotated[str, "scheme, host and port of the server"]


def _encode_entry(entry: results.ProfileEntry) -> ProfileEntry:
    return {"name": entry.name, "origin": entry.origin, "active": entry.active}


def _decode_entry(shape: ProfileEntry) -> results.ProfileEntry:
    return results.ProfileEntry(name=shape["name"], origin=shape["origin"], active=shape["active"])


def _encode_folder(trusted: results.TrustedFolder) -> TrustedFolder:
    return {
        "folder": trusted.folder,
        "file": trusted.file,
        "profile": trusted.profile or None,
        "catalog": trusted.catalog or None,
        "artifacts": trusted.artifacts or None,
        "server": trusted.server or None,
    }


def _decode_folder(shape: TrustedFolder) -> results.TrustedFolder:
    return results.TrustedFolder(
        folder=shape["folder"],
        profile=shape["profile"] or "",
        catalog=shape["catalog"] or "",
        artifacts=shape["artifacts"] or "",
        server=shape.get("server") or "",
    )


def _encode_login(login: results.Login) -> Login:
    return {
        "server": login.server,
        "name": login.name,
        "role": str(login.role),
        "models": list(login.models),
        "expires": encode_time(login.expires),
        "version": login.version,
        "source": login.source or None,
    }


def _decode_login(shape: Login) -> results.Login:
    return results.Login(
        server=shape["server"],
        name=shape["name"],
        role=Role.parse(shape["role"]),
        models=tuple(shape["models"]),
        expires=decode_optional_time(shape["expires"]),
        version=shape["version"],
        source=shape["source"] or "",
    )


def _encode_logout(logout: results.Logout) -> Logout:
    return {"server": logout.server}


def _decode_logout(shape: Logout) -> results.Logout:
    return results.Logout(server=shape["server"])


FORMS = (
    Form(results.ProfileEntry, ProfileEntry, _encode_entry, _decode_entry),
    Form(results.TrustedFolder, TrustedFolder, _encode_folder, _decode_folder),
    Form(results.Login, Login, _encode_login, _decode_login),
    Form(results.Logout, Logout, _encode_logout, _decode_logout),
)
