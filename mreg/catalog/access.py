"""Which rights a user has to a catalog file, and the file that is in the way if there are not enough."""

from __future__ import annotations

import os
from shlex import quote

from mreg.catalog.journals import INDEX, JOURNAL, LOG
from mreg.errors import Unavailable
from mreg.sharing import may, why_not

BESIDE = (LOG, INDEX, JOURNAL)


def check_access(path: str, *, write: bool) -> None:
    """Refuse to open a catalog that this user may not read or write.

    Args:
        path: The catalog's, without symbolic links; it exists.

    Raises:
        Unavailable: It names the file in the way and the file's owner.
    """
    found = obstacle(path, write=write)
    if found is not None:
        message, hint = found
        raise Unavailable(message, hint=hint)


def is_writable(path: str) -> bool:
    """Whether SQLite can open a catalog for this user as a writer does, and remove what it puts beside the catalog."""
    folder = os.path.dirname(path)
    beside = (path + ending for ending in BESIDE if os.path.lexists(path + ending))
    return all(may(one, os.W_OK) for one in (path, folder, *beside))


def obstacle(path: str, *, write: bool) -> tuple[str, str] | None:
    """The message and hint for the first file that keeps this user from reading or writing a catalog."""
    name, folder = os.path.basename(path), os.path.dirname(path)
    if not may(path, os.R_OK):
        why, remedy = why_not(path, os.R_OK)
        return f"cannot read {name}: it {why}", remedy
    if not write:
        return None
    if not may(path, os.W_OK):
        why, remedy = why_not(path, os.W_OK)
        return f"cannot write {name}: it {why}", remedy
    beside = [path + ending for ending in BESIDE if os.path.lexists(path + ending)]
    for one in beside:
        if not may(one, os.W_OK):
            why, remedy = why_not(one, os.W_OK)
            if remedy.startswith("chmod g"):
                remedy = f"chmod g+w {quote(path)}*"
            return f"cannot write {name}: {os.path.basename(one)} {why}", remedy
    if not beside and not may(folder, os.W_OK):
        why, remedy = why_not(folder, os.W_OK)
        return f"cannot write {name}: its folder {folder} {why}", remedy
    return None
