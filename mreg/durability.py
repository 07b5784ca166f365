"""Bringing files and names to the disk.

- Linux: ``fsync`` for one file; for thousands of them one ``syncfs``, after all are written.
- macOS: ``fsync`` hands the bytes to the drive, which may keep them in its memory. ``F_FULLFSYNC`` makes the drive
  write everything that it was handed. So of many files each is handed over (`settle`), and one ``F_FULLFSYNC`` follows
  (`sync_all`). ``sync(2)`` is not used: there it does not wait for anything.
- Windows: ``fsync`` of a file that is open for writing. No call brings the names in a folder to the disk; the journal
  of NTFS keeps them in order.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from mreg.files import close, open_file, open_folder
from mreg.linux import has_syncfs, syncfs

UNSUPPORTED = frozenset({errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EOPNOTSUPP})
"""Errors that mean that a file system has no such call, and not that it failed to write."""


def sync(descriptor: int) -> None:
    """Bring the bytes of a file that is open for writing to the disk.

    Raises:
        OSError: They are not there, or the file system cannot say so.
    """
    if not _flush_drive(descriptor):
        os.fsync(descriptor)


def sync_file(path: str) -> None:
    """`sync` for a file that is closed; a link is not followed."""
    descriptor = open_file(path, os.O_RDWR, follow=False)
    try:
        sync(descriptor)
    finally:
        close(descriptor)


def sync_folder(folder: int | str) -> None:
    """Bring the names in a folder to the disk, where the system and the file system can.

    Args:
        folder: Its path, or its descriptor (-1: there is none), which stays open.

    Raises:
        OSError: The system could not write them.
    """
    if isinstance(folder, str):
        try:
            descriptor = open_folder(folder)
        except PermissionError:
            return  # this user can write the folder, and not read it
        try:
            sync_folder(descriptor)
        finally:
            close(descriptor)
    elif folder >= 0:
        with _if_supported():
            sync(folder)


def hand_over_folder(folder: int) -> None:
    """The same as far as to the drive, which on macOS may still hold the names in its memory: `sync` must follow."""
    if folder >= 0:
        with _if_supported():
            os.fsync(folder)


def settle(descriptor: int) -> None:
    """Take one of many files on its way to the disk; `sync_all` must follow when all are written."""
    if not has_syncfs():
        os.fsync(descriptor)


def settle_folder(folder: int) -> None:
    """The same for the names in a folder; -1 is none."""
    if not has_syncfs():
        hand_over_folder(folder)


def sync_all(folder: int | str) -> None:
    """Bring files of one file system to the disk for which `settle` or `settle_folder` was called.

    Args:
        folder: A folder there: its path, or its descriptor (-1: there is none), which stays open.

    Raises:
        OSError: The system could not write something.
    """
    if not has_syncfs():
        sync_folder(folder)
    elif isinstance(folder, int):
        syncfs(folder)
    else:
        descriptor = open_folder(folder)
        try:
            syncfs(descriptor)
        finally:
            close(descriptor)


@contextlib.contextmanager
def _if_supported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _flush_drive(descriptor: int) -> bool:
    """Make the drive write what it holds, with the bytes of this file; False if that is not the way here (macOS only).

    Many network drives and some file systems of macOS refuse it; ``fsync`` is all that there is then.
    """
    try:
        import fcntl
    except ImportError:
        return False
    command = getattr(fcntl, "F_FULLFSYNC", None)
    if command is None:
        return False
    try:
        fcntl.fcntl(descriptor, command)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True
