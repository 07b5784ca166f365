"""Blobs in a folder.

::

    root/blobs/sha256/ab/cdef...   a blob, mode 0444
    root/tmp/                      incomplete blobs; garbage if their process is dead

A blob is written under ``tmp``, flushed to disk, and only then linked to its name, so that a power loss cannot leave a
name without its bytes.

The folder can come with a project of another user. Each folder below the anchor is opened without following links, and
names are used relative to the open folder (`mreg.folders`), so no link redirects a write, a read or a delete, even if
the link appears later. Only regular files with names in mreg's format are listed and removed.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mreg.artifacts.access import check_access, check_parent
from mreg.artifacts.backend import BlobBackend, BlobStat, ResumableFile, StagedBlob, Unfinished
from mreg.durability import settle, sync, sync_all
from mreg.errors import Corrupt, NotFound, Unavailable
from mreg.files import CREATE, READ, UPDATE, close, folder_url, has_locks, lock, read_at, write_all
from mreg.files import reserve as reserve_in
from mreg.files import room as room_in
from mreg.folders import Folder, Opened, Tree
from mreg.linux import begin_sync, has_syncfs

if TYPE_CHECKING:
    from typing_extensions import Buffer

INCOMING = ("tmp",)
BLOBS = ("blobs", "sha256")
"""Folders of the store that stay open between uses, as path components from its root."""

TEMPORARY = re.compile(r"[0-9a-f]{24}")
"""Names under ``tmp``: a blob, or a folder of small blobs."""

NUMBER = re.compile(r"[0-9]{1,9}")
"""Names in a folder under ``tmp``."""

FLUSH_BYTES = 4 << 20
"""Number of bytes after which a background write to disk is started, so that the final flush is short."""

LOCK_TRIES = 5
LOCK_SECONDS = 0.002
"""Tries to lock an unfinished file, and the pause between them."""

CHUNK_BYTES = 1 << 20
"""Size of the pieces in which an unfinished file is read."""

DEPTH = 3
"""Number of folders from the root to a blob; mreg creates no deeper folders."""


class LocalStagedBlob(StagedBlob):
    """A file under ``tmp``, created by the first write, so that the ``with`` statement always removes it."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.folder = backend.incoming()
        self.name = temporary()
        self.path = os.path.join(self.folder.path, self.name)
        self.descriptor = -1
        self.made = False
        self.size = self.flushed = 0

    def write(self, chunk: bytes | memoryview) -> None:
        with self.backend.translated("write"):
            if self.descriptor < 0:
                self.descriptor = self.folder.open(self.name, CREATE, 0o444)
                self.made = True
            write_all(self.descriptor, chunk)
        self.size += len(chunk)
        if self.size - self.flushed >= FLUSH_BYTES:
            begin_sync(self.descriptor, self.flushed, self.size - self.flushed)
            self.flushed = self.size

    def put_if_absent(self, key: str) -> bool:
        return self.backend.put_staged(key, self)

    def finish(self) -> None:
        with self.backend.translated("write"):
            self.close(durable=True)

    def close(self, *, durable: bool) -> None:
        """Close the file, flushed to disk if `durable`."""
        if self.descriptor >= 0:
            try:
                if durable:
                    sync(self.descriptor)
            finally:
                os.close(self.descriptor)
                self.descriptor = -1

    def discard(self) -> None:
        run_cleanup(self._discard)

    def _discard(self) -> None:
        self.close(durable=False)  # Windows cannot remove an open file
        with contextlib.suppress(OSError):
            self.folder.unlink(self.name)


class LocalResumableFile(LocalStagedBlob, ResumableFile):
    """A file under ``tmp`` with a name that its uploader can find again; locked while it is open.

    Args:
        descriptor: The locked file.
    """

    def __init__(self, backend: LocalBackend, name: str, descriptor: int) -> None:
        super().__init__(backend)
        self.name, self.path = name, os.path.join(self.folder.path, name)
        self.descriptor, self.made = descriptor, True
        self.size = self.flushed = os.lseek(descriptor, 0, os.SEEK_END)

    @property
    def identity(self) -> tuple[int, int, int]:
        found = os.fstat(self.descriptor)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def mark(self) -> tuple[int, int, int] | None:
        # A clock of a file system can stand still for milliseconds, in which another process replaces all bytes.
        if os.utime not in os.supports_fd:
            return None
        part = int.from_bytes(os.urandom(8), "big") % 10**9
        wanted = int(os.fstat(self.descriptor).st_mtime - 1) * 10**9 + part
        os.utime(self.descriptor, ns=(wanted, wanted))
        return self.identity if self.identity[2] == wanted else None

    def write(self, chunk: bytes | memoryview) -> None:
        try:
            super().write(chunk)
        except BaseException:  # a part of the chunk can be in the file
            with contextlib.suppress(OSError):
                self._cut(self.size)
            raise

    def clear(self) -> None:
        with self.backend.translated("write"):
            self._cut(0)
        self.size = self.flushed = 0

    def _cut(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        os.lseek(self.descriptor, size, os.SEEK_SET)

    def chunks(self) -> Iterator[bytes]:
        place = 0
        while place < self.size:
            with self.backend.translated("read", self.name):
                chunk = read_at(self.descriptor, CHUNK_BYTES, place)
            if not chunk:
                return
            place += len(chunk)
            yield chunk

    def close(self, *, durable: bool) -> None:
        """Flush the file, which stays locked until it is removed or kept: no process can write to a stored blob."""
        if durable:
            sync(self.descriptor)
        else:
            super().close(durable=False)

    def put_if_absent(self, key: str) -> bool:
        new = super().put_if_absent(key)
        if new:
            with self.backend.translated("write"):
                os.fchmod(self.descriptor, stat.S_IMODE(os.fstat(self.descriptor).st_mode) & 0o444)
        return new

    def keep(self) -> None:
        self.close(durable=False)


class LocalBackend(BlobBackend):
    """Blobs in a folder, which the first put creates; a missing folder is an empty store.

    The parent of the folder must exist: it could be on a drive that is not mounted.

    Args:
        anchor: The folder up to which links are followed: the root or one of its parents (default: the root); see
            `Profile.anchor`.
        private: The folder that is created, with its parents and with mode 0700: the root or one of its parents
            (default: none).
    """

    remote = False

    def __init__(self, root: Path, *, anchor: str | None = None, private: str = "") -> None:
        self._root = os.path.abspath(root)
        self._tree = Tree(self._root, anchor=anchor, private=private, kept=(INCOMING, BLOBS), parents=False)

    @property
    def url(self) -> str:
        return folder_url(Path(self._root))

    @property
    def place(self) -> str:
        return self._root

    @property
    def room(self) -> int | None:
        return room_in(self._existing())

    @property
    def reserve(self) -> int:
        """See `mreg.artifacts.backend.SupportsResuming`."""
        return reserve_in(self._existing())

    def _existing(self) -> str:
        """Return the root, or the nearest parent that exists."""
        folder = self._root
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        return folder

    @property
    def missing(self) -> str:
        return "" if os.path.lexists(self._root) else self._root

    def overlaps(self, path: Path) -> bool:
        mine, other = Path(os.path.realpath(self._root)), path
        return mine == other or mine in other.parents or other in mine.parents

    def incoming(self) -> Folder:
        """Return the folder ``tmp``, created if it does not exist."""
        with self.translated("create"):
            return self._tree.folder(INCOMING, make=True)

    @contextlib.contextmanager
    def translated(self, verb: str, what: str = "", key: str = "") -> Iterator[None]:
        """Translate driver errors to `Unavailable`: cannot `verb` `what` (default: the store); see `check_access`."""
        try:
            yield
        except OSError as error:
            if isinstance(error, PermissionError):
                check_access(self._root, key, os.R_OK if verb == "read" else os.W_OK)
            if verb in ("create", "write") and isinstance(error, FileNotFoundError):
                check_parent(self._root)
            subject = f"{what} in the artifact store {self._root}" if what else f"the artifact store {self._root}"
            reason = error.strerror or str(error)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            hint = f"{'free some space there' if full else 'fix its permissions'}, or name another: mreg profile list"
            raise Unavailable(f"cannot {verb} {subject}: {reason}", hint=hint) from error

    def _taken(self, key: str) -> Corrupt:
        return Corrupt(f"the blob {key} in {self._root} is damaged: it is not a file")

    def stage(self) -> LocalStagedBlob:
        """See `mreg.artifacts.backend.SupportsStaging`."""
        return LocalStagedBlob(self)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if self._is_there(key, size=len(data)):
            return False
        with self.stage() as staged:
            staged.write(data)
            return self._put(key, staged)

    def mark(self, key: str) -> None:
        self.mark_many((key,))

    def mark_many(self, keys: Iterable[str]) -> None:
        folder: Folder | None = None
        parent = ""
        for key in keys:
            with self.translated("write", key=key):
                names, _, name = key.rpartition("/")
                if folder is None or names != parent:  # each folder is opened once
                    folder, parent = self._tree.folder(tuple(names.split("/")), make=True), names
                try:
                    os.close(folder.open(name, CREATE, 0o444))
                except FileExistsError:
                    folder.touch(name, modified=True)

    def resume(self, name: str, *, create: bool) -> LocalResumableFile | None:
        """See `mreg.artifacts.backend.SupportsResuming`."""
        if not has_locks():
            return None
        folder = self.incoming()
        with self.translated("write"):
            for _ in range(LOCK_TRIES):
                try:
                    descriptor = self._open_unfinished(folder, name, create=create)
                    if descriptor >= 0:
                        return LocalResumableFile(self, name, descriptor)
                except FileNotFoundError:  # it does not exist, or it was removed meanwhile
                    if not create:
                        return None
                except BlockingIOError:  # by a writer, or for a moment by `left`
                    time.sleep(LOCK_SECONDS)
        return None

    def _open_unfinished(self, folder: Folder, name: str, *, create: bool) -> int:
        """Open and lock an unfinished file; return its descriptor, -1 if the file is not mreg's."""
        descriptor = folder.open(name, UPDATE if create else os.O_RDWR, 0o644)
        try:
            if lock(descriptor, wait=False) and self._is_current(folder, name, descriptor):
                kept, descriptor = descriptor, -1
                return kept
            return -1
        finally:
            close(descriptor)

    def _is_current(self, folder: Folder, name: str, descriptor: int) -> bool:
        """Return whether a name still leads to an open file of this user without other names."""
        found = os.fstat(descriptor)
        mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
        plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and mine
        return plain and os.path.samestat(found, folder.stat(name))

    def left(self, name: str) -> tuple[int, bool]:
        """See `mreg.artifacts.backend.SupportsResuming`."""
        with self.translated("read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder = self._tree.folder(INCOMING)
            found = folder.stat(name)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:  # with two names, it is a blob already
                descriptor = folder.open(name, READ)
                try:
                    size = os.fstat(descriptor).st_size
                    return size, not lock(descriptor, wait=False, shared=True)
                except BlockingIOError:
                    return size, True
                finally:
                    close(descriptor)
        return 0, False

    def put_staged(self, key: str, staged: LocalStagedBlob) -> bool:
        """Store the staged bytes under a key; see `BlobBackend.put_if_absent`."""
        return not self._is_there(key, size=staged.size) and self._put(key, staged)

    def _put(self, key: str, staged: LocalStagedBlob) -> bool:
        if not staged.made:
            staged.write(b"")  # an empty blob is a file, too
        with self.translated("write", key=key):
            staged.close(durable=True)
            folder, name = self._locate(key, make=True, durable=True)
            new = _named(staged.folder, staged.name, folder, name)
            folder.sync()
        return new

    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        incoming, temporary_name = self.incoming(), temporary()
        written: dict[str, str] = {}
        folder: Folder | None = None
        opened = Opened(self._tree)
        try:
            with self.translated("write"):
                incoming.mkdir(temporary_name)
                folder = incoming.inner(temporary_name)
                for key, data in blobs:
                    if key in written or self._is_there(key, opened, size=len(data)):
                        continue
                    name = str(len(written))
                    written[key] = name
                    descriptor = folder.open(name, CREATE, 0o444)
                    try:
                        write_all(descriptor, data)
                        settle(descriptor)
                    finally:
                        os.close(descriptor)
                if not written:
                    return 0
                sync_all(folder.opened)
                new = self._link_all(folder, written)
                sync_all(folder.opened)
                return new
        finally:
            run_cleanup(lambda: _remove_folder(incoming, temporary_name, folder, written.values()))

    def _link_all(self, folder: Folder, written: dict[str, str]) -> int:
        """Link the files to their names in the order of the target folders, so that each folder is opened once."""
        new, names, target = 0, "", None
        for key in sorted(written):
            parent, _, name = key.rpartition("/")
            if target is None or parent != names:
                if target is not None:
                    target.settle()
                target = self._tree.folder(tuple(parent.split("/")), make=True, durable=not has_syncfs())
                names = parent
            new += _named(folder, written[key], target, name)
        if target is not None:
            target.settle()
        return new

    def _locate(self, key: str, *, make: bool = False, durable: bool = False) -> tuple[Folder, str]:
        """Return the folder of a blob and the name in it."""
        *names, last = key.split("/")
        return self._tree.folder(tuple(names), make=make, durable=durable), last

    def _look(self, key: str, opened: Opened | None = None) -> os.stat_result | None:
        """Return the status of the entry with a blob's name, of any kind; None if it does not exist."""
        try:
            if opened is None:
                folder, name = self._locate(key)
            else:
                *names, name = key.split("/")
                folder = opened.folder(tuple(names))
            return folder.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            with self.translated("read", f"the blob {key}", key):
                raise error

    def _is_there(self, key: str, opened: Opened | None = None, *, size: int | None = None) -> bool:
        """Return whether there is a blob.

        Args:
            size: Size of the bytes to put (default: not checked); a blob of another size is damaged.

        Raises:
            Corrupt: The entry is not a file, or has another size.
        """
        found = self._look(key, opened)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise self._taken(key)
        if found is not None and size is not None and found.st_size != size:
            raise Corrupt(
                f"the blob {key} in {self._root} is damaged: expected {size:,} bytes, got {found.st_size:,}",
                hint=f"remove {self._root}/{key}, then push the model again",
            )
        return found is not None

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        try:
            folder, name = self._locate(key)
            # Checked before it is opened: opening a device or a pipe can have side effects.
            if not stat.S_ISREG(folder.stat(name).st_mode):
                raise self._taken(key)
            descriptor = folder.open(name, READ)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"the blob {key} is missing from {self._root}") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise self._taken(key) from error
            with self.translated("read", f"the blob {key}", key):
                raise
        try:
            with self.translated("read", f"the blob {key}", key):
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise self._taken(key)
                if start:
                    os.lseek(descriptor, start, os.SEEK_SET)
            stream = os.fdopen(descriptor, "rb", buffering=0)
            return stream if length is None else cast("BinaryIO", Bounded(stream, length))
        except BaseException:
            os.close(descriptor)
            raise

    def stat(self, key: str) -> BlobStat | None:
        found = self._look(key)
        return _stat(found) if found is not None and stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        pending = [prefix.rpartition("/")[0]]
        while pending:
            names = tuple(filter(None, pending.pop().split("/")))
            with self.translated("read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for name, found in self._tree.folder(names).found():
                    key = "/".join((*names, name))
                    if stat.S_ISDIR(found.st_mode):
                        if len(names) < DEPTH and (prefix.startswith(key) or key.startswith(prefix)):
                            pending.append(key)
                    elif key.startswith(prefix) and stat.S_ISREG(found.st_mode):
                        yield key, _stat(found)

    def delete(self, key: str) -> None:
        with (
            self.translated("remove", f"the blob {key}", key),
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
        ):
            folder, name = self._locate(key)
            if stat.S_ISREG(folder.stat(name).st_mode):
                folder.unlink(name)

    def unfinished(self) -> Iterator[Unfinished]:
        with self.translated("read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            incoming = self._tree.folder(INCOMING)
            for name, found in incoming.found():
                with contextlib.suppress(FileNotFoundError):  # completed or removed in the meantime
                    files = _files_of(incoming, name, found)
                    if files is not None:
                        modified = datetime.fromtimestamp(found.st_mtime, UTC)
                        yield Unfinished(name=name, size=sum(files.values()), modified=modified)

    def discard(self, unfinished: Unfinished) -> None:
        name = unfinished.name
        with self.translated("remove", name), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            incoming = self._tree.folder(INCOMING)
            found = incoming.stat(name) if TEMPORARY.fullmatch(name) else None
            files = None if found is None else _files_of(incoming, name, found)
            if found is None or files is None:
                return
            if stat.S_ISDIR(found.st_mode):
                _remove_folder(incoming, name, incoming.inner(name), files)
            else:
                incoming.unlink(name)


def temporary() -> str:
    """Return a unique name for ``tmp``."""
    return os.urandom(12).hex()


def _files_of(incoming: Folder, name: str, info: os.stat_result) -> dict[str, int] | None:
    """Return the sizes by name of a file under ``tmp``, or of the files in a folder there; None if not mreg's."""
    if not TEMPORARY.fullmatch(name):
        return None
    if stat.S_ISREG(info.st_mode):
        return {name: info.st_size}
    if not stat.S_ISDIR(info.st_mode):
        return None
    sizes: dict[str, int] = {}
    for inner, status in incoming.inner(name).found():
        if not NUMBER.fullmatch(inner) or not stat.S_ISREG(status.st_mode):
            return None
        sizes[inner] = status.st_size
    return sizes


def run_cleanup(clean: Callable[[], None]) -> None:
    """Run a cleanup to its end, even if Ctrl-C or SIGTERM interrupts it; the interrupt is raised afterwards.

    Args:
        clean: The cleanup; must be idempotent, since it runs again after an interrupt.
    """
    try:
        clean()
    except BaseException:
        clean()
        raise


def _remove_folder(parent: Folder, name: str, folder: Folder | None, files: Iterable[str]) -> None:
    if folder is not None:
        for file in files:
            with contextlib.suppress(OSError):
                folder.unlink(file)
    with contextlib.suppress(OSError):
        parent.rmdir(name)


class Bounded(io.RawIOBase):
    """A stream limited to its first bytes."""

    def __init__(self, stream: io.RawIOBase | BinaryIO, length: int) -> None:
        self._stream = stream
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)[: self._left]
        count = self._stream.readinto(view) or 0 if view else 0  # type: ignore[union-attr]
        self._left -= count
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


def _stat(info: os.stat_result) -> BlobStat:
    return BlobStat(size=info.st_size, modified=datetime.fromtimestamp(info.st_mtime, UTC))


def _named(source: Folder, source_name: str, folder: Folder, name: str) -> bool:
    """Link a durable file to the blob's name; return False if another process has stored the same blob."""
    try:
        folder.take(source, source_name, name)
    except FileExistsError:
        return False
    return True
