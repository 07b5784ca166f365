"""A local cache of blobs, so that they are fetched once.

::

    folder/blobs/sha256/ab/cdef...   a blob; its access time is the time of its last use
    folder/complete/                 complete artifacts: see `mreg.artifacts.cached_artifacts`
    folder/tmp/                      incomplete blobs
    folder/lock                      created before the first blob; distinguishes a cache from an artifact store

Any number of processes share it. Its content can be removed at any time: it is only an optimization.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mreg.artifacts.hashing import hashed, stream_chunks
from mreg.artifacts.local import BLOBS, INCOMING, TEMPORARY, temporary
from mreg.artifacts.tree import Tree as ContentTree
from mreg.domain.digest import HEX, Digest, blob_key
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt
from mreg.files import CREATE, READ, UPDATE, close, lock, remove, write_all
from mreg.folders import Folder, Tree

DEAD_SECONDS = 24 * 3600
"""Age after which an incomplete blob or artifact is assumed to belong to a dead process."""

HELD_SECONDS = 3600
"""Time since its last use in which a complete artifact is not removed: programs open its files by their paths."""

LOCK = "lock"
COMPLETE = "complete"
"""Folder of the complete artifacts."""

PARTIAL = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{1,24}")
"""Names of incomplete artifacts."""


class _Item(NamedTuple):
    """A blob or a complete artifact.

    Attributes:
        used: Time of the last use, in nanoseconds.
        folder: The first two digits of a blob, or `COMPLETE`.
        files: Inode number and size of each file.
    """

    used: int
    folder: str
    name: str
    files: tuple[tuple[int, int], ...]


def is_in_use(found: os.stat_result) -> bool:
    """Return whether a complete artifact with this status was used in the last `HELD_SECONDS`."""
    return abs(time.time() - found.st_mtime) < HELD_SECONDS


def _there(folder: Folder, name: str) -> bool:
    try:
        folder.stat(name)
    except FileNotFoundError:
        return False
    return True


class BlobCache:
    """Blobs by digest in a folder of limited size; the least recently used blobs are removed first.

    As a cache of blobs it never fails: if the folder cannot be read or written, the cache is empty. Links in the folder
    are not followed, and only regular files whose names have the form of a blob are removed. A folder with blobs but
    without the lock file is an artifact store, not a cache: it is neither read nor changed.

    Args:
        folder: Created with the first blob.
        limit: Maximum size in bytes.
        private: Create the folder with mode 0700.

    Attributes:
        path: Absolute path of the folder.
    """

    def __init__(self, folder: Path, limit: int, *, private: bool = False) -> None:
        root = self.path = os.path.abspath(folder)
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
            with contextlib.ExitStack() as opened:
                stream = opened.enter_context(os.fdopen(folder.open(name, READ), "rb", buffering=0))
                if hashed(stream_chunks(stream)) == digest:
                    stream.seek(0)
                    with contextlib.suppress(OSError):  # a file of another user keeps its access time
                        folder.touch(name)
                    opened.pop_all()
                    return stream
            folder.unlink(name)
        except (OSError, Corrupt):
            pass
        return None

    def keep(self, digest: Digest, source: str | bytes) -> None:
        """Add a copy of a blob, from the path of a file or from its bytes."""
        if digest in self:
            return
        made = temporary()
        try:
            if (len(source) if isinstance(source, bytes) else os.stat(source).st_size) > self._limit:
                return
            if not self._claim():
                return
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

    def share(self, digest: Digest, source: Folder, source_name: str) -> None:
        """Make a read-only file in the cache a blob, too, by a hard link that replaces an existing copy of the blob."""
        made = temporary()
        try:
            if source.stat(source_name).st_size > self._limit or not self._claim():
                return
            incoming = self._tree.folder(INCOMING, make=True)
            folder, name = self._locate(digest, make=True)
            incoming.link(source, source_name, made)
        except (OSError, Corrupt):
            return
        try:
            folder.rename(incoming, made, name)
            self._changed = True
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):  # if both names are links to one file, the rename keeps both
                incoming.unlink(made)

    def _claim(self) -> bool:
        """Create the root and the lock file; return False if the folder is an artifact store.

        Raises:
            OSError: The folder cannot be created or written.
        """
        root = self._tree.folder((), make=True)
        if not self._is_owned():
            return False
        close(root.open(LOCK, UPDATE, 0o666))
        return True

    def folder(self, *names: str, make: bool = False) -> Folder:
        """Return a folder in the cache for complete artifacts.

        Args:
            make: Create missing folders.

        Raises:
            OSError: The folder does not exist, or cannot be created.
            Corrupt: A part of the path is a link.
            BadInput: The folder of the cache is an artifact store.
        """
        if not (self._claim() if make else self._is_owned()):
            raise BadInput(
                f"cannot use {quoted(self.path, 300)} as a cache: it is an artifact store",
                hint="name another folder: export MREG_CACHE=FOLDER",
            )
        return self._tree.folder((COMPLETE, *names), make=make)

    def set_aside(self, name: str) -> None:
        """Move a complete artifact away by one rename, then remove it.

        Raises:
            OSError: It does not exist, or cannot be renamed.
        """
        made = temporary()
        incoming = self._tree.folder(INCOMING, make=True)
        incoming.rename(self._tree.folder((COMPLETE,)), name, made)
        with contextlib.suppress(OSError, RecursionError):
            remove(os.path.join(incoming.path, made))

    def added(self) -> None:
        """Note that something was added, so that the next `trim` checks the limit."""
        self._changed = True

    def _copy(self, source: str | bytes, folder: Folder, name: str) -> None:
        descriptor = folder.open(name, CREATE, 0o444)
        try:
            if isinstance(source, bytes):
                write_all(descriptor, source)
                return
            with open(source, "rb", buffering=0) as stream:
                for chunk in stream_chunks(stream):
                    write_all(descriptor, chunk)
        finally:
            os.close(descriptor)

    def trim(self) -> None:
        """Remove what was used least recently until the limit holds, if something was added; one process at a time.

        Complete artifacts that were used in the last `HELD_SECONDS` stay, although the limit is exceeded then.
        """
        if not self._changed:
            return
        self._changed = False
        with contextlib.suppress(OSError, Corrupt), self._alone():
            self._remove_dead()
            found = sorted((*self._blobs(), *self._artifacts()), key=lambda item: item.used)
            links = Counter(file for item in found for file, _ in item.files)
            held = sum(dict(file for item in found for file in item.files).values())
            for item in found:
                if held <= self._limit:
                    break
                if not self._remove(item):
                    continue
                for file, size in item.files:
                    links[file] -= 1
                    held -= 0 if links[file] else size  # another name of the file keeps its bytes

    def _remove(self, item: _Item) -> bool:
        with contextlib.suppress(OSError):
            if item.folder != COMPLETE:
                self._tree.folder((*BLOBS, item.folder)).unlink(item.name)
                return True
            artifact = self._tree.folder((COMPLETE, item.name))
            lock(artifact.opened, wait=False)  # fails while a process is using it
            if is_in_use(os.stat(artifact.path)):
                return False
            self.set_aside(item.name)
            return True
        return False

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = self._tree.folder((), make=True).open(LOCK, UPDATE, 0o666)
        try:
            lock(descriptor)  # without locks, two processes can remove more than necessary
            yield
        finally:
            close(descriptor)

    def _blobs(self) -> Iterator[_Item]:
        with contextlib.suppress(FileNotFoundError):
            for digits, status in self._tree.folder(BLOBS).found():
                if not stat.S_ISDIR(status.st_mode):
                    continue
                for name, found in self._tree.folder((*BLOBS, digits)).found():
                    if stat.S_ISREG(found.st_mode) and HEX.fullmatch(digits + name):
                        used = max(found.st_atime_ns, found.st_mtime_ns)  # earlier releases set the latter
                        yield _Item(used, digits, name, ((found.st_ino, found.st_size),))

    def _artifacts(self) -> Iterator[_Item]:
        with contextlib.suppress(FileNotFoundError):
            for name, status in self._tree.folder((COMPLETE,)).found():
                if not stat.S_ISDIR(status.st_mode):
                    continue
                partial = PARTIAL.fullmatch(name) and time.time() - status.st_mtime > DEAD_SECONDS
                if partial:
                    with contextlib.suppress(OSError):
                        self.set_aside(name)
                elif HEX.fullmatch(name):
                    yield _Item(status.st_mtime_ns, COMPLETE, name, tuple(self._files_of(name)))

    def _files_of(self, name: str) -> Iterator[tuple[int, int]]:
        folder = self._tree.folder((COMPLETE, name))
        with contextlib.suppress(OSError), ContentTree(folder.path, folder.opened) as tree:
            for _, found in tree.walk():
                if stat.S_ISREG(found.st_mode):
                    yield found.st_ino, found.st_size

    def _remove_dead(self) -> None:
        try:
            incoming = self._tree.folder(INCOMING)
        except FileNotFoundError:
            return
        for name, found in incoming.found():
            if not TEMPORARY.fullmatch(name):
                continue
            if stat.S_ISDIR(found.st_mode):  # an artifact whose removal was interrupted
                with contextlib.suppress(OSError, RecursionError):
                    remove(os.path.join(incoming.path, name))
            elif stat.S_ISREG(found.st_mode) and time.time() - found.st_mtime > DEAD_SECONDS:
                with contextlib.suppress(OSError):
                    incoming.unlink(name)
