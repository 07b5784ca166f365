"""A cache of blobs on this machine, so that nothing is fetched twice.

::

    folder/blobs/sha256/ab/cdef...   a blob; its time of change is when it was last used
    folder/tmp/                      blobs on their way in

Shared by any number of processes. What it holds can be removed at any time: it is never needed, only faster.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from mreg.artifacts.hashing import hashed, stream_chunks
from mreg.artifacts.layout import blob_key
from mreg.artifacts.local import CREATE, NOFOLLOW, READ
from mreg.domain.digest import Digest

DEAD_SECONDS = 24 * 3600
"""After this long what is on its way in belongs to a dead process."""


class BlobCache:
    """Blobs by digest in a folder, the least recently used removed first once they are too many bytes.

    It never fails: where it can't be read or written it holds nothing.

    Args:
        folder: Made when the first blob is kept.
        limit: How many bytes it may hold.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = str(folder)
        self._limit = limit
        self._changed = False

    def __contains__(self, digest: Digest) -> bool:
        return os.path.isfile(self._place(digest))

    def _place(self, digest: Digest) -> str:
        return os.path.join(self._folder, *blob_key(digest).split("/"))

    def open(self, digest: Digest) -> BinaryIO | None:
        """The blob's bytes, verified; None where it is not held. One that is damaged is removed."""
        place = self._place(digest)
        try:
            stream = os.fdopen(os.open(place, READ | NOFOLLOW), "rb", buffering=0)
        except OSError:
            return None
        try:
            if hashed(stream_chunks(stream)) == digest:
                stream.seek(0)
                with contextlib.suppress(OSError):  # somebody else's file: its own age must do
                    os.utime(place)
                return stream
            with contextlib.suppress(OSError):
                os.unlink(place)
        except OSError:
            pass
        stream.close()
        return None

    def keep(self, digest: Digest, source: str | bytes) -> None:
        """Hold a copy of a file that is this blob, or of its bytes."""
        place = self._place(digest)
        if os.path.lexists(place):
            return
        temporary = os.path.join(self._folder, "tmp", os.urandom(12).hex())
        try:
            if (len(source) if isinstance(source, bytes) else os.stat(source).st_size) > self._limit:
                return
            os.makedirs(os.path.dirname(temporary), exist_ok=True)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            self._copy(source, temporary)
            os.rename(temporary, place)
            self._changed = True
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)

    def _copy(self, source: str | bytes, to: str) -> None:
        with os.fdopen(os.open(to, CREATE, 0o444), "wb") as target:
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
        with contextlib.suppress(OSError), self._alone():
            self._remove_dead()
            found = sorted(self._found())
            held = sum(size for _, size, _ in found)
            for _, size, path in found:
                if held <= self._limit:
                    break
                with contextlib.suppress(OSError):
                    os.unlink(path)
                held -= size

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(os.path.join(self._folder, "lock"), os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o666)
        try:
            with contextlib.suppress(ImportError, OSError):  # without locks two may remove more than they must
                import fcntl

                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _found(self) -> Iterator[tuple[int, int, str]]:
        """When last used, how large and where, of each blob."""
        for folder, _, names in os.walk(os.path.join(self._folder, "blobs")):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    found = os.lstat(path)
                    yield found.st_mtime_ns, found.st_size, path

    def _remove_dead(self) -> None:
        for entry in os.scandir(os.path.join(self._folder, "tmp")):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > DEAD_SECONDS:
                    os.unlink(entry.path)
