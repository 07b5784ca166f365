"""Parallel downloads from a remote backend: large blobs in ranges, small blobs in one request."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from queue import Empty, SimpleQueue

from mreg.artifacts.backend import BlobBackend, BlobRequest, Chunk, SupportsBatches
from mreg.artifacts.hashing import damaged, missing
from mreg.artifacts.parallel import Stoppable, in_order
from mreg.domain.digest import Digest, blob_key
from mreg.errors import MregError, NotFound, Unavailable

RANGE_BYTES = 8 << 20
READ_BYTES = 256 << 10
AT_ONCE = 8
SMALL_AT_ONCE = 16
"""Concurrent requests: more of them speed up small blobs, but ranges only compete for the processor."""

BUDGET_BYTES = 64 << 20
"""Maximum number of bytes that wait in memory for earlier ranges; an interrupted pull can lose that much."""


@dataclass(frozen=True, slots=True)
class _Piece:
    digest: Digest
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """Small complete blobs that are read in one request."""

    blobs: Sequence[BlobRequest]
    open: Callable[[Sequence[BlobRequest]], Iterator[bytes]]

    @property
    def length(self) -> int:
        """Number of bytes."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True, slots=True)
class _Arrived:
    """The bytes of a piece that arrived before a failure."""

    buffer: bytearray
    count: int
    failure: MregError | None


class _Buffers:
    """Reusable buffers for pieces: the first access to new memory costs as much as a transfer from a nearby store."""

    def __init__(self) -> None:
        self._free: SimpleQueue[bytearray] = SimpleQueue()

    def take(self, size: int) -> bytearray:
        if size > RANGE_BYTES // 2:
            with suppress(Empty):
                return self._free.get_nowait()
            return bytearray(RANGE_BYTES + 1)
        return bytearray(size)

    def give_back(self, buffer: bytearray) -> None:
        if len(buffer) > RANGE_BYTES:
            self._free.put(buffer)


def fetched(
    backend: BlobBackend, requests: Sequence[BlobRequest], advance: Callable[[int], None]
) -> Generator[Iterator[Chunk]]:
    """Yield the unverified chunks of each blob in order; a blob that is too long has one extra byte.

    A chunk is valid until the next is read. Read all chunks of a blob before the next blob; close the iterator to stop
    early.

    Raises:
        Corrupt: A blob is missing.
        Unavailable: A blob cannot be read.
    """
    stoppable = Stoppable(advance)
    buffers = _Buffers()
    ready: deque[_Arrived] = deque()

    def fetch(piece: _Piece | _Batch) -> Sequence[_Arrived]:
        if isinstance(piece, _Piece):
            return (fetch_piece(piece),)
        arrived = []
        with suppress(MregError):  # a blob that cannot be read is requested again alone, for its own error
            for blob, data in zip(piece.blobs, piece.open(piece.blobs), strict=True):
                stoppable(len(data))
                arrived.append(_Arrived(bytearray(data), len(data), None))
                if len(data) < blob.size:
                    break
        rest = piece.blobs[len(arrived) :]
        return [*arrived, *(fetch_piece(part) for blob in rest for part in _pieces(blob))]

    def fetch_piece(piece: _Piece) -> _Arrived:
        buffer = buffers.take(piece.length)
        view = memoryview(buffer)
        count, failure = 0, None
        try:
            with closing(backend.open(blob_key(piece.digest), piece.start, piece.length)) as stream:
                while more := stream.readinto(view[count : min(count + READ_BYTES, piece.length)]):  # type: ignore[attr-defined]
                    count += more
                    stoppable(more)
        except NotFound as error:
            raise missing(piece.digest, backend.place) from error
        except Unavailable as error:
            failure = error
        return _Arrived(buffer, count, failure)

    def chunks(blob: BlobRequest) -> Iterator[Chunk]:
        for piece in _pieces(blob):
            if not ready:
                ready.extend(next(results))
            arrived = ready.popleft()
            yield memoryview(arrived.buffer)[: arrived.count]
            if arrived.failure is not None:
                raise arrived.failure
            there = piece.start + arrived.count
            # Otherwise a false size causes a requests for each piece.
            if there < min(piece.start + piece.length, blob.size):
                raise damaged(blob.digest, f"expected {blob.size:,} bytes, got {there:,}")
            buffers.give_back(arrived.buffer)

    large = any(blob.size - blob.start > RANGE_BYTES for blob in requests)
    under_way = in_order(
        fetch,
        _wanted(backend, requests),
        at_once=AT_ONCE if large else SMALL_AT_ONCE,
        size=lambda piece: piece.length,
        budget=BUDGET_BYTES,
    )
    with closing(under_way) as results, stoppable:
        for blob in requests:
            yield chunks(blob)


def _wanted(backend: BlobBackend, requests: Sequence[BlobRequest]) -> Iterator[_Piece | _Batch]:
    """Yield what to request for blobs, in their order."""
    if not isinstance(backend, SupportsBatches):
        yield from chain.from_iterable(map(_pieces, requests))
        return
    batch: list[BlobRequest] = []
    size = 0
    for request in (*requests, None):
        small = request is not None and request.start == 0 and 0 < request.size <= backend.batched_bytes
        fits = len(batch) < backend.batch_blobs and request and size + request.size <= backend.batch_bytes
        if batch and not (small and fits):
            yield _Batch(tuple(batch), backend.open_many) if len(batch) > 1 else next(_pieces(batch[0]))
            batch, size = [], 0
        if request is None:
            return
        if small:
            batch.append(request)
            size += request.size
        else:
            yield from _pieces(request)


def _pieces(request: BlobRequest) -> Iterator[_Piece]:
    """Yield the ranges to request; the last has one extra byte, so that a blob that is too long is detected."""
    start = request.start
    while True:
        length = min(RANGE_BYTES, request.size - start)
        last = start + length >= request.size
        yield _Piece(request.digest, start, length + last)
        if last:
            return
        start += length
