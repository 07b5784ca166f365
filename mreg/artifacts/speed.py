"""Latency and throughput of a place, measured with a few small requests in a bounded time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from statistics import median

from mreg.artifacts.backend import BlobBackend
from mreg.artifacts.hashing import damaged, digest_of
from mreg.domain.digest import blob_key

SAMPLES = 5
"""Number of requests whose median is the latency."""

SECONDS = 2.0
"""Time after which no further request is made for a measurement; a request that has begun is completed."""

FIRST_BYTES = 64 << 10
LARGEST_BYTES = 4 << 20
"""Sizes of the blobs that measure the throughput: a small one shows how much fits into `SECONDS`."""


def latency(ask: Callable[[], object]) -> float:
    """Return the median duration of a request in seconds.

    Args:
        ask: Makes one small request; called up to `SAMPLES` times.
    """
    end = time.monotonic() + SECONDS
    samples: list[float] = []
    while len(samples) < SAMPLES and (not samples or time.monotonic() < end):
        samples.append(_seconds(ask))
    return median(samples)


def throughput(backend: BlobBackend) -> tuple[float, float]:
    """Return the bytes per second of an upload and of a download; the blobs are removed afterwards.

    Raises:
        Unavailable: The store cannot be written.
        Corrupt: The store returned other bytes.
    """
    up, down = _transfer(backend, FIRST_BYTES)
    size = min(LARGEST_BYTES, int(min(up, down) * SECONDS))
    return _transfer(backend, size) if size > 2 * FIRST_BYTES else (up, down)


def _transfer(backend: BlobBackend, size: int) -> tuple[float, float]:
    data = os.urandom(size)
    digest = digest_of(data)
    key = blob_key(digest)

    def read() -> None:
        with contextlib.closing(backend.open(key, 0, size)) as stream:
            if stream.read() != data:
                raise damaged(digest)

    try:
        up = _seconds(lambda: backend.put_if_absent(key, data))
        return size / up, size / _seconds(read)
    finally:
        backend.delete(key)


def _seconds(work: Callable[[], object]) -> float:
    """Return the duration of a call; never 0."""
    began = time.perf_counter()
    work()
    return max(time.perf_counter() - began, 1e-9)
