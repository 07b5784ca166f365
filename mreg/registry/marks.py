"""Catalogs and artifact stores in a folder, found by their own marks and not by their names."""

from __future__ import annotations

import contextlib
import os
import stat

from mreg.files import close, open_file


def is_store(path: str) -> bool:
    """Return whether a folder is an artifact store in a folder: it has ``blobs/sha256`` and ``tmp``."""
    return all(os.path.isdir(os.path.join(path, *names)) for names in (("blobs", "sha256"), ("tmp",)))


def is_catalog(path: str) -> bool:
    """Return whether a file is an mreg catalog, by the application id (https://sqlite.org/fileformat.html)."""
    from mreg.catalog.embedded import APPLICATION_ID

    with contextlib.suppress(OSError):
        descriptor = open_file(path, follow=False)
        try:
            head = os.read(descriptor, 72) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        finally:
            close(descriptor)
        return head.startswith(b"SQLite format 3\0") and head[68:] == APPLICATION_ID.to_bytes(4, "big")
    return False
