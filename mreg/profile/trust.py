"""Trusted folders: those whose project file the user has allowed to name a store; recorded in the user's data folder.

The permission is for one folder (its real path) and for the profile, server, catalog and artifacts that its file named
then. It ends if the file names another place or the folder is moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from mreg.domain.text import quoted
from mreg.errors import BadInput, BadProfile, NotFound, Unavailable
from mreg.profile.edit import rewrite
from mreg.profile.load import user_folder
from mreg.profile.project import ProjectFile, find_project, project_values, required_project
from mreg.profile.reading import Values
from mreg.results.configuration import TrustedFolder

FIELDS = ("folder", "profile", "catalog", "artifacts")
"""Fields of every entry of the record; one with a server has that, too."""


def record_file(variables: Mapping[str, str]) -> str:
    """Return the path of the record of trusted folders."""
    return os.path.join(user_folder("data", variables), "trusted.json")


def trusted_folders(variables: Mapping[str, str]) -> tuple[TrustedFolder, ...]:
    """Return the trusted folders, sorted by path; none without a home folder.

    Raises:
        BadProfile: The record is damaged.
        Unavailable: The record cannot be read.
    """
    try:
        file = record_file(variables)
    except Unavailable:
        return ()
    return _read(file)


def _read(file: str) -> tuple[TrustedFolder, ...]:
    from mreg.documents import plain, read_document

    if not os.path.lexists(file):
        return ()
    hint = f"rm {file}; then trust each folder again: mreg trust FOLDER"
    try:
        content = plain(read_document(file, what="record of trusted folders"))
    except BadInput as error:
        raise BadProfile(f"{file}: {error.message}", hint=hint) from error
    entries = content.get("folders") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise BadProfile(f"{file}: not a record of trusted folders", hint=hint)
    return tuple(TrustedFolder(**entry) for entry in entries)


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and set(entry) - {"server"} == set(FIELDS) and {*map(type, entry.values())} == {str}


def is_trusted(project: ProjectFile, values: Values, variables: Mapping[str, str]) -> bool:
    """Return whether the user has allowed this folder and exactly the store that its file names."""
    return _entry(project, values) in trusted_folders(variables)


def is_known(project: ProjectFile, variables: Mapping[str, str]) -> bool:
    """Return whether the user has allowed this folder, for any store."""
    return any(entry.folder == project.folder for entry in trusted_folders(variables))


def _entry(project: ProjectFile, values: Values) -> TrustedFolder:
    named = {key: values[key][0] if key in values else "" for key in ("profile", "catalog", "artifacts", "server")}
    return TrustedFolder(folder=project.folder, **named)


def trust_folder(folder: str | None = None) -> TrustedFolder:
    """Allow the profile and store that a project file names now; replaces an earlier permission for its folder.

    Args:
        folder: Folder of the project file (default: the file that applies in the working folder).

    Raises:
        NotFound: No project file was found.
        BadProfile: The file is damaged, or is not a regular file.
        Unavailable: The record cannot be written.
    """
    project = required_project(os.environ, folder)
    made = _entry(project, project_values(project))

    def change(entries: tuple[TrustedFolder, ...]) -> list[TrustedFolder]:
        return [*(entry for entry in entries if entry.folder != made.folder), made]

    _change(change)
    return made


def distrust_folder(folder: str | None = None) -> TrustedFolder:
    """Revoke the permission for a folder, which need not exist any longer.

    Args:
        folder: The folder (default: that of the project file that applies here, or the working folder).

    Raises:
        NotFound: The folder is not trusted.
        Unavailable: The record cannot be written.
    """
    if folder is None:
        project = find_project(os.environ)
        folder = project.folder if project else os.curdir
    place = os.path.realpath(folder)
    found = [entry for entry in trusted_folders(os.environ) if entry.folder == place]
    if not found:
        raise NotFound(f"the folder {quoted(place, 200)} is not trusted", hint="mreg trust --list", kind="file")
    _change(lambda entries: [entry for entry in entries if entry.folder != place])
    return found[0]


def _change(change: Callable[[tuple[TrustedFolder, ...]], list[TrustedFolder]]) -> None:
    file = record_file(os.environ)
    _read(file)  # a damaged record is reported here, not replaced

    def changed(_text: str) -> str:
        entries = sorted(change(_read(file)), key=lambda entry: entry.folder)
        written = [_written(entry) for entry in entries]
        return json.dumps({"folders": written}, indent=2) + "\n"

    rewrite(file, changed, what="record of trusted folders")


def _written(entry: TrustedFolder) -> dict[str, str]:
    fields = (*FIELDS, "server") if entry.server else FIELDS
    return {field: getattr(entry, field) for field in fields}
