"""Bundles: exports, contents and imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mreg.domain.bundle import BundledModel, BundledVersion
    from mreg.domain.names import ModelName, VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written.

    Attributes:
        reference: The version or the whole model.
        versions: The versions in the bundle, by number.
        destination: The file, absolute.
        size_bytes: The size of the file.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    destination: Path
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContents:
    """The contents of a verified bundle.

    Attributes:
        versions: By number.
        event_count: The number of events.
        blob_count: The number of blobs.
        size_bytes: The size of all blobs.
    """

    model: BundledModel
    versions: tuple[BundledVersion, ...]
    event_count: int
    blob_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVersion:
    """A version of a bundle after its import.

    Attributes:
        source: Its reference in the bundle.
        reference: Its reference here.
        already_there: Whether it was here before, so that nothing was added.
    """

    source: VersionRef
    reference: VersionRef
    already_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The outcome of an import.

    Attributes:
        model: The model here.
        versions: Each version of the bundle, by its number in the bundle.
    """

    model: ModelName
    versions: tuple[ImportedVersion, ...]
