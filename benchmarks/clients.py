"""Clients of a server that cost as little as a client can, and the same whatever is at the other end.

``python -m benchmarks.clients PORT PATH COUNT REQUESTS`` asks for a path by so many connections at once, each kept
alive, and prints the seconds that it took.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

RECEIVE_BYTES = 1 << 20
BOUNDARY = b"a-boundary-that-no-model-has"


def ask(port: int, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> tuple[int, bytes]:
    """One small request by a connection of its own; the status and the body of what is answered."""
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(_head(method, path, len(body), kind) + body)
        return _answered(connection)


def send_file(port: int, path: str, file: Path) -> float:
    """Seconds that a file takes as a raw body, up to the end of the answer."""
    return _send(port, path, file, b"", b"", "application/octet-stream")


def send_form(port: int, path: str, file: Path) -> float:
    """The same as the file of a form, as ``curl -F model_file=@FILE`` sends it."""
    before = b'--%b\r\nContent-Disposition: form-data; name="model_file"; filename="model.bin"\r\n' % BOUNDARY
    before += b"Content-Type: application/octet-stream\r\n\r\n"
    after = b"\r\n--%b--\r\n" % BOUNDARY
    return _send(port, path, file, before, after, f"multipart/form-data; boundary={BOUNDARY.decode()}")


def fetch(port: int, path: str) -> float:
    """Seconds that a body takes to arrive whole; it is kept nowhere."""
    began = time.perf_counter()
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(_head("GET", path))
        status, size, rest = _headers(connection)
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        left = size - len(rest)
        while left and (count := connection.recv_into(buffer)):
            left -= count
    _check(status, path)
    if left:
        raise RuntimeError(f"{path} is {left} bytes short")
    return time.perf_counter() - began


def crowd(port: int, path: str, count: int, requests: int) -> float:
    """Seconds that so many requests take in all, ``count`` of them under way at a time.

    ``{number}`` in the path is another number, with four digits, in each request.
    """
    heads = (_head("GET", path.replace("{number}", f"{number:04d}")) for number in range(requests))
    waiting, connections = selectors.DefaultSelector(), list[socket.socket]()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(connection, selectors.EVENT_READ, connection)
        connections.append(connection)
    began = time.perf_counter()
    for one in connections[:requests]:
        one.sendall(next(heads))
    asked, answered = min(count, requests), 0
    while answered < requests:
        for key, _ in waiting.select():
            asking: socket.socket = key.data
            status, _body = _answered(asking)
            _check(status, path)
            answered += 1
            if asked < requests:
                asking.sendall(next(heads))
                asked += 1
    seconds = time.perf_counter() - began
    for one in connections:
        one.close()
    return seconds


def _send(port: int, path: str, file: Path, before: bytes, after: bytes, kind: str) -> float:
    size = len(before) + file.stat().st_size + len(after)
    began = time.perf_counter()
    with closing(socket.create_connection(("127.0.0.1", port))) as connection, file.open("rb") as stream:
        connection.sendall(_head("POST", path, size, kind) + before)
        connection.sendfile(stream)
        connection.sendall(after)
        status, body = _answered(connection)
    seconds = time.perf_counter() - began
    _check(status, path, body)
    return seconds


def _head(method: str, path: str, size: int = 0, kind: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if size:
        lines += [f"Content-Length: {size}", f"Content-Type: {kind}"]
    return "\r\n".join([*lines, "", ""]).encode()


def _headers(connection: socket.socket) -> tuple[int, int, bytes]:
    found = b""
    while b"\r\n\r\n" not in found:
        more = connection.recv(65536)
        if not more:
            raise RuntimeError(f"the server hung up after {found!r}")
        found += more
    head, _, rest = found.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
    return int(head[9:12]), int(length or 0), rest


def _answered(connection: socket.socket) -> tuple[int, bytes]:
    status, size, body = _headers(connection)
    while len(body) < size:
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            raise RuntimeError("the server hung up in the middle of an answer")
        body += more
    return status, body


def _check(status: int, path: str, body: bytes = b"") -> None:
    if status >= 400:
        raise RuntimeError(f"{path} was answered by {status} {body[:500]!r}")


if __name__ == "__main__":
    print(crowd(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
