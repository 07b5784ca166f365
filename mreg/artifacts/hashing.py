"""SHA-256 beside the moving of the bytes."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import BinaryIO

from mreg.domain.digest import Digest
from mreg.errors import Corrupt

CHUNK_BYTES = 2 << 20
"""Large enough that hashing and writing are not held up by Python, small enough to stay in the cache."""

AHEAD = 4
"""Chunks that may wait for hashing: memory stays bounded, and neither side waits at each chunk."""

THREAD_BYTES = 8 << 20
"""From this size on a thread of its own hashes; below, starting one costs more than it saves."""


def digest_of(data: bytes) -> Digest:
    """The digest of bytes in memory."""
    return Digest.sha256(hashlib.sha256(data).hexdigest())


class Hashing:
    """Hashes chunks on a thread of its own, in order, while the caller moves them; a context manager.

    hashlib lets go of Python's lock, so that on two cores a copy costs the slower of hashing and writing, not the sum.
    """

    def __init__(self, size: int) -> None:
        self._hash = hashlib.sha256()
        self._waiting: deque[bytes | memoryview | None] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        if size >= THREAD_BYTES:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def add(self, chunk: bytes | memoryview) -> None:
        """Hash a chunk, soon; waits where too many wait already. A view must last until `settle`."""
        if self._thread is None:
            self._update(chunk)
            return
        with self._changed:
            while len(self._waiting) >= AHEAD:
                self._changed.wait()
            self._waiting.append(chunk)
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait until everything that was added is hashed."""
        if self._thread is not None:
            with self._changed:
                while self._waiting:
                    self._changed.wait()

    def _update(self, chunk: bytes | memoryview) -> None:
        self._hash.update(chunk)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                chunk = self._waiting[0]
            if chunk is not None:
                self._update(chunk)
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()
            if chunk is None:
                return

    def __enter__(self) -> Hashing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            with self._changed:
                self._waiting.append(None)
                self._changed.notify_all()
            self._thread.join()
            self._thread = None

    def digest(self) -> Digest:
        """The digest of everything that was added."""
        self.__exit__()
        return Digest.sha256(self._hash.hexdigest())


class PartHashing(Hashing):
    """Hashes each part of what is added by itself."""

    def __init__(self, size: int, part_bytes: int) -> None:
        self._part_bytes = part_bytes
        self._filled = 0
        self._parts: list[Digest] = []
        super().__init__(size)

    def _update(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk)
        while view:
            piece = view[: self._part_bytes - self._filled]
            self._hash.update(piece)
            self._filled += len(piece)
            view = view[len(piece) :]
            if self._filled == self._part_bytes:
                self._end_part()

    def _end_part(self) -> None:
        self._parts.append(Digest.sha256(self._hash.hexdigest()))
        self._hash, self._filled = hashlib.sha256(), 0

    def digests(self) -> list[Digest]:
        """The digests of the parts, the last of which may be shorter."""
        self.__exit__()
        if self._filled:
            self._end_part()
        return self._parts


def hashed(chunks: Iterable[bytes]) -> Digest:
    """The digest of some chunks."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return Digest.sha256(found.hexdigest())


def stream_chunks(stream: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The chunks of an open stream up to its end."""
    while chunk := stream.read(chunk_bytes):
        yield chunk


def rest_of(stream: BinaryIO, start: int, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The chunks of a stream from a byte on, which is closed at its end; ``advance`` is told how many bytes came."""
    with closing(stream):
        stream.seek(start)
        for chunk in stream_chunks(stream):
            advance(len(chunk))
            yield chunk


def missing(digest: Digest, store: str) -> Corrupt:
    """The error for a blob that should be in a store and is not."""
    return Corrupt(f"the blob {digest} is missing from {store}", digest=str(digest))


def damaged(digest: Digest, how: str = "its bytes have another SHA-256") -> Corrupt:
    """The error for a blob that is not what its name says."""
    return Corrupt(f"the blob {digest} is damaged: {how}", digest=str(digest))
