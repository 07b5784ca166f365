"""Database: the contract of a catalog's storage, with one implementation per engine.

A database runs functions in transactions. A function can run more than once, so it must have no effects besides its
statements. This rule lets a file, a server and a bucket share all other code.
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
    """Statements in a transaction.

    The statement ``file.name`` is in ``catalog/statements/file.sql``; parameters are named.
    """

    @abc.abstractmethod
    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        """Return all rows of a statement."""

    @abc.abstractmethod
    def one(self, statement_name: str, **values: Value) -> Row | None:
        """Return the first row of a statement, or None."""

    @abc.abstractmethod
    def run(self, statement_name: str, **values: Value) -> int:
        """Run a statement, and return the number of changed rows."""

    @abc.abstractmethod
    def insert(self, statement_name: str, **values: Value) -> int:
        """Insert a row into a table whose keys the database assigns, and return the key."""

    @abc.abstractmethod
    def run_many(self, statement_name: str, rows: Iterable[Mapping[str, Value]]) -> None:
        """Run a statement once for each row of values."""

    @abc.abstractmethod
    def query(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        """Return the rows of a composed statement, such as a search; all values are in ``values``, none in the SQL."""

    @abc.abstractmethod
    def stream(self, sql: str) -> Iterator[Row]:
        """Yield the rows of a table without loading all of them."""

    @abc.abstractmethod
    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        """Insert many rows, each with its values in the order of the columns."""

    @abc.abstractmethod
    def clear(self, table: str) -> None:
        """Delete all rows of a table."""

    @abc.abstractmethod
    def last_key(self, table: str) -> int:
        """Return the highest key that a table ever assigned, including those of deleted rows; 0 for none."""

    @abc.abstractmethod
    def set_last_key(self, table: str, key: int) -> None:
        """Set the last key of a table; the next row gets the key after it."""


def write_id() -> str:
    """Return a random id that is stored with a write, to find out whether it was committed if the response was lost."""
    return os.urandom(12).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """The result of checking a catalog.

    Attributes:
        schema: Number of the stored schema; this release's if the catalog does not exist yet.
        damage: Damage that the engine finds, one line each; empty if there is none.
        clock: Time of the engine's clock (aware UTC); None if it is this machine's.
        leftovers: Paths of files that dead processes left behind.
        remarks: Remarks for the user.
    """

    schema: int
    damage: tuple[str, ...] = ()
    clock: datetime | None = None
    leftovers: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeCheck:
    """The obstacles to an upgrade of a catalog.

    Attributes:
        schema: Number of the stored schema; this release's if the catalog does not exist yet.
        others: Active clients that could be an older mreg, one line each.
        caution: Limits of this check; empty if the list is complete.
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
    """Rolls back a write."""


class Database(abc.ABC):
    """The tables of a catalog.

    A catalog with an older schema is not changed: each read transaction uses an upgraded copy of it, and writes fail
    until `upgrade`. A catalog with a newer schema is neither read nor written. Driver errors become `Unavailable`
    (unreachable, permission, newer or older schema), `Conflict` (busy) or `Corrupt` (damaged, or not a catalog).
    """

    @abc.abstractmethod
    def read(self, fn: Callable[[Connection], T]) -> T:
        """Return the result of ``fn``, all of whose statements see the same state."""

    def state(self) -> object:
        """Return a value that differs after each change of the catalog, quickly and without waiting.

        None if only a read can tell. So what a read found after a state was returned holds as long as the state is the
        same.
        """
        return None

    @abc.abstractmethod
    def write(self, fn: Callable[[Connection], T]) -> T:
        """Run ``fn`` in a serializable transaction, and return its result when the transaction is durable.

        ``fn`` can run more than once, so it must have no effects besides its statements. If it raises, nothing is
        changed. A crash leaves all changes or none.
        """

    @abc.abstractmethod
    def begin(self) -> None:
        """Raise if the schema is older, before artifacts are stored that only this catalog will reference.

        If a lost catalog could be mistaken for a new one, an empty catalog is created now. Later, artifacts without a
        catalog show that it was lost.
        """

    def permit_new(self) -> None:  # noqa: B027
        """Let the next write create the catalog, even if there are signs that an earlier one was lost."""

    def try_writing(self) -> None:
        """Raise the error that a write would meet; a write is made and rolled back."""

        def undo(connection: Connection) -> None:
            connection.insert("writes.insert", id=write_id())
            raise _Undone

        with contextlib.suppress(_Undone):
            self.write(undo)

    @abc.abstractmethod
    def schema(self) -> int:
        """Return the number of the stored schema; this release's if the catalog does not exist yet."""

    @abc.abstractmethod
    def check_upgrade(self) -> UpgradeCheck:
        """Return the obstacles to an upgrade; changes nothing."""

    @abc.abstractmethod
    def upgrade(self) -> str:
        """Make a backup of an older catalog, and upgrade it in one transaction.

        Return the location of the backup; empty if there was nothing to upgrade. A crash leaves the older or the new
        schema, and possibly a backup.

        Raises:
            Conflict: An active client could be an older mreg, or the catalog was changed at the same time.
        """

    @abc.abstractmethod
    def examine(self) -> Examination:
        """Check the catalog with the means of its engine; changes nothing."""

    def remarks(self) -> tuple[str, ...]:
        """Return remarks for the user about the settings of the server, such as writes that it can lose."""
        return ()

    def abandoned(self) -> Iterator[Abandoned]:
        """The temporary objects of clients next to the catalog; most engines have none."""
        return iter(())

    def discard(self, abandoned: Abandoned) -> None:  # noqa: B027
        """Remove an object that `abandoned` found; does nothing if it is gone."""

    @abc.abstractmethod
    def set_aside(self) -> str:
        """Move a damaged catalog away, so that the next write creates a new one; return its new location.

        Raises:
            Unavailable: The catalog cannot be moved.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close files and connections; idempotent."""
