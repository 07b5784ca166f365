"""System calls that Linux alone has, each with what is done where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
"""Flags of renameat2(2)."""

SYNC_FILE_RANGE_WRITE = 2
BEGIN_SYNC_BYTES = 1 << 20
"""Below this telling the system costs more than it saves."""


def sync_all(folder: int | str) -> None:
    """Bring everything on a folder's file system to the disk: one call for thousands of files.

    Where there is no ``syncfs``, ``sync`` does the same for every file system.

    Args:
        folder: Its path, or its descriptor, which stays open.
    """
    function = _call("syncfs")
    if function is not None:
        descriptor = os.open(folder, os.O_RDONLY) if isinstance(folder, str) else folder
        try:
            if function(descriptor) == 0:
                return
        finally:
            if isinstance(folder, str):
                os.close(descriptor)
    if hasattr(os, "sync"):
        os.sync()


def begin_sync(descriptor: int, start: int, length: int) -> None:
    """Let the system begin to bring a large piece of a file to the disk, so that there is less to wait for at its end.

    Where there is no ``sync_file_range``, and for small pieces, the end does it all.
    """
    function = _call("sync_file_range") if length >= BEGIN_SYNC_BYTES else None
    if function is not None:
        from ctypes import c_int64

        function(descriptor, c_int64(start), c_int64(length), SYNC_FILE_RANGE_WRITE)


def rename2(source: str, target: str, flags: int) -> bool:
    """Rename without replacing, or exchange; False where there is no ``renameat2`` or it refuses."""
    function = _call("renameat2")
    at_cwd = -100
    return function is not None and function(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), flags) == 0


def _call(name: str) -> Callable[..., Any] | None:
    try:
        import ctypes

        found: Callable[..., Any] = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (ImportError, AttributeError, OSError, TypeError):
        return None
    return found
