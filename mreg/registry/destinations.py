"""Places that no command replaces: the registry itself, and folders that are the user's and not an artifact's."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.artifacts.file_names import check_encodable
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput
from mreg.files import close, open_file

if TYPE_CHECKING:
    from mreg.registry.session import Session

PARTS = ("", "-wal", "-shm", "-journal")
"""A catalog in a file, and what SQLite has beside it: without them, or with another's, it is damaged."""

REPOSITORIES = (".git", ".hg", ".jj", ".svn", ".bzr")
"""Folders in which version control keeps its own files."""

LOOKED_AT = 10_000
"""Names of a folder among which a catalog is looked for."""


def check_destination(session: Session, destination: str | os.PathLike[str]) -> None:
    """Refuse a destination that is the registry's own, whatever name or link leads there, also with ``--force``.

    Raises:
        BadInput: It is the catalog or a log of it, or holds it; or it overlaps the artifact store; or the locale cannot
            encode its name.
    """
    place = os.fspath(destination)
    check_encodable(place, "export PYTHONUTF8=1; or name another destination")
    if "://" not in session.profile.catalog:
        catalog, wanted = os.path.realpath(session.profile.catalog), os.path.realpath(place)
        for own in (f"{catalog}{part}" for part in PARTS):
            if own == wanted or own.startswith(f"{wanted.rstrip(os.sep)}{os.sep}") or _is_same(own, place):
                what = "belongs to" if own != catalog else "holds" if os.path.isdir(wanted) else "is"
                raise BadInput(
                    f"{quoted(place, 200)} {what} the catalog {session.profile.catalog}",
                    hint="name another destination",
                )
    session.artifacts().refuse_overlap(Path(place))


def protection(path: str, name: str, command: str) -> BadInput | None:
    """An error if the files in a folder must not be replaced, also with ``--force``; None if they may.

    That is the current folder, the home folder and every folder above them; a folder that holds a repository or is part
    of one; and a folder that holds a registry.

    Args:
        path: A folder that exists.
        name: The artifact's, for the hint.
        command: The pull without its destination, for the hint.
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
        f"{quoted(path, 200)} {reason}: its files are never replaced",
        hint=f"{command} {shell_word(inner)}" if inner else "name a new folder",
    )


def _personal(found: os.stat_result) -> str:
    """Why a folder is the user's, if it is the current folder, a home folder or above one of them."""
    places = [("the current folder", os.curdir), ("your home folder", os.path.expanduser("~"))]
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        places.append(("your home folder", pwd.getpwuid(os.geteuid()).pw_dir))
    for what, place in places:
        for number, folder in enumerate(_upwards(place)):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(folder), found):
                    return f"holds {what}" if number else f"is {what}"
    return ""


def _upwards(place: str) -> Iterator[str]:
    """A folder and every folder above it, without links."""
    try:
        folder = os.path.realpath(place)
    except OSError:  # the current folder is gone
        return
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        yield above
        folder = above


def _repository(path: str) -> str:
    """Why a folder belongs to version control, if it does."""
    for name in REPOSITORIES:
        if os.path.lexists(os.path.join(path, name)):
            return f"holds a repository ({name})"
    inside = next((part for part in os.path.realpath(path).split(os.sep) if part.lower() in REPOSITORIES), "")
    if inside:
        return f"is part of a repository ({inside})"
    bare = all(os.path.lexists(os.path.join(path, name)) for name in ("HEAD", "objects", "refs"))
    return "is a Git repository" if bare else ""


def _registry(path: str) -> str:
    """Why a folder holds a registry, if it does: a catalog, or a store of artifacts, in it or in a folder of it."""
    with os.scandir(path) as entries:
        inner = [entry.path for entry in islice(entries, LOOKED_AT) if entry.is_dir(follow_symlinks=False)]
    for folder in (path, *inner):
        if all(os.path.isdir(os.path.join(folder, *names)) for names in (("blobs", "sha256"), ("tmp",))):
            return f"holds the artifact store {quoted(os.path.relpath(folder, path), 200)}"
    for file in islice(_files((path, *inner)), LOOKED_AT):
        if _is_catalog(file):
            return f"holds the catalog {quoted(os.path.relpath(file, path), 200)}"
    return ""


def _files(folders: tuple[str, ...]) -> Iterator[str]:
    """The files of folders; those with a catalog's usual name first."""
    yield from (os.path.join(folder, "catalog.db") for folder in folders)
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            yield from (entry.path for entry in entries if entry.is_file(follow_symlinks=False))


def _is_catalog(path: str) -> bool:
    """Whether a file is an mreg catalog; https://sqlite.org/fileformat.html has the place of the application id."""
    from mreg.catalog.embedded import APPLICATION_ID

    with contextlib.suppress(OSError):
        descriptor = open_file(path, follow=False)
        try:
            head = os.read(descriptor, 72) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            close(descriptor)
        return head.startswith(b"SQLite format 3\0") and head[68:] == APPLICATION_ID.to_bytes(4, "big")
    return False


def check_database(path: str) -> None:
    """Refuse a place for a database where another one's log lies, which SQLite would bring into it.

    Raises:
        BadInput: There is such a log: of a catalog that is in use, or was when its process died.
    """
    for part in ("-wal", "-journal"):
        if os.path.lexists(f"{path}{part}"):
            raise BadInput(
                f"{quoted(path + part, 200)} is the log of another database, which would be taken for this one's",
                hint="name another destination",
            )


def _is_same(one: str, other: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False
