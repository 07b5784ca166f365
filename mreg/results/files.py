"""Pulls, and the files of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mreg.domain.digest import Digest
    from mreg.domain.model import ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A version whose verified bytes are at their destination.

    Attributes:
        destination: The file or folder, absolute.
        unchanged: Whether the same bytes were there already, so that nothing was written.
        other_files: Whether the folder also holds files that are not part of the artifact.
    """

    version: ModelVersion
    destination: Path
    unchanged: bool
    other_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a version: the artifact itself if that is one file, else one file of the folder.

    Attributes:
        path: Its path in the folder; the name of an artifact that is one file.
        reference: The version. Not part of the JSON form, whose address names the version; None after decoding.
    """

    path: str
    size_bytes: int
    digest: Digest
    executable: bool = False
    reference: VersionRef | None = None
