"""SHA-256 hashing, concurrent with reading and writing."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from mreg.domain.digest import Digest
from mreg.errors import BadInput, Corrupt, MissingBlob

CHUNK_BYTES = 1 << 20
"""Large enough that Python's overhead does not matter, small enough for the processor cache."""

AHEAD = 4
"""Maximum number of chunks that wait for hashing: it bounds memory, and neither side waits at each chunk."""

THREAD_BYTES = 8 << 20
"""From this size, a separate thread hashes; for less, starting a thread costs more than it saves."""


def digest_of(data: bytes) -> Digest:
    """Return the digest of bytes in memory."""
    return Digest.sha256(hashlib.sha256(data).hexdigest())


class Hashing:
    """Hashes chunks in order on a separate thread while the caller transfers them; a context manager.

    hashlib releases the GIL, so on two cores a copy takes as long as the slower of hashing and writing, not the sum.

    Args:
        size: Expected number of bytes, which decides whether a thread hashes.
        start: Hash of the bytes before (default: none).
    """

    def __init__(self, size: int, start: hashlib._Hash | None = None) -> None:
        self._hash = hashlib.sha256() if start is None else start.copy()
        self._waiting: deque[bytes | memoryview | None] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        if size >= THREAD_BYTES:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def add(self, chunk: bytes | memoryview) -> None:
        """Queue a chunk for hashing; block while the queue is full. A `memoryview` must stay valid until `settle`."""
        if self._thread is None:
            self._update(chunk)
            return
        with self._changed:
            while len(self._waiting) >= AHEAD:
                self._changed.wait()
            self._waiting.append(chunk)
            self._changed.notify_all()

    def settle(self) -> None:
        """Wait until all added chunks are hashed."""
        if self._thread is not None:
            with self._changed:
                while self._waiting:
                    self._changed.wait()

    def state(self) -> hashlib._Hash:
        """Return the hash of all added chunks, from which another object can go on."""
        self.__exit__()
        return self._hash.copy()

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
        """Return the digest of all added chunks."""
        self.__exit__()
        return Digest.sha256(self._hash.hexdigest())


class PartHashing(Hashing):
    """Hashes each part of a file separately."""

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
        """Return the digests of the parts; the last part can be shorter."""
        self.__exit__()
        if self._filled:
            self._end_part()
        return self._parts


def hashed(chunks: Iterable[bytes]) -> Digest:
    """Return the digest of chunks."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return Digest.sha256(found.hexdigest())


def stream_chunks(stream: BinaryIO, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the chunks of an open stream up to its end."""
    while chunk := stream.read(chunk_bytes):
        yield chunk


def counted_chunks(stream: BinaryIO, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the chunks of an open stream up to its end, calling `advance` with the size of each."""
    for chunk in stream_chunks(stream):
        advance(len(chunk))
        yield chunk


def check_received(expected: Digest, received: Digest) -> None:
    """Check the digest of bytes that a client sent.

    Raises:
        BadInput: It is another digest than the client said.
    """
    if received != expected:
        raise BadInput(
            f"the bytes do not match their digest: expected {expected}, got {received}", hint="upload them again"
        )


def missing(digest: Digest, store: str) -> MissingBlob:
    """Return the error for a blob that is missing from a store."""
    return MissingBlob(f"the blob {digest} is missing from {store}", digest=str(digest))


def damaged(digest: Digest, how: str = "its bytes do not match its SHA-256") -> Corrupt:
    """Return the error for a blob whose bytes do not match its digest or size."""
    return Corrupt(f"the blob {digest} is damaged: {how}", digest=str(digest))
