"""A TCP proxy between a client and a real server, that does what a bad network does."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

SLOW_DOWN = (
    "503 Slow Down",
    "application/xml",
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>',
)

COMMIT = b"*1\r\n$4\r\nEXEC\r\n"
"""The command of Redis that commits a transaction, the last of what a client sends."""


class Proxy:
    """Passes everything on, until it is told otherwise.

    Attributes:
        delay: Seconds that each connection waits before its first byte is passed on.
        latency: Seconds that each request waits before it is passed on.
        cut_up_after: Bytes towards the server after which the connection in use breaks, once.
        cut_down_after: The same of bytes towards the client.
        cut_with_end: A cut towards the client is the end of the connection, as if the server closed it; no reset.
        cut_for_good: After a cut every further connection breaks at once.
        when_up: Bytes towards the server, and what to do once when they have been passed on.
        when_down: The same of bytes towards the client.
        answer: Status, content type and body to give to a request in place of passing it on; None passes it on.
        lose_answer: Whether the answer to a request, by its first line, is to be lost after the server gave it.
        flip: Whether one bit of the body of a request, by its first line, is to arrive changed.
        replace: Bytes towards the client, and what arrives in their place, if they are not divided.
        flipped: First lines of the requests whose bodies were changed.
        silent: Takes what it is sent, and neither passes it on nor answers.
        passing: Set unless new connections wait, as in front of a server that is being restarted.
        head: What came last towards the server: at a request, its head.
        heads: What began with a request, up to the end of its headers, of all of them.
        requests: First lines of all requests passed on or answered; EXEC for a transaction of Redis.
        up: Bytes passed on towards the server.
        down: Bytes passed on towards the client.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.delay = self.latency = 0.0
        self.cut_up_after: int | None = None
        self.cut_down_after: int | None = None
        self.cut_for_good = self.cut_with_end = False
        self.when_up: tuple[int, Callable[[], None]] | None = None
        self.when_down: tuple[int, Callable[[], None]] | None = None
        self.passing = threading.Event()
        self.passing.set()
        self.answer: Callable[[str], tuple[str, str, str] | None] = lambda _line: None
        self.lose_answer: Callable[[str], bool] = lambda _line: False
        self.flip: Callable[[str], bool] = lambda _line: False
        self.flipped: list[str] = []
        self.replace = (b"", b"")
        self.silent = False
        self.head = b""
        self.heads: list[bytes] = []
        self.requests: list[str] = []
        self.up = self.down = 0
        self.broken = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Take connections, on the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections and break those that are open."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for one in list(self._open):
                _reset(one)

    def heal(self) -> None:
        """Pass everything on again."""
        with self._lock:
            self.cut_up_after = self.cut_down_after = None
            self.when_up = self.when_down = None
            self.cut_for_good = self.cut_with_end = self.broken = False
            self.delay = 0.0
            self.silent = False
            self.up = self.down = 0
            self.answer = lambda _line: None
            self.lose_answer = lambda _line: False
            self.flip = lambda _line: False
            self.flipped = []
            self.replace = (b"", b"")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self.passing.wait()
        server = None if self.broken else self._connect()
        if server is None:
            _reset(client)
            return
        with self._lock:
            self._open |= {client, server}
            if self.broken:
                _reset(client)
                _reset(server)
        losing = threading.Event()
        upward = threading.Thread(target=self._upward, args=(client, server, losing), daemon=True)
        upward.start()
        self._downward(client, server, losing)
        upward.join(1)
        with self._lock:
            self._open -= {client, server}
        for one in (client, server):
            with contextlib.suppress(OSError):  # a thread that still reads would keep it open
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _connect(self) -> socket.socket | None:
        try:
            server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            server.settimeout(None)
        except OSError:
            return None
        return server

    def _upward(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        time.sleep(self.delay)
        flipping = ""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                lines = list(_request_lines(data))
                if lines and self.latency:
                    time.sleep(self.latency)
                self.head = data
                self.heads += [data.partition(b"\r\n\r\n")[0]] if lines else []
                if self.silent:
                    self.requests += lines
                    continue
                for line in lines:
                    self.requests.append(line)
                    answer = self.answer(line)
                    if answer is not None:
                        _answer(client, data, answer)
                        return
                    losing.clear()
                    if self.lose_answer(line):
                        losing.set()
                    if self.flip(line):
                        flipping = line
                body = data.find(b"\r\n\r\n") + 4 if lines else 0
                if flipping and body < len(data):
                    place = (body + len(data)) // 2
                    data = data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
                    self.flipped.append(flipping)
                    flipping = ""
                if not self._pass(data, server, "up"):
                    _reset(client)
                    _reset(server)
                    return
            server.shutdown(socket.SHUT_WR)

    def _downward(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if losing.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    _reset(client)
                    return
                if self.silent:
                    continue
                if self.replace[0]:
                    data = data.replace(*self.replace)
                if not self._pass(data, client, "down"):
                    if self.cut_with_end:
                        break
                    _reset(client)
                    _reset(server)
                    return
            client.shutdown(socket.SHUT_WR)

    def _pass(self, data: bytes, to: socket.socket, way: str) -> bool:
        with self._lock:
            limit = self.cut_up_after if way == "up" else self.cut_down_after
            passed = self.up if way == "up" else self.down
            cut = limit is not None and passed + len(data) >= limit
            if cut:
                data = data[: max(0, (limit or 0) - passed)]
                self.cut_up_after = self.cut_down_after = None
                if self.cut_for_good:
                    self.broken = True
                    for one in list(self._open):
                        _reset(one)
            if way == "up":
                self.up += len(data)
                now, self.when_up = _due(self.when_up, self.up)
            else:
                self.down += len(data)
                now, self.when_down = _due(self.when_down, self.down)
        if data:
            to.sendall(data)
        now()
        return not cut


def _due(
    when: tuple[int, Callable[[], None]] | None, passed: int
) -> tuple[Callable[[], None], tuple[int, Callable[[], None]] | None]:
    """Return what is to be done now, and what remains to be done."""
    if when is None or passed < when[0]:
        return lambda: None, when
    return when[1], None


def _request_lines(data: bytes) -> Iterator[str]:
    for match in re.finditer(rb"(?:GET|PUT|POST|PATCH|HEAD|DELETE) /[^\r\n]* HTTP/1\.[01](?=\r\n)", data[:4096]):
        yield match[0].decode("latin-1")
    if data.endswith(COMMIT):
        yield "EXEC"


def _answer(client: socket.socket, head: bytes, answer: tuple[str, str, str]) -> None:
    """Take the rest of a request and answer it."""
    status, kind, body = answer
    while b"\r\n\r\n" not in head:
        head += client.recv(65536)
    start, _, rest = head.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", start)
    left = (int(length[1]) if length else 0) - len(rest)
    if b"100-continue" in start.lower():
        left = 0
    while left > 0 and (more := client.recv(65536)):
        left -= len(more)
    text = "" if start.startswith(b"HEAD") else body
    client.sendall(
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{text}".encode()
    )
    client.shutdown(socket.SHUT_WR)


def _reset(one: socket.socket) -> None:
    """Break a connection, so that the other side sees a reset and no end."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
