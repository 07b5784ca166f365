"""Blobs in a bucket of any provider.

::

    az://container/prefix/blobs/sha256/ab/cdef...   a blob

A store writes objects atomically, and an object is durable once the store has confirmed the write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from mreg.artifacts.backend import BlobBackend, BlobStat, Unfinished
from mreg.artifacts.hashing import digest_of, hashed, stream_chunks
from mreg.artifacts.parallel import in_order
from mreg.domain.digest import blob_key
from mreg.errors import Conflict, NotFound
from mreg.stores.bucket import Bucket
from mreg.stores.integrity import IntegrityCheck
from mreg.stores.probing import PROBES, is_probe, left_probes

SMALL_AT_ONCE = 32
BUDGET_BYTES = 64 << 20

STREAMS = 3
"""Maximum number of uploads of one blob, if others of the same blob that end earlier fail."""

UNCHECKED = "it does not verify uploads: damage in transit is detected and repaired after the upload"


class ObjectBackend(BlobBackend):
    """Blobs in a bucket, under a prefix."""

    remote = True

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @property
    def url(self) -> str:
        return self._bucket.url

    @property
    def conditional(self) -> bool:
        return self._bucket.conditional

    @property
    def verification(self) -> tuple[str, str]:
        check = self._bucket.integrity
        return check.description, UNCHECKED if check is IntegrityCheck.TAG else ""

    def forget(self) -> None:
        self._bucket.forget()

    def put_if_absent(self, key: str, data: bytes) -> bool:
        digest = digest_of(data)
        made = self._bucket.put(key, data, digest, if_absent=True)
        return made or (key == blob_key(digest) and self._bucket.repair(key, data, digest))

    def mark(self, key: str) -> None:
        self._bucket.put(key, b"", digest_of(b""))

    def mark_many(self, keys: Iterable[str]) -> None:
        for _ in in_order(self.mark, keys, at_once=SMALL_AT_ONCE):
            pass

    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        seen: set[str] = set()

        def once() -> Iterator[tuple[str, bytes]]:
            for key, data in blobs:
                if key not in seen:
                    seen.add(key)
                    yield key, data

        return sum(
            in_order(
                lambda blob: self.put_if_absent(*blob),
                once(),
                at_once=SMALL_AT_ONCE,
                size=lambda blob: len(blob[1]),
                budget=BUDGET_BYTES,
            )
        )

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        stream = self._bucket.open(key, start, length)
        if stream is None:
            raise NotFound(f"the blob {key} is missing from {self.url}")
        return stream

    def presign(self, key: str, seconds: int) -> str:
        """See `mreg.artifacts.backend.SupportsPresignedUrls`."""
        return self._bucket.presign(key, seconds)

    def stat(self, key: str) -> BlobStat | None:
        found = self._bucket.stat(key)
        return None if found is None else BlobStat(size=found.size, modified=found.modified)

    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:
        for key, found in self._bucket.list(prefix):
            yield key, BlobStat(size=found.size, modified=found.modified)

    def delete(self, key: str) -> None:
        self._bucket.delete(key)

    def unfinished(self) -> Iterator[Unfinished]:
        for key, found in left_probes(self._bucket, PROBES):
            yield Unfinished(name=key, size=found.size, modified=found.modified)

    def discard(self, unfinished: Unfinished) -> None:
        if is_probe(unfinished.name, PROBES):
            self._bucket.delete(unfinished.name)


class BlockBackend(ObjectBackend):
    """Blobs in a bucket that takes large blobs in blocks of one upload, which nobody can continue.

    Blocks of an upload that broke off are not visible. Azure removes them after a week, or with the next upload of the
    blob; for Google, a lifecycle rule of the bucket does.
    """

    def put_stream(self, key: str, size: int, chunks: Callable[[], Iterator[bytes]]) -> bool:
        """See `mreg.artifacts.backend.SupportsStreams`."""
        found = self._bucket.stat(key)
        if found is not None and found.size == size:
            return False
        for _ in range(STREAMS):
            made = self._bucket.put_stream(key, chunks, size)
            found = self._bucket.stat(key)
            if found is not None and found.size == size:
                if self._bucket.integrity is IntegrityCheck.READ:
                    self._read_back(key)
                return made
            if made:
                raise self._bucket.retry.damaged()
        raise Conflict("other uploads of the same file end before this one", hint="push again")

    def _read_back(self, key: str) -> None:
        """Hash a blob in the store, and remove it if it is damaged.

        Raises:
            Unavailable: It is damaged.
        """
        with contextlib.closing(self.open(key)) as stream:
            digest = hashed(stream_chunks(stream))
        if blob_key(digest) != key:
            self._bucket.delete(key)
            raise self._bucket.retry.damaged()
