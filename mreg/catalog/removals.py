"""Blobs that gc removes from the store, recorded to coordinate with concurrent pushes.

A removal is recorded before the blob is deleted, and the record stays as long as a push can be running that saw the
blob. The transaction that adds a version checks the records, so a version never references a blob that gc deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mreg.catalog.rows import number, read_time, row_of, text, truth
from mreg.domain.digest import Digest
from mreg.domain.events import time_text

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer

DEAD_AFTER = timedelta(minutes=10)
"""Time after which a gc that did not report the end of a removal is presumed dead, and the blob removed."""

REMEMBERED = timedelta(days=7)
"""Time for which removals are recorded; no push takes longer."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A blob that gc is removing or has removed.

    Attributes:
        mark: Random id of the batch of blobs that a gc removes together.
        under_way: Whether the removal is in progress.
    """

    digest: Digest
    mark: str
    under_way: bool


def removal_of(reader: Reader, digest: Digest, now: datetime) -> Removal | None:
    """Return the removal of a blob, or None if none is recorded."""
    row = reader.connection.one("removals.of", digest=digest.value)
    if row is None:
        return None
    living = _begun(row) >= now - DEAD_AFTER
    return Removal(digest, text(row, "mark"), under_way=not truth(row, "removed") and living)


@row_of("removals", "digest")
def _begun(row: Row) -> datetime:
    return read_time(row["at"])


def removals_of(reader: Reader, digests: Iterable[Digest], now: datetime) -> tuple[Removal, ...]:
    """Return the removals of several blobs; needs only one statement if no removals are recorded."""
    if reader.connection.one("removals.any") is None:
        return ()
    found = (removal_of(reader, digest, now) for digest in digests)
    return tuple(removal for removal in found if removal is not None)


def begin_removals(writer: Writer, digests: Iterable[Digest], mark: str, now: datetime) -> tuple[Digest, ...]:
    """Record the removal of blobs; return those that no other gc is removing."""
    writer.connection.run("removals.forget_old", before=time_text(now - REMEMBERED))
    taken = []
    for digest in digests:
        found = removal_of(writer, digest, now)
        if found is None or not found.under_way:
            writer.connection.run("removals.set", digest=digest.value, removed=0, mark=mark, at=time_text(now))
            taken.append(digest)
    return tuple(taken)


def end_removals(writer: Writer, removed: Collection[Digest], kept: Collection[Digest], mark: str) -> None:
    """Record which blobs were removed, and forget the removals of blobs that were kept."""
    for digest in removed:
        writer.connection.run("removals.done", digest=digest.value, mark=mark, at=writer.time)
    for digest in kept:
        writer.connection.run("removals.forget", digest=digest.value, mark=mark)


def forget_removals(writer: Writer, marks: Mapping[Digest, str]) -> None:
    """Forget the removals of blobs that the push of this transaction has stored again."""
    for digest, mark in marks.items():
        writer.connection.run("removals.forget", digest=digest.value, mark=mark)


def stuck_removals(reader: Reader, now: datetime) -> int:
    """Return the number of removals that a dead gc did not finish."""
    row = reader.connection.one("removals.stuck", before=time_text(now - DEAD_AFTER))
    return number(row, "many") if row else 0
