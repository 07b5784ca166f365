"""SQLite functions that catalogs in files and in buckets share."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.guard import LARGEST_VALUE, GuardedConnection, connect, raise_reason
from mreg.catalog.schema import SCHEMA, check_copy_size, check_schema, definitions, difference, migration_statements
from mreg.catalog.statements import statement
from mreg.errors import Conflict, Corrupt, MregError, Unavailable

T = TypeVar("T")

APPLICATION_ID = 0x6D726567
"""``mreg`` in ASCII; in the file's header, it distinguishes a catalog from other SQLite files."""

CACHE_KIB = 2_000
"""Size of the page cache; SQLite's default."""

PAGES = 4_096
"""Number of pages that are copied between two checks for signals."""


class SqliteConnection(Connection):
    """Statements on one SQLite connection."""

    def __init__(self, raw: GuardedConnection) -> None:
        self._raw = raw

    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        return cast("list[Row]", self._raw.guard.collect(self._raw.execute(statement(statement_name), values)))

    def one(self, statement_name: str, **values: Value) -> Row | None:
        return cast("Row | None", self._raw.execute(statement(statement_name), values).fetchone())

    def run(self, statement_name: str, **values: Value) -> int:
        return self._raw.execute(statement(statement_name), values).rowcount

    def insert(self, statement_name: str, **values: Value) -> int:
        cursor = self._raw.execute(statement(statement_name), values)
        return cast("int", cursor.lastrowid)

    def run_many(self, statement_name: str, rows: Iterable[Mapping[str, Value]]) -> None:
        self._raw.executemany(statement(statement_name), rows)

    def query(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return cast("list[Row]", self._raw.guard.collect(self._raw.execute(sql, values)))

    def stream(self, sql: str) -> Iterator[Row]:
        yield from cast("Iterator[Row]", self._raw.guard.copy(self._raw.execute(sql)))

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        self._raw.guard.lift()
        marks = ", ".join("?" * len(columns))
        self._raw.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def clear(self, table: str) -> None:
        self._raw.execute(f"DELETE FROM {table}")

    def last_key(self, table: str) -> int:
        row = self._raw.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return int(row[0]) if row else 0

    def set_last_key(self, table: str, key: int) -> None:
        self._raw.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        self._raw.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, key))


def within(raw: GuardedConnection, begin: str, fn: Callable[[Connection], T]) -> T:
    """Run ``fn`` in a transaction, and return its result; if it raises, nothing is changed."""
    raw.guard.begin()
    raw.execute(begin)
    try:
        result = fn(SqliteConnection(raw))
        raw.execute("COMMIT")
    except BaseException as error:
        if raw.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                raw.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error):
            raise_reason(error)
        raise
    return result


def check_catalog(raw: GuardedConnection, place: str) -> int:
    """Return the schema number of an open catalog, if this release supports it.

    The file is not used before its schema is compared with mreg's, since a view or trigger in it would run.

    Raises:
        Corrupt: The file is not a catalog, or does not have the tables of its schema.
        Unavailable: The schema is newer.
    """
    raw.guard.begin()
    raw.execute("BEGIN")  # read the number and the tables in one state
    # The next two queries read only the header, so that other SQLite files stop here.
    if raw.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise Corrupt(
            f"{place} is a SQLite file, but not an mreg catalog",
            hint="name another file: catalog: in the profile, or MREG_CATALOG",
        )
    schema = check_schema(int(raw.execute("PRAGMA user_version").fetchone()[0]), place)
    have = raw.guard.collect(raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    found = "" if schema > 0 else f"it has schema {schema}"
    found = found or difference([tuple(row) for row in have], definitions(schema))
    if not found and raw.execute("PRAGMA encoding").fetchone()[0] != "UTF-8":
        found = "its text is not UTF-8"
    if found:
        raise damaged(place, f"does not have the schema of an mreg catalog: {found}")
    raw.execute("COMMIT")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute(f"PRAGMA cache_size = -{CACHE_KIB}")  # the file's header can have another size
    return schema


def empty_catalog() -> GuardedConnection:
    """Return an empty catalog in memory."""
    raw = connect(":memory:", "in memory", lambda: 0)
    migrate(raw)
    return raw


def migrate(raw: sqlite3.Connection, schema: int = 0, to: int | None = None) -> None:
    """Upgrade a catalog in one transaction; a crash leaves the schema unchanged.

    Args:
        schema: Current schema; 0 for an empty database.
        to: New schema (default: `SCHEMA`).
    """
    last = SCHEMA if to is None else to
    if schema >= last:
        return
    raw.execute("BEGIN IMMEDIATE")
    try:
        for number in range(schema + 1, last + 1):
            for sql in migration_statements(number):
                raw.execute(sql)
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        raw.execute(f"PRAGMA user_version = {last}")
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def temporary_catalog(place: str, size: int) -> GuardedConnection:
    """Return an empty database for a copy; SQLite stores the pages beyond its cache in an anonymous file.

    Args:
        place: Location of the original, for errors.
        size: Size of the original in bytes.
    """
    return connect("", place, lambda: size)


def upgraded_copy(source: GuardedConnection, place: str) -> GuardedConnection:
    """Return a copy of an older catalog with this release's schema; the original is not changed.

    Raises:
        Unavailable: The catalog is too large to be copied for each transaction.
    """
    source.guard.begin()
    source.execute("BEGIN")
    try:
        schema = source.execute("PRAGMA user_version").fetchone()[0]
        size = source.execute("PRAGMA page_count").fetchone()[0] * source.execute("PRAGMA page_size").fetchone()[0]
        check_copy_size(size, schema, place)
        copy = temporary_catalog(place, size)
        try:
            copy_pages(source, copy)
            migrate(copy, check_catalog(copy, place))
        except BaseException:
            copy.close()
            raise
        return copy
    finally:
        if source.in_transaction:
            source.execute("ROLLBACK")


def be_durable(raw: sqlite3.Connection, *, network: bool = False) -> None:
    """Make commits of a connection durable.

    The fullfsync settings have an effect on macOS only, where data otherwise can stay in the cache of the drive. See
    https://sqlite.org/pragma.html#pragma_fullfsync and ``pragma_checkpoint_fullfsync``.
    """
    raw.execute(f"PRAGMA synchronous = {'EXTRA' if network else 'FULL'}")
    raw.execute("PRAGMA fullfsync = ON")
    raw.execute("PRAGMA checkpoint_fullfsync = ON")


def copy_pages(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy a database page by page; a signal can interrupt it."""
    source.backup(target, pages=PAGES, progress=lambda *_: None)


def damages(raw: sqlite3.Connection) -> tuple[str, ...]:
    """Return the damage that SQLite finds in its file, and rows with dangling references; empty if there is none.

    `check_catalog` finds missing tables and columns.
    """
    found = [str(row[0]) for row in raw.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    if not found:
        found = [
            f"a row of {row[0]} refers to a missing row of {row[2]}"
            for row in raw.execute("PRAGMA foreign_key_check").fetchmany(20)
        ]
    return tuple(found)


def columns(raw: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """Return the columns of all tables of a catalog, as pairs of table and column."""
    sql = (
        "SELECT t.name, c.name FROM sqlite_master t JOIN pragma_table_info(t.name) c "
        "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
    )
    return frozenset((str(row[0]), str(row[1])) for row in raw.execute(sql))


@contextlib.contextmanager
def translated(place: str, busy_seconds: float = 0) -> Iterator[None]:
    """Translate SQLite's errors to those of mreg."""
    try:
        yield
    except MregError:
        raise
    except sqlite3.Error as error:
        raise_reason(error)
        raise _translation(error, place, busy_seconds) from error
    except UnicodeDecodeError as error:  # from a value, or from a SQLite message that quotes the file
        raise damaged(place, "is damaged: its text is not UTF-8") from error


def unreachable(
    place: str, why: str, hint: str = "fix its permissions, or use another catalog: mreg profile list"
) -> Unavailable:
    """Return the error for a catalog that cannot be used."""
    return Unavailable(f"cannot use the catalog {place}: {why}", hint=hint)


def _translation(error: sqlite3.Error, place: str, busy_seconds: float) -> MregError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Conflict(
            f"the catalog {place} is busy: other processes were writing for {busy_seconds:g} s",
            hint="nothing was changed; try again",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT):
        what = "is not a SQLite file" if code == sqlite3.SQLITE_NOTADB else f"is damaged: {error}"
        return damaged(place, what)
    if code == sqlite3.SQLITE_TOOBIG:
        return damaged(place, f"is damaged: a value in it has more than {LARGEST_VALUE >> 20} MiB")
    if code == sqlite3.SQLITE_FULL:
        return unreachable(place, "the disk is full", "free some space there; nothing was changed")
    if code == sqlite3.SQLITE_READONLY:
        return unreachable(place, "it is not writable")
    if code == sqlite3.SQLITE_IOERR:
        return unreachable(place, str(error), "check the disk: it is full or failing; nothing was changed")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return unreachable(
            place, str(error), "check that its folder is writable, or use another catalog: mreg profile list"
        )
    return damaged(place, f"does not respond like a catalog: {error}")


def damaged(place: str, what: str) -> Corrupt:
    """Return the error for a catalog with invalid content."""
    return Corrupt(
        f"the catalog {place} {what}",
        hint="restore a backup: mreg restore FILE (the artifacts are kept)",
        catalog=place,
    )
