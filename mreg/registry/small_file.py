"""Safe reading of small files in a folder that another person could have prepared."""

from __future__ import annotations

import os
import stat

from mreg.files import close, open_file

BYTES = 1 << 20
"""Default maximum size of a file."""


def read_small(path: str, *, within: str = "", limit: int = BYTES) -> bytes | None:
    """Return the whole content of a regular file, or None.

    Never blocks on a pipe or device. A file is never read in part: one that is larger than the limit counts as
    unreadable.

    Args:
        within: Folder that the path begins with. Links below it are not followed, so that the content is never that of
            a file elsewhere (default: all links are followed).
        limit: Maximum size in bytes.
    """
    try:
        if within and not _plainly_within(path, within):
            return None
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a device can have an effect
            return None
        descriptor = open_file(path)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(limit + 1)
    except OSError:
        return None
    finally:
        close(descriptor)
    return data if len(data) <= limit else None


def _plainly_within(path: str, within: str) -> bool:
    root = os.path.join(within, "")
    parts = path.removeprefix(root).split(os.sep)
    if not path.startswith(root) or os.pardir in parts:
        return False
    return not any(os.path.islink(os.path.join(within, *parts[: place + 1])) for place in range(len(parts)))


def read_small_text(path: str, *, within: str = "", limit: int = BYTES) -> str:
    """Return the file's text, or an empty text; see `read_small`. Invalid bytes become lone surrogates."""
    return (read_small(path, within=within, limit=limit) or b"").decode("utf-8", "surrogateescape")


def native_path(text: str) -> str:
    """Return a path that `read_small_text` read from a file, as this process names it in a locale that is not UTF-8."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))
