"""A local cache of blobs, so that they are fetched once.

::

    folder/blobs/sha256/ab/cdef...   a blob; its modification time is the time of its last use
    folder/tmp/                      incomplete blobs
    folder/lock                      created before the first blob; distinguishes a cache from an artifact store

Any number of processes share it. Its content can be removed at any time: it is only an optimization.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mreg.artifacts.hashing import hashed, stream_chunks
from mreg.artifacts.local import BLOBS, INCOMING, TEMPORARY, temporary
from mreg.domain.digest import HEX, Digest, blob_key
from mreg.errors import Corrupt
from mreg.files import CREATE, READ, UPDATE, close, lock
from mreg.folders import Folder, Tree

DEAD_SECONDS = 24 * 3600
"""Age after which an incomplete blob is assumed to belong to a dead process."""

LOCK = "lock"


def _there(folder: Folder, name: str) -> bool:
    try:
        folder.stat(name)
    except FileNotFoundError:
        return False
    return True


class BlobCache:
    """Blobs by digest in a folder of limited size; the least recently used blobs are removed first.

    It never fails: if the folder cannot be read or written, the cache is empty. Links in the folder are not followed,
    and only regular files whose names have the form of a blob are removed. A folder with blobs but without the lock
    file is an artifact store, not a cache: it is neither read nor changed.

    Args:
        folder: Created with the first blob.
        limit: Maximum size in bytes.
        private: Create the folder with mode 0700.
    """

    def __init__(self, folder: Path, limit: int, *, private: bool = False) -> None:
        root = os.path.abspath(folder)
        self._tree = Tree(root, private=root if private else "", kept=(BLOBS, INCOMING))
        self._limit = limit
        self._changed = False
        self._owned = False

    def _is_owned(self) -> bool:
        """Return whether the folder is a cache or empty, not an artifact store (which has the same layout)."""
        if not self._owned:
            root = self._tree.folder(())
            self._owned = _there(root, LOCK) or not _there(root, BLOBS[0])
        return self._owned

    def __contains__(self, digest: Digest) -> bool:
        with contextlib.suppress(OSError, Corrupt):
            folder, name = self._locate(digest)
            return stat.S_ISREG(folder.stat(name).st_mode)
        return False

    def _locate(self, digest: Digest, *, make: bool = False) -> tuple[Folder, str]:
        *names, last = blob_key(digest).split("/")
        return self._tree.folder(tuple(names), make=make), last

    def open(self, digest: Digest) -> BinaryIO | None:
        """Open a blob for reading, verified; None if it is not in the cache. A damaged blob is removed."""
        try:
            if not self._is_owned():
                return None
            folder, name = self._locate(digest)
            if not stat.S_ISREG(folder.stat(name).st_mode):
                return None
            stream = os.fdopen(folder.open(name, READ), "rb", buffering=0)
        except (OSError, Corrupt):
            return None
        try:
            if hashed(stream_chunks(stream)) == digest:
                stream.seek(0)
                with contextlib.suppress(OSError):  # a file of another user keeps its modification time
                    folder.touch(name)
                return stream
        except OSError:
            stream.close()
            return None
        stream.close()
        with contextlib.suppress(OSError):
            folder.unlink(name)
        return None

    def keep(self, digest: Digest, source: str | bytes) -> None:
        """Add a copy of a blob, from the path of a file or from its bytes."""
        if digest in self:
            return
        made = temporary()
        try:
            if (len(source) if isinstance(source, bytes) else os.stat(source).st_size) > self._limit:
                return
            root = self._tree.folder((), make=True)
            if not self._is_owned():
                return
            close(root.open(LOCK, UPDATE, 0o666))
            incoming = self._tree.folder(INCOMING, make=True)
            folder, name = self._locate(digest, make=True)
        except (OSError, Corrupt):
            return
        try:
            self._copy(source, incoming, made)
            folder.rename(incoming, made, name)
            self._changed = True
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                incoming.unlink(made)

    def _copy(self, source: str | bytes, folder: Folder, name: str) -> None:
        with os.fdopen(folder.open(name, CREATE, 0o444), "wb") as target:
            if isinstance(source, bytes):
                target.write(source)
                return
            with open(source, "rb", buffering=0) as stream:
                target.writelines(stream_chunks(stream))

    def trim(self) -> None:
        """Remove the least recently used blobs until the limit holds, if blobs were added; one process at a time."""
        if not self._changed:
            return
        self._changed = False
        with contextlib.suppress(OSError, Corrupt), self._alone():
            self._remove_dead()
            found = sorted(self._found())
            held = sum(size for _, size, _, _ in found)
            for _, size, digits, name in found:
                if held <= self._limit:
                    break
                with contextlib.suppress(OSError):
                    self._tree.folder((*BLOBS, digits)).unlink(name)
                held -= size

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = self._tree.folder((), make=True).open(LOCK, UPDATE, 0o666)
        try:
            lock(descriptor)  # without locks, two processes can remove more than necessary
            yield
        finally:
            close(descriptor)

    def _found(self) -> Iterator[tuple[int, int, str, str]]:
        """Yield each blob: time of last use, size, folder name and file name."""
        for digits, status in self._tree.folder(BLOBS).found():
            if not stat.S_ISDIR(status.st_mode):
                continue
            for name, found in self._tree.folder((*BLOBS, digits)).found():
                if stat.S_ISREG(found.st_mode) and HEX.fullmatch(digits + name):
                    yield found.st_mtime_ns, found.st_size, digits, name

    def _remove_dead(self) -> None:
        incoming = self._tree.folder(INCOMING)
        for name, found in incoming.found():
            old = time.time() - found.st_mtime > DEAD_SECONDS
            if old and stat.S_ISREG(found.st_mode) and TEMPORARY.fullmatch(name):
                with contextlib.suppress(OSError):
                    incoming.unlink(name)
