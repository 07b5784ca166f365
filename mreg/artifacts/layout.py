"""Where a blob is kept."""

from __future__ import annotations

from mreg.domain.digest import Digest


def blob_key(digest: Digest) -> str:
    """The key of a blob in any backend: ``blobs/sha256/ab/cdef...``."""
    return f"blobs/{digest.algorithm}/{digest.value[:2]}/{digest.value[2:]}"
