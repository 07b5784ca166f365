"""Copy blobs from one store to another, each verified by its SHA-256; a repeated copy sends only what is missing."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

from mreg.artifacts.backend import BlobBackend, BlobRequest, Chunk
from mreg.artifacts.checking import check
from mreg.artifacts.stream_upload import StreamUpload
from mreg.artifacts.upload import SMALL_BYTES, check_room
from mreg.domain.digest import Digest, blob_key

BATCH_BYTES = 64 << 20
BATCH_BLOBS = 1_000
"""Maximum size of a batch of small blobs: a copy that is interrupted repeats at most one batch."""

Fetch = Callable[[Sequence[BlobRequest]], Generator[Iterator[Chunk]]]
"""Returns the unverified chunks of each blob, in order."""


def copy_blobs(sizes: dict[Digest, int], fetch: Fetch, target: BlobBackend, advance: Callable[[int], None]) -> None:
    """Copy blobs durably; blobs that were copied before an error stay.

    Args:
        sizes: Size of each blob.
        fetch: Reads blobs from the source.
        target: Store of the copies.
        advance: Called with the number of bytes copied since the last call.

    Raises:
        Corrupt: A blob is missing from the source, or damaged.
        Unavailable: The source cannot be read, or the target cannot be written.
    """
    check_room(target, sum(sizes.values()))
    requests = [BlobRequest(digest, size) for digest, size in sorted(sizes.items(), key=lambda item: item[0].value)]
    for batch in _batches([request for request in requests if request.size <= SMALL_BYTES]):
        _copy_small(batch, fetch, target, advance)
    for request in requests:
        if request.size > SMALL_BYTES:
            _copy_large(request, fetch, target, advance)


def _batches(requests: list[BlobRequest]) -> Iterator[list[BlobRequest]]:
    batch: list[BlobRequest] = []
    size = 0
    for request in requests:
        if batch and (len(batch) == BATCH_BLOBS or size + request.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(request)
        size += request.size
    if batch:
        yield batch


def _copy_small(batch: list[BlobRequest], fetch: Fetch, target: BlobBackend, advance: Callable[[int], None]) -> None:
    with closing(fetch(batch)) as found:

        def blobs() -> Iterator[tuple[str, bytes]]:
            for request, chunks in zip(batch, found, strict=True):
                data = bytearray()
                check(request, chunks, data.extend)
                yield blob_key(request.digest), bytes(data)
                advance(len(data))

        target.put_many_if_absent(blobs())


def _copy_large(request: BlobRequest, fetch: Fetch, target: BlobBackend, advance: Callable[[int], None]) -> None:
    with closing(fetch([request])) as found, StreamUpload(target, request.size) as upload:

        def write(chunk: Chunk) -> None:
            upload.write(bytes(chunk))  # the chunk is reused, and a thread hashes it
            advance(len(chunk))

        check(request, next(found), write)
        upload.put()
