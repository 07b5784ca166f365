"""HTTP on a connection: uvicorn's, with limits to the size of headers, and to who sends or reads too slowly."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mreg.server.settings import HEADERS_LIMIT, HEADERS_SECONDS, IDLE_SECONDS

BODY_AHEAD_BYTES = 1 << 20
"""So much of a body may wait until it is asked for; at uvicorn's 64 KiB each piece stops and starts the reading."""


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
    """Closes connections whose headers are too large or slow, or whose answers nobody reads; uvicorn does not."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._headers_bytes = 0
        self._headers_timer: asyncio.TimerHandle | None = None
        self._reading_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        if self._reading_timer is not None:
            self._reading_timer.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the headers of a request."""
        super().on_message_begin()
        self._headers_bytes = 0
        self._wait_for_headers()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Serve the request."""
        self._stop_waiting()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Take the end of a body; there is nobody to take it where the headers were refused."""
        if self.cycle is not None and not self.transport.is_closing():
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; uvicorn would copy it twice."""
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
        if self._headers_bytes > HEADERS_LIMIT and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            self.transport.close()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read; one that reads nothing for long is left alone."""
        super().pause_writing()
        if self._reading_timer is None:
            self._reading_timer = self.loop.call_later(IDLE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting, since the client has read."""
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None
        super().resume_writing()

    def _wait_for_headers(self) -> None:
        self._stop_waiting()
        self._headers_timer = self.loop.call_later(HEADERS_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None
