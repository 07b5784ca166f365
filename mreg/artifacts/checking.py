"""Verification of blobs while their chunks are passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mreg.artifacts.backend import BlobRequest, Chunk
from mreg.artifacts.hashing import Hashing, damaged


def check(request: BlobRequest, chunks: Iterable[Chunk], take: Callable[[Chunk], object] = lambda _chunk: None) -> None:
    """Verify the chunks of a complete blob, and pass each one to `take` immediately.

    Raises:
        Corrupt: The blob is damaged, which is known only after the last chunk.
    """
    count = 0
    with Hashing(request.size) as hashing:
        for chunk in chunks:
            hashing.add(chunk)
            take(chunk)
            count += len(chunk)
            if isinstance(chunk, memoryview):
                hashing.settle()
        _compare(request, count, hashing)


def verified(request: BlobRequest, chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """Yield the chunks of a complete blob, the last chunk only after all are verified.

    Raises:
        Corrupt: The blob is damaged; the caller has received fewer bytes than the size of the blob.
    """
    count = 0
    held = b""
    with Hashing(request.size) as hashing:
        for chunk in chunks:
            own = bytes(chunk)
            hashing.add(own)
            count += len(own)
            if count > request.size:  # the chunk before can end at the size
                break
            if held:
                yield held
            held = own
        _compare(request, count, hashing)
    yield held


def _compare(request: BlobRequest, count: int, hashing: Hashing) -> None:
    if count != request.size:
        raise damaged(request.digest, f"expected {request.size:,} bytes, got {count:,}")
    if hashing.digest() != request.digest:
        raise damaged(request.digest)
