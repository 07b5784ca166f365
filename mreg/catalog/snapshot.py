"""Reading a catalog without the right to write it.

SQLite would make a log and an index beside the catalog, of a user whom the writers cannot write after. So the file is
read as it is, without locks, and read again if it changed meanwhile. If a log or journal holds something, the
files are copied into a folder of the user's own, and SQLite reads the copy.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

from mreg.catalog.guard import file_size
from mreg.catalog.journals import JOURNAL, LOG, LOG_HEADER
from mreg.errors import Conflict, Unavailable
from mreg.files import unlink

TRIES, PAUSE = 50, 0.02
LARGEST = 1 << 30
"""Bytes that are copied at most."""

PREFIX = "mreg-read-"

State = tuple[int, int, int] | None


class Snapshot:
    """A catalog file at one moment.

    Args:
        copy: The copy; empty if the catalog itself is read.

    Attributes:
        uri: For SQLite; of a copy it can be opened inside `taken` alone.
        leftover: The folder of a copy that `taken` could not remove; empty otherwise.
    """

    def __init__(self, path: str, copy: str) -> None:
        self._path, self._copy = path, copy
        self._state = _state(path)
        self.leftover = ""
        self.uri = (
            f"file:{quote(os.fsencode(copy))}?mode=rw"
            if copy
            else f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1"
        )

    def is_whole(self) -> bool:
        """Whether what was read of it until now is of one moment: nobody has changed the file."""
        return bool(self._copy) or _state(self._path) == self._state

    def remove(self) -> None:
        """Remove a copy that `taken` could not remove, since Windows removes no open file; SQLite has closed it now."""
        if self.leftover:
            shutil.rmtree(self.leftover, ignore_errors=True)


@contextmanager
def taken(path: str) -> Iterator[Snapshot]:
    """A snapshot of a catalog; a copy is removed at the end, and an open connection to it stays usable.

    Args:
        path: The catalog's, without symbolic links; `mreg.catalog.journals.check_journals` has passed it.

    Raises:
        Conflict: Others changed the catalog during each try to copy it.
        Unavailable: It is too large, or there is no room for a copy.
    """
    if not _is_pending(path):
        snapshot = Snapshot(path, "")
        if not _is_pending(path):  # nobody wrote a log between, which the state would not show
            yield snapshot
            return
    import tempfile

    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True))
            copy = os.path.join(folder, "catalog.db")
            whole = any(_copied(path, copy) for _ in range(TRIES))
        except OSError as error:
            raise Unavailable(
                f"cannot read {os.path.basename(path)}: it has a log, and cannot be copied to be read with it: "
                f"{error.strerror or error}",
                hint="set TMPDIR to a folder that you can write, with enough space",
            ) from error
        if not whole:
            raise busy(path)
        snapshot = Snapshot(path, copy)
        yield snapshot
    snapshot.leftover = folder if os.path.lexists(folder) else ""


def busy(path: str) -> Conflict:
    """The error for a catalog that others change faster than it can be read without locks."""
    return Conflict(f"cannot read {os.path.basename(path)}: others changed it during each try", hint="try again")


def _is_pending(path: str) -> bool:
    return any(file_size(path + ending) > 0 for ending in (LOG, JOURNAL))


def _state(path: str) -> tuple[State, State]:
    """By what a changed catalog or journal is told; a log only adds, until it is brought into the catalog."""
    return _of_file(path), _of_file(path + JOURNAL)


def _of_file(path: str) -> State:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _copied(path: str, copy: str) -> bool:
    """Copy the catalog, then its log and journal; False, after a pause, if the copies do not belong together.

    Every page that a writer brings from the log into the catalog meanwhile is in the log, which is copied afterwards,
    unless the log was begun anew: then its header has changed.
    """
    for ending in ("", LOG, JOURNAL):
        with suppress(FileNotFoundError):
            unlink(copy + ending)
    size = sum(file_size(path + ending) for ending in ("", LOG, JOURNAL))
    if size > LARGEST:
        raise OSError(f"it has {size:,} bytes, the limit is {LARGEST:,}")
    log, before = _header(path), _state(path)
    shutil.copyfile(path, copy, follow_symlinks=False)
    for ending in (LOG, JOURNAL):
        with suppress(FileNotFoundError):
            shutil.copyfile(path + ending, copy + ending, follow_symlinks=False)
    if _header(path) == log and (log or _state(path) == before):
        return True
    time.sleep(PAUSE)
    return False


def _header(path: str) -> bytes:
    """The header of the log, with the numbers that change when it is begun anew; empty without a log."""
    try:
        with open(path + LOG, "rb") as stream:
            return stream.read(LOG_HEADER)
    except FileNotFoundError:
        return b""
