"""Tests of a backend: every operation that mreg needs, with a temporary blob."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO

from mreg.artifacts.backend import BlobBackend, Part, SupportsDirectUploads, SupportsParts, SupportsStreams
from mreg.artifacts.hashing import damaged, digest_of
from mreg.domain.digest import blob_key
from mreg.errors import MregError

PART_BYTES = 5 << 20
"""The smallest part before the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

Step = tuple[str, Callable[[], str]]
"""Name of a test, and its function, which returns what the backend lacks (empty: nothing)."""


def probing(backend: BlobBackend) -> Iterator[Step]:
    """Yield the tests in order; each needs those before it. Closing the iterator removes the blob that was written.

    The functions raise `mreg.errors.MregError` if an operation fails.
    """
    data = os.urandom(64)
    digest = digest_of(data)
    key = blob_key(digest)

    def look() -> str:
        next(backend.list("blobs/"), None)
        return ""

    written = []

    def write() -> str:
        written.append(key)
        backend.put_if_absent(key, data)
        return ""

    def read() -> str:
        with contextlib.closing(backend.open(key)) as stream:
            if stream.read() != data:
                raise damaged(digest)
        return ""

    def write_again() -> str:
        if backend.put_if_absent(key, data) or not backend.conditional:
            return (
                "it does not support If-None-Match: concurrent pushes of the same bytes both send them; nothing is lost"
            )
        return ""

    def remove() -> str:
        backend.delete(written.pop())
        return ""

    backend.forget()
    try:
        yield "list", look
        yield "write a probe", write
        how, lacks = backend.verification
        if how:
            yield f"check uploads ({how})", lambda: lacks
        yield "read it back", read
        yield "refuse to overwrite", write_again
        yield from _steps_of_large_files(backend)
        yield "remove the probe", remove
    finally:
        with contextlib.suppress(MregError):
            for written_key in written:
                backend.delete(written_key)


def _steps_of_large_files(backend: BlobBackend) -> Iterator[Step]:
    if isinstance(backend, SupportsParts):
        yield "send a large file in parts", partial(_write_parts, backend, backend.delete)
    elif isinstance(backend, SupportsStreams):
        yield "send a large file in blocks", partial(_write_stream, backend, backend.delete)
    if isinstance(backend, SupportsDirectUploads):
        yield "take direct uploads", partial(_look_at_direct, backend)


def _write_parts(backend: SupportsParts, delete: Callable[[str], None]) -> str:
    body = os.urandom(64) * (PART_BYTES // 64)
    large = digest_of(body)
    upload = backend.parts(blob_key(large))
    part = Part(1, 0, len(body), large)
    try:
        upload.put(part, BytesIO(body))
        resumes = backend.parts(blob_key(large)).has(part, BytesIO(body))
        upload.complete([part])
    finally:
        delete(blob_key(large))
    return "" if resumes else "it does not list uploaded parts: an interrupted push starts again"


def _write_stream(backend: SupportsStreams, delete: Callable[[str], None]) -> str:
    body = os.urandom(64) * (PART_BYTES // 64)
    large = blob_key(digest_of(body))
    try:
        backend.put_stream(large, len(body), lambda: iter([body]))
    finally:
        delete(large)
    return "it does not resume uploads: an interrupted push of a large file starts again"


def _look_at_direct(backend: SupportsDirectUploads) -> str:
    why = backend.direct_refusal()
    return why and f"{why}: uploads to mreg serve --direct go through the server"
