"""HTTP on a connection: uvicorn's, with limits to connections, to headers, and to clients that send or read slowly."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mreg.server.connections import Connections
from mreg.server.problems import problem
from mreg.server.settings import HEADERS_LIMIT, HEADERS_SECONDS, IDLE_SECONDS, KEEP_ALIVE_SECONDS

BODY_AHEAD_BYTES = 1 << 20
"""So much of a body may wait until it is asked for; at uvicorn's 64 KiB each piece stops and starts the reading."""


PIPELINE_LIMIT = 16
"""Requests that can wait on a connection for the answer to an earlier one; no common client sends more than one."""

HEADER_COST = 32
"""Bytes counted for each header in addition to its text, as it takes more memory than that."""

RETRY_SECONDS = 5


class _Pieces:
    """Parts of a body until somebody asks for them, which uvicorn does by ``bytes``; one alone is not copied."""

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
    """Closes connections that uvicorn keeps: beyond a limit, with large or slow headers, with answers left unread.

    Args:
        connections: Shared by all connections of a server.
    """

    def __init__(self, *args: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*args, **options)
        self._all = connections
        self._headers_bytes = 0
        self._unparsed = 0
        self._cycles: deque[RequestResponseCycle] = deque()  # requests without their whole answer
        self._headers_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, connections: Connections) -> Callable[..., Protocol]:
        """What makes the protocol of each connection of a server."""
        return partial(cls, connections=connections)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request, unless there are too many connections."""
        super().connection_made(transport)
        if not self._all.admit(self, self.client[0] if self.client else ""):
            transport.write(_BUSY)
            self._close()
            return
        self._wait_for_headers(HEADERS_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting, and stop every request; uvicorn stops the newest of pipelined ones alone."""
        self._all.forget(self)
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        self._cycles.clear()
        self._stop_waiting()
        if self._reading_timer is not None:
            self._reading_timer.cancel()
        super().connection_lost(exc)

    def let_go(self) -> None:
        """Close the connection for another one, also if the client did not read the last answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Take bytes; the parser keeps those of incomplete headers and trailers, so they are counted."""
        if self.transport.is_closing():
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > HEADERS_LIMIT:
            self._refuse_headers()

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of a request."""
        super().on_message_begin()
        self._headers_bytes = 0
        # The time of a first request began with the connection, and that of a pipelined one begins with its turn.
        if self.cycle is not None and self.cycle.response_complete:
            self._wait_for_headers(HEADERS_SECONDS)

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
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
        self._all.busy(self)
        super().on_headers_complete()
        self._cycles.append(self.cycle)

    def on_message_complete(self) -> None:
        """Take the end of a body; it is ignored if the headers were refused."""
        self._unparsed = 0
        if self.cycle is not None and not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; the rest of an unread body is discarded meanwhile, within the same time limit."""
        if self._cycles:
            self._cycles.popleft()
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()
        elif self.cycle.response_complete:
            self._all.idle(self)
            self._wait_for_headers(KEEP_ALIVE_SECONDS)

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; uvicorn would copy it twice."""
        self._unparsed = 0
        cycle = self.cycle
        if cycle is None or self.transport.is_closing() or cycle.response_complete:
            return
        waiting: object = cycle.body
        if isinstance(waiting, _Pieces):
            waiting.append(body)
        else:
            waiting = cycle.body = _Pieces(body)  # type: ignore[assignment]
        if len(waiting) > BODY_AHEAD_BYTES:
            self.flow.pause_reading()
        cycle.message_event.set()

    def _count(self, more: int) -> None:
        self._headers_bytes += more
        if self._headers_bytes > HEADERS_LIMIT:
            self._refuse_headers()

    def _refuse_headers(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            self._close()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read; it is disconnected after `IDLE_SECONDS`."""
        super().pause_writing()
        if self._reading_timer is None:
            self._reading_timer = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting, since the client has read."""
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None
        super().resume_writing()

    def _wait_for_headers(self, seconds: float) -> None:
        self._stop_waiting()
        self._headers_timer = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        """Close the connection, after a while even if the client never reads the rest of its answer."""
        self.transport.close()
        if self._reading_timer is None and self.transport.get_write_buffer_size():
            self._reading_timer = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None


def _busy() -> bytes:
    found = problem(503, "busy", "too many connections are open", hint="try again soon")
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(found.body)}\r\nRetry-After: {RETRY_SECONDS}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + bytes(found.body)


_BUSY = _busy()
"""The answer to a connection beyond the limits."""
