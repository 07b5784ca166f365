"""Results of the maintenance commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.domain.digest import Digest
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The outcome of one attempt to use the catalog or the store.

    Attributes:
        name: The attempt.
        place: The path or URL.
        error: The failure; empty if it worked.
        hint: The remedy; empty if there is none.
        lacks: A feature that the place does not have and mreg does without.
    """

    name: str
    place: str
    error: str = ""
    hint: str = ""
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one examination.

    Attributes:
        name: The examination.
        place: The path or URL.
        state: ``fine``, ``note`` (works, but worth knowing), ``damaged`` or ``unreachable``.
        message: The finding; empty if the state is fine.
        remedy: The next step; empty if there is none.
    """

    name: str
    place: str
    state: str
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """An object in the artifact store that no version needs.

    Attributes:
        kind: ``unfinished``, an upload that was killed, or ``unreferenced``, a blob of no version.
        place: The URL of the store.
        name: Its name in the store.
        size_bytes: The bytes that arrived.
        modified: The time at which the last bytes arrived.
        removed: Whether it was removed.
    """

    kind: str
    place: str
    name: str
    size_bytes: int
    modified: datetime
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProblem:
    """A damaged or missing blob that versions need.

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
    """The outcome of verifying stored bytes.

    Attributes:
        artifacts: The number of verified artifacts, of ``all_artifacts``.
        blobs: The number of verified blobs, with ``size_bytes`` in all.
        unreferenced: The number of blobs that no version needs, with ``unreferenced_bytes`` in all; None if they were
            not counted.
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
    """A catalog that was copied and compared with its source row by row.

    Attributes:
        source: The catalog that was copied.
        target: The copy.
        rows: The number of rows in all tables.
        events: The number of events in the audit trail.
        last_hash: The hash of the last event; empty if there is none.
        set_aside: The new place of the damaged catalog that the copy replaced; empty if there was none.
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
        schema: The number of the schema after it.
        adds: What the schema adds.
    """

    schema: int
    adds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """An upgrade of a catalog, planned or done.

    Attributes:
        place: The path or URL of the catalog.
        schema: Its schema before the upgrade.
        target: The schema of this release.
        migrations: The steps between the two; empty if there is nothing to do.
        others: Active clients that could be older, a line each; the upgrade is refused while there are any.
        caution: What the engine cannot know about other clients.
        backup: The path of the backup; empty unless the upgrade was done.
    """

    place: str
    schema: int
    target: int
    migrations: tuple[Migration, ...]
    others: tuple[str, ...] = ()
    caution: str = ""
    backup: str = ""
