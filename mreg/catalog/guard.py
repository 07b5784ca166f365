"""Connections to SQLite files that another person may have prepared.

SQLite itself is told not to trust the schema. A statement gives way to signals, and ends with an error where the file
makes it take more time or memory than any catalog of that size needs, or than mreg gives to a catalog of any size.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, cast

from mreg.catalog.turn import Turn, is_worth_waiting
from mreg.errors import Corrupt, Unavailable
from mreg.files import close, open_file, read_at

STEP = 100_000
"""Instructions of SQLite's virtual machine between two looks at the clock: 1 to 10 ms."""

LONGEST_STEP = 0.1
"""Seconds that count at most for one step, so that the time that the reader of a row takes does not count."""

SECONDS, SECONDS_PER_BYTE = 3.0, 1e-6
"""The time of all statements of one transaction: 3 s, and 1 s for each MB of the file."""

MEMORY, MEMORY_PER_BYTE = 64 << 20, 16
"""Bytes by which the process may grow while one transaction collects rows: 64 MiB, and 16 for each of the file."""

MOST_SECONDS, MOST_MEMORY = 60.0, 512 << 20
"""The time and memory for a file of any size, which padding makes large for free: a clone of zeros, for example.

With a million versions in 100,000 models, `mreg list` takes 200 MiB and a few seconds; commands with ``--limit``, and
those on one version, take milliseconds.
"""

COPIED, COPIED_SLACK = 2, 1 << 20
"""How many times the bytes of the file the rows of one table may have that are copied, and how many more.

A row takes at least its text and one byte for each column in the file; columns that a migration added can be left out.
"""

LARGEST_VALUE = 32 << 20
"""Bytes of the largest value or row. A version with 1,000 parameters of 5,000 characters each has an event of 6 MB."""

ROWS, FIRST_ROWS = 256, 4
"""Rows that are collected between two looks at the memory, fewer where they can be large; and before the first look."""

STATM, STATM_BYTES = "/proc/self/statm", 200
"""Linux's file of the process's memory in pages; resident memory is the second number."""

# https://sqlite.org/security.html#untrusted_sqlite_database_files
SETTINGS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
LIMITS = {
    "SQLITE_LIMIT_LENGTH": LARGEST_VALUE,
    "SQLITE_LIMIT_ATTACHED": 0,
    "SQLITE_LIMIT_COLUMN": 200,
    "SQLITE_LIMIT_TRIGGER_DEPTH": 10,  # a cascade of foreign keys counts as triggers
    "SQLITE_LIMIT_WORKER_THREADS": 0,
}
DEFENSES = {
    "SQLITE_DBCONFIG_DEFENSIVE": True,
    "SQLITE_DBCONFIG_TRUSTED_SCHEMA": False,
    "SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION": False,
    "SQLITE_DBCONFIG_ENABLE_TRIGGER": False,
    "SQLITE_DBCONFIG_ENABLE_VIEW": False,
}
"""From Python 3.12 on; before it only the settings and limits above can be set."""


class _Stopped(threading.local):
    error: BaseException | None = None


_STOPPED = _Stopped()
"""Why the thread's statement was stopped; the sqlite3 module drops what its callbacks raise."""


class Guard:
    """The bounds of one connection's statements, transaction by transaction.

    Args:
        place: The catalog's, for errors.
        size: Bytes that its file really has (`stored_size`); called only where a statement takes long or has many rows.
    """

    def __init__(self, place: str, size: Callable[[], int]) -> None:
        self._place, self._size = place, size
        self._bounded = True
        self._seconds = self._last = 0.0
        self._memory = -1

    def begin(self) -> None:
        """Start the time and memory of a transaction."""
        self._seconds, self._memory, self._bounded = 0.0, -1, True
        _STOPPED.error = None

    def lift(self) -> None:
        """Let the transaction take any time: it copies a whole catalog into a file that does not have its size yet."""
        self._bounded = False

    def collect(self, cursor: sqlite3.Cursor) -> list[sqlite3.Row]:
        """Every row of a statement.

        Raises:
            Corrupt: They take more memory than the file can explain.
            Unavailable: They take more memory than a transaction may take.
        """
        rows = cast("list[sqlite3.Row]", cursor.fetchmany(FIRST_ROWS))
        if len(rows) < FIRST_ROWS:
            return rows
        size = self._size()
        if self._memory < 0:
            self._memory = _memory()
        count = max(FIRST_ROWS, min(ROWS, MEMORY // min(max(size, 1), LARGEST_VALUE)))
        with _measuring() as memory:
            while more := cursor.fetchmany(count):
                rows += more
                taken = memory() - self._memory if len(more) == count else 0
                if taken > MOST_MEMORY:
                    raise self._too_much(f"{MOST_MEMORY >> 20} MiB of memory")
                if taken > MEMORY + MEMORY_PER_BYTE * size:
                    raise self._excessive("more memory")
        return rows

    def copy(self, cursor: sqlite3.Cursor) -> Iterator[sqlite3.Row]:
        """The rows of one table, one at a time; the time that the reader takes for each of them does not count.

        Raises:
            Corrupt: They have more bytes than the file.
        """
        copied = known = 0
        while True:
            self._last = time.monotonic()
            row = cursor.fetchone()
            if row is None:
                return
            copied += len(row) + sum(len(value) for value in row if isinstance(value, str | bytes))
            if copied > known:
                known = COPIED * self._size() + COPIED_SLACK
                if copied > known:
                    raise self._excessive("more rows")
            yield cast("sqlite3.Row", row)

    def watch(self) -> Iterator[int]:
        """A progress handler: 0, or 1 where the statement must end, whose reason is then kept.

        A generator resumes inside its ``try`` and so also catches what a signal's handler raises on the way in.
        """
        stop = 0
        while True:
            try:
                yield stop
                while True:
                    now = time.monotonic()
                    self._seconds += min(now - self._last, LONGEST_STEP)
                    self._last = now
                    if self._bounded and self._seconds > SECONDS:
                        if self._seconds > MOST_SECONDS:
                            raise self._too_much(f"{MOST_SECONDS:g} s")
                        if self._seconds > SECONDS + SECONDS_PER_BYTE * self._size():
                            raise self._excessive("more time")
                    yield 0
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001  raised again by `raise_reason`
                _STOPPED.error, stop = error, 1

    def _excessive(self, what: str) -> Corrupt:
        return Corrupt(
            f"the catalog {self._place} is damaged: reading it takes {what} than {self._size():,} bytes explain",
            hint="mreg restore FILE brings a backup back; the artifacts are kept",
            catalog=self._place,
        )

    def _too_much(self, what: str) -> Unavailable:
        return Unavailable(
            f"the catalog {self._place} cannot be read: this takes more than {what}, the most for any catalog",
            hint="ask for less with --limit 1000, or for one model; mreg doctor tells whether the catalog is damaged",
            catalog=self._place,
        )


class GuardedConnection(sqlite3.Connection):
    """A connection with its guard, which `connect` sets. Its statements wait for locks; see `mreg.catalog.turn`."""

    guard: Guard
    turn: Callable[[], Turn]

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        turn: Turn | None = None
        while True:
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                turn = turn or self.turn()
                if not is_worth_waiting(error) or not turn.wait():
                    raise

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        turn: Turn | None = None
        source, current = iter(rows), list[Any]()

        def remembered() -> Iterator[Any]:
            for row in source:
                current[:] = [row]
                yield row

        left: Iterable[Any] = remembered()
        while True:
            try:
                return super().executemany(sql, left)
            except sqlite3.OperationalError as error:
                turn = turn or self.turn()
                if not is_worth_waiting(error) or not turn.wait():
                    raise
                left = chain(tuple(current), remembered())  # the row that failed is tried again


def connect(
    database: str,
    place: str,
    size: Callable[[], int],
    *,
    uri: bool = False,
    seconds: float = 5.0,
    notice: Callable[[str], None] = lambda _text: None,
) -> GuardedConnection:
    """A guarded connection in autocommit mode, for any thread; nothing is read yet.

    Args:
        database: A path, or a ``file:`` URI.
        place: The catalog's, for errors.
        size: Bytes that the file really has.
        seconds: How long a statement waits for locks.
        notice: Told of a statement that waits long.
    """
    raw = sqlite3.connect(
        database,
        uri=uri,
        timeout=0,  # `execute` waits
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=GuardedConnection,
    )
    try:
        raw.turn = lambda: Turn(place, seconds, notice)
        raw.row_factory = sqlite3.Row
        for name, limit in LIMITS.items():
            raw.setlimit(getattr(sqlite3, name), limit)
        configure = getattr(raw, "setconfig", None)
        if configure is not None:
            for name, value in DEFENSES.items():
                configure(getattr(sqlite3, name), value)
        for setting in SETTINGS:
            raw.execute(f"PRAGMA {setting}")
        raw.guard = Guard(place, size)
        watching = raw.guard.watch()
        next(watching)
        raw.set_progress_handler(watching.__next__, STEP)
    except BaseException:
        raw.close()
        raise
    return raw


def raise_reason(error: sqlite3.Error) -> None:
    """Raise why the guard stopped the statement that failed with this error: a signal's exception, or a limit."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
        found, _STOPPED.error = _STOPPED.error, None
        if found is not None:
            raise found from None


def file_size(path: str) -> int:
    """Bytes of a file; 0 where it is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def stored_size(path: str) -> int:
    """Bytes that a catalog and its log take on the disk: holes, which cost nothing, do not count."""
    real = os.path.realpath(path)  # SQLite keeps the log beside the file that a link leads to
    size = 0
    for name in (real, f"{real}-wal"):
        try:
            found = os.stat(name)
        except OSError:
            continue
        allocated = getattr(found, "st_blocks", 0) * 512  # POSIX leaves the unit open; it is 512 on Linux and macOS
        size += min(found.st_size, allocated or found.st_size)  # some file systems say 0
    return size


def solid_size(data: bytes) -> int:
    """Bytes of a file in memory without its pages of zeros."""
    page = bytes(4096)
    return len(data) - len(page) * data.count(page)


@contextlib.contextmanager
def _measuring() -> Iterator[Callable[[], int]]:
    """`_memory` for many looks, each of one system call where the system has the file for it."""
    try:
        descriptor = open_file(STATM)
        page = os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError):
        yield _memory
        return
    try:
        yield lambda: int(read_at(descriptor, STATM_BYTES, 0).split(None, 2)[1]) * page
    finally:
        close(descriptor)


def _memory() -> int:
    """Bytes that the process holds; where the system does not say so, the most that it ever held."""
    try:
        with open(STATM, "rb") as stream:
            return int(stream.read(STATM_BYTES).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        try:
            import resource
        except ImportError:
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
