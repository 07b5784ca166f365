"""Pulls, and the files of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from pathlib import Path

    from mreg.domain.digest import Digest
    from mreg.domain.model import ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled(Result):
    """A pull: the destination holds the verified bytes of the version.

    Attributes:
        destination: Absolute path of the file or folder.
        unchanged: Whether the destination had the same bytes already, and nothing was written.
        other_files: Whether the folder also has files that do not belong to the artifact.
    """

    version: ModelVersion
    destination: Path
    unchanged: bool
    other_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile(Result):
    """A file of a version: its only file, or one file of its folder.

    Attributes:
        path: Name of the file, or its path in the folder.
        reference: The version. Not part of the JSON form, whose address names the version; None after decoding.
    """

    path: str
    size_bytes: int
    digest: Digest
    executable: bool = False
    reference: VersionRef | None = None
