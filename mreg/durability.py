"""Flush files and folder entries to disk.

- Linux: ``fsync`` for one file; one ``syncfs`` for thousands of files, after all are written.
- macOS: ``fsync`` hands the bytes to the drive, which can keep them in its cache. ``F_FULLFSYNC`` makes the drive write
  its whole cache. So many files are each passed to the drive (`settle`), and one ``F_FULLFSYNC`` follows (`sync_all`).
  ``sync(2)`` is not used: on macOS it does not wait.
- Windows: ``fsync`` of a file that is open for writing. No call flushes the entries of a folder; the journal of NTFS
  keeps them in order.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from mreg.files import close, open_file, open_folder
from mreg.linux import has_syncfs, syncfs

UNSUPPORTED = frozenset({errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.ENOTTY, errno.EOPNOTSUPP})
"""Errors which mean that the file system does not support the call, not that it failed to write."""


def sync(descriptor: int) -> None:
    """Flush a file that is open for writing to disk.

    Raises:
        OSError: The bytes are not on disk, or the file system cannot tell.
    """
    if not _flush_drive(descriptor):
        os.fsync(descriptor)


def sync_file(path: str) -> None:
    """Call `sync` for a file that is not open; symbolic links are not followed."""
    descriptor = open_file(path, os.O_RDWR, follow=False)
    try:
        sync(descriptor)
    finally:
        close(descriptor)


def sync_folder(folder: int | str) -> None:
    """Flush the entries of a folder to disk, if the system and the file system support it.

    Args:
        folder: Path, or descriptor (-1 for none), which stays open.

    Raises:
        OSError: The system could not write the entries.
    """
    if isinstance(folder, str):
        try:
            descriptor = open_folder(folder)
        except PermissionError:
            return  # this user can write to the folder but not read it
        try:
            sync_folder(descriptor)
        finally:
            close(descriptor)
    elif folder >= 0:
        with _if_supported():
            sync(folder)


def hand_over_folder(folder: int) -> None:
    """Pass the entries of a folder to the drive, which on macOS can still cache them: `sync` must follow."""
    if folder >= 0:
        with _if_supported():
            os.fsync(folder)


def settle(descriptor: int) -> None:
    """Start to flush one of many files; call `sync_all` when all are written."""
    if not has_syncfs():
        os.fsync(descriptor)


def settle_folder(folder: int) -> None:
    """Start to flush the entries of one of many folders (-1 for none); call `sync_all` afterwards."""
    if not has_syncfs():
        hand_over_folder(folder)


def sync_all(folder: int | str) -> None:
    """Finish what `settle` and `settle_folder` started for files and folders of one file system.

    Args:
        folder: A folder on that file system: path, or descriptor (-1 for none), which stays open.

    Raises:
        OSError: The system could not write some data.
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
    """Make the drive write its cache, this file included; return False if this is not supported (macOS only).

    Many network drives and some file systems of macOS refuse the call; only ``fsync`` is left then.
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
