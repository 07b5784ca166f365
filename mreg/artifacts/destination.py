"""Where a pull writes: beside the destination first, then there by one rename."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from mreg.artifacts.hashing import Hashing, damaged, hashed, stream_chunks
from mreg.artifacts.local import CREATE, READ, sync_all, thoroughly
from mreg.domain.digest import Digest
from mreg.domain.manifest import ManifestEntry
from mreg.domain.text import quoted
from mreg.errors import AlreadyExists, NotFound, Unavailable

OpenBlob = Callable[[Digest, int], AbstractContextManager[BinaryIO]]
"""Gives the bytes of a blob, whose size is checked and whose digest is not yet."""

CHUNK_BYTES = 2 << 20
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
"""Flags of Linux's renameat2(2)."""


class Destination:
    """A file or folder to be made.

    What is written meanwhile stands beside it as ``.NAME.mreg-...``, locked by its process; what a killed one left is
    removed by the next pull to the same destination.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._folder = os.path.dirname(self._path)
        # Cut so that the longest names, too, leave room for ours.
        self._prefix = f".{os.path.basename(self._path)[:40]}.mreg-"

    def receive_file(
        self, open_blob: OpenBlob, digest: Digest, size: int, *, force: bool, moved: Callable[[int], None]
    ) -> bool:
        """Make the file; False where the very same bytes stood there."""
        if self._occupied(force=force, same=lambda: self._same_file(self._path, digest, size)):
            return False
        with self._translated(), self._partial(size) as partial:
            descriptor = self._create(partial, 0o666)
            try:
                self._copy(open_blob, digest, size, descriptor, moved)
                os.fsync(descriptor)
                if force:
                    os.replace(partial, self._path)
                else:
                    self._link(partial)
            finally:
                os.close(descriptor)
            self._sync()
        return True

    def receive_folder(
        self, open_blob: OpenBlob, entries: Sequence[ManifestEntry], *, force: bool, moved: Callable[[int], None]
    ) -> bool:
        """Make the folder; False where the very same files stood there."""
        if self._occupied(force=force, same=lambda: self._same_folder(entries)):
            return False
        with self._translated(), self._partial(sum(entry.size for entry in entries)) as partial:
            os.mkdir(partial)
            lock = os.open(partial, os.O_RDONLY)
            try:
                _lock(lock)
                made = {""}
                for entry in entries:
                    folder = entry.path.rpartition("/")[0]
                    if folder not in made:
                        os.makedirs(os.path.join(partial, folder), exist_ok=True)
                        made.add(folder)
                    descriptor = os.open(
                        os.path.join(partial, entry.path), CREATE, 0o777 if entry.executable else 0o666
                    )
                    try:
                        self._copy(open_blob, entry.digest, entry.size, descriptor, moved)
                    finally:
                        os.close(descriptor)
                sync_all(partial)
                self._rename_folder(partial, force=force)
            finally:
                os.close(lock)
            self._sync()
        return True

    def _copy(
        self, open_blob: OpenBlob, digest: Digest, size: int, descriptor: int, moved: Callable[[int], None]
    ) -> None:
        with open_blob(digest, size) as source, Hashing(size) as hashing:
            for chunk in stream_chunks(source, CHUNK_BYTES):
                hashing.add(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
                moved(len(chunk))
            if hashing.digest() != digest:
                raise damaged(digest)

    def _occupied(self, *, force: bool, same: Callable[[], bool]) -> bool:
        """Whether the destination is as it should be already.

        Raises:
            AlreadyExists: Something else is there, and it is not to be replaced.
            NotFound: The folder that it would be in does not exist.
        """
        if not os.path.isdir(self._folder):
            what = "is no folder" if os.path.lexists(self._folder) else "does not exist"
            raise NotFound(f"the folder {quoted(self._folder)} {what}", hint=f"mkdir -p {self._folder}", kind="folder")
        if not os.path.lexists(self._path):
            return False
        with self._translated():
            if same():
                return True
        if not force and not self._is_empty_folder():
            raise self._taken()
        return False

    def _taken(self) -> AlreadyExists:
        return AlreadyExists(
            f"{quoted(self._path)} exists already, with other content",
            hint="--force replaces it; or name another destination",
        )

    def _is_empty_folder(self) -> bool:
        return not os.path.islink(self._path) and os.path.isdir(self._path) and not os.listdir(self._path)

    def _same_file(self, path: str, digest: Digest, size: int, executable: bool | None = None) -> bool:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            return False
        if executable is not None and bool(found.st_mode & stat.S_IXUSR) != executable:
            return False
        descriptor = os.open(path, READ)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            return hashed(stream_chunks(stream, CHUNK_BYTES)) == digest

    def _same_folder(self, entries: Sequence[ManifestEntry]) -> bool:
        if os.path.islink(self._path) or not os.path.isdir(self._path):
            return False
        here = {
            os.path.relpath(os.path.join(folder, name), self._path).replace(os.sep, "/")
            for folder, folders, names in os.walk(self._path)
            for name in (*names, *(one for one in folders if os.path.islink(os.path.join(folder, one))))
        }
        return here == {entry.path for entry in entries} and all(
            self._same_file(os.path.join(self._path, entry.path), entry.digest, entry.size, entry.executable)
            for entry in entries
        )

    @contextlib.contextmanager
    def _partial(self, size: int) -> Iterator[str]:
        """A name beside the destination that is gone afterwards, whatever happened."""
        self._remove_leftovers()
        if hasattr(os, "statvfs"):
            found = os.statvfs(self._folder)
            room = found.f_bavail * found.f_frsize
            if size > room:
                raise Unavailable(
                    f"{size} bytes do not fit beside {quoted(self._path)}, where there is room for {room}",
                    hint="free some space there, or name another destination",
                )
        partial = os.path.join(self._folder, f"{self._prefix}{os.urandom(6).hex()}")
        try:
            yield partial
        finally:
            thoroughly(lambda: _remove(partial))

    def _create(self, partial: str, mode: int) -> int:
        descriptor = os.open(partial, CREATE, mode)
        _lock(descriptor)
        return descriptor

    def _remove_leftovers(self) -> None:
        """Remove what killed pulls to this destination left: what no living process holds locked."""
        try:
            import fcntl
        except ImportError:
            return
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                if not name.startswith(self._prefix):
                    continue
                leftover = os.path.join(self._folder, name)
                with contextlib.suppress(OSError):
                    descriptor = os.open(leftover, READ | getattr(os, "O_NOFOLLOW", 0))
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        _remove(leftover)
                    finally:
                        os.close(descriptor)

    def _link(self, partial: str) -> None:
        try:
            os.link(partial, self._path)
        except FileExistsError:
            raise self._taken() from None
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            # A file system without links.
            if _rename2(partial, self._path, RENAME_NOREPLACE):
                return
            if os.path.lexists(self._path):
                raise self._taken() from None
            os.rename(partial, self._path)

    def _rename_folder(self, partial: str, *, force: bool) -> None:
        try:
            os.rename(partial, self._path)  # succeeds where nothing or an empty folder is
            return
        except OSError as error:
            taken = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
            if error.errno not in taken:
                raise
            if not force:
                raise self._taken() from None
        if _rename2(partial, self._path, RENAME_EXCHANGE):
            return  # what was there now has the partial name, and is removed with it
        aside = os.path.join(self._folder, f"{self._prefix}{os.urandom(6).hex()}")
        os.rename(self._path, aside)
        try:
            os.rename(partial, self._path)
        except BaseException:
            os.rename(aside, self._path)
            raise
        _remove(aside)

    def _sync(self) -> None:
        with contextlib.suppress(PermissionError):  # Windows opens no folders
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                with contextlib.suppress(OSError):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(
                f"{quoted(self._path)} can't be written: {error.strerror or error}",
                hint="mend its permissions or free some space, or name another destination",
            ) from error


def _lock(descriptor: int) -> None:
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(path: str) -> None:
    """Remove a file, a link or a whole folder, if it is there."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)


def _rename2(source: str, target: str, flags: int) -> bool:
    """Linux's renameat2; False where there is none or it refuses."""
    try:
        import ctypes

        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, AttributeError, OSError, TypeError):
        return False
    at_cwd = -100
    return bool(function(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), flags) == 0)
