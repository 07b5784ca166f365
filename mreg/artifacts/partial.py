"""What a pull has written so far, hidden beside its destination: locked while it lives, found again by the next."""

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
from mreg.errors import Unavailable

TRIES = 50
"""Paths that are tried before a pull gives up."""

KEEP_BYTES = 8 << 20
"""From this size on what a cut pull received is worth keeping."""


_ENDING = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{4}|-wal|-shm|-journal)?")
"""How the name of what is written meanwhile ends: chance, or the beginning of a digest; a database had its logs."""


def is_plain(found: os.stat_result) -> bool:
    """Whether a file is this user's, has one name, and no mode bits but those of access.

    A file of several names would change elsewhere when it is written to.
    """
    mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and not found.st_mode & 0o7000 and mine


class Partial:
    """A file or folder that is being written.

    Attributes:
        path: Its path.
        descriptor: Of it; -1 of a folder where the system opens none, and once it is closed.
        locked: Whether this process has it alone, as others see.
    """

    __slots__ = ("descriptor", "locked", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = -1
        self.locked = False

    def open(self, make: Callable[[str], int], *, shared: bool) -> bool:
        """Make it, or open what is there, and lock it; return whether this process has it alone.

        Another process may write it or has just removed it, or something else is there.

        Args:
            shared: Other processes know the path, so that without a lock it is not this one's.
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
        """Close it if it is not open for the sake of its lock: Windows neither renames nor removes open files."""
        if not self.locked:
            self.close()

    def close(self) -> None:
        """Close it; does nothing a second time."""
        descriptor, self.descriptor = self.descriptor, -1
        files.close(descriptor)


@contextlib.contextmanager
def partial(
    folder: str, prefix: str, digest: Digest, make: Callable[[str], int], *, resumable: bool
) -> Iterator[Partial]:
    """A new file or folder that is gone afterwards unless a cut pull left there what is worth keeping.

    What dead pulls left under the same prefix is removed first, but for what this one can go on from. Without locks
    (Windows, some network drives) nothing tells a dead pull from a living one: nothing is removed, and no pull goes on
    from another.

    Args:
        make: Makes and opens the path, or opens what is there.
        resumable: Take what an earlier pull of the same digest left, and leave it where this one is cut.
    """
    resumable = resumable and files.has_locks()
    made = Partial(os.path.join(folder, prefix + (digest.value[:16] if resumable else os.urandom(6).hex())))
    _remove_leftovers(folder, prefix, made.path)
    try:
        alone = made.open(make, shared=resumable)
        for _ in range(TRIES):  # also where a living pull has it; another pull may remove the path before it is locked
            if alone:
                break
            made.path = os.path.join(folder, prefix + os.urandom(6).hex())
            alone = made.open(make, shared=False)
        if not alone:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), made.path)
        yield made
    except BaseException as error:
        cut = isinstance(error, Unavailable) or not isinstance(error, Exception)
        if not (resumable and cut and size_of(made.path) >= KEEP_BYTES):
            made.release()
            run_cleanup(lambda: remove(made.path))
        elif isinstance(error, Unavailable):
            error.hint = f"{error.hint}\nwhat has arrived is kept: the same command goes on from there".lstrip()
        raise
    finally:
        made.close()
    run_cleanup(lambda: remove(made.path))


def _remove_leftovers(folder: str, prefix: str, kept: str) -> None:
    """Remove what no living process holds locked."""
    if not files.has_locks():
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            leftover = os.path.join(folder, name)
            own = name.startswith(prefix) and _ENDING.fullmatch(name, len(prefix))
            if not own or leftover == kept:  # a person's own file may begin so, too
                continue
            with contextlib.suppress(OSError):
                descriptor = files.open_file(leftover, follow=False)
                try:
                    if files.lock(descriptor, wait=False):
                        remove(leftover)
                finally:
                    files.close(descriptor)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder, if it is there; no link in it is followed."""
    with contextlib.suppress(OSError, RecursionError):  # a folder too deep for Python stays
        files.remove(path)


def size_of(path: str) -> int:
    """Bytes of a file, or of all files of a folder; 0 where nothing is."""
    try:
        if not os.path.isdir(path):
            return os.lstat(path).st_size
        return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
    except (OSError, RecursionError):
        return 0
