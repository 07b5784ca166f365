"""Pulls, and the files of a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mreg.domain.value import Result, Value

if TYPE_CHECKING:
    from pathlib import Path

    from mreg.domain.digest import Digest
    from mreg.domain.model import ArtifactKind, ModelVersion
    from mreg.domain.names import ModelName, VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled(Result):
    """A pull: the destination holds the verified bytes of the version.

    Attributes:
        destination: Absolute path of the file or folder.
        unchanged: Whether the destination had the same bytes already, and nothing was written.
        other_files: Whether the folder also has files that do not belong to the artifact.
        files: The files of a dry run, or of a pull with patterns; empty otherwise.
        dry_run: Whether nothing was written.
    """

    version: ModelVersion
    destination: Path
    unchanged: bool
    other_files: bool = False
    files: tuple[PulledFile, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledFile(Value):
    """A file of a pull.

    Attributes:
        path: Name of the file, or its path in the folder; that of an empty folder ends in ``/``.
        state: Before the pull: ``new``, ``unchanged`` (there already), ``replaced``, or ``removed`` (of an earlier
            pull, and not in this version).
    """

    path: str
    size_bytes: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalArtifact(Result):
    """The verified files of a version in the pull cache of this machine.

    Attributes:
        path: Absolute path of the file or folder; the files are read-only.
        file: Path in the folder if one file of it was asked for, otherwise empty.
    """

    version: ModelVersion
    path: Path
    file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile(Value):
    """A file that a push would take.

    Attributes:
        path: Path in the folder; name of the file if a file is pushed.
    """

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan(Result):
    """What a push would take; nothing was stored or registered.

    Attributes:
        model: Model that would get the version.
        path: File or folder as the caller named it.
        files: The files, sorted by path.
        folders: The empty folders.
        left_out: Number of entries that would be left out, by reason; a folder that is left out counts as one.
    """

    model: ModelName
    path: str
    kind: ArtifactKind
    files: tuple[PlannedFile, ...]
    folders: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Total size."""
        return sum(file.size_bytes for file in self.files)


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
