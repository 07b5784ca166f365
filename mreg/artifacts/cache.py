"""A cache of blobs on this machine, so that nothing is fetched twice.

::

    folder/blobs/sha256/ab/cdef...   a blob; its time of change is when it was last used
    folder/tmp/                      blobs on their way in
    folder/lock                      made before the first blob: tells a cache from an artifact store

Shared by any number of processes. What it holds can be removed at any time: it is never needed, only faster.
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
"""After this long what is on its way in belongs to a dead process."""

LOCK = "lock"


def _there(folder: Folder, name: str) -> bool:
    try:
        folder.stat(name)
    except FileNotFoundError:
        return False
    return True


class BlobCache:
    """Blobs by digest in a folder, the least recently used removed first once they are too many bytes.

    It never fails: where it can't be read or written it holds nothing. Below its folder no link is followed, and only
    regular files with names of mreg's own form are removed. A folder with blobs and without the lock file is an
    artifact store and not a cache: nothing in it is used, kept or removed.

    Args:
        folder: Made when the first blob is kept.
        limit: How many bytes it may hold.
        private: Make the folder for its owner alone.
    """

    def __init__(self, folder: Path, limit: int, *, private: bool = False) -> None:
        root = os.path.abspath(folder)
        self._tree = Tree(root, private=root if private else "", kept=(BLOBS, INCOMING))
        self._limit = limit
        self._changed = False
        self._owned = False

    def _is_owned(self) -> bool:
        """Whether the folder is a cache or empty, and not an artifact store, whose blobs have the same names."""
        if not self._owned:
            root = self._tree.folder(())
            self._owned = _there(root, LOCK) or not _there(root, BLOBS[0])
        return self._owned

    def __contains__(self, digest: Digest) -> bool:
        with contextlib.suppress(OSError, Corrupt):
            folder, name = self._place(digest)
            return stat.S_ISREG(folder.stat(name).st_mode)
        return False

    def _place(self, digest: Digest, *, make: bool = False) -> tuple[Folder, str]:
        *names, last = blob_key(digest).split("/")
        return self._tree.folder(tuple(names), make=make), last

    def open(self, digest: Digest) -> BinaryIO | None:
        """The blob's bytes, verified; None where it is not held. One that is damaged is removed."""
        try:
            if not self._is_owned():
                return None
            folder, name = self._place(digest)
            if not stat.S_ISREG(folder.stat(name).st_mode):
                return None
            stream = os.fdopen(folder.open(name, READ), "rb", buffering=0)
        except (OSError, Corrupt):
            return None
        try:
            if hashed(stream_chunks(stream)) == digest:
                stream.seek(0)
                with contextlib.suppress(OSError):  # somebody else's file: its own age must do
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
        """Hold a copy of a file that is this blob, or of its bytes."""
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
            folder, name = self._place(digest, make=True)
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
        """Remove what was used least recently until the limit is kept; only where something was added.

        One process does so at a time.
        """
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
            lock(descriptor)  # without locks two may remove more than they must
            yield
        finally:
            close(descriptor)

    def _found(self) -> Iterator[tuple[int, int, str, str]]:
        """When last used, how large, the folder and the name of each blob."""
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
