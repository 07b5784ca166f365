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


class Removals:
    """Queries of removals in a transaction.

    Args:
        now: Time at which a gc is alive or presumed dead.
    """

    def __init__(self, reader: Reader, now: datetime) -> None:
        self._connection = reader.connection
        self._now = now

    def of(self, digests: Iterable[Digest]) -> tuple[Removal, ...]:
        """Return the removals of blobs; needs only one statement if no removals are recorded."""
        if self._connection.one("removals.any") is None:
            return ()
        removals = map(self._of_blob, digests)
        return tuple(removal for removal in removals if removal is not None)

    def _of_blob(self, digest: Digest) -> Removal | None:
        row = self._connection.one("removals.of", digest=digest.value)
        if row is None:
            return None
        alive = _begun(row) >= self._now - DEAD_AFTER
        return Removal(digest, text(row, "mark"), under_way=not truth(row, "removed") and alive)

    def stuck(self) -> int:
        """Return the number of removals that a dead gc did not finish."""
        row = self._connection.one("removals.stuck", before=time_text(self._now - DEAD_AFTER))
        return number(row, "many") if row else 0


class RemovalWriter(Removals):
    """Changes of removals, without audit events."""

    def __init__(self, writer: Writer, now: datetime) -> None:
        super().__init__(writer, now)

    def begin(self, digests: Iterable[Digest], mark: str) -> tuple[Digest, ...]:
        """Record the removal of blobs; return those that no other gc is removing."""
        self._connection.run("removals.forget_old", before=time_text(self._now - REMEMBERED))
        claimed = []
        for digest in digests:
            removal = self._of_blob(digest)
            if removal is None or not removal.under_way:
                self._connection.run("removals.set", digest=digest.value, removed=0, mark=mark, at=time_text(self._now))
                claimed.append(digest)
        return tuple(claimed)

    def end(self, removed: Collection[Digest], kept: Collection[Digest], mark: str) -> None:
        """Record which blobs were removed, and delete the records of blobs that were kept."""
        for digest in removed:
            self._connection.run("removals.done", digest=digest.value, mark=mark, at=time_text(self._now))
        self.forget(dict.fromkeys(kept, mark))

    def forget(self, marks: Mapping[Digest, str]) -> None:
        """Delete the records of blobs that were kept or stored again."""
        for digest, mark in marks.items():
            self._connection.run("removals.forget", digest=digest.value, mark=mark)


@row_of("removals", "digest")
def _begun(row: Row) -> datetime:
    return read_time(row["at"])
