"""The chunks of a blob held against its digest while they are given on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mreg.artifacts.backend import Chunk, Wanted
from mreg.artifacts.hashing import Hashing, damaged


def check(wanted: Wanted, chunks: Iterable[Chunk], take: Callable[[Chunk], object] = lambda _chunk: None) -> None:
    """Hold the chunks of a whole blob against its digest, and give them on as they come.

    Raises:
        Corrupt: They are another blob's, found when all were given.
    """
    count = 0
    with Hashing(wanted.size) as hashing:
        for chunk in chunks:
            hashing.add(chunk)
            take(chunk)
            count += len(chunk)
            if isinstance(chunk, memoryview):
                hashing.settle()
        _compare(wanted, count, hashing)


def verified(wanted: Wanted, chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The chunks of a whole blob, the last of them only when all are found to be the blob's.

    Raises:
        Corrupt: They are another blob's; who was promised the blob's size has not got that many.
    """
    count = 0
    held = b""
    with Hashing(wanted.size) as hashing:
        for chunk in chunks:
            own = bytes(chunk)
            hashing.add(own)
            count += len(own)
            if held:
                yield held
            held = own
        _compare(wanted, count, hashing)
    yield held


def _compare(wanted: Wanted, count: int, hashing: Hashing) -> None:
    if count != wanted.size:
        raise damaged(wanted.digest, f"it has {count} bytes in place of {wanted.size}")
    if hashing.digest() != wanted.digest:
        raise damaged(wanted.digest)
