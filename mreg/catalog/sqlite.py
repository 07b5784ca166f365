"""A catalog in a SQLite file.

The file is in WAL mode, so that readers and one writer do not block each other, and transactions are durable
(``synchronous=FULL``). SQLite rolls back the transaction of a killed writer. On a network file system, where a
write-ahead log cannot be shared, the file has a rollback journal.

Threads read concurrently, each on its own connection. One thread of a process writes at a time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from mreg.catalog.access import SQLITE_SUFFIXES, check_access, check_folder, is_writable
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
from mreg.sharing import explain_denial, has_access, inherit_access, inherit_group

if TYPE_CHECKING:
    from mreg.catalog.watching import FileState

T = TypeVar("T")

BUSY_SECONDS = 60.0
"""Maximum wait of a writer for locks."""

ABSENT = "absent"
"""The state of a catalog without a file."""


class SqliteDatabase(Database):
    """A catalog in a file, which the first write creates.

    Args:
        path: Path of the file. If it does not exist, reads see an empty catalog and create nothing. Its folder must
            exist, even for a read: see `mreg.folders.refuse_missing_parent`.
        private: Folder at or above the file that is created with access for its owner only; empty for none. The first
            write upgrades a catalog in a private folder; only `upgrade` upgrades any other.
        base: Existing folder above the file, below which missing folders are created (default: none).
        notice: Called with messages for the user: waiting for another writer, the catalog was created or upgraded.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_seconds: float = BUSY_SECONDS,
        private: str = "",
        base: str = "",
        orphans: Callable[[], str] = lambda: "",
        notice: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._path = os.fspath(path)
        self._private = private
        self._base = base
        self._orphans = orphans
        self._notice = notice
        self._busy_seconds = busy_seconds
        self._lock = threading.RLock()  # held by the thread that writes
        self._connections = Connections()
        self._existed = False  # whether the file existed when it was opened
        self._current: tuple[int, int] | None = None  # the file, once it was opened and has this release's schema
        self._state: FileState | None = None

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

    def state(self) -> object:
        identity = self._identity()
        if identity is None:
            return ABSENT
        if identity != self._current:
            return None
        if self._state is None:
            from mreg.catalog.watching import FileState

            self._state = FileState(self._path)
        return self._state.current(identity)

    def write(self, fn: Callable[[Connection], T]) -> T:
        with self._lock, translated(self._path, self._busy_seconds), self._connections.taken() as slot:
            return within(self._open(slot, write=True), "BEGIN IMMEDIATE", fn)

    def close(self) -> None:
        with self._lock:
            self._close_connections()
            self._existed = False

    def _close_connections(self) -> None:
        self._connections.close()
        self._current = None
        if self._state is not None:
            self._state.close()

    def begin(self) -> None:
        with self._lock, translated(self._path, self._busy_seconds):
            if self._exists():  # raises if its folder is missing
                with self._connections.taken() as slot:
                    self._open(slot, write=True)
            else:
                self._note_orphans()

    def permit_new(self) -> None:
        self._orphans = lambda: ""

    def schema(self) -> int:
        return self._on_file(lambda _raw, schema: schema)

    def check_upgrade(self) -> UpgradeCheck:
        with self._lock, translated(self._path, self._busy_seconds):
            schema = self.schema()
            if schema == SCHEMA:
                return UpgradeCheck(schema=schema)
            try:
                self._connect_exclusively().close()
            except Conflict:
                return UpgradeCheck(schema=schema, others=("another process has the file open",))
            except sqlite3.OperationalError as error:
                if not _is_read_only(error):
                    raise
                caution = "the file is not writable for you, so it is unknown whether other processes have it open"
                return UpgradeCheck(schema=schema, caution=caution)
            network = network_type(self._path)
            caution = f"it is on {network}: idle clients on other machines cannot be detected" if network else ""
            return UpgradeCheck(schema=schema, caution=caution)

    def upgrade(self) -> str:
        from mreg.catalog.sqlite_upgrade import upgrade_file

        with self._lock, translated(self._path, self._busy_seconds):
            if not self._exists():
                return ""
            check_access(os.path.realpath(self._path), write=True)
            with contextlib.closing(self._connect_exclusively()) as raw:
                return upgrade_file(raw, self._path)

    def _connect_exclusively(self) -> GuardedConnection:
        """Return a connection with exclusive access to the file.

        Raises:
            Conflict: Another process, or another thread of this one, has the file open.
        """
        from mreg.catalog.sqlite_upgrade import EXCLUSIVE_SECONDS, take_exclusively

        self._close_connections()
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
            if self._exists():
                if self._private and self.schema() < SCHEMA:
                    self._try_upgrading()
                else:
                    super().try_writing()
                return
        folder = os.path.dirname(os.path.abspath(self._path))
        while not os.path.lexists(folder):
            folder = os.path.dirname(folder)
        if not (os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)):
            raise unreachable(self._path, f"it does not exist, and {folder} is not writable")

    def _try_upgrading(self) -> None:
        """Raise the error that the upgrade before the next write would meet."""
        with translated(self._path, self._busy_seconds), contextlib.closing(self._connect("mode=rw")) as raw:
            raw.execute("BEGIN IMMEDIATE")
            raw.execute("ROLLBACK")

    def examine(self) -> Examination:
        def look(raw: GuardedConnection, schema: int) -> Examination:
            folder, name = os.path.split(self._path)
            files = os.listdir(folder) if os.path.isdir(folder) else []
            network = network_type(self._path)
            return Examination(
                schema=schema,
                damage=damages(raw),
                leftovers=tuple(
                    os.path.join(folder, file)
                    for file in sorted(files)
                    if file.startswith(f".{name}.") and ".tmp" in file
                ),
                remarks=(f"it is on {network}: mreg uses a rollback journal, which is slower and for few writers",)
                if network
                else (),
            )

        return self._on_file(look)

    def _on_file(self, fn: Callable[[GuardedConnection, int], T]) -> T:
        """Return the result of ``fn`` for a connection on the file and the schema of the file."""
        with translated(self._path, self._busy_seconds):
            if not self._exists():
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
        """Return a connection for a transaction; to read an older catalog, the connection is on an upgraded copy.

        Raises:
            Unavailable: The file was removed while it was open. Or the schema is older and ``write`` is set.
        """
        now = self._identity()
        if now is None:
            self._refuse_gone()
        if slot.raw is not None and (now == slot.identity if slot.lasting else not write and now is None):
            return slot.raw
        slot.close()
        if not self._exists():
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
        slot.identity = self._identity()
        self._existed = True
        self._current = slot.identity if slot.lasting else None
        return raw

    def _refuse_gone(self) -> None:
        if self._existed:
            raise Unavailable(
                f"the catalog {self._path} was removed after it was opened",
                hint="put the file back, or restore a backup: mreg restore FILE",
            )

    def _upgrade_own(self, schema: int) -> None:
        """Upgrade a catalog in a private folder, before the first write.

        Raises:
            Unavailable: The catalog is not in a private folder.
            Conflict: Another process has the catalog open.
        """
        if not self._private:
            refuse_older(schema, self._path)
        backup = self.upgrade()
        if backup:
            self._notice(f"upgraded the catalog {self._path} from schema {schema} to {SCHEMA}; backup: {backup}")

    def _identity(self) -> tuple[int, int] | None:
        """Return the identity of the file at the path, or None without a file."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _exists(self) -> bool:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            if os.path.islink(self._path):
                raise Unavailable(f"the catalog {self._path} is a broken link") from None
            self._check_folder()
            return False
        except NotADirectoryError:
            raise Unavailable(f"cannot create the catalog {self._path}: a part of its path is a file") from None
        except (OSError, ValueError) as error:
            raise unreachable(self._path, getattr(error, "strerror", None) or str(error)) from error
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise Unavailable(
                f"the catalog {self._path} is {what}", hint="name a file: catalog: .../catalog.db in the profile"
            )
        if found.st_size == 0:
            raise Corrupt(
                f"the catalog {self._path} is damaged: the file is empty",
                hint="restore a backup: mreg restore FILE; if it never was a catalog, remove it",
            )
        return True

    def _check_folder(self) -> None:
        """Raise `Unavailable` if the folder of the file is missing and is not one that mreg creates."""
        if not self._private and not self._base:
            check_folder(self._path)

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
        """Return a checked connection and the schema of the file.

        For a user who cannot write the file, the connection is on a snapshot. Sets ``lasting`` and ``snapshot`` of the
        slot.
        """
        real = os.path.realpath(self._path)  # SQLite puts a journal next to the target of a link
        check_access(real, write=write)
        check_journals(real)
        if write or is_writable(real):
            try:
                found = self._checked(self._connect("mode=rw"))
            except sqlite3.OperationalError as error:
                if write or not _is_read_only(error):
                    raise
            else:
                inherit_group(real, SQLITE_SUFFIXES)
                slot.lasting = True
                return found
        slot.lasting = False
        with taken(real) as slot.snapshot:
            return self._checked(self._connect(slot.snapshot.uri))

    def _checked(self, raw: GuardedConnection) -> tuple[GuardedConnection, int]:
        try:
            schema = check_catalog(raw, self._path)
            self._make_durable(raw)
        except BaseException:
            raw.close()
            raise
        return raw, schema

    def _make_durable(self, raw: sqlite3.Connection) -> None:
        """Make commits durable, and on a network file system, change from a write-ahead log to a rollback journal."""
        network = network_type(self._path)
        be_durable(raw, network=bool(network))
        if network and raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            # The file was created on another file system. The change needs exclusive access.
            try:
                mode = sqlite3.Connection.execute(raw, "PRAGMA journal_mode = DELETE").fetchone()[0]
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                mode = "wal"  # do not wait: another process can keep the file open for long
            if mode != "delete":
                raise Conflict(
                    f"the catalog {self._path} is in use on {network}, with a log that machines cannot share",
                    hint="stop the other commands that use it, then try again",
                )

    def _note_orphans(self) -> None:
        """Warn of blobs in the store of a catalog that does not exist yet: they can be another catalog's."""
        orphans, self._orphans = self._orphans(), lambda: ""  # a push adds blobs before it creates the catalog
        if orphans:
            self._notice(
                f"the store of the new catalog {self._path} already has blobs in {orphans}: if another catalog uses "
                "it, gc of one removes the blobs of the other; give each catalog a store: --artifacts FOLDER"
            )

    def _create(self) -> None:
        """Create the complete catalog under a temporary name, then link it; one of several concurrent creators wins."""
        self._note_orphans()
        folder = os.path.dirname(os.path.abspath(self._path))
        partial = os.path.join(folder, f".{os.path.basename(self._path)}.{os.urandom(6).hex()}.tmp")
        try:
            make_folders(folder, self._private)
            # SQLite would create it with mode 0644; the log and the index get the mode of this file.
            descriptor = open_file(partial, CREATE, 0o666, follow=False)
            try:
                inherit_access(descriptor, os.stat(folder))
            finally:
                close(descriptor)
            raw = sqlite3.connect(partial, isolation_level=None)
            try:
                network = network_type(folder)
                raw.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
                be_durable(raw, network=bool(network))
                migrate(raw)
            finally:
                raw.close()  # closing the last connection copies the log into the file and removes it
            if _place_new_file(partial, self._path) and not self._private:
                self._notice(f"created the registry {self._path}")
        except OSError as error:
            hint = "fix the permissions of the folder, or name another place: mreg profile list"
            if isinstance(error, PermissionError) and os.path.isdir(folder) and not has_access(folder, os.W_OK):
                why, remedy = explain_denial(folder, os.W_OK)
                raise Unavailable(
                    f"cannot create {os.path.basename(self._path)}: {folder} {why}", hint=remedy or hint
                ) from error
            raise Unavailable(f"cannot create the catalog {self._path}: {error.strerror}", hint=hint) from error
        finally:
            for leftover in (partial, f"{partial}-wal", f"{partial}-shm", f"{partial}-journal"):
                with contextlib.suppress(OSError):
                    unlink(leftover)


def _is_read_only(error: sqlite3.OperationalError) -> bool:
    """Return whether SQLite failed because the file or its folder cannot be written."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _place_new_file(partial: str, path: str) -> bool:
    """Give a new catalog its final name, durably; return False if there is one already. The partial name can remain."""
    sync_file(partial)
    with opened_folder(os.path.dirname(path) or ".") as folder:
        try:
            link(partial, path)
        except FileExistsError:
            return False
        except OSError as error:
            if not lacks_links(error):
                raise
            # A rename could replace the catalog of another creator, so take a lock, which ends with the process.
            if folder >= 0:
                lock(folder)
            try:
                rename_new(partial, path)
            except FileExistsError:
                return False
        sync_folder(folder)
    return True
