"""Bodies that are processed while they are received.

While a thread hashes and writes one chunk, the event loop collects the next, so memory is bounded for any size and a
slow client occupies no thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request

from mreg.errors import MregError
from mreg.server.concurrency import ConcurrencyLimit, client_of, run_transfer
from mreg.server.problems import Refused, interrupted

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
"""Size of the chunks that a thread processes; smaller chunks would be slower."""

UPLOADS = ConcurrencyLimit("uploads", 64, each=32)
"""Each upload holds an open file and a few megabytes; one client cannot take all places of the others."""


def upload_slot(request: Request) -> AbstractContextManager[None]:
    """Return a slot of `UPLOADS` for the client of a request."""
    return UPLOADS.slot(client_of(request.scope))


def is_json(content_type: str) -> bool:
    """Return whether a body is JSON, by its ``Content-Type``."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def announced_size(request: Request) -> int:
    """Return the ``Content-Length`` of a request, 0 if it is unknown."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


def refuse_compression(request: Request) -> None:
    """Raise `Refused` if a body is compressed: a few bytes of it could become gigabytes."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "no_form", "a compressed upload is not accepted", hint="send it without Content-Encoding")


async def feed_body(request: Request, feed: Callable[[bytes], None]) -> None:
    """Parse the whole body: each chunk in a thread, while the next is collected.

    Raises:
        Unavailable: The disk is nearly full.
    """
    registry: LocalRegistry = request.app.state.registry

    def step(chunk: bytes) -> None:
        registry.check_reserve()
        feed(chunk)

    parsing: asyncio.Task[None] | None = None
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size >= CHUNK_BYTES:
                if parsing is not None:
                    await parsing
                parsing = asyncio.create_task(run_transfer(request.scope, step, b"".join(parts)))
                parts, size = [], 0
        if parsing is not None:
            await parsing
        await run_transfer(request.scope, step, b"".join(parts))
    except ClientDisconnect:
        raise interrupted() from None
    finally:
        if parsing is not None and not parsing.done():  # the thread must not write to a closed upload
            with anyio.CancelScope(shield=True), suppress(MregError):
                await parsing


@asynccontextmanager
async def on_threads(request: Request, manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave the context manager of an upload in threads, as it may wait for disks and networks."""
    value = await run_transfer(request.scope, manager.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await run_transfer(request.scope, manager.__exit__, *sys.exc_info())
