"""Destinations that no command replaces: the registry itself, and folders that belong to the user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.artifacts.file_names import check_encodable
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput
from mreg.registry.marks import is_catalog, is_store

if TYPE_CHECKING:
    from mreg.registry.session import Transfers

PARTS = ("", "-wal", "-shm", "-journal")
"""Suffixes of a SQLite catalog and its logs; without its logs, or with foreign ones, a catalog is damaged."""

COPY_TO = "name a file or folder, and copy it to the URL afterwards"
"""Hint if a destination is a URL."""

REPOSITORIES = (".git", ".hg", ".jj", ".svn", ".bzr")
"""Folders with the data of version control systems."""

SCAN_LIMIT = 10_000
"""Maximum number of names of a folder that are searched for a catalog."""


def check_destination(transfers: Transfers, destination: str | os.PathLike[str]) -> None:
    """Refuse a destination in the registry or in a repository, by any path or link, even with ``--force``.

    Raises:
        BadInput: The destination is the catalog or one of its logs, or a folder with the catalog; or it overlaps the
            artifact store; or it belongs to the data of version control; or the locale cannot encode its name.
    """
    place = os.fspath(destination)
    check_name(place)
    if transfers.profile.catalog and "://" not in transfers.profile.catalog:  # none of a server is on this machine
        catalog, wanted = os.path.realpath(transfers.profile.catalog), os.path.realpath(place)
        for own in (f"{catalog}{part}" for part in PARTS):
            if own == wanted or own.startswith(f"{wanted.rstrip(os.sep)}{os.sep}") or _is_same(own, place):
                what = "belongs to" if own != catalog else "holds" if os.path.isdir(wanted) else "is"
                raise BadInput(
                    f"cannot write to {quoted(place, 200)}: it {what} the catalog {transfers.profile.catalog}",
                    hint="name another destination",
                )
    transfers.artifacts().refuse_overlap(Path(place))
    check_repository(place)


def check_name(place: str) -> None:
    """Refuse a destination whose name the locale cannot encode.

    Raises:
        BadInput: The locale cannot encode it.
    """
    check_encodable(place, "export PYTHONUTF8=1; or name another destination")


def check_repository(place: str) -> None:
    """Refuse a destination in the data of version control, by any path or link.

    Raises:
        BadInput: It is there.
    """
    repository = _repository_around(place)
    if repository:
        raise BadInput(
            f"cannot write to {quoted(place, 200)}: it is part of {repository}", hint="name another destination"
        )


def protection(path: str, name: str, command: str) -> BadInput | None:
    """Return an error if the files in a folder must never be replaced, even with ``--force``, otherwise None.

    Protected are the current folder, the home folder and all folders above them; folders that hold a repository; and
    folders that hold a registry.

    Args:
        path: An existing folder.
        name: Name of the artifact, for the hint.
        command: The pull command without its destination, for the hint.
    """
    try:
        found = os.stat(path)
        reason = _personal(found) or _repository(path) or _registry(path)
    except OSError as error:
        reason = f"cannot be examined ({error.strerror or error})"
    if not reason:
        return None
    inner = os.path.join(path, name) if name and not os.path.lexists(os.path.join(path, name)) else ""
    return BadInput(
        f"cannot replace files in {quoted(path, 200)}: it {reason}",
        hint=f"{command} {shell_word(inner)}" if inner else "name a new folder",
    )


def _personal(info: os.stat_result) -> str:
    """Return a reason if the folder is the current folder, a home folder or above one of them."""
    places = [("the current folder", os.curdir), ("your home folder", os.path.expanduser("~"))]
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        places.append(("your home folder", pwd.getpwuid(os.geteuid()).pw_dir))
    for what, place in places:
        for number, folder in enumerate(_upwards(place)):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(folder), info):
                    return f"holds {what}" if number else f"is {what}"
    return ""


def _upwards(place: str) -> Iterator[str]:
    """Yield a folder and every folder above it, without links."""
    try:
        folder = os.path.realpath(place)
    except OSError:  # the current folder was deleted
        return
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        yield above
        folder = above


def _repository(path: str) -> str:
    """Return a reason if the folder holds a repository."""
    names = (name for name in REPOSITORIES if os.path.lexists(os.path.join(path, name)))
    return next((f"holds a repository ({name})" for name in names), "")


def _repository_around(path: str) -> str:
    """Return the repository to whose data a path belongs, empty for none; the path need not exist."""
    for place in (os.path.abspath(path), os.path.realpath(path)):
        inside = next((part for part in place.split(os.sep) if part.lower() in REPOSITORIES), "")
        if inside:
            return f"a repository ({inside})"
    bare = ("HEAD", "objects", "refs")
    folders = _upwards(path)
    return "a Git repository" if any(all(os.path.lexists(os.path.join(f, n)) for n in bare) for f in folders) else ""


def _registry(path: str) -> str:
    """Return a reason if the folder or one of its subfolders holds a catalog or an artifact store."""
    with os.scandir(path) as entries:
        inner = [entry.path for entry in islice(entries, SCAN_LIMIT) if entry.is_dir(follow_symlinks=False)]
    for folder in (path, *inner):
        if is_store(folder):
            return f"holds the artifact store {quoted(os.path.relpath(folder, path), 200)}"
    for file in islice(_files((path, *inner)), SCAN_LIMIT):
        if is_catalog(file):
            return f"holds the catalog {quoted(os.path.relpath(file, path), 200)}"
    return ""


def _files(folders: tuple[str, ...]) -> Iterator[str]:
    """Yield the files of folders; those with the usual name of a catalog first."""
    yield from (os.path.join(folder, "catalog.db") for folder in folders)
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_file(follow_symlinks=False))


def check_database(path: str) -> None:
    """Refuse a path for a new database that has the log of another one: SQLite would apply it to the new database.

    Raises:
        BadInput: Such a log exists, of a catalog that is in use or was in use when its process died.
    """
    for part in ("-wal", "-journal"):
        if os.path.lexists(f"{path}{part}"):
            raise BadInput(
                f"{quoted(path + part, 200)} is the log of another database, and SQLite would apply it to this one",
                hint="name another destination",
            )


def _is_same(first: str, second: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(first, second)
    return False
