"""A catalog in a SQLite file.

The file is in WAL mode, so that readers and one writer do not wait for each other, and every transaction is on the disk
when it is reported done (``synchronous=FULL``). SQLite's own recovery makes a killed writer's transaction undone. On a
network file system, where a write-ahead log can't be shared, it has a rollback journal.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from mreg.catalog.database import Connection, Database, Examination
from mreg.catalog.embedded import check_catalog, damages, empty_catalog, migrate, translated, unreachable, within
from mreg.catalog.filesystem import network_type
from mreg.catalog.guard import GuardedConnection, connect, file_size, stored_size
from mreg.catalog.journals import JOURNAL, LOG, check_journals
from mreg.errors import Conflict, Corrupt, Unavailable
from mreg.folders import make_folders

T = TypeVar("T")

BUSY_SECONDS = 60.0
"""How long a writer waits for its turn."""


class SqliteDatabase(Database):
    """The catalog in one file, which the first write makes.

    Args:
        path: The file. Reading one that does not exist yet finds an empty catalog and makes nothing.
        private: The folder of the file, or one above it, that is made for its owner alone; empty for none.
    """

    def __init__(self, path: str | os.PathLike[str], *, busy_seconds: float = BUSY_SECONDS, private: str = "") -> None:
        self._path = os.fspath(path)
        self._private = private
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()
        self._connection: GuardedConnection | None = None
        self._identity: tuple[int, int] | None = None
        self._lasting = False  # whether the open connection is on the file, and may write

    def read(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, translated(self._path, self._busy_seconds):
            return within(self._open(write=False), "BEGIN", fn)

    def write(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, translated(self._path, self._busy_seconds):
            return within(self._open(write=True), "BEGIN IMMEDIATE", fn)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def try_writing(self) -> None:
        with self._lock:
            if self._is_there():
                super().try_writing()
                return
        folder = os.path.dirname(os.path.abspath(self._path))
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
            raise unreachable(self._path, f"it is not there yet, and {folder} can't be written")

    def examine(self) -> Examination:
        with self._lock, translated(self._path, self._busy_seconds):
            raw = self._open(write=False)
            folder, name = os.path.split(self._path)
            beside = os.listdir(folder) if os.path.isdir(folder) else []
            network = network_type(self._path)
            return Examination(
                schema=raw.execute("PRAGMA user_version").fetchone()[0],
                damage=damages(raw),
                leftovers=tuple(
                    os.path.join(folder, one) for one in sorted(beside) if one.startswith(f".{name}.") and ".tmp" in one
                ),
                remarks=(f"it is on {network}: a rollback journal, slower, for few writers",) if network else (),
            )

    def set_aside(self) -> str:
        with self._lock:
            self.close()
            aside = f"{self._path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S}"
            try:
                os.rename(self._path, aside)
                for log in ("-wal", "-shm", "-journal"):
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(f"{self._path}{log}", f"{aside}{log}")
            except OSError as error:
                raise unreachable(self._path, error.strerror or str(error)) from error
            return aside

    def _open(self, *, write: bool) -> GuardedConnection:
        if self._connection is not None and self._is_current(write=write):
            return self._connection
        self.close()
        if not self._is_there():
            if not write:
                self._connection, self._lasting = empty_catalog(), False
                return self._connection
            self._create()
        self._connection, self._lasting = self._open_file(write=write)
        self._identity = self._look()
        return self._connection

    def _is_current(self, *, write: bool) -> bool:
        """Whether the open connection is on what stands at the path now.

        Raises:
            Unavailable: The file went while it was open, and with it all that would be written to it.
        """
        if not self._lasting:
            return not write and not os.path.exists(self._path)
        now = self._look()
        if now is None:
            raise Unavailable(
                f"the catalog {self._path} is gone since it was opened", hint="put it back, or mreg restore FILE"
            )
        return now == self._identity

    def _look(self) -> tuple[int, int] | None:
        """By what the file at the path is told from another one that takes its place; None where there is none."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

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
            raise unreachable(self._path, getattr(error, "strerror", None) or str(error)) from error
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise Unavailable(
                f"the catalog {self._path} is {what}", hint="name a file: catalog: .../catalog.db in the profile"
            )
        if found.st_size == 0:
            raise Corrupt(
                f"the catalog {self._path} is empty, which no catalog ever is",
                hint="mreg restore FILE brings a backup back; if it never was a catalog, remove it",
            )
        return True

    def _connect(self, options: str) -> GuardedConnection:
        path = self._path
        return connect(
            f"file:{quote(os.fsencode(path))}?{options}",
            path,
            lambda: stored_size(path),
            uri=True,
            seconds=self._busy_seconds,
        )

    def _open_file(self, *, write: bool) -> tuple[GuardedConnection, bool]:
        """A checked connection, and whether it may write; a reader of a file that can't be written gets what can be."""
        real = os.path.realpath(self._path)  # SQLite keeps a journal beside the file that a link leads to
        check_journals(real)
        try:
            return self._checked(self._connect("mode=rw")), True
        except sqlite3.OperationalError as error:
            if write or getattr(error, "sqlite_errorcode", 0) & 0xFF not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
            ):
                raise
        # In a folder that can't be written SQLite can't share a log with writers. Without a log or a journal nothing is
        # pending, and the file may be read as it is.
        pending = os.path.lexists(f"{real}{LOG}") or file_size(f"{real}{JOURNAL}") > 0
        return self._checked(self._connect("mode=ro" if pending else "mode=ro&immutable=1")), False

    def _checked(self, raw: GuardedConnection) -> GuardedConnection:
        try:
            schema = check_catalog(raw, self._path)
            self._keep_safe(raw)
            migrate(raw, schema)
        except BaseException:
            raw.close()
            raise
        return raw

    def _keep_safe(self, raw: sqlite3.Connection) -> None:
        """What is committed is on the disk; on a network file system without a log that machines can't share."""
        network = network_type(self._path)
        raw.execute(f"PRAGMA synchronous = {'EXTRA' if network else 'FULL'}")
        if network and raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            # A file that was made elsewhere and brought here. The change needs the file for itself.
            try:
                mode = raw.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                mode = "wal"  # it is not waited for: whoever has it open may have it for long
            if mode != "delete":
                raise Conflict(
                    f"the catalog {self._path} is on {network} with a log that machines can't share, and is in use",
                    hint="end the other commands on it, then try again",
                )

    def _create(self) -> None:
        """Make the catalog whole beside its place, then link it there; of several makers one wins, and all go on."""
        folder = os.path.dirname(os.path.abspath(self._path))
        partial = os.path.join(folder, f".{os.path.basename(self._path)}.{os.urandom(6).hex()}.tmp")
        try:
            make_folders(folder, self._private)
            raw = sqlite3.connect(partial, isolation_level=None)
            try:
                network = network_type(folder)
                raw.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
                raw.execute(f"PRAGMA synchronous = {'EXTRA' if network else 'FULL'}")
                migrate(raw)
            finally:
                raw.close()  # the last connection to go brings the log into the file and removes it
            _place_new_file(partial, self._path)
        except OSError as error:
            raise Unavailable(
                f"the catalog {self._path} can't be made: {error.strerror}",
                hint="mend the folder's permissions, or name another place: mreg profile list",
            ) from error
        finally:
            for leftover in (partial, f"{partial}-wal", f"{partial}-shm", f"{partial}-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(leftover)


def _place_new_file(partial: str, path: str) -> None:
    """Give a finished catalog its name unless another maker was faster, durably; the partial name may stay."""
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
