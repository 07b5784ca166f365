"""Results of the maintenance commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result, Value

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.domain.digest import Digest
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Result):
    """A check of the catalog or the store.

    Attributes:
        place: The catalog or store.
        error: Error message, empty if the check passed.
        hint: How to fix the error.
        lacks: Limitation of the place that mreg can work with.
        latency: Seconds that a small read takes, the median of a few; None if not measured by this check.
        upload: Bytes per second of a small upload; None if not measured by this check.
        download: Bytes per second of a small download; None if not measured by this check.
    """

    name: str
    place: str
    error: str = ""
    hint: str = ""
    lacks: str = ""
    latency: float | None = None
    upload: float | None = None
    download: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Result):
    """A check of `mreg.Registry.examine` and its result.

    Attributes:
        name: Name of the check.
        place: The catalog, store or folder.
        state: ``fine``, ``note`` (works, but needs attention), ``damaged`` or ``unreachable``.
        message: Description of the result, empty if there is nothing to report.
        remedy: How to fix the problem.
    """

    name: str
    place: str
    state: str
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Result):
    """An unfinished upload or unreferenced blob in the artifact store.

    Attributes:
        kind: ``unfinished`` (left by a killed push or probe) or ``unreferenced`` (a blob that no version needs).
        place: The artifact store, or the catalog if the object is next to it.
        name: Name in the store.
        size_bytes: Size of the received bytes.
        modified: Time at which the last bytes arrived.
        removed: Whether the garbage was removed.
    """

    kind: str
    place: str
    name: str
    size_bytes: int
    modified: datetime
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProblem(Value):
    """A blob that versions need and that cannot be read or does not match its digest.

    Attributes:
        problem: ``missing``, ``damaged`` or ``unreadable``.
        versions: Some of the versions that need the blob.
    """

    checksum: Digest
    problem: str
    message: str
    hint: str
    versions: tuple[VersionRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Result):
    """The result of verifying stored bytes.

    Attributes:
        artifacts: Number of verified artifacts, of ``all_artifacts``.
        blobs: Number of blobs that were read, with ``size_bytes`` in total.
        unreferenced: Number of blobs that no version needs, with ``unreferenced_bytes`` in total; None if the run was
            not complete.
    """

    artifacts: int
    all_artifacts: int
    blobs: int
    size_bytes: int
    problems: tuple[BlobProblem, ...]
    unreferenced: int | None = None
    unreferenced_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile(Value):
    """A file of a pulled copy that differs from the version.

    Attributes:
        path: Path in the folder; name of an artifact that is one file; that of an empty folder ends in ``/``.
        state: ``missing``, ``changed``, ``extra`` (not in the version) or ``unreadable``.
        reason: Details, empty if the state says everything.
    """

    path: str
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyVerification(Result):
    """The result of comparing a pulled copy with its version.

    Attributes:
        path: Absolute path of the file or folder.
        files: Number of files of the version that were compared, with ``size_bytes`` in total.
    """

    reference: VersionRef
    path: str
    files: int
    size_bytes: int
    problems: tuple[CopiedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCopy(Result):
    """A copy of a catalog, compared with its source row by row.

    Attributes:
        source: The catalog that was copied.
        target: The copy.
        rows: Number of rows in all tables.
        events: Number of audit events.
        last_hash: Hash of the last event, empty if there is none.
        set_aside: New location of a damaged catalog that the copy replaced; empty if there was none.
        blobs: Number of blobs that were copied, too.
        size_bytes: Size of these blobs.
    """

    source: str
    target: str
    rows: int
    events: int
    last_hash: str
    set_aside: str = ""
    blobs: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration(Value):
    """A step of an upgrade.

    Attributes:
        schema: Number of the schema after the step.
        adds: Description of what the step adds to the catalog.
    """

    schema: int
    adds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade(Result):
    """An upgrade of a catalog, planned or done.

    Attributes:
        place: The catalog.
        schema: Schema before the upgrade.
        target: Schema of this release.
        migrations: Steps from ``schema`` to ``target``; empty if there is nothing to do.
        others: Active clients that can be older, one line each; while there are any, the upgrade is refused.
        caution: Warning about clients that cannot be detected, empty if all can be.
        backup: Location of the backup, empty unless the upgrade was made.
    """

    place: str
    schema: int
    target: int
    migrations: tuple[Migration, ...]
    others: tuple[str, ...] = ()
    caution: str = ""
    backup: str = ""
