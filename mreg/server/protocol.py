"""HTTP protocol of a connection: uvicorn's, with limits to connections, headers and slow clients."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mreg.server.connections import Connections
from mreg.server.problems import problem
from mreg.server.settings import HEADERS_LIMIT, HEADERS_SECONDS, IDLE_SECONDS, KEEP_ALIVE_SECONDS
from mreg.wire.protocol import API, API_HEADER

BODY_AHEAD_BYTES = 1 << 20
"""Bytes of a body that are buffered; with uvicorn's 64 KiB, every piece would pause and resume reading."""

PIPELINE_LIMIT = 16
"""Maximum number of pipelined requests of a connection; no common client sends more than one."""

HEADER_COST = 32
"""Bytes that each header counts in addition to its text, for its memory."""

RETRY_SECONDS = 5


class _BodyBuffer:
    """A buffer of body pieces that uvicorn reads with ``bytes``; appending copies nothing."""

    def __init__(self, piece: bytes) -> None:
        self._pieces = [piece]
        self._size = len(piece)

    def append(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol that also closes connections: at the limit, for large or slow headers, for unread responses.

    Args:
        connections: The open connections of the server.
    """

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connections = connections
        self._headers_bytes = 0
        self._unparsed = 0
        self._cycles: deque[RequestResponseCycle] = deque()  # requests whose response is not complete
        self._headers_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @classmethod
    def factory(cls, connections: Connections) -> Callable[..., Protocol]:
        """Return the function that creates the protocol of each connection of a server."""
        return partial(cls, connections=connections)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, unless too many connections are open."""
        super().connection_made(transport)
        if not self._connections.admit(self, self.client[0] if self.client else ""):
            transport.write(_BUSY)
            self._close()
            return
        self._wait_for_headers(HEADERS_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel all requests of the connection; uvicorn cancels only the newest pipelined one."""
        self._connections.forget(self)
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        self._cycles.clear()
        self._stop_waiting()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def disconnect(self) -> None:
        """Close the connection, even if the client has not read the last response."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and count those that the parser keeps for incomplete headers and trailers."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > HEADERS_LIMIT:
            self._refuse_headers()

    def on_message_begin(self) -> None:
        """Start the timer for the headers of a request."""
        super().on_message_begin()
        self._headers_bytes = 0
        # The timer of the first request started with the connection; that of a pipelined one starts with its turn.
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_headers(HEADERS_SECONDS)

    def on_url(self, url: bytes) -> None:
        """Count a part of the request target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value) + HEADER_COST)

    def on_headers_complete(self) -> None:
        """Serve the request."""
        self._unparsed = 0
        if self.transport.is_closing():
            return
        if len(self.pipeline) >= PIPELINE_LIMIT:
            self._close()
            return
        self._stop_waiting()
        self._connections.busy(self)
        super().on_headers_complete()
        self._cycles.append(self.cycle)

    def on_message_complete(self) -> None:
        """Finish the body, unless the headers were refused."""
        self._unparsed = 0
        if self.cycle is not None and not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; the rest of an unread body is discarded within the same time limit."""
        if self._cycles:
            self._cycles.popleft()
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self.cycle.response_complete:
            self._connections.idle(self)
            self._wait_for_headers(KEEP_ALIVE_SECONDS)

    def on_body(self, body: bytes) -> None:
        """Buffer a part of the body; uvicorn would copy it twice."""
        self._unparsed = 0
        cycle = self.cycle
        if cycle is None or self.transport.is_closing() or cycle.response_complete:
            return
        waiting: object = cycle.body
        if isinstance(waiting, _BodyBuffer):
            waiting.append(body)
        else:
            waiting = cycle.body = _BodyBuffer(body)  # type: ignore[assignment]
        if len(waiting) > BODY_AHEAD_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's text
        """Refuse what is not a request of HTTP, and close the connection."""
        self.transport.write(_INVALID)
        self.transport.close()

    def _count(self, more: int) -> None:
        self._headers_bytes += more
        if self._headers_bytes > HEADERS_LIMIT:
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_LONG_HEADERS)
            self._close()

    def pause_writing(self) -> None:
        """Disconnect a client that does not read its response for `IDLE_SECONDS`."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel the timer: the client has read its response."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _wait_for_headers(self, seconds: float) -> None:
        self._stop_waiting()
        self._headers_timer = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        """Close the connection, after `IDLE_SECONDS` even if the client does not read the rest of its response."""
        self.transport.close()
        if self._write_timer is None and self.transport.get_write_buffer_size():
            self._write_timer = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None


def _response(status: int, code: str, message: str, hint: str, *headers: str) -> bytes:
    """Return the bytes of a response that closes the connection."""
    response = problem(status, code, message, hint=hint)
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(response.body)}",
        f"{API_HEADER}: {API}",
        *headers,
        "Connection: close",
    )
    return "\r\n".join([*lines, "", ""]).encode() + bytes(response.body)


_BUSY = _response(
    503, "busy", "too many open connections", f"retry after {RETRY_SECONDS} seconds", f"Retry-After: {RETRY_SECONDS}"
)
"""The response to a connection above the limits."""

_INVALID = _response(400, "bad_request", "this is not a valid HTTP request", "")

_LONG_HEADERS = _response(
    431, "bad_request", f"the headers are too long: the maximum is {HEADERS_LIMIT} bytes", "send fewer headers"
)
