"""What a pull has written so far, hidden beside its destination: locked while it lives, found again by the next."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator

from mreg.artifacts.local import NOFOLLOW, READ, thoroughly
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


@contextlib.contextmanager
def partial(
    folder: str, prefix: str, digest: Digest, make: Callable[[str], int], *, resumable: bool
) -> Iterator[tuple[str, int]]:
    """A path and its open descriptor, which are gone afterwards unless a cut pull left there what is worth keeping.

    What dead pulls left under the same prefix is removed first, but for what this one can go on from.

    Args:
        make: Makes and opens the path, or opens what is there.
        resumable: Take what an earlier pull of the same digest left, and leave it where this one is cut.
    """
    path = os.path.join(folder, prefix + digest.value[:16])
    _remove_leftovers(folder, prefix, path if resumable else "")
    descriptor = -1
    try:
        if resumable:
            descriptor = _locked(path, make)
        for _ in range(TRIES):  # also where a living pull has it; another pull may remove the path before it is locked
            if descriptor < 0:
                path = os.path.join(folder, prefix + os.urandom(6).hex())
                descriptor = _locked(path, make)
        if descriptor < 0:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        yield path, descriptor
    except BaseException as error:
        cut = isinstance(error, Unavailable) or not isinstance(error, Exception)
        if not (resumable and cut and size_of(path) >= KEEP_BYTES):
            thoroughly(lambda: remove(path))
        elif isinstance(error, Unavailable):
            error.hint = f"{error.hint}\nwhat has arrived is kept: the same command goes on from there".lstrip()
        raise
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    thoroughly(lambda: remove(path))


def _locked(path: str, make: Callable[[str], int]) -> int:
    """The path's descriptor, locked by this process; -1 if this process cannot have it alone.

    Another process may write it or has just removed it, or something else is there.
    """
    try:
        descriptor = make(path)
    except OSError:
        if os.path.lexists(path):
            return -1
        raise
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        own = is_plain(found) or (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid())
        if own and os.path.samestat(found, os.lstat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except (ImportError, OSError):  # no locks here: the random name must do
        return descriptor
    os.close(descriptor)
    return -1


def _remove_leftovers(folder: str, prefix: str, kept: str) -> None:
    """Remove what no living process holds locked."""
    try:
        import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            leftover = os.path.join(folder, name)
            own = name.startswith(prefix) and _ENDING.fullmatch(name, len(prefix))
            if not own or leftover == kept:  # a person's own file may begin so, too
                continue
            with contextlib.suppress(OSError):
                descriptor = os.open(leftover, READ | NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove(leftover)
                finally:
                    os.close(descriptor)


def remove(path: str) -> None:
    """Remove a file, a link or a whole folder, if it is there; no link in it is followed."""
    with contextlib.suppress(OSError, RecursionError):  # a folder too deep for Python stays
        if os.path.isdir(path) and not os.path.islink(path):
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)


def size_of(path: str) -> int:
    """Bytes of a file, or of all files of a folder; 0 where nothing is."""
    try:
        if not os.path.isdir(path):
            return os.lstat(path).st_size
        return sum(os.lstat(os.path.join(folder, name)).st_size for folder, _, names in os.walk(path) for name in names)
    except (OSError, RecursionError):
        return 0
