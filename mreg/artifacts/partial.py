"""The partial file or folder of a pull, hidden next to its destination; locked while the pull runs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator

from mreg import files
from mreg.artifacts.local import run_cleanup
from mreg.domain.digest import Digest
from mreg.errors import MregError, Unavailable

TRIES = 50
"""Maximum number of paths that a pull tries."""

KEEP_BYTES = 8 << 20
"""From this size, the bytes of an interrupted pull are kept."""

RESUME = "repeat the command to resume: the bytes that arrived are kept"

_ENDING = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{4}|-wal|-shm|-journal)?")
"""Suffix of the names: random digits or the start of a digest; earlier versions left the log files of a database."""


def is_interruption(error: BaseException) -> bool:
    """Return whether an error interrupted a transfer that can continue: a lost connection, Ctrl-C or SIGTERM."""
    return isinstance(error, Unavailable) or not isinstance(error, Exception)


def say_resumable(error: BaseException) -> None:
    """Add to an error that repeating the command resumes: to the hint, or as a note of another exception."""
    if isinstance(error, MregError):
        error.hint = f"{error.hint}\n{RESUME}".lstrip()
    else:
        error.add_note(RESUME)


def is_plain(info: os.stat_result) -> bool:
    """Return whether a file belongs to this user, is regular, and has no other hard links and no special mode bits."""
    mine = not hasattr(os, "geteuid") or info.st_uid == os.geteuid()
    return stat.S_ISREG(info.st_mode) and info.st_nlink == 1 and not info.st_mode & 0o7000 and mine


class Partial:
    """A file or folder that is being written.

    Attributes:
        descriptor: Open descriptor; -1 if the system does not open folders, or once closed.
        locked: This process holds the lock.
    """

    __slots__ = ("descriptor", "locked", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = -1
        self.locked = False

    def open(self, make: Callable[[str], int], *, shared: bool) -> bool:
        """Create or open the path and lock it; return whether this process has exclusive use.

        The result is False if another process writes or has just removed it, or if the path is of another kind.

        Args:
            shared: Other processes can use the same path, so exclusive use needs the lock.
        """
        try:
            self.descriptor = make(self.path)
        except OSError as error:
            removed = isinstance(error, FileNotFoundError) and os.path.isdir(os.path.dirname(self.path))
            if removed or os.path.lexists(self.path):
                return False
            raise
        try:
            self.locked = self.descriptor >= 0 and files.lock(self.descriptor, wait=False)
        except BlockingIOError:
            self.close()
            return False
        if not self.locked:
            if shared:
                self.close()
                if size_of(self.path) == 0:
                    remove(self.path)
            return not shared
        if self._is_own():
            return True
        self.locked = False
        self.close()
        return False

    def _is_own(self) -> bool:
        found = os.fstat(self.descriptor)
        own = is_plain(found) or (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid())
        with contextlib.suppress(FileNotFoundError):
            return own and os.path.samestat(found, os.lstat(self.path))
        return False

    def release(self) -> None:
        """Close the descriptor unless it holds the lock: Windows can neither rename nor remove open files."""
        if not self.locked:
            self.close()

    def close(self) -> None:
        """Close the descriptor; idempotent."""
        descriptor, self.descriptor = self.descriptor, -1
        files.close(descriptor)


@contextlib.contextmanager
def partial(
    folder: str, prefix: str, digest: Digest, make: Callable[[str], int], *, resumable: bool
) -> Iterator[Partial]:
    """Yield a partial file or folder, and remove it at the end unless an interrupted pull can be resumed from it.

    Leftovers of dead pulls under the same prefix are removed first, except those that this pull resumes from. Without
    locks (Windows, some network drives) a dead pull cannot be distinguished from a running one: nothing is removed, and
    pulls are not resumed.

    Args:
        make: Creates or opens the path and returns the descriptor.
        resumable: Resume from an interrupted pull of the same digest, and keep the bytes if this one is interrupted.
    """
    resumable = resumable and files.has_locks()
    made = Partial(os.path.join(folder, prefix + (digest.value[:16] if resumable else os.urandom(6).hex())))
    remove_leftovers(folder, prefix, made.path)
    try:
        alone = made.open(make, shared=resumable)
        for _ in range(TRIES):  # a running pull can have the path, or another pull removes it before it is locked
            if alone:
                break
            made.path = os.path.join(folder, prefix + os.urandom(6).hex())
            alone = made.open(make, shared=False)
        if not alone:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), made.path)
        yield made
    except BaseException as error:
        if not (resumable and is_interruption(error) and size_of(made.path) >= KEEP_BYTES):
            made.release()
            run_cleanup(lambda: remove(made.path))
        else:
            say_resumable(error)
        raise
    finally:
        made.close()
    run_cleanup(lambda: remove(made.path))


def remove_leftovers(folder: str, prefix: str, kept: str = "") -> None:
    """Remove partial files and folders of dead pulls: those that no running process has locked.

    Args:
        prefix: Start of their names.
        kept: Path that is not removed (default: none).
    """
    if not files.has_locks():
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            leftover = os.path.join(folder, name)
            own = name.startswith(prefix) and _ENDING.fullmatch(name, len(prefix))
            if not own or leftover == kept:  # a file of the user can have the same prefix
                continue
            with contextlib.suppress(OSError):
                descriptor = files.open_file(leftover, follow=False)
                try:
                    if files.lock(descriptor, wait=False):
                        remove(leftover)
                finally:
                    files.close(descriptor)


def remove(path: str) -> None:
    """Remove a file, a link or a folder with its content, if it exists; links are not followed."""
    with contextlib.suppress(OSError, RecursionError):  # a folder nested too deeply for Python remains
        files.remove(path)


def size_of(path: str) -> int:
    """Return the size of a file, or of all files in a folder; 0 if the path does not exist."""
    try:
        if not os.path.isdir(path):
            return os.lstat(path).st_size
        return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
    except (OSError, RecursionError):
        return 0
