"""Results of the maintenance commands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mreg.domain.digest import Digest
from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried.

    Attributes:
        place: Where.
        error: What failed, empty where it worked.
        hint: What to do about it.
        lacks: What the place can't do, where mreg works all the same.
    """

    name: str
    place: str
    error: str = ""
    hint: str = ""
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        place: Where.
        state: ``fine``, ``note`` (works, and should be known), ``damaged`` or ``unreachable``.
        message: What was found; empty where it is fine.
        remedy: What to do about it.
    """

    name: str
    place: str
    state: str
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What nothing needs in the artifact store.

    Attributes:
        kind: ``unfinished``: left by a killed push or a killed probe of the store; ``unreferenced``: of no version.
        place: The store, or the catalog if the object is next to it.
        name: By which the store knows it.
        size_bytes: As far as it arrived.
        modified: When something of it last arrived.
        removed: Whether it is gone now.
    """

    kind: str
    place: str
    name: str
    size_bytes: int
    modified: datetime
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProblem:
    """A blob that is not what versions need.

    Attributes:
        problem: ``missing``, ``damaged`` or ``unreadable``.
        versions: Some of the versions that need it.
    """

    checksum: Digest
    problem: str
    message: str
    hint: str
    versions: tuple[VersionRef, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of reading bytes again.

    Attributes:
        artifacts: How many were looked at, of how many.
        blobs: How many blobs were read, and how many bytes.
        unreferenced: Blobs that no version needs, and their bytes; None where nobody looked.
    """

    artifacts: int
    all_artifacts: int
    blobs: int
    size_bytes: int
    problems: tuple[BlobProblem, ...]
    unreferenced: int | None = None
    unreferenced_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogCopy:
    """A catalog that was copied, row by row, and held against what it was copied from.

    Attributes:
        source: From where.
        target: To where.
        rows: In all tables.
        events: In the audit trail.
        last_hash: Of the last of them, empty where there is none.
        set_aside: Where the damaged catalog is that was in the way; empty where there was none.
    """

    source: str
    target: str
    rows: int
    events: int
    last_hash: str
    set_aside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of an upgrade.

    Attributes:
        schema: Its number.
        adds: What the catalog has after it.
    """

    schema: int
    adds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """An upgrade of a catalog, planned or done.

    Attributes:
        place: Where the catalog is.
        schema: Its schema before.
        target: The schema of this release.
        migrations: The steps from the one to the other; empty if there is nothing to do.
        others: Active clients that could be older, a line each; the upgrade refuses while there are any.
        caution: What the engine cannot know about other clients.
        backup: Where the backup is; empty unless the upgrade was done.
    """

    place: str
    schema: int
    target: int
    migrations: tuple[Migration, ...]
    others: tuple[str, ...] = ()
    caution: str = ""
    backup: str = ""
