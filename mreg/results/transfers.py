"""Files of versions, pulls, exports, imports and bundles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from mreg.domain.bundle import BundledModel, BundledVersion
    from mreg.domain.digest import Digest
    from mreg.domain.model import ModelVersion
    from mreg.domain.names import ModelName, VersionRef


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
