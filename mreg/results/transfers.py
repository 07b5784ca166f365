"""Files of versions, pulls, exports and imports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mreg.domain.digest import Digest
from mreg.domain.model import ModelVersion
from mreg.domain.names import ModelName, VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A version's bytes at their destination, verified.

    Attributes:
        destination: The file or folder, absolute.
        unchanged: Whether the very same bytes stood there already, so that nothing was written.
        other_files: Whether other files stay in the folder beside the artifact's.
    """

    version: ModelVersion
    destination: Path
    unchanged: bool
    other_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a version: the version itself where that is one file, else one of its folder.

    Attributes:
        path: Its name, or its path in the folder.
        size_bytes: Its size.
    """

    version: ModelVersion
    path: str
    size_bytes: int
    digest: Digest
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written.

    Attributes:
        reference: The version or the whole model.
        versions: What is in it, by number.
        destination: The file, absolute.
        size_bytes: Of the file.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    destination: Path
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedVersion:
    """A version of a bundle and what it is here.

    Attributes:
        source: Its reference where it was exported.
        reference: Its reference here.
        already_there: Whether it was here before, so that nothing was added.
    """

    source: VersionRef
    reference: VersionRef
    already_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import.

    Attributes:
        model: The model here.
        versions: Each version of the bundle, by its number there.
    """

    model: ModelName
    versions: tuple[ImportedVersion, ...]
