"""Where a blob is kept, and the URL of a folder with blobs."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from urllib.parse import quote_from_bytes

from mreg.domain.digest import Digest

KEY = re.compile(r"blobs/sha256/([0-9a-f]{2})/([0-9a-f]{62})")

HEX = re.compile(r"[0-9a-f]{64}")
"""The digits of a digest."""


def blob_key(digest: Digest) -> str:
    """The key of a blob in any backend: ``blobs/sha256/ab/cdef...``."""
    return f"blobs/{digest.algorithm}/{digest.value[:2]}/{digest.value[2:]}"


def digest_of_key(key: str) -> Digest | None:
    """The digest of the blob that a key is of; None for what is none's."""
    match = KEY.fullmatch(key)
    return Digest.sha256(match[1] + match[2]) if match else None


def folder_url(folder: PurePath) -> str:
    """Return the ``file:`` URL of an absolute path.

    It is the same as that of `pathlib.Path.as_uri`, which from Python 3.14 on imports ``urllib.request``.
    """
    path = folder.as_posix()
    if folder.drive.endswith(":"):
        return f"file:///{folder.drive}{quote_from_bytes(os.fsencode(path.removeprefix(folder.drive)))}"
    return f"file:{'' if folder.drive else '//'}{quote_from_bytes(os.fsencode(path))}"
