"""A catalog in a SQLite file.

The file is in WAL mode, so that readers and one writer do not wait for each other, and every transaction is on the disk
when it is reported done (``synchronous=FULL``). SQLite's own recovery makes a killed writer's transaction undone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, cast
from urllib.parse import quote

from mreg.catalog.database import Connection, Database, Row, Value
from mreg.catalog.statements import statement
from mreg.errors import Conflict, Corrupt, MregError, Unavailable

T = TypeVar("T")

APPLICATION_ID = 0x6D726567
"""``mreg`` in ASCII, in the file's header: by this a catalog is told from other SQLite files."""

SCHEMA = 3
"""The schema that this release writes; the number of the last migration."""

BUSY_SECONDS = 60.0
"""How long a writer waits for its turn."""


class SqliteConnection(Connection):
    """Statements on one SQLite connection."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        return cast("list[Row]", self._raw.execute(statement(statement_name), values).fetchall())

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
        return cast("list[Row]", self._raw.execute(sql, values).fetchall())


class SqliteDatabase(Database):
    """The catalog in one file, which the first write makes.

    Args:
        path: The file. Reading one that does not exist yet finds an empty catalog and makes nothing.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path = os.fspath(path)
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._lasting = False  # whether the open connection is on the file, and may write

    def read(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, self._translated():
            return self._within(self._open(write=False), "BEGIN", fn)

    def write(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, self._translated():
            return self._within(self._open(write=True), "BEGIN IMMEDIATE", fn)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _within(self, raw: sqlite3.Connection, begin: str, fn: Callable[[Connection], T]) -> T:
        raw.execute(begin)
        try:
            result = fn(SqliteConnection(raw))
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    raw.execute("ROLLBACK")
            raise
        return result

    def _open(self, *, write: bool) -> sqlite3.Connection:
        if self._connection is not None and (self._lasting or (not write and not os.path.exists(self._path))):
            return self._connection
        self.close()
        if not self._is_there():
            if not write:
                self._connection, self._lasting = self._empty(), False
                return self._connection
            self._create()
        self._connection, self._lasting = self._open_file(write=write)
        return self._connection

    def _is_there(self) -> bool:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            if os.path.islink(self._path):
                raise Unavailable(f"the catalog {self._path} is a link to nothing") from None
            return False
        except NotADirectoryError:
            raise Unavailable(f"the catalog {self._path} can't be there: a part of its path is a file") from None
        except (OSError, ValueError) as error:
            raise self._unreachable(getattr(error, "strerror", None) or str(error)) from error
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise Unavailable(
                f"the catalog {self._path} is {what}", hint="name a file: catalog: .../catalog.db in the profile"
            )
        if found.st_size == 0:
            raise Corrupt(
                f"the catalog {self._path} is empty, which no catalog ever is",
                hint="restore it from a backup; if it never was a catalog, remove it",
            )
        return True

    def _connect(self, options: str) -> sqlite3.Connection:
        raw = sqlite3.connect(
            f"file:{quote(self._path)}?{options}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        raw.row_factory = sqlite3.Row
        return raw

    def _open_file(self, *, write: bool) -> tuple[sqlite3.Connection, bool]:
        """A checked connection, and whether it may write; a reader of a file that can't be written gets what can be."""
        try:
            return self._checked(self._connect("mode=rw")), True
        except sqlite3.OperationalError as error:
            if write or error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
        # In a folder that can't be written SQLite can't share a log with writers. Without a log nothing is pending, and
        # the file may be read as it is.
        options = "mode=ro" if os.path.exists(f"{self._path}-wal") else "mode=ro&immutable=1"
        return self._checked(self._connect(options)), False

    def _checked(self, raw: sqlite3.Connection) -> sqlite3.Connection:
        try:
            # One statement for both: what is read is the header, and a file of something else stops here.
            found = raw.execute("SELECT * FROM pragma_application_id, pragma_user_version").fetchone()
            application, schema = found[0], found[1]
            if application != APPLICATION_ID:
                raise Corrupt(
                    f"{self._path} is a SQLite file, but not an mreg catalog",
                    hint="name another file: catalog: in the profile, or MREG_CATALOG",
                )
            if schema > SCHEMA:
                raise Unavailable(
                    f"the catalog {self._path} has schema {schema}, newer than this mreg understands ({SCHEMA})",
                    hint="pip install --upgrade mreg",
                )
            raw.execute("PRAGMA foreign_keys = ON")
            raw.execute("PRAGMA synchronous = FULL")
            if schema < SCHEMA:
                migrate(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    def _empty(self) -> sqlite3.Connection:
        raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        raw.row_factory = sqlite3.Row
        migrate(raw)
        return raw

    def _create(self) -> None:
        """Make the catalog whole beside its place, then link it there; of several makers one wins, and all go on."""
        folder = os.path.dirname(os.path.abspath(self._path))
        partial = os.path.join(folder, f".{os.path.basename(self._path)}.{os.urandom(6).hex()}.tmp")
        try:
            os.makedirs(folder, exist_ok=True)
            raw = sqlite3.connect(partial, isolation_level=None)
            try:
                raw.execute(f"PRAGMA journal_mode = {self._journal_mode()}")
                raw.execute("PRAGMA synchronous = FULL")
                migrate(raw)
            finally:
                raw.close()  # the last connection to go brings the log into the file and removes it
            place_new_file(partial, self._path)
        except OSError as error:
            raise Unavailable(
                f"the catalog {self._path} can't be made: {error.strerror}",
                hint="mend the folder's permissions, or name another place: mreg profile list",
            ) from error
        finally:
            for leftover in (partial, f"{partial}-wal", f"{partial}-shm", f"{partial}-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(leftover)

    def _journal_mode(self) -> str:
        return "WAL"

    def _unreachable(self, why: str, hint: str = "mend its permissions, or see mreg profile list") -> Unavailable:
        return Unavailable(f"the catalog {self._path} can't be used: {why}", hint=hint)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MregError:
            raise
        except sqlite3.Error as error:
            raise self._translation(error) from error

    def _translation(self, error: sqlite3.Error) -> MregError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Conflict(
                f"the catalog {self._path} is busy: others were writing for {self._busy_seconds:g} s",
                hint="nothing was changed; try again",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT):
            what = "is no SQLite file" if code == sqlite3.SQLITE_NOTADB else f"is damaged: {error}"
            return Corrupt(f"the catalog {self._path} {what}", hint="restore it from a backup; the artifacts are kept")
        if code == sqlite3.SQLITE_FULL:
            return self._unreachable("the disk is full", "free some space there; nothing was changed")
        if code == sqlite3.SQLITE_READONLY:
            return self._unreachable("it can't be written")
        if code == sqlite3.SQLITE_IOERR:
            return self._unreachable(str(error), "is the disk full or failing? nothing was changed")
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return self._unreachable(str(error), "may its folder be written? or see mreg profile list")
        return Corrupt(
            f"the catalog {self._path} does not answer as a catalog does: {error}",
            hint="restore it from a backup; the artifacts are kept",
        )


def migrate(raw: sqlite3.Connection) -> None:
    """Bring a catalog, an empty one too, to `SCHEMA`: each step and its number in one transaction.

    Several clients may do this at once, and a killed one leaves the schema before its step.
    """
    for number in range(1, SCHEMA + 1):
        raw.execute("BEGIN IMMEDIATE")
        try:
            if raw.execute("PRAGMA user_version").fetchone()[0] == number - 1:
                for sql in migration_statements(number):
                    raw.execute(sql)
                raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                raw.execute(f"PRAGMA user_version = {number}")
            raw.execute("COMMIT")
        except BaseException:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise


def migration_statements(number: int) -> Iterator[str]:
    """The statements of one migration, in order."""
    folder = os.path.join(os.path.dirname(__file__), "migrations")
    file = next(name for name in sorted(os.listdir(folder)) if name.startswith(f"{number:04d}_"))
    with open(os.path.join(folder, file), encoding="utf-8") as stream:
        pending = ""
        for line in stream:
            pending += line
            if sqlite3.complete_statement(pending):
                yield pending
                pending = ""


def place_new_file(partial: str, path: str) -> None:
    """Give a finished file its name unless the name is taken, durably; the partial name may stay."""
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        try:
            os.link(partial, path)
        except FileExistsError:
            return
        except OSError:
            # A file system without links: renaming could replace what another maker has just put there, so one at a
            # time, by a lock that dies with its process.
            with contextlib.suppress(ImportError, OSError):
                import fcntl

                fcntl.flock(folder, fcntl.LOCK_EX)
            if not os.path.exists(path):
                os.rename(partial, path)
        os.fsync(folder)
    finally:
        os.close(folder)
