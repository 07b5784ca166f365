"""System calls that only Linux has, with a fallback if the kernel or the C library lacks them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cache
from typing import Any

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
"""Flags of renameat2(2)."""

AT_FDCWD = -100

SYNC_FILE_RANGE_WRITE = 2
BEGIN_SYNC_BYTES = 1 << 20
"""For smaller pieces the call costs more than it saves."""


def has_syncfs() -> bool:
    """Return whether the C library has ``syncfs``."""
    return _call("syncfs") is not None


def syncfs(descriptor: int) -> None:
    """Flush the file system of an open file or folder to disk: one call for thousands of files.

    Raises:
        OSError: The system could not write some data.
    """
    function = _call("syncfs")
    if function is not None and function(descriptor) == 0:
        return
    import ctypes

    number = ctypes.get_errno() if function is not None else errno.ENOSYS
    if number != errno.ENOSYS:
        raise OSError(number, os.strerror(number))
    os.sync()  # a kernel or sandbox without the call; on Linux, sync(2) waits until everything is written


def begin_sync(descriptor: int, start: int, length: int) -> None:
    """Start to write a large piece of a file to disk in the background, so that the final `sync` is short.

    Does nothing for small pieces and without ``sync_file_range``.
    """
    function = _call("sync_file_range") if length >= BEGIN_SYNC_BYTES else None
    if function is not None:
        from ctypes import c_int64

        function(descriptor, c_int64(start), c_int64(length), SYNC_FILE_RANGE_WRITE)


def rename2(
    source: str, target: str, flags: int, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
) -> bool:
    """Call ``renameat2`` with flags; return False if it is missing or fails."""
    function = _call("renameat2")
    source_fd, target_fd = (AT_FDCWD if fd is None else fd for fd in (src_dir_fd, dst_dir_fd))
    return function is not None and function(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flags) == 0


@cache
def _call(name: str) -> Callable[..., Any] | None:
    try:
        import ctypes

        found: Callable[..., Any] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (ImportError, AttributeError, OSError, TypeError):
        return None
    return found
