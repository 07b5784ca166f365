"""Checks of a user's permissions on a catalog file and the files that SQLite keeps next to it."""

from __future__ import annotations

import contextlib
import os
from shlex import quote

from mreg.catalog.journals import INDEX, JOURNAL, LOG
from mreg.errors import Unavailable
from mreg.folders import refuse_missing_parent
from mreg.sharing import explain_denial, has_access

SQLITE_SUFFIXES = (LOG, INDEX, JOURNAL)

LOOKS = 5
"""Number of times that a file must be found without access."""


def check_access(path: str, *, write: bool) -> None:
    """Check that this user can read, or read and write, a catalog.

    Args:
        path: Path of the catalog without symbolic links; it exists.

    Raises:
        Unavailable: A permission is missing; the message names the file and its owner.
    """
    found = obstacle(path, write=write)
    if found is not None:
        message, hint = found
        raise Unavailable(message, hint=hint)


def check_folder(path: str) -> None:
    """Raise `Unavailable` if the folder of a catalog does not exist."""
    refuse_missing_parent(f"cannot use the catalog {path}", path)


def is_writable(path: str) -> bool:
    """Return whether this user can write a catalog and remove the files that SQLite makes next to it."""
    folder = os.path.dirname(path)
    return has_access(path, os.W_OK) and has_access(folder, os.W_OK) and not any(map(_is_denied, _companions(path)))


def obstacle(path: str, *, write: bool) -> tuple[str, str] | None:
    """Return the message and hint for the first missing permission on a catalog, or None."""
    name, folder = os.path.basename(path), os.path.dirname(path)
    if not has_access(path, os.R_OK):
        why, remedy = explain_denial(path, os.R_OK)
        return f"cannot read {name}: it {why}", remedy
    if not write:
        return None
    if not has_access(path, os.W_OK):
        why, remedy = explain_denial(path, os.W_OK)
        return f"cannot write {name}: it {why}", remedy
    present = _companions(path)
    for file in filter(_is_denied, present):
        with contextlib.suppress(FileNotFoundError):
            why, remedy = explain_denial(file, os.W_OK)
            if remedy.startswith("chmod g"):
                remedy = f"chmod g+w {quote(path)}*"
            return f"cannot write {name}: {os.path.basename(file)} {why}", remedy
    if not present and not has_access(folder, os.W_OK):
        why, remedy = explain_denial(folder, os.W_OK)
        return f"cannot write {name}: its folder {folder} {why}", remedy
    return None


def _companions(path: str) -> list[str]:
    """Return the paths of the files that SQLite keeps next to a catalog; another process can remove them meanwhile."""
    return [path + ending for ending in SQLITE_SUFFIXES if os.path.lexists(path + ending)]


def _is_denied(file: str) -> bool:
    """Return whether a file exists and this user cannot write it.

    Another process can remove the file or create it again between the two questions, so they are asked repeatedly.
    """
    return all(not has_access(file, os.W_OK) and os.path.lexists(file) for _ in range(LOOKS))
