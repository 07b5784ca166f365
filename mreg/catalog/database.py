"""Database: the contract under the catalog, one per engine.

A database runs a function inside a transaction and nothing else. That the function may be run more than once, and so
must have no effect but its statements, is the one rule that lets a file, a server and a bucket share all code above.
"""

from __future__ import annotations

import abc
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

T = TypeVar("T")

Value = str | int | float | bytes | None
Row = Mapping[str, Value]


class Connection(abc.ABC):
    """Statements inside one transaction.

    A statement is named ``file.statement`` and stands in ``catalog/statements/file.sql``; parameters are named.
    """

    @abc.abstractmethod
    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        """Every row that the statement gives."""

    @abc.abstractmethod
    def one(self, statement_name: str, **values: Value) -> Row | None:
        """The first row, or None."""

    @abc.abstractmethod
    def run(self, statement_name: str, **values: Value) -> int:
        """Carry it out; how many rows it changed."""

    @abc.abstractmethod
    def insert(self, statement_name: str, **values: Value) -> int:
        """Carry out an insert into a table with a key of its own; that key."""

    @abc.abstractmethod
    def run_many(self, statement_name: str, rows: Iterable[Mapping[str, Value]]) -> None:
        """Carry it out once for each row of values."""

    @abc.abstractmethod
    def query(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        """Rows of a statement that was composed (a search); every value stands in ``values``, none in the text."""

    @abc.abstractmethod
    def stream(self, sql: str) -> Iterator[Row]:
        """The rows of a whole table, without holding all of them."""

    @abc.abstractmethod
    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """Insert many rows into a table, each in the order of the columns."""

    @abc.abstractmethod
    def clear(self, table: str) -> None:
        """Delete every row of a table."""

    @abc.abstractmethod
    def last_key(self, table: str) -> int:
        """The highest key that a table with keys of its own ever gave, also to a row that is gone; 0 for none."""

    @abc.abstractmethod
    def set_last_key(self, table: str, key: int) -> None:
        """Make the table's next key the one after this."""


def write_id() -> str:
    """An id of one write, kept with what it wrote, by which it is known again where the commit's answer was lost."""
    return os.urandom(12).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found in a catalog's place.

    Attributes:
        schema: Its number in that place; this release's if the catalog does not exist yet.
        damage: What the engine finds wrong, a line each; empty where nothing is.
        clock: The time by the engine's own clock (aware UTC); None where it has none but this machine's.
        leftovers: What dead processes left there.
        remarks: What a person should know.
    """

    schema: int
    damage: tuple[str, ...] = ()
    clock: datetime | None = None
    leftovers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeCheck:
    """What an upgrade of a catalog would meet.

    Attributes:
        schema: Its number in that place; this release's if the catalog does not exist yet.
        others: Active clients that could be older, a line each.
        caution: What the engine cannot know; empty if it knows.
    """

    schema: int
    others: tuple[str, ...] = ()
    caution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """A temporary object next to a catalog. Its client is active, or was killed.

    Attributes:
        name: By which the engine knows it.
        size: In bytes.
        modified: When it was made (aware UTC).
    """

    name: str
    size: int
    modified: datetime


class _Undone(Exception):
    """What a write is to be undone by."""


class Database(abc.ABC):
    """One catalog's tables, wherever they are kept.

    A catalog of an older schema stays unchanged: each read transaction works on an upgraded copy of it, and a write is
    refused until `upgrade`. A newer schema is refused untouched. Driver errors come out as `Unavailable` (can't be
    reached, permission, newer or older schema), `Conflict` (too busy) or `Corrupt` (damaged, or no catalog).
    """

    @abc.abstractmethod
    def read(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` gives, every statement of it seeing one and the same state."""

    @abc.abstractmethod
    def write(self, fn: Callable[[Connection], T]) -> T:
        """What ``fn`` gives, in a serialisable transaction that is durable when this returns.

        ``fn`` may be run more than once and must have no effect but its statements. Where it raises, nothing has
        changed. A crash leaves all of it or nothing.
        """

    @abc.abstractmethod
    def begin(self) -> None:
        """Raise, before bytes are stored that only this catalog will know of, if it cannot be written for its schema.

        Where a catalog that is gone could be mistaken for a new one it is made, empty: bytes without a catalog then
        tell that it is lost.
        """

    def permit_new(self) -> None:  # noqa: B027
        """Let the next write make it where nothing is, whatever tells that something was."""

    def try_writing(self) -> None:
        """Go as far as a write that is undone: what stands in the way of one is raised, and nothing has changed."""

        def undo(connection: Connection) -> None:
            connection.insert("writes.insert", id=write_id())
            raise _Undone

        with contextlib.suppress(_Undone):
            self.write(undo)

    @abc.abstractmethod
    def schema(self) -> int:
        """The number of the schema in that place; this release's if the catalog does not exist yet."""

    @abc.abstractmethod
    def check_upgrade(self) -> UpgradeCheck:
        """Look at what an upgrade would meet; changes nothing."""

    @abc.abstractmethod
    def upgrade(self) -> str:
        """Bring an older catalog to this release's schema in one transaction; where the backup of it is.

        The backup is made first. Empty if there was nothing to upgrade. A crash leaves the older schema or this one,
        and perhaps a backup.

        Raises:
            Conflict: An active client could be older, or the catalog changed meanwhile.
        """

    @abc.abstractmethod
    def examine(self) -> Examination:
        """Look at the place with what the engine has for it; changes nothing."""

    def abandoned(self) -> Iterator[Abandoned]:
        """The temporary objects of clients next to the catalog; most engines have none."""
        return iter(())

    def discard(self, abandoned: Abandoned) -> None:  # noqa: B027
        """Remove an object that `abandoned` found; does nothing if it is gone."""

    @abc.abstractmethod
    def set_aside(self) -> str:
        """Move a damaged catalog out of the way, so that the next write makes a new one; where it is now.

        Raises:
            Unavailable: It can't be moved.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of files and connections; does nothing a second time."""
