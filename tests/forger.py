"""An HTTP proxy between a client and a real object store, that forges whole answers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request of the client.

    Attributes:
        line: Method and path, as the client sent them.
        body: All bytes after the head.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer to the client.

    Attributes:
        headers: Those of the store, without its length.
        length: The announced length; None: the true one; empty: none is announced, and the connection ends the body.
        more: Sent after the body.
        broken: The connection is reset at the end.
    """

    status: int = 200
    reason: str = "OK"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    length: str | None = None
    more: Iterable[bytes] = ()
    broken: bool = False

    def with_header(self, name: str, value: str | None) -> Answer:
        """The answer with a header changed, or without it (None)."""
        kept = tuple(one for one in self.headers if one[0].lower() != name.lower())
        return replace(self, headers=kept if value is None else (*kept, (name, value)))

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def refusal(status: int, code: str, *, message: str = "No.") -> Answer:
    """An error as S3 stores give it."""
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status=status, reason="No", headers=(("Content-Type", "application/xml"),), body=body.encode())


@dataclass
class Forger:
    """Passes everything on, until it is told otherwise.

    Attributes:
        target: The port of the store.
        before: Gives the answer to a request that the store does not get; None: it gets it.
        after: Gives the answer to a request for the store's own.
        seen: All requests.
    """

    target: int
    before: Callable[[Request], Answer | None] = lambda _request: None
    after: Callable[[Request, Answer], Answer] = lambda _request, answer: answer
    seen: list[Request] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Pass everything on again."""
        self.before = lambda _request: None
        self.after = lambda _request, answer: answer
        self.seen.clear()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream, contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while (request := _read(client, stream)) is not None:
                self.seen.append(request)
                answer = self.before(request)
                if answer is None:
                    answer = self.after(request, self.ask(request))
                if not _send(client, request, answer):
                    return

    def ask(self, request: Request) -> Answer:
        """Return the answer of the store itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers:
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            body = answer.read()
            left_out = ("connection", "transfer-encoding", *(("content-length",) if request.method != "HEAD" else ()))
            headers = tuple(one for one in answer.getheaders() if one[0].lower() not in left_out)
            return Answer(status=answer.status, reason=answer.reason, headers=headers, body=body)
        finally:
            connection.close()


def _read(client: socket.socket, stream: Any) -> Request | None:
    line = stream.readline(1 << 16).decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: list[tuple[str, str]] = []
    while text := stream.readline(1 << 16).decode("latin-1").rstrip("\r\n"):
        name, _, value = text.partition(":")
        headers.append((name, value.strip()))
    known = {name.lower(): value for name, value in headers}
    if "expect" in known:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = stream.read(int(known.get("content-length") or 0))
    return Request(method=line[0], path=line[1], headers=tuple(headers), body=body)


def _send(client: socket.socket, request: Request, answer: Answer) -> bool:
    """Whether the connection can be used again."""
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {value}" for name, value in answer.headers)]
    length = str(len(answer.body)) if answer.length is None else answer.length
    bodiless = request.method == "HEAD" or answer.status in (204, 304)
    if length and not (bodiless and answer.length is None):
        lines.append(f"Content-Length: {length}")
    kept = answer.length is None and not answer.broken and not answer.more
    if not kept:
        lines.append("Connection: close")
    client.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if bodiless else answer.body))
    for piece in answer.more:
        client.sendall(piece)
    if answer.broken:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return kept
