"""Commit ids: the form in which Hugging Face clients name a version."""

from __future__ import annotations

import re

from mreg.domain.model import ModelVersion
from mreg.domain.names import LARGEST_VERSION

_COMMIT = re.compile(r"([0-9a-f]{8})[0-9a-f]{32}")


def commit_id(version: ModelVersion) -> str:
    """Return the commit id of a version: its number in 8 hex digits, and the first 32 digits of its digest.

    The number makes the id unique: a client keeps the list of files under the id, and two files with the same bytes can
    have different names. An id never comes to mean other bytes.
    """
    return f"{version.version:08x}{version.artifact.digest.value[:32]}"


def version_of_commit(text: str) -> int | None:
    """Return the version number in a commit id; None for any other text."""
    match = _COMMIT.fullmatch(text)
    number = int(match[1], 16) if match else 0
    return number if 1 <= number <= LARGEST_VERSION else None
