"""Long operations: progress as server-sent events, and a stop when the client has gone.

A client that accepts ``text/event-stream`` gets the answer at once, as events: ``progress`` with ``done`` and
``total``, ``notice``, ``part`` with items of a long list, ``file`` with a file to download, and at the end one
``result`` or ``problem``. A comment is sent after `HEARTBEAT_SECONDS` without an event, so that no proxy takes the
connection for dead. Any other client gets the result as JSON when the operation is done.

An operation runs in a thread. Its next call of `Operation.progress` stops it if the client has disconnected, its token
was revoked, or the server is stopping.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mreg.domain.text import printable_json
from mreg.errors import MregError
from mreg.server.concurrency import ConcurrencyLimit, client_of
from mreg.server.download import disconnected
from mreg.server.envelopes import collected, envelope_of
from mreg.server.guard import token_revoked
from mreg.server.parameters import json_response, registry_of
from mreg.server.problems import Refused, error_response, http_error_response, problem, unexpected_response
from mreg.wire import encode
from mreg.wire.envelope import encode_notices
from mreg.wire.protocol import DOCUMENT_BYTES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from mreg.registry.local import LocalRegistry

T = TypeVar("T")

EVENTS = "text/event-stream"

OPERATIONS = 4
"""Maximum number of long operations at a time; their threads are separate from those of other requests."""

HEARTBEAT_SECONDS = 5.0
"""Maximum time between two events or comments; proxies give up after 30 to 60 seconds."""

PROGRESS_SECONDS = 0.5
"""Time between two ``progress`` events, and maximum time until a stop is noticed."""

PART_ITEMS = 1_000
"""Maximum number of items of a list in one event."""


class Stopped(BaseException):
    """The operation was stopped; not an `Exception`, which a retry could take for a failure."""


class Operations:
    """The long operations of one server, which are stopped when the server is."""

    def __init__(self) -> None:
        self._limit = ConcurrencyLimit("long operations", OPERATIONS, each=OPERATIONS - 1)
        self._threads = CapacityLimiter(OPERATIONS)
        self._running: set[Operation[Any]] = set()
        self._stopping = False

    def stop(self) -> None:
        """Stop the operations in progress, and refuse further ones."""
        self._stopping = True
        for operation in self._running:
            operation.stop(_stopped())

    def is_busy(self, operation: Operation[Any]) -> bool:
        """Return whether `running` would refuse an operation because others are in progress."""
        return not self._stopping and self._limit.is_full(operation.client)

    def check_free(self, operation: Operation[Any]) -> None:
        """Check that an operation could begin now.

        Raises:
            Refused: Too many operations are in progress, or the server is stopping.
        """
        if self._stopping:
            raise _stopping()
        self._limit.check(operation.client)

    @contextmanager
    def running(self, operation: Operation[Any]) -> Iterator[CapacityLimiter]:
        """Count an operation until the block ends; yield the limit of the threads.

        Raises:
            Refused: Too many operations are in progress, or the server is stopping.
        """
        if self._stopping:
            raise _stopping()
        with self._limit.slot(operation.client):
            self._running.add(operation)
            try:
                yield self._threads
            finally:
                self._running.discard(operation)


class Operation(Generic[T]):
    """One long operation, and the way from its threads to the event loop.

    Args:
        request: The request for it.
        work: Does it, in a thread.
        body: Entered to receive the body before the operation begins, and left at its end. Until the body is there,
            the operation takes no place from others, however slow its client sends.
        drop: Called with a result that is not sent, because the request was cancelled.

    Attributes:
        registry: The registry of the caller; its notices become events.
        client: Name of the client; empty on a server without tokens.
    """

    def __init__(
        self,
        request: Request,
        work: Callable[[Operation[T]], T],
        body: AbstractAsyncContextManager[None] | None,
        drop: Callable[[T], None],
    ) -> None:
        self._body = body
        self._drop = drop
        self.registry: LocalRegistry = registry_of(request, self._notice)
        self.client = client_of(request.scope)
        self._request = request
        self._work = work
        self._notices: deque[str] = deque()
        self._progress: tuple[int, int] | None = None
        self._why_stopped: Refused | None = None

    def progress(self, done: int, total: int) -> None:
        """Report the progress, from any thread.

        Raises:
            Stopped: The operation was stopped.
        """
        if self._why_stopped is not None:
            raise Stopped
        self._progress = (done, total)

    def _notice(self, text: str) -> None:
        self._notices.append(text)

    def stop(self, why: Refused) -> None:
        """Let the next call of `progress` end the operation.

        Args:
            why: The answer to the client, if it is still there.
        """
        if self._why_stopped is None:
            self._why_stopped = why

    async def run(self, show: Callable[[list[tuple[str, Any]]], Awaitable[None]]) -> T:
        """Run the operation, and return its result.

        Args:
            show: Awaited with the events since the last call, at least every `PROGRESS_SECONDS`.

        Raises:
            Refused: Too many operations are in progress, or this one was stopped.
            MregError: The operation failed.
        """
        operations: Operations = self._request.app.state.operations
        if self._body is None:
            with operations.running(self) as threads:
                return await self._run(threads, show)
        operations.check_free(self)  # a client need not send the body in vain
        async with self._body:
            await self._wait_for_turn(operations, show)
            with operations.running(self) as threads:
                return await self._run(threads, show)

    async def _wait_for_turn(
        self, operations: Operations, show: Callable[[list[tuple[str, Any]]], Awaitable[None]]
    ) -> None:
        """Wait until an operation may begin whose body was received: the client would have to send it again."""
        gone = asyncio.create_task(disconnected(self._request.receive))
        try:
            while operations.is_busy(self):
                await show(self._events())
                await asyncio.wait({gone}, timeout=PROGRESS_SECONDS)
                if gone.done():
                    raise _stopped()
                if self._request.scope["mreg.revoked"]():
                    raise token_revoked(self._request.scope)
        finally:
            gone.cancel()

    async def _run(self, threads: CapacityLimiter, show: Callable[[list[tuple[str, Any]]], Awaitable[None]]) -> T:
        working = asyncio.create_task(run_sync(self._work, self, limiter=threads))
        gone = asyncio.create_task(disconnected(self._request.receive))
        taken = False
        try:
            while not working.done():
                await show(self._events())
                await asyncio.wait({working}, timeout=PROGRESS_SECONDS)
                if gone.done():
                    self.stop(_stopped())
                elif self._request.scope["mreg.revoked"]():
                    self.stop(token_revoked(self._request.scope))
            await show(self._events())
            taken = True
            return working.result()
        except Stopped:
            raise self._why_stopped or _stopped() from None
        finally:
            gone.cancel()
            self.stop(_stopped())  # the server cancels this task once its grace period is over
            await asyncio.wait({working})
            # Read in any case: asyncio logs an exception that nothing has read.
            if working.exception() is None and not taken:
                self._drop(working.result())

    def _events(self) -> list[tuple[str, Any]]:
        """Return the events since the last call; of the progress the newest."""
        events: list[tuple[str, Any]] = []
        while self._notices:
            events.append(("notice", self._notices.popleft()))
        progress, self._progress = self._progress, None
        if progress is not None:
            events.append(("progress", {"done": progress[0], "total": progress[1]}))
        return events


def wants_events(request: Request) -> bool:
    """Return whether the client accepts server-sent events."""
    return any(
        kind.partition(";")[0].strip().lower() == EVENTS for kind in request.headers.get("accept", "").split(",")
    )


async def answer(
    request: Request,
    work: Callable[[Operation[T]], T],
    *,
    plain: Callable[[T], Awaitable[Response]] | None = None,
    events: Callable[[T], Iterable[tuple[str, Any]]] | None = None,
    body: AbstractAsyncContextManager[None] | None = None,
    drop: Callable[[T], None] = lambda _result: None,
) -> Response:
    """Return the response to a request for a long operation.

    Args:
        work: Does the operation, in a thread.
        plain: Returns the response to a client that does not accept events (default: the result as JSON).
        events: Returns the last events, of which the last is ``result`` (default: the result).
        body: Entered to receive the body, and left at the end of the operation (default: no body).
        drop: Called with a result that is not sent, because the request was cancelled.

    Raises:
        Refused: Too many operations are in progress, or this one was stopped.
        MregError: The operation failed.
    """
    if request.scope.get("mreg.head"):
        return Response()
    operation = Operation(request, work, body, drop)
    if wants_events(request):
        return _EventResponse(request, operation, events or partial(result_events, request))

    async def collect(events: list[tuple[str, Any]]) -> None:
        collected(request).notices.extend(data for kind, data in events if kind == "notice")

    value = await operation.run(collect)
    return await plain(value) if plain is not None else json_response(value)


def result_events(request: Request, value: object) -> Iterator[tuple[str, Any]]:
    """Yield a result as events: a long list in parts, and then the envelope, whose notices were events already."""
    encoded = encode(value)
    if isinstance(encoded, list):
        while len(encoded) > PART_ITEMS:
            yield "part", {"items": encoded[:PART_ITEMS]}
            encoded = encoded[PART_ITEMS:]
    yield "result", envelope_of(request, value, encoded)


class _EventResponse(Response):
    """A response of server-sent events."""

    def __init__(
        self,
        request: Request,
        operation: Operation[Any],
        events: Callable[[Any], Iterable[tuple[str, Any]]],
    ) -> None:
        self._request = request
        self._operation = operation
        self._events = events
        self._began = False
        self.status_code = 200
        self.media_type = EVENTS
        self.background = None
        # nginx would collect the events in a buffer, unless the header forbids it.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the events while the client is connected."""
        loop = asyncio.get_running_loop()
        sent = loop.time() - HEARTBEAT_SECONDS

        async def show(events: list[tuple[str, Any]]) -> None:
            nonlocal sent
            data = b"".join(_event(*event) for event in events)
            if not data and loop.time() - sent < HEARTBEAT_SECONDS:
                return
            if not self._began:
                self._began = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            sent = loop.time()
            await send({"type": "http.response.body", "body": data or b":\n\n", "more_body": True})

        try:
            last = list(self._events(await self._operation.run(show)))
        except MregError as error:
            if not self._began:  # the body could not be received
                raise
            last = self._failure(scope, error.message, error_response(self._request, error))
        except HTTPException as error:
            if not self._began:
                raise
            last = self._failure(scope, str(error.detail), http_error_response(self._request, error))
        except Exception as error:
            if self._began:
                await self._finish(self._failure(scope, "", unexpected_response(self._request, error)), send)
            raise  # into the log
        await self._finish(last, send)

    async def _finish(self, last: Iterable[tuple[str, Any]], send: Send) -> None:
        for kind, document in last:
            data = await run_sync(_event, kind, document)
            if len(data) > DOCUMENT_BYTES:
                large = problem(
                    500, "too_large", f"the result is too large to send: {len(data)} bytes", hint="ask for less"
                )
                data = _event("problem", json.loads(bytes(large.body)))
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _failure(self, scope: Scope, message: str, response: Response) -> list[tuple[str, Any]]:
        scope["mreg.failure"] = message
        return [("problem", json.loads(bytes(response.body)))]


def _event(kind: str, document: Any) -> bytes:
    """Return an event; its data is one line."""
    if kind == "notice":
        document = encode_notices([document])[0]
    data = printable_json(json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _stopping() -> Refused:
    return Refused(503, "stopping", "the server is stopping", hint="try again", headers={"Retry-After": "5"})


def _stopped() -> Refused:
    return Refused(503, "stopped", "the server is stopping, and has stopped the operation", hint="try again")
