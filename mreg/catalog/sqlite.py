"""A catalog in a SQLite file.

The file is in WAL mode, so that readers and one writer do not wait for each other, and every transaction is on the disk
when it is reported done (``synchronous=FULL``). SQLite's own recovery makes a killed writer's transaction undone. On a
network file system, where a write-ahead log can't be shared, it has a rollback journal.

Threads read side by side, each on its own connection. One thread of a process writes at a time.
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

from mreg.catalog.access import BESIDE, check_access, is_writable
from mreg.catalog.database import Connection, Database, Examination, UpgradeCheck
from mreg.catalog.embedded import (
    be_durable,
    check_catalog,
    damages,
    empty_catalog,
    migrate,
    translated,
    unreachable,
    upgraded_copy,
    within,
)
from mreg.catalog.filesystem import network_type
from mreg.catalog.guard import GuardedConnection, connect, stored_size
from mreg.catalog.journals import check_journals
from mreg.catalog.readers import Connections, Slot
from mreg.catalog.schema import SCHEMA, refuse_older
from mreg.catalog.snapshot import TRIES, busy, taken
from mreg.durability import sync_file, sync_folder
from mreg.errors import Conflict, Corrupt, MregError, Unavailable
from mreg.files import CREATE, close, lacks_links, link, lock, open_file, opened_folder, rename_new, unlink
from mreg.folders import make_folders
from mreg.sharing import adopt, adopt_beside, may, why_not

T = TypeVar("T")

BUSY_SECONDS = 60.0
"""How long a writer waits for its turn."""


class SqliteDatabase(Database):
    """The catalog in one file, which the first write makes.

    Args:
        path: The file. Reading one that does not exist yet finds an empty catalog and makes nothing.
        private: The folder of the file, or one above it, that is made for its owner alone; empty for none. A catalog
            there is its owner's, so the first write upgrades it; any other is upgraded by `upgrade` alone.
        notice: Takes what a person should know: that another writer is waited for, that the catalog was upgraded.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_seconds: float = BUSY_SECONDS,
        private: str = "",
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._path = os.fspath(path)
        self._private = private
        self._notice = notice
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()  # of the thread that writes
        self._connections = Connections()
        self._found = False  # whether the file was there when it was opened

    def read(self, fn: Callable[[Connection], T]) -> T:
        with translated(self._path, self._busy_seconds), self._connections.taken() as slot:
            for _ in range(TRIES):
                try:
                    result = within(self._open(slot, write=False), "BEGIN", fn)
                except (sqlite3.DatabaseError, MregError):
                    if slot.snapshot is None or slot.snapshot.is_whole():
                        raise
                else:
                    if slot.snapshot is None or slot.snapshot.is_whole():
                        return result
            raise busy(self._path)

    def write(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, translated(self._path, self._busy_seconds), self._connections.taken() as slot:
            return within(self._open(slot, write=True), "BEGIN IMMEDIATE", fn)

    def close(self) -> None:
        with self._lock:
            self._connections.close()
            self._found = False

    def begin(self) -> None:
        with self._lock, translated(self._path, self._busy_seconds):
            if self._is_there():
                with self._connections.taken() as slot:
                    self._open(slot, write=True)

    def schema(self) -> int:
        return self._on_file(lambda _raw, schema: schema)

    def check_upgrade(self) -> UpgradeCheck:
        with self._lock, translated(self._path, self._busy_seconds):
            schema = self.schema()
            if schema == SCHEMA:
                return UpgradeCheck(schema=schema)
            try:
                self._take().close()
            except Conflict:
                return UpgradeCheck(schema=schema, others=("another process has the file open",))
            except sqlite3.OperationalError as error:
                if not _is_read_only(error):
                    raise
                caution = "you cannot write the file; whether other processes have it open is unknown"
                return UpgradeCheck(schema=schema, caution=caution)
            network = network_type(self._path)
            caution = f"it is on {network}: idle clients on other machines cannot be seen" if network else ""
            return UpgradeCheck(schema=schema, caution=caution)

    def upgrade(self) -> str:
        from mreg.catalog.sqlite_upgrade import upgrade_file

        with self._lock, translated(self._path, self._busy_seconds):
            if not self._is_there():
                return ""
            check_access(os.path.realpath(self._path), write=True)
            with contextlib.closing(self._take()) as raw:
                return upgrade_file(raw, self._path)

    def _take(self) -> GuardedConnection:
        """A connection that has the file exclusively.

        Raises:
            Conflict: Another process, or another thread of this one, has it open.
        """
        from mreg.catalog.sqlite_upgrade import EXCLUSIVE_SECONDS, take_exclusively

        self._connections.close()
        check_journals(os.path.realpath(self._path))
        raw = self._connect("mode=rw", min(self._busy_seconds, EXCLUSIVE_SECONDS))
        try:
            take_exclusively(raw, self._path)
        except BaseException:
            raw.close()
            raise
        return raw

    def try_writing(self) -> None:
        with self._lock:
            if self._is_there():
                if self._private and self.schema() < SCHEMA:
                    self._try_upgrading()
                else:
                    super().try_writing()
                return
        folder = os.path.dirname(os.path.abspath(self._path))
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
            raise unreachable(self._path, f"it is not there yet, and {folder} can't be written")

    def _try_upgrading(self) -> None:
        """Raise what stands in the way of the upgrade that the next write makes."""
        with translated(self._path, self._busy_seconds), contextlib.closing(self._connect("mode=rw")) as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("ROLLBACK")

    def examine(self) -> Examination:
        def look(raw: GuardedConnection, schema: int) -> Examination:
            folder, name = os.path.split(self._path)
            beside = os.listdir(folder) if os.path.isdir(folder) else []
            network = network_type(self._path)
            return Examination(
                schema=schema,
                damage=damages(raw),
                leftovers=tuple(
                    os.path.join(folder, one) for one in sorted(beside) if one.startswith(f".{name}.") and ".tmp" in one
                ),
                remarks=(f"it is on {network}: a rollback journal, slower, for few writers",) if network else (),
            )

        return self._on_file(look)

    def _on_file(self, fn: Callable[[GuardedConnection, int], T]) -> T:
        """Return what ``fn`` gives for a connection on the file, whatever its schema, and that schema."""
        with translated(self._path, self._busy_seconds):
            if not self._is_there():
                self._refuse_gone()
                with contextlib.closing(empty_catalog()) as raw:
                    return fn(raw, SCHEMA)
            for _ in range(TRIES):
                slot = Slot(0)
                with contextlib.closing(slot):
                    raw, schema = self._open_file(slot, write=False)
                    slot.raw = raw
                    result = fn(raw, schema)
                    if slot.snapshot is None or slot.snapshot.is_whole():
                        return result
            raise busy(self._path)

    def set_aside(self) -> str:
        with self._lock:
            self.close()
            aside = f"{self._path}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            try:
                os.rename(self._path, aside)
                for log in ("-wal", "-shm", "-journal"):
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(f"{self._path}{log}", f"{aside}{log}")
            except OSError as error:
                raise unreachable(self._path, error.strerror or str(error)) from error
            return aside

    def _open(self, slot: Slot, *, write: bool) -> GuardedConnection:
        """A connection to what is at the path now, for a transaction; of an older catalog a copy if it is for reading.

        Raises:
            Unavailable: The file went while it was open, and with it all that would be written to it. Or the schema is
                older, and the transaction is to write.
        """
        now = self._look()
        if now is None:
            self._refuse_gone()
        if slot.raw is not None and (now == slot.identity if slot.lasting else not write and now is None):
            return slot.raw
        slot.close()
        if not self._is_there():
            if not write:
                slot.raw, slot.lasting = empty_catalog(), False
                return slot.raw
            self._create()
        raw, schema = self._open_file(slot, write=write)
        if schema < SCHEMA:
            slot.lasting = False
            with contextlib.closing(raw):
                if not write:
                    slot.raw = upgraded_copy(raw, self._path)
                    return slot.raw
            self._upgrade_own(schema)
            raw, _ = self._open_file(slot, write=write)
        slot.raw = raw
        slot.identity = self._look()
        self._found = True
        return raw

    def _refuse_gone(self) -> None:
        if self._found:
            raise Unavailable(
                f"the catalog {self._path} is gone since it was opened", hint="put it back, or mreg restore FILE"
            )

    def _upgrade_own(self, schema: int) -> None:
        """Upgrade the catalog in its owner's default place, before the first write.

        Raises:
            Unavailable: It is elsewhere.
            Conflict: Another process has it open.
        """
        if not self._private:
            refuse_older(schema, self._path)
        backup = self.upgrade()
        if backup:
            self._notice(f"upgraded the catalog {self._path} from schema {schema} to {SCHEMA}; backup: {backup}")

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

    def _connect(self, options: str, seconds: float | None = None) -> GuardedConnection:
        path = self._path
        return connect(
            options if options.startswith("file:") else f"file:{quote(os.fsencode(path))}?{options}",
            path,
            lambda: stored_size(path),
            uri=True,
            seconds=self._busy_seconds if seconds is None else seconds,
            notice=self._notice,
        )

    def _open_file(self, slot: Slot, *, write: bool) -> tuple[GuardedConnection, int]:
        """A checked connection and the file's schema; the slot says whether it writes, or what snapshot it reads.

        A reader that may not write the file gets a snapshot.
        """
        real = os.path.realpath(self._path)  # SQLite keeps a journal beside the file that a link leads to
        check_access(real, write=write)
        check_journals(real)
        if write or is_writable(real):
            try:
                found = self._checked(self._connect("mode=rw"))
            except sqlite3.OperationalError as error:
                if write or not _is_read_only(error):
                    raise
            else:
                adopt_beside(real, BESIDE)
                slot.lasting = True
                return found
        slot.lasting = False
        with taken(real) as slot.snapshot:
            return self._checked(self._connect(slot.snapshot.uri))

    def _checked(self, raw: GuardedConnection) -> tuple[GuardedConnection, int]:
        try:
            schema = check_catalog(raw, self._path)
            self._keep_safe(raw)
        except BaseException:
            raw.close()
            raise
        return raw, schema

    def _keep_safe(self, raw: sqlite3.Connection) -> None:
        """What is committed is on the disk; on a network file system without a log that machines can't share."""
        network = network_type(self._path)
        be_durable(raw, network=bool(network))
        if network and raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            # A file that was made elsewhere and brought here. The change needs the file for itself.
            try:
                mode = sqlite3.Connection.execute(raw, "PRAGMA journal_mode = DELETE").fetchone()[0]
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
            # SQLite would make it with mode 0644, and gives the log and index the mode of this file.
            descriptor = open_file(partial, CREATE, 0o666, follow=False)
            try:
                adopt(descriptor, os.stat(folder))
            finally:
                close(descriptor)
            raw = sqlite3.connect(partial, isolation_level=None)
            try:
                network = network_type(folder)
                raw.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
                be_durable(raw, network=bool(network))
                migrate(raw)
            finally:
                raw.close()  # the last connection to go brings the log into the file and removes it
            _place_new_file(partial, self._path)
        except OSError as error:
            hint = "fix the permissions of the folder, or name another place: mreg profile list"
            if isinstance(error, PermissionError) and os.path.isdir(folder) and not may(folder, os.W_OK):
                why, remedy = why_not(folder, os.W_OK)
                raise Unavailable(
                    f"cannot make {os.path.basename(self._path)}: {folder} {why}", hint=remedy or hint
                ) from error
            raise Unavailable(f"the catalog {self._path} can't be made: {error.strerror}", hint=hint) from error
        finally:
            for leftover in (partial, f"{partial}-wal", f"{partial}-shm", f"{partial}-journal"):
                with contextlib.suppress(OSError):
                    unlink(leftover)


def _is_read_only(error: sqlite3.OperationalError) -> bool:
    """Whether SQLite failed because the file, or its folder, cannot be written."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _place_new_file(partial: str, path: str) -> None:
    """Give a finished catalog its name unless another maker was faster, durably; the partial name may stay."""
    sync_file(partial)
    with opened_folder(os.path.dirname(path) or ".") as folder:
        try:
            link(partial, path)
        except FileExistsError:
            return
        except OSError as error:
            if not lacks_links(error):
                raise
            # Renaming could replace what another maker has just put there, so one at a time, by a lock that dies with
            # its process.
            if folder >= 0:
                lock(folder)
            with contextlib.suppress(FileExistsError):
                rename_new(partial, path)
        sync_folder(folder)
