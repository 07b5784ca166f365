"""A catalog in an S3 bucket: a SQLite file that is one object, replaced as a whole where nobody was faster.

Nothing is locked in the bucket, so that a client that dies leaves nothing for others to wait for. Writers of one
machine take turns among themselves, which saves them the copies that only one of them could have put.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from shlex import quote as shell_quote
from typing import TypeVar
from urllib.parse import quote

from mreg.catalog.bucket_copy import Copy, LocalCopy
from mreg.catalog.database import Connection, Database, Examination, UpgradeCheck, write_id
from mreg.catalog.embedded import (
    SqliteConnection,
    check_catalog,
    damages,
    empty_catalog,
    migrate,
    translated,
    upgraded_copy,
)
from mreg.catalog.embedded import within as within_transaction
from mreg.catalog.guard import GuardedConnection, connect, solid_size, stored_size
from mreg.catalog.packing import LARGEST_OBJECT, pack, unpack
from mreg.catalog.schema import SCHEMA, UPGRADE, refuse_older
from mreg.domain.digest import Digest
from mreg.errors import Conflict, Corrupt, MregError
from mreg.s3.bucket import Bucket
from mreg.s3.failures import refused
from mreg.s3.trying import MARKED, Unfit

T = TypeVar("T")

SECONDS = 60.0
"""How long a writer tries to be the fastest."""

FIRST_PAUSE, LONGEST_PAUSE, SHORTEST_PAUSE, AGING = 0.06, 0.8, 0.2, 0.75
"""Seconds between tries after a lost race: doubled after each loss up to the longest, then multiplied by the aging
factor after each further loss down to the shortest."""

DOUBLINGS = 4
"""Lost races after which the pause has reached its longest."""

LOOP_SECONDS, COURTESY = 0.2, 0.15
"""Who writes again so soon after a write from this machine waits up to so long first. Without it the one who has just
won wins again, since all others must fetch first: of 20 writers the slowest then waits three times as long."""

RESTORE = "mreg restore FILE brings a backup back"


class Gone(Corrupt):
    """A catalog was there and is not there any more."""


class BucketDatabase(Database):
    """The catalog in one object, which the first write makes.

    Args:
        bucket: Where it is.
        key: Of the object.
        folder: Where this machine keeps copies of catalogs; it may be removed at any time.
        orphans: Where bytes are that only this catalog can know of; empty where there are none. Asked where there is no
            catalog: then it is lost, and an empty one in its place would make garbage of them.
    """

    def __init__(self, bucket: Bucket, key: str, folder: str, orphans: Callable[[], str] = lambda: "") -> None:
        self._bucket = bucket
        self._key = key
        self._place = f"{bucket.url}/{key}"
        self._local = LocalCopy(folder, f"{self._place} {bucket.address}")
        self._lock = threading.RLock()
        self._opened: tuple[str, GuardedConnection, int] | None = None
        self._orphans = orphans
        self._may_be_new = False
        self._seen = False

    def read(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, translated(self._place):
            copy = self._fetch()
            try:
                return within_transaction(self._open(copy), "BEGIN", fn)
            except (Corrupt, sqlite3.Error):
                if not copy.path or copy.whole(loaded=False):
                    raise
            self.close()  # the copy was damaged while it was open
            return within_transaction(self._open(self._fetch()), "BEGIN", fn)

    def begin(self) -> None:
        with self._lock, translated(self._place):
            if not self._seen or self._opened is None:
                copy = self._fetch()
                if copy.etag:
                    self._open(copy)
            if self._seen:
                refuse_older(self._opened_schema(), self._place)
                return
            with contextlib.closing(empty_catalog()) as raw:
                self._put(raw.serialize(), "")

    def permit_new(self) -> None:
        self._may_be_new = True

    def write(self, fn: Callable[[Connection], T]) -> T:
        if self._local.young(LOOP_SECONDS):
            time.sleep(random.uniform(0, COURTESY))  # noqa: S311
        with self._lock, translated(self._place), self._local.turn():
            return self._write(fn, write_id(), time.monotonic() + SECONDS)

    def _write(self, fn: Callable[[Connection], T], mine: str, deadline: float) -> T:
        young = self._local.young()
        copy = young.whole(loaded=True) if young is not None else None
        results: list[T] = []  # of the tries that others overtook, or whose answer was lost
        refused: str | None = None  # the entity tag that the last try expected
        while True:
            sure = copy is None
            with _untold(known=not results):
                current = copy if copy is not None else self._fetch(lasting=False)
                copy = None
                raw, schema = self._in_memory(current)
            with contextlib.closing(raw):
                if schema < SCHEMA:
                    if sure:
                        refuse_older(schema, self._place)
                    continue
                if results and SqliteConnection(raw).one("writes.find", id=mine):
                    return results[-1]
                if refused == current.etag:
                    self._refuse_in_vain(current)
                    refused = None
                if results and time.monotonic() > deadline:
                    raise Conflict(
                        f"the catalog {self._place} is busy: other writers were faster {len(results)} times",
                        hint="nothing was changed; try again. For many writers, move the catalog to PostgreSQL: "
                        "mreg catalog copy --help",
                    )
                before = raw.total_changes
                try:
                    result = within_transaction(raw, "BEGIN", fn)
                except Exception:
                    if sure:
                        raise
                    continue  # what it saw may be old
                if raw.total_changes == before:
                    if sure:
                        return result
                    continue
                data = _stamped(raw, mine)
            etag = self._put(data, current.etag)
            if etag:
                self._local.keep(etag, data)
                return result
            results.append(result)
            refused = current.etag
            time.sleep(_pause(len(results)))

    def try_writing(self) -> None:
        refuse_older(self.schema(), self._place)
        with self._lock:
            self._require_conditions(again=True)

    def schema(self) -> int:
        with self._lock, translated(self._place):
            self._open(self._fetch())
            return self._opened_schema()

    def check_upgrade(self) -> UpgradeCheck:
        return UpgradeCheck(
            schema=self.schema(),
            caution="clients of a bucket cannot be seen; an older mreg refuses the catalog after the upgrade",
        )

    def upgrade(self) -> str:
        with self._lock, translated(self._place), self._local.turn():
            found = self._bucket.fetch(self._key, largest=LARGEST_OBJECT)
            if found is None:
                return ""
            self._require_conditions()
            data, etag = found
            mine = write_id()
            raw, schema = self._in_memory(Copy(etag, "", b"".join(unpack(data, self._place))))
            with contextlib.closing(raw):
                if schema == SCHEMA:
                    return ""
                upgraded = _stamped(raw, mine)
            backup = self._back_up(data, schema)
            new = self._put(upgraded, etag)
            if not new and self._has_write(mine):  # the answer was lost
                self.close()
                self._local.forget()
                return f"{self._bucket.url}/{backup}"
            if not new:
                self._bucket.delete(backup)
                raise Conflict(
                    f"cannot upgrade the catalog {self._place}: another client changed it meanwhile", hint=UPGRADE
                )
            self.close()
            self._local.keep(new, upgraded)
            return f"{self._bucket.url}/{backup}"

    def _back_up(self, data: bytes, schema: int) -> str:
        """Copy the object, unchanged, to a free key; the key."""
        key = f"{self._key}.schema-{schema}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        number, free = 1, key
        while not self._bucket.swap(free, data, _digest(data), ""):
            found = self._bucket.fetch(free)
            if found is not None and found[0] == data:
                break  # the answer was lost
            number += 1
            free = f"{key}-{number}"
        return free

    def _has_write(self, mine: str) -> bool:
        """Whether the catalog in the bucket has a write, by its id."""
        raw, _ = self._in_memory(self._fetch(lasting=False))
        with contextlib.closing(raw):
            return SqliteConnection(raw).one("writes.find", id=mine) is not None

    def examine(self) -> Examination:
        with self._lock, translated(self._place):
            self.close()  # so that what was opened before is held against its checksum again
            raw = self._open(self._fetch())
            return Examination(schema=self._opened_schema(), damage=damages(raw), clock=self._bucket.clock())

    def set_aside(self) -> str:
        with self._lock:
            aside = f"{self._key}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            self.close()
            found = self._bucket.fetch(self._key)
            if found is None:
                return self._local.set_aside()
            self._bucket.put(aside, found[0], _digest(found[0]))
            self._bucket.delete(self._key)
            self._local.forget()
            return f"{self._bucket.url}/{aside}"

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None

    def _fetch(self, *, lasting: bool = True) -> Copy:
        """What is in the bucket now; only asked about where the copy here is still that, and whole.

        Args:
            lasting: Keep it here; not where it is about to be replaced, then it is in memory.
        """
        last = self._local.last()
        found = self._bucket.fetch(self._key, last.etag if last else "", largest=LARGEST_OBJECT)
        if last is not None and found is not None and found[1] == last.etag:
            known = lasting and self._opened is not None and self._opened[0] == last.etag
            whole = last if known else last.whole(loaded=not lasting)
            if whole is not None:
                self._local.confirm(last)
                self._seen, self._may_be_new = True, False
                return whole
            self._local.forget()
            found = self._bucket.fetch(self._key, largest=LARGEST_OBJECT)
        if found is None:
            self._refuse_lost(last)
            with contextlib.closing(empty_catalog()) as raw:
                return Copy("", "", raw.serialize())
        self._seen, self._may_be_new = True, False
        data, etag = found
        if lasting:
            return self._local.receive(etag, lambda: unpack(data, self._place))
        return Copy(etag, "", b"".join(unpack(data, self._place)))

    def _refuse_lost(self, last: Copy | None) -> None:
        """Raise where a catalog was that is not there any more; once it is known that none was, ask no more."""
        if last is not None:
            way = f"mreg restore {shell_quote(last.path)}" if last.whole(loaded=False) else RESTORE
            raise Gone(
                f"the catalog {self._place} is gone: {last.path} is a copy of it on this machine",
                hint=f"{way}; to begin with an empty catalog, remove the copy",
            )
        if self._may_be_new:
            return
        orphans = self._orphans()
        if orphans and self._bucket.fetch(self._key) is None:  # nor was it made meanwhile, with the first of them
            raise Gone(
                f"the catalog {self._place} is gone; the artifacts that it knew are still in {orphans}",
                hint=f"{RESTORE}. To begin anew name another place, or remove {orphans} first",
            )
        self._may_be_new = True

    def _open(self, copy: Copy) -> GuardedConnection:
        """A connection for reading."""
        if self._opened is None or self._opened[0] != copy.etag or not copy.etag:
            self.close()
            self._opened = copy.etag, *(self._on_disk(copy) or self._in_memory(copy))
        return self._opened[1]

    def _opened_schema(self) -> int:
        """The schema that the open catalog has in the bucket."""
        return self._opened[2] if self._opened is not None else SCHEMA

    def _on_disk(self, copy: Copy) -> tuple[GuardedConnection, int] | None:
        """The copy where it lies, or an upgraded copy of that, and its schema; None if it is not there."""
        if not copy.path:
            return None
        try:
            path = quote(os.fsencode(copy.path))
            raw = connect(f"file:{path}?mode=ro&immutable=1", self._place, lambda: stored_size(copy.path), uri=True)
        except sqlite3.OperationalError:
            return None
        try:
            schema = check_catalog(raw, self._place)
            if schema == SCHEMA:
                return raw, schema
            upgraded = upgraded_copy(raw, self._place)
        except BaseException:
            raw.close()
            raise
        raw.close()
        return upgraded, schema

    def _in_memory(self, copy: Copy) -> tuple[GuardedConnection, int]:
        """The copy with this release's schema, to be changed, and the schema that it had."""
        data = self._readable(copy)
        size = solid_size(data)
        raw = connect(":memory:", self._place, lambda: size)
        try:
            raw.deserialize(data)
            del data
            schema = check_catalog(raw, self._place)
            migrate(raw, schema)
        except BaseException:
            raw.close()
            raise
        return raw, schema

    def _readable(self, copy: Copy) -> bytes:
        data = (copy.whole(loaded=True) or self._fetch(lasting=False)).data or b""  # it may be removed at any time
        if data[18:20] == b"\2\2":  # a file with a log beside it, put there by hand; here it has none
            data = data[:18] + b"\1\1" + data[20:]
        return data

    def _put(self, data: bytes, etag: str) -> str:
        """The new entity tag, empty where another was faster."""
        self._require_conditions(again=not etag)
        packed = pack(data)
        with _untold(known=False):
            return self._bucket.swap(self._key, packed, _digest(packed), etag)

    def _refuse_in_vain(self, current: Copy) -> None:
        """Raise, after a put was refused although nobody was faster, unless it may succeed by now."""
        self._require_conditions(again=True)
        if not current.etag and not self._bucket.revives:
            raise Unfit(
                f"{self._place} can't be a catalog: {MARKED}",
                versioned=True,
                hint="name another place for the catalog, or remove the delete marker: aws s3api delete-object "
                "--help tells how to remove a version",
            )

    def _require_conditions(self, *, again: bool = False) -> None:
        """Raise unless the store refuses a put of what is not the same any more, and no other.

        Args:
            again: Try it also if it is known, since the store may have changed.
        """
        try:
            self._bucket.require_conditions(self._key, again=again)
        except Unfit as error:
            versioning = "suspend the versioning of the bucket, or " if error.versioned else ""
            raise Unfit(
                f"{self._place} can't be a catalog: {error.problem}",
                versioned=error.versioned,
                hint=f"{versioning}keep the catalog in PostgreSQL or in a file, and the artifacts there",
            ) from error


@contextlib.contextmanager
def _untold(*, known: bool) -> Iterator[None]:
    """Let an error say that the outcome is unknown, unless it is known or the store refused the request."""
    try:
        yield
    except MregError as error:
        if not (known or isinstance(error, Gone) or refused(error.__cause__)):
            error.message += "; whether the change was made is not known"
            error.hint = f"when it answers again, mreg history tells. {error.hint}"
        raise


def _stamped(raw: GuardedConnection, mine: str) -> bytes:
    """The changed file, with the id of the write in it."""
    connection = SqliteConnection(raw)
    number = connection.insert("writes.insert", id=mine)
    connection.run("writes.forget", number=number)
    return raw.serialize()


def _digest(data: bytes) -> Digest:
    return Digest.sha256(sha256(data).hexdigest())


def _pause(losses: int) -> float:
    """Return the seconds to wait after a number of lost races, at random between half of a bound and the bound.

    The bound grows while the others of a crowd write, then shrinks, so that a writer that has lost often comes before
    one that has just arrived. It never goes below `SHORTEST_PAUSE` again: a writer that keeps losing sends the store a
    few requests per second.
    """
    doubled = FIRST_PAUSE * 2 ** min(losses - 1, DOUBLINGS)
    aged = LONGEST_PAUSE * AGING ** max(0, losses - 1 - DOUBLINGS)
    bound = min(doubled, max(aged, SHORTEST_PAUSE))
    return random.uniform(bound / 2, bound)  # noqa: S311  spreads out the losers of one race
