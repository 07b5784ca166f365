"""Reading a catalog without permission to write it.

SQLite would create a log and an index that belong to this user, so that the other users could not write any more.
Therefore the file is read without locks, and read again if it changed. If a log or journal is not empty, the files are
copied into a temporary folder, and SQLite reads the copy.
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
"""Maximum bytes of a copy."""

PREFIX = "mreg-read-"

State = tuple[int, int, int] | None


class Snapshot:
    """A catalog file in one state.

    Args:
        copy: Path of the copy; empty if the catalog itself is read.

    Attributes:
        uri: URI for SQLite; the URI of a copy can be opened only inside `taken`.
        leftover: Folder of a copy that `taken` could not remove; empty otherwise.
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
        """Return whether everything read so far is of one state, because the file was not changed."""
        return bool(self._copy) or _state(self._path) == self._state

    def remove(self) -> None:
        """Remove the copy after SQLite closed it; Windows does not remove open files."""
        if self.leftover:
            shutil.rmtree(self.leftover, ignore_errors=True)


@contextmanager
def taken(path: str) -> Iterator[Snapshot]:
    """Yield a snapshot of a catalog; a copy is removed at the end, but open connections to it stay usable.

    Args:
        path: Path of the catalog without symbolic links; `mreg.catalog.journals.check_journals` accepted it.

    Raises:
        Conflict: The catalog changed during each attempt to copy it.
        Unavailable: The catalog is too large, or there is not enough space for a copy.
    """
    if not _is_pending(path):
        snapshot = Snapshot(path, "")
        if not _is_pending(path):  # the state does not cover a log that was just created
            yield snapshot
            return
    import tempfile

    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True))
            copy = os.path.join(folder, "catalog.db")
            whole = any(_copy_files(path, copy) for _ in range(TRIES))
        except OSError as error:
            raise Unavailable(
                f"cannot read {os.path.basename(path)}: it has a log and must be copied first: "
                f"{error.strerror or error}",
                hint="set TMPDIR to a writable folder with enough space",
            ) from error
        if not whole:
            raise busy(path)
        snapshot = Snapshot(path, copy)
        yield snapshot
    snapshot.leftover = folder if os.path.lexists(folder) else ""


def busy(path: str) -> Conflict:
    """Return the error for a catalog that changes faster than it can be read without locks."""
    return Conflict(
        f"cannot read {os.path.basename(path)}: other processes changed it during each attempt", hint="try again"
    )


def _is_pending(path: str) -> bool:
    return any(file_size(path + ending) > 0 for ending in (LOG, JOURNAL))


def _state(path: str) -> tuple[State, State]:
    """Return the state of the catalog and the journal; a log only grows until it is copied into the catalog."""
    return _file_state(path), _file_state(path + JOURNAL)


def _file_state(path: str) -> State:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _copy_files(path: str, copy: str) -> bool:
    """Copy the catalog, then its log and journal; return False, after a pause, if the copies are inconsistent.

    If a writer copies a page from the log into the catalog at the same time, the page is still in the log, which is
    copied afterwards, unless the log was restarted; then its header has changed.
    """
    for ending in ("", LOG, JOURNAL):
        with suppress(FileNotFoundError):
            unlink(copy + ending)
    size = sum(file_size(path + ending) for ending in ("", LOG, JOURNAL))
    if size > LARGEST:
        raise OSError(f"it has {size:,} bytes; the limit is {LARGEST:,}")
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
    """Return the header of the log, which changes when the log is restarted; empty without a log."""
    try:
        with open(path + LOG, "rb") as stream:
            return stream.read(LOG_HEADER)
    except FileNotFoundError:
        return b""
