"""A catalog in one object of a store: a SQLite file, which each write replaces under compare-and-swap.

The store has no locks, so a client that dies does not block others. Writers on one machine take turns, since
only one of several concurrent uploads can succeed.
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
from shlex import quote as shell_quote
from typing import TypeVar
from urllib.parse import quote

from mreg.catalog.database import Abandoned, Connection, Database, Examination, UpgradeCheck, write_id
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
from mreg.catalog.local_copy import Copy, LocalCopy
from mreg.catalog.packing import pack, unpack
from mreg.catalog.schema import SCHEMA, UPGRADE, refuse_older
from mreg.catalog.versioned import VersionedObject
from mreg.errors import Conflict, Corrupt, MregError

T = TypeVar("T")

SECONDS = 60.0
"""Time after which a writer that loses every race gives up."""

FIRST_PAUSE, LONGEST_PAUSE, SHORTEST_PAUSE, AGING = 0.06, 0.8, 0.2, 0.75
"""Seconds between attempts after a lost race: doubled after each loss up to the longest, then multiplied by the aging
factor after each further loss down to the shortest."""

DOUBLINGS = 4
"""Number of doublings until the pause is the longest."""

LOOP_SECONDS, COURTESY = 0.2, 0.15
"""A write less than `LOOP_SECONDS` after the last one from this machine first waits up to `COURTESY` seconds. Without
the pause, the last winner wins again, since all others must fetch first; the slowest of 20 writers waits three times as
long then."""

RESTORE = "restore a backup: mreg restore FILE"


class Gone(Corrupt):
    """A catalog was there and is not there any more."""


class ObjectDatabase(Database):
    """A catalog in one object, which the first write creates.

    Args:
        stored: The object.
        folder: Folder of this machine's copies of catalogs; users can remove it at any time.
        orphans: Returns the location of artifacts that only this catalog can reference; empty if there are none. Called
            when the catalog is missing: such artifacts show that it was lost, and would be garbage for a new catalog.
        notice: Called with a message for the user when the catalog is created.
    """

    def __init__(
        self,
        stored: VersionedObject,
        folder: str,
        orphans: Callable[[], str] = lambda: "",
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._object = stored
        self._place = stored.location()
        self._local = LocalCopy(folder, stored.identity)
        self._lock = threading.RLock()
        self._opened: tuple[str, GuardedConnection, int] | None = None
        self._orphans = orphans
        self._notice = notice
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
            self._forget_opened()  # the copy was damaged while it was open
            return within_transaction(self._open(self._fetch()), "BEGIN", fn)

    def begin(self) -> None:
        with self._lock, translated(self._place):
            if not self._seen or self._opened is None:
                copy = self._fetch()
                if copy.tag:
                    self._open(copy)
            if self._seen:
                refuse_older(self._opened_schema(), self._place)
                return
            with contextlib.closing(empty_catalog()) as raw:
                if self._put(raw.serialize(), ""):
                    self._notice_created()

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
        results: list[T] = []  # of attempts that lost a race, or whose response was lost
        refused: str | None = None  # the tag that the last attempt expected
        while True:
            sure = copy is None
            with self._untold(known=not results):
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
                if refused == current.tag:
                    self._object.explain_refusal(exists=bool(current.tag))
                    refused = None
                if results and time.monotonic() > deadline:
                    raise Conflict(
                        f"the catalog {self._place} is busy: {len(results)} attempts lost against other writers",
                        hint="nothing was changed; try again. For many writers, copy the catalog to PostgreSQL: "
                        "mreg catalog copy --help",
                    )
                before = raw.total_changes
                try:
                    result = within_transaction(raw, "BEGIN", fn)
                except Exception:
                    if sure:
                        raise
                    continue  # the copy can be outdated
                if raw.total_changes == before:
                    if sure:
                        return result
                    continue
                data = _stamped(raw, mine)
            tag = self._put(data, current.tag)
            if tag:
                self._local.keep(tag, data)
                if not current.tag:
                    self._notice_created()
                return result
            results.append(result)
            refused = current.tag
            time.sleep(_pause(len(results)))

    def _notice_created(self) -> None:
        self._notice(f"created the registry {self._place}")

    def try_writing(self) -> None:
        refuse_older(self.schema(), self._place)
        with self._lock:
            self._object.require_support(again=True)

    def schema(self) -> int:
        with self._lock, translated(self._place):
            self._open(self._fetch())
            return self._opened_schema()

    def check_upgrade(self) -> UpgradeCheck:
        return UpgradeCheck(
            schema=self.schema(),
            caution="other clients cannot be detected; an older mreg refuses the catalog after the upgrade",
        )

    def upgrade(self) -> str:
        with self._lock, translated(self._place), self._local.turn():
            found = self._object.fetch()
            if found is None:
                return ""
            self._object.require_support()
            data, tag = found
            mine = write_id()
            raw, schema = self._in_memory(Copy(tag, "", b"".join(unpack(data, self._place))))
            with contextlib.closing(raw):
                if schema == SCHEMA:
                    return ""
                upgraded = _stamped(raw, mine)
            backup = self._back_up(data, schema)
            new = self._put(upgraded, tag)
            if not new and self._has_write(mine):  # the answer was lost
                self._forget_opened()
                self._local.forget()
                return self._object.location(backup)
            if not new:
                self._object.remove_copy(backup)
                raise Conflict(
                    f"cannot upgrade the catalog {self._place}: another client changed it meanwhile", hint=UPGRADE
                )
            self._forget_opened()
            self._local.keep(new, upgraded)
            return self._object.location(backup)

    def _back_up(self, data: bytes, schema: int) -> str:
        """Store an unchanged copy of the object under a free name, and return its ending."""
        ending = f".schema-{schema}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        number, free = 1, ending
        while not self._object.store_copy(free, data):
            number += 1
            free = f"{ending}-{number}"
        return free

    def _has_write(self, mine: str) -> bool:
        """Return whether the stored catalog has a write, by its id."""
        raw, _ = self._in_memory(self._fetch(lasting=False))
        with contextlib.closing(raw):
            return SqliteConnection(raw).one("writes.find", id=mine) is not None

    def examine(self) -> Examination:
        with self._lock, translated(self._place):
            self._forget_opened()  # so that the copy is verified again
            raw = self._open(self._fetch())
            return Examination(
                schema=self._opened_schema(),
                damage=damages(raw),
                clock=self._object.clock(),
                remarks=self._object.remarks(),
            )

    def remarks(self) -> tuple[str, ...]:
        return self._object.remarks()

    def abandoned(self) -> Iterator[Abandoned]:
        return self._object.abandoned()

    def discard(self, abandoned: Abandoned) -> None:
        self._object.discard(abandoned)

    def set_aside(self) -> str:
        with self._lock:
            ending = f".damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            self._forget_opened()
            if not self._object.move(ending):
                return self._local.set_aside()
            self._local.forget()
            return self._object.location(ending)

    def close(self) -> None:
        with self._lock:
            self._forget_opened()
            self._object.close()

    def _forget_opened(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _fetch(self, *, lasting: bool = True) -> Copy:
        """Return the current catalog; the object is downloaded only if this machine's copy is outdated or damaged.

        Args:
            lasting: Whether to keep the copy on disk; otherwise it is in memory, for a write that replaces it.
        """
        last = self._local.last()
        found = self._object.fetch(last.tag if last else "")
        if last is not None and found is not None and found[1] == last.tag:
            known = lasting and self._opened is not None and self._opened[0] == last.tag
            whole = last if known else last.whole(loaded=not lasting)
            if whole is not None:
                self._local.confirm(last)
                self._seen, self._may_be_new = True, False
                return whole
            self._local.forget()
            found = self._object.fetch()
        if found is None:
            self._refuse_lost(last)
            with contextlib.closing(empty_catalog()) as raw:
                return Copy("", "", raw.serialize())
        self._seen, self._may_be_new = True, False
        data, tag = found
        if lasting:
            return self._local.receive(tag, lambda: unpack(data, self._place))
        return Copy(tag, "", b"".join(unpack(data, self._place)))

    def _refuse_lost(self, last: Copy | None) -> None:
        """Raise if the catalog existed before and is gone; not checked again once it is known to be new."""
        if last is not None:
            remedy = f"mreg restore {shell_quote(last.path)}" if last.whole(loaded=False) else RESTORE
            raise Gone(
                f"the catalog {self._place} is missing; a copy on this machine is {last.path}",
                hint=f"{remedy}; to start with an empty catalog, remove the copy",
            )
        if self._may_be_new:
            return
        orphans = self._orphans()
        if orphans and self._object.fetch() is None:  # another client can just have made it
            raise Gone(
                f"the catalog {self._place} is missing, but its artifacts are still in {orphans}",
                hint=f"{RESTORE}. To start again, name another place, or remove {orphans} first",
            )
        self._may_be_new = True

    def _open(self, copy: Copy) -> GuardedConnection:
        """Return a connection for reading."""
        if self._opened is None or self._opened[0] != copy.tag or not copy.tag:
            self._forget_opened()
            self._opened = copy.tag, *(self._on_disk(copy) or self._in_memory(copy))
        return self._opened[1]

    def _opened_schema(self) -> int:
        """Return the schema of the open stored catalog."""
        return self._opened[2] if self._opened is not None else SCHEMA

    def _on_disk(self, copy: Copy) -> tuple[GuardedConnection, int] | None:
        """Open the copy on disk, or an upgraded copy of it; return the connection and the original schema, or None."""
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
        """Open a writable copy with this release's schema; return the connection and the original schema."""
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
        data = (copy.whole(loaded=True) or self._fetch(lasting=False)).data or b""  # the file can vanish at any time
        if data[18:20] == b"\2\2":  # a file in WAL mode, uploaded by hand: change it to a rollback journal
            data = data[:18] + b"\1\1" + data[20:]
        return data

    def _put(self, data: bytes, tag: str) -> str:
        """Replace the object, and return the new tag; empty if another client was faster."""
        self._object.require_support(again=not tag)
        with self._untold(known=False):
            return self._object.swap(pack(data), tag)

    @contextlib.contextmanager
    def _untold(self, *, known: bool) -> Iterator[None]:
        """Let an error say that the outcome is unknown, unless it is known or the store refused the request."""
        try:
            yield
        except MregError as error:
            if not (known or isinstance(error, Gone) or self._object.was_refused(error)):
                error.message += "; it is unknown whether the change was made"
                error.hint = f"once it is available, check whether the change was made: mreg history; {error.hint}"
            raise


def _stamped(raw: GuardedConnection, mine: str) -> bytes:
    """Add the id of the write to the changed catalog, and return its file."""
    connection = SqliteConnection(raw)
    number = connection.insert("writes.insert", id=mine)
    connection.run("writes.forget", number=number)
    return raw.serialize()


def _pause(losses: int) -> float:
    """Return the seconds to wait after a number of lost races, at random between half of a bound and the bound.

    The bound grows at first to let others write, then shrinks, so that a writer that has lost often precedes new ones.
    It stays at `SHORTEST_PAUSE` or above, so that a writer that keeps losing sends a few requests per second.
    """
    doubled = FIRST_PAUSE * 2 ** min(losses - 1, DOUBLINGS)
    aged = LONGEST_PAUSE * AGING ** max(0, losses - 1 - DOUBLINGS)
    bound = min(doubled, max(aged, SHORTEST_PAUSE))
    return random.uniform(bound / 2, bound)  # noqa: S311  spreads out the losers of one race
