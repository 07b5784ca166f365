"""Blobs in a folder.

::

    root/blobs/sha256/ab/cdef...   a blob, mode 0444
    root/tmp/                      blobs on their way in; garbage where their process is dead

A blob is written under ``tmp``, brought to the disk, and only then linked to its name, so that no power loss can leave
a name without its bytes.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mreg.artifacts.backend import Abilities, BlobBackend, BlobParts, BlobStat, StagedBlob, Unfinished
from mreg.artifacts.linux import sync_all
from mreg.errors import Corrupt, NotFound, Unavailable

if TYPE_CHECKING:
    from typing_extensions import Buffer

READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | NOFOLLOW


class LocalStagedBlob(StagedBlob):
    """A file under ``tmp`` that has no name yet; made by the first write, so that no interrupt can come between the
    making and the ``with`` that removes it."""

    def __init__(self, backend: LocalBackend) -> None:
        self.backend = backend
        self.path = backend.temporary()
        self.descriptor = -1
        self.made = False

    def write(self, chunk: bytes | memoryview) -> None:
        with self.backend.translated("written"):
            if self.descriptor < 0:
                self.descriptor = os.open(self.path, CREATE, 0o444)
                self.made = True
            view = memoryview(chunk)
            while view:
                view = view[os.write(self.descriptor, view) :]

    def close(self, *, durable: bool) -> None:
        """Close the file, its bytes on the disk where that is asked for."""
        if self.descriptor >= 0:
            try:
                if durable:
                    os.fsync(self.descriptor)
            finally:
                os.close(self.descriptor)
                self.descriptor = -1

    def discard(self) -> None:
        thoroughly(self._discard)

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self.close(durable=False)


class LocalBackend(BlobBackend):
    """Blobs in a folder that the first put makes; a folder that is not there yet is an empty store."""

    abilities = Abilities(stages=True, remote=False)

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)

    @property
    def url(self) -> str:
        return Path(self._root).as_uri()

    @property
    def room(self) -> int | None:
        folder = self._root
        while not os.path.isdir(folder) and folder != os.path.dirname(folder):
            folder = os.path.dirname(folder)
        if not hasattr(os, "statvfs"):
            import shutil

            return shutil.disk_usage(folder).free
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def overlaps(self, path: Path) -> bool:
        mine, other = Path(os.path.realpath(self._root)), path
        return mine == other or mine in other.parents or other in mine.parents

    def temporary(self) -> str:
        """A name under ``tmp`` that nobody else has."""
        folder = os.path.join(self._root, "tmp")
        with self.translated("made"):
            if not os.path.isdir(folder):
                os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, os.urandom(12).hex())

    @contextlib.contextmanager
    def translated(self, verb: str, what: str = "") -> Iterator[None]:
        """Driver errors as `Unavailable`, with what could not be read, written, made or removed."""
        try:
            yield
        except OSError as error:
            subject = f"{what} in the artifact store {self._root}" if what else f"the artifact store {self._root}"
            reason = error.strerror or str(error)
            hint = "mend its permissions, or name another store: mreg profile list"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                hint = "free some space there, or name another store: mreg profile list"
            raise Unavailable(f"{subject} can't be {verb}: {reason}", hint=hint) from error

    def _place(self, key: str) -> str:
        return os.path.join(self._root, *key.split("/"))

    def stage(self) -> LocalStagedBlob:
        return LocalStagedBlob(self)

    def parts(self, key: str) -> BlobParts:  # noqa: ARG002  there are none
        raise TypeError("this backend stages")

    def put_if_absent(self, key: str, source: bytes | StagedBlob) -> bool:
        if self._is_there(key):
            return False
        if isinstance(source, bytes):
            staged = self.stage()
            with staged:
                staged.write(source)
                return self._put(key, staged)
        if not isinstance(source, LocalStagedBlob):
            raise TypeError("a blob that another backend staged")
        return self._put(key, source)

    def _put(self, key: str, staged: LocalStagedBlob) -> bool:
        if not staged.made:
            staged.write(b"")  # an empty blob is a file, too
        with self.translated("written"):
            staged.close(durable=True)
            new = self._link(staged.path, key)
            _sync_folder(os.path.dirname(self._place(key)))
        return new

    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        folder = self.temporary()
        written: dict[str, str] = {}
        try:
            with self.translated("written"):
                os.mkdir(folder)
                for key, data in blobs:
                    if key in written or self._is_there(key):
                        continue
                    path = os.path.join(folder, str(len(written)))
                    written[key] = path
                    descriptor = os.open(path, CREATE, 0o444)
                    try:
                        if os.write(descriptor, data) != len(data):
                            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    finally:
                        os.close(descriptor)
                if not written:
                    return 0
                sync_all(folder)
                new = sum(self._link(path, key, durably=False) for key, path in written.items())
                sync_all(folder)
                return new
        finally:
            thoroughly(lambda: _remove_folder(folder, written.values()))

    def _is_there(self, key: str) -> bool:
        try:
            found = os.lstat(self._place(key))
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            with self.translated("read", f"the blob {key}"):
                raise error
        if not stat.S_ISREG(found.st_mode):
            raise Corrupt(f"the place of the blob {key} in {self._root} is taken by something that is no file")
        return True

    def _link(self, path: str, key: str, *, durably: bool = True) -> bool:
        """Give a durable file the blob's name; False where the name was taken meanwhile, by the same bytes.

        Args:
            durably: Bring folders that are made to the disk, one by one; not where everything will be, at once.
        """
        place = self._place(key)
        try:
            return _link_or_rename(path, place)
        except FileNotFoundError:
            if durably:
                _make_folders(os.path.dirname(place))
            else:
                os.makedirs(os.path.dirname(place), exist_ok=True)
            return _link_or_rename(path, place)

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        place = self._place(key)
        try:
            descriptor = os.open(place, READ | NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"the blob {key} is not in {self._root}") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Corrupt(f"the place of the blob {key} in {self._root} is taken by a link") from error
            with self.translated("read", f"the blob {key}"):
                raise
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Corrupt(f"the place of the blob {key} in {self._root} is taken by something that is no file")
            if start:
                os.lseek(descriptor, start, os.SEEK_SET)
            stream = os.fdopen(descriptor, "rb", buffering=0)
            return stream if length is None else cast("BinaryIO", Bounded(stream, length))
        except BaseException:
            os.close(descriptor)
            raise

    def stat(self, key: str) -> BlobStat | None:
        with self.translated("read", f"the blob {key}"):
            try:
                found = os.lstat(self._place(key))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _stat(found) if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        pending = [prefix.rpartition("/")[0]]
        while pending:
            folder = pending.pop()
            with self.translated("read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for entry in _entries(self._place(folder) if folder else self._root):
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False) and (prefix.startswith(key) or key.startswith(prefix)):
                        pending.append(key)
                    elif key.startswith(prefix) and entry.is_file(follow_symlinks=False):
                        yield key, _stat(entry.stat(follow_symlinks=False))

    def delete(self, key: str) -> None:
        with self.translated("removed", f"the blob {key}"), contextlib.suppress(FileNotFoundError):
            os.unlink(self._place(key))

    def unfinished(self) -> Iterator[Unfinished]:
        with self.translated("read"), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for entry in _entries(os.path.join(self._root, "tmp")):
                with contextlib.suppress(FileNotFoundError):  # it has got its name, or was removed
                    found = entry.stat(follow_symlinks=False)
                    size = found.st_size
                    if entry.is_dir(follow_symlinks=False):
                        size = sum(one.stat(follow_symlinks=False).st_size for one in _entries(entry.path))
                    yield Unfinished(name=entry.name, size=size, modified=datetime.fromtimestamp(found.st_mtime, UTC))

    def discard(self, unfinished: Unfinished) -> None:
        path = os.path.join(self._root, "tmp", os.path.basename(unfinished.name))
        with self.translated("removed", unfinished.name), contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                _remove_folder(path, [entry.path for entry in _entries(path)])
            else:
                os.unlink(path)


def thoroughly(clean: Callable[[], None]) -> None:
    """Clean up to the end, also where Ctrl-C or SIGTERM comes in the middle; that is raised afterwards.

    Args:
        clean: May be run twice.
    """
    try:
        clean()
    except BaseException:
        clean()
        raise


def _remove_folder(folder: str, files: Iterable[str]) -> None:
    for path in files:
        with contextlib.suppress(OSError):
            os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(folder)


class Bounded(io.RawIOBase):
    """The first bytes of a stream, and no more."""

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


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _stat(found: os.stat_result) -> BlobStat:
    return BlobStat(size=found.st_size, modified=datetime.fromtimestamp(found.st_mtime, UTC))


def _link_or_rename(path: str, place: str) -> bool:
    try:
        os.link(path, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV):
            raise
        # A file system without links. Renaming may replace a blob that came meanwhile, by the very same bytes.
        if os.path.lexists(place):
            return False
        os.rename(path, place)
    return True


def _make_folders(folder: str) -> None:
    """Make a folder and its parents, each known to the disk."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(one)
        _sync_folder(os.path.dirname(one))


def _sync_folder(folder: str) -> None:
    """Bring a folder's names to the disk, where the platform can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
