"""Blobs that gc takes out of the store: where it meets the pushes that rely on them.

A blob that is on its way out is written down before it goes, and stays written down for as long as a push may be under
way that saw it there. The transaction that makes a version looks here: a push never relies on bytes that went.
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
"""A gc that has not said for so long that a blob is gone is dead, and its word is as if it had."""

REMEMBERED = timedelta(days=7)
"""No push is under way for longer."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A blob that gc takes, or took.

    Attributes:
        mark: Of the gc, another one each time.
        under_way: Whether it is being removed at this moment.
    """

    digest: Digest
    mark: str
    under_way: bool


def removal_of(reader: Reader, digest: Digest, now: datetime) -> Removal | None:
    """What gc did, or does, to a blob; None where it left it alone."""
    row = reader.connection.one("removals.of", digest=digest.value)
    if row is None:
        return None
    living = _begun(row) >= now - DEAD_AFTER
    return Removal(digest, text(row, "mark"), under_way=not truth(row, "removed") and living)


@row_of("removals", "digest")
def _begun(row: Row) -> datetime:
    return read_time(row["at"])


def removals_of(reader: Reader, digests: Iterable[Digest], now: datetime) -> tuple[Removal, ...]:
    """`removal_of` for many; one statement where gc took nothing lately."""
    if reader.connection.one("removals.any") is None:
        return ()
    found = (removal_of(reader, digest, now) for digest in digests)
    return tuple(one for one in found if one is not None)


def begin_removals(writer: Writer, digests: Iterable[Digest], mark: str, now: datetime) -> tuple[Digest, ...]:
    """Write down that blobs are about to be removed; those of them that no other gc is at."""
    writer.connection.run("removals.forget_old", before=time_text(now - REMEMBERED))
    taken = []
    for digest in digests:
        found = removal_of(writer, digest, now)
        if found is None or not found.under_way:
            writer.connection.run("removals.set", digest=digest.value, removed=0, mark=mark, at=time_text(now))
            taken.append(digest)
    return tuple(taken)


def end_removals(writer: Writer, removed: Collection[Digest], kept: Collection[Digest], mark: str) -> None:
    """Write down which of the blobs are gone, and which are left after all."""
    for digest in removed:
        writer.connection.run("removals.done", digest=digest.value, mark=mark, at=writer.time)
    for digest in kept:
        writer.connection.run("removals.forget", digest=digest.value, mark=mark)


def forget_removals(writer: Writer, marks: Mapping[Digest, str]) -> None:
    """The blobs are back, put again by the push whose transaction this is."""
    for digest, mark in marks.items():
        writer.connection.run("removals.forget", digest=digest.value, mark=mark)


def stuck_removals(reader: Reader, now: datetime) -> int:
    """How many blobs a gc was at when it died."""
    row = reader.connection.one("removals.stuck", before=time_text(now - DEAD_AFTER))
    return number(row, "many") if row else 0
