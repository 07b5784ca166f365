"""Connections to untrusted SQLite files.

SQLite is configured not to trust the schema. Signals can interrupt a statement. A statement ends with an error if it
takes more time or memory than any catalog of that size needs, or than mreg allows for a catalog of any size.
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
"""Number of SQLite virtual machine instructions between two checks of the clock: 1 to 10 ms."""

LONGEST_STEP = 0.1
"""Maximum seconds that are charged per step, so that the time of the caller between rows is not."""

SECONDS, SECONDS_PER_BYTE = 3.0, 1e-6
"""Time limit of all statements of a transaction: 3 s, plus 1 s for each MB of the file."""

MEMORY, MEMORY_PER_BYTE = 64 << 20, 16
"""Limit of the process's growth, in bytes, while a transaction collects rows: 64 MiB, plus 16 times the file size."""

MOST_SECONDS, MOST_MEMORY = 60.0, 512 << 20
"""Limits of time and memory for files of any size, since padding makes a file large for free, such as cloned zeros.

With a million versions in 100,000 models, `mreg list` takes 200 MiB and a few seconds; commands with ``--limit``, and
those on one version, take milliseconds.
"""

COPIED, COPIED_SLACK = 2, 1 << 20
"""Limit of the bytes of the rows that are copied from one table: 2 times the file size, plus 1 MiB.

In the file, a row needs at least its text and one byte for each column, except for columns that a migration added.
"""

LARGEST_VALUE = 32 << 20
"""Maximum bytes of a value or row. A version with 1,000 parameters of 5,000 characters each has an event of 6 MB."""

ROWS, FIRST_ROWS = 256, 4
"""Number of rows between two checks of the memory, fewer if rows can be large; and before the first check."""

STATM, STATM_BYTES = "/proc/self/statm", 200
"""Linux's file with the memory of the process in pages; the second number is the resident memory."""

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
"""Available from Python 3.12; with Python 3.11, only the settings and limits above apply."""


class _Stopped(threading.local):
    error: BaseException | None = None


_STOPPED = _Stopped()
"""Why a statement of this thread was stopped; the sqlite3 module discards exceptions of callbacks."""


class Guard:
    """Limits for the statements of a connection, per transaction.

    Args:
        place: Location of the catalog, for errors.
        size: Returns the size of the file without holes (`stored_size`); called only for long statements or many rows.
    """

    def __init__(self, place: str, size: Callable[[], int]) -> None:
        self._place, self._size = place, size
        self._bounded = True
        self._seconds = self._last = 0.0
        self._memory = -1

    def begin(self) -> None:
        """Reset the time and memory for a new transaction."""
        self._seconds, self._memory, self._bounded = 0.0, -1, True
        _STOPPED.error = None

    def lift(self) -> None:
        """Lift the time limit of the transaction, for a copy into a file that does not have its final size yet."""
        self._bounded = False

    def collect(self, cursor: sqlite3.Cursor) -> list[sqlite3.Row]:
        """Return all rows of a statement.

        Raises:
            Corrupt: The rows take more memory than the size of the file can explain.
            Unavailable: The rows take more memory than the limit for any file.
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
        """Yield the rows of a table; the time of the caller between rows does not count.

        Raises:
            Corrupt: The rows have more bytes than the file can explain.
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
        """Yield results of a progress handler: 0, or 1 to stop the statement, with the reason in `_STOPPED`.

        A generator resumes inside its ``try``, so it also catches exceptions that a signal handler raises on entry.
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
            f"the catalog {self._place} is damaged: reading it takes {what} than its {self._size():,} bytes explain",
            hint="restore a backup: mreg restore FILE (the artifacts are kept)",
            catalog=self._place,
        )

    def _too_much(self, what: str) -> Unavailable:
        return Unavailable(
            f"cannot read the catalog {self._place}: this takes more than {what}, the limit for any catalog",
            hint="read less with --limit 1000, or one model only; check the catalog: mreg doctor",
            catalog=self._place,
        )


class GuardedConnection(sqlite3.Connection):
    """A connection with a guard, which `connect` sets. Its statements wait for locks; see `mreg.catalog.turn`."""

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
                left = chain(tuple(current), remembered())  # retry from the failed row


def connect(
    database: str,
    place: str,
    size: Callable[[], int],
    *,
    uri: bool = False,
    seconds: float = 5.0,
    notice: Callable[[str], None] = lambda _text: None,
) -> GuardedConnection:
    """Return a guarded connection in autocommit mode, for any thread; nothing is read yet.

    Args:
        database: A path, or a ``file:`` URI.
        place: Location of the catalog, for errors.
        size: Returns the size of the file without holes.
        seconds: Maximum wait of a statement for locks.
        notice: Called with a message if a statement waits long.
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
    """If the guard stopped the statement that failed, raise the reason: the exception of a signal, or a limit."""
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
        found, _STOPPED.error = _STOPPED.error, None
        if found is not None:
            raise found from None


def file_size(path: str) -> int:
    """Return the size of a file in bytes; 0 if it does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def stored_size(path: str) -> int:
    """Return the bytes that a catalog and its log take on the disk, without holes."""
    real = os.path.realpath(path)  # SQLite puts the log next to the target of a link
    size = 0
    for name in (real, f"{real}-wal"):
        try:
            found = os.stat(name)
        except OSError:
            continue
        allocated = getattr(found, "st_blocks", 0) * 512  # the unit is 512 bytes on Linux and macOS
        size += min(found.st_size, allocated or found.st_size)  # some file systems report 0
    return size


def solid_size(data: bytes) -> int:
    """Return the size of a file in memory without its pages of zeros."""
    page = bytes(4096)
    return len(data) - len(page) * data.count(page)


@contextlib.contextmanager
def _measuring() -> Iterator[Callable[[], int]]:
    """Yield a function like `_memory` that needs only one system call per call on Linux."""
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
    """Return the resident memory of the process in bytes; on systems without `STATM`, the peak."""
    try:
        with open(STATM, "rb") as stream:
            return int(stream.read(STATM_BYTES).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        try:
            import resource
        except ImportError:
            return 0
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
