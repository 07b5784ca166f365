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
    """An export to a bundle file.

    Attributes:
        reference: The exported version or model.
        versions: The versions in the bundle, in ascending order.
        destination: Absolute path of the bundle.
        size_bytes: Size of the bundle.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    destination: Path
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContents:
    """The contents of a verified bundle.

    Attributes:
        versions: The versions in the bundle, in ascending order.
        event_count: Number of events.
        blob_count: Number of blobs.
        size_bytes: Size of all blobs.
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
        source: Reference in the exporting registry.
        reference: Reference in this registry.
        already_there: Whether this registry had the version already, and nothing was added.
        aliases: Aliases of the bundle that name the version here.
        left_out: Aliases of the bundle that the import left out.
    """

    source: VersionRef
    reference: VersionRef
    already_there: bool
    aliases: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The result of an import.

    Attributes:
        model: Name of the model in this registry.
        versions: The versions of the bundle, in its order.
    """

    model: ModelName
    versions: tuple[ImportedVersion, ...]
