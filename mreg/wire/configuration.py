"""The JSON of lists of the configuration."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.results import configuration as results
from mreg.wire import Form


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


FORMS = (
    Form(results.ProfileEntry, ProfileEntry, _encode_entry, _decode_entry),
    Form(results.TrustedFolder, TrustedFolder, _encode_folder, _decode_folder),
)
