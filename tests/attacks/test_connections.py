"""Connections that cost a client nothing: half-open, idle, pipelined, with headers that never end."""

# ruff: noqa: F811  (fixtures are imported)
from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from mreg.server import protocol
from mreg.server.connections import Connections, compute_limits, network_of
from tests.conftest import Mreg
from tests.hostile import PEAK_BYTES
from tests.server.conftest import Serve, Served, Tokens, in_process, serve, tokens  # noqa: F401

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
KEPT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
BEGUN = b"GET /models HTTP/1.1\r\nHost: localhost\r\n"
MANY = "127.0.0.%d"
"""All of 127.0.0.0/8 is this machine on Linux; elsewhere only its first address is."""

linux = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="one loopback address")


def connect(server: Served, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(address, 0))


def ask(server: Served, address: str = "127.0.0.1", request: bytes = REQUEST) -> bytes:
    """The answer to a request from an address; empty if the connection was closed without one."""
    with connect(server, address) as connection:
        found = b""
        with suppress(ConnectionError):
            connection.sendall(request)
            while more := connection.recv(65536):
                found += more
        return found


def peak(server: Served) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10


def descriptors(server: Served) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.fixture
def flood() -> Iterator[Callable[..., list[socket.socket]]]:
    """Opens connections that send this and nothing more."""
    with ExitStack() as stack:

        def start(server: Served, count: int, addresses: list[str], sent: bytes = BEGUN) -> list[socket.socket]:
            opened = []
            for number in range(count):
                connection = stack.enter_context(connect(server, addresses[number % len(addresses)]))
                with suppress(ConnectionError):
                    connection.sendall(sent)
                opened.append(connection)
            return opened

        yield start


@pytest.mark.parametrize(
    ("sources", "sent"),
    [(1, BEGUN), (1, b""), pytest.param(13, b"G", marks=linux), pytest.param(130, BEGUN, marks=linux)],
)
def test_half_open_connections_keep_no_request_out(
    serve: Serve, flood: Callable[..., list[socket.socket]], sources: int, sent: bytes
) -> None:
    server = serve(files=100)
    begun = flood(server, 130, [MANY % (number + 1) for number in range(sources)], sent)
    assert ask(server).startswith(b"HTTP/1.1 200")
    if sources > 1:
        assert ask(server, "127.0.1.1").startswith(b"HTTP/1.1 200")
    closed, _, _ = select.select(begun, (), (), 0)
    assert len(closed) < len(begun), "the requests were answered only when the other connections had timed out"
    for path in ("/models", "/readyz"):
        assert server.get(path).status_code == 200, path
    assert "Traceback" not in server.log.read_text()
    assert server.log.read_text().count("connection limit reached") == 1


@linux
def test_an_upload_with_a_token_goes_on_while_connections_flood(
    serve: Serve, flood: Callable[..., list[socket.socket]], tokens: Tokens
) -> None:
    server = serve("--token-file", str(tokens.file), "--json-log", secret=tokens.secrets["writer"], files=100)
    server.post("/models", {"name": "classifier"})
    body = (
        b'--x\r\nContent-Disposition: form-data; name="model_file"; filename="m"\r\n\r\n'
        + b"d" * 100_000
        + b"\r\n--x--\r\n"
    )
    head = (
        "POST /models/classifier/versions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {tokens.secrets['writer']}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connect(server) as upload:
        upload.sendall(head.encode() + body[:50_000])
        flood(server, 130, ["127.0.0.1"])
        flood(server, 130, [MANY % (number + 1) for number in range(100)])
        upload.sendall(body[50_000:])
        assert upload.recv(12) == b"HTTP/1.1 200"
    lines = [line for line in server.lines() if "connection limit" in str(line.get("message"))]
    assert len(lines) == 1
    assert server.post("/models", {"name": "other"}).status_code == 200


def test_idle_connections_make_room_and_busy_ones_do_not(serve: Serve) -> None:
    server = serve("--max-connections", "4", "--max-connections-per-address", "4")
    server.session.close()
    with ExitStack() as stack:
        kept = [stack.enter_context(connect(server)) for _ in range(4)]
        for connection in kept:
            connection.sendall(KEPT)
            answer = connection.recv(4096)
            while not answer.endswith(b"}"):  # the body can come after the headers
                answer += connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200")
        assert ask(server).startswith(b"HTTP/1.1 200")
        assert kept[0].recv(10) == b""  # the one that was idle for longest
        upload = b"POST /models/m/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        server.post("/models", {"name": "m"})
        server.session.close()
        busy = [stack.enter_context(connect(server)) for _ in range(4)]
        for connection in busy:
            connection.sendall(
                upload + b"Content-Type: multipart/form-data; boundary=x\r\nExpect: 100-continue\r\n\r\n"
            )
            assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        refused = ask(server, request=b"")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 5\r\n" in refused
        problem = json.loads(refused.partition(b"\r\n\r\n")[2])
        assert (problem["status"], problem["code"]) == (503, "busy")
        busy[0].close()
        deadline = time.monotonic() + 10
        while not ask(server).startswith(b"HTTP/1.1 200"):
            assert time.monotonic() < deadline


@linux
def test_one_address_does_not_use_up_the_connections_of_all(serve: Serve) -> None:
    server = serve("--max-connections", "8", "--max-connections-per-address", "3")
    server.post("/models", {"name": "m"})
    server.session.close()
    head = (
        b"POST /models/m/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\nExpect: 100-continue\r\n\r\n"
    )
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(connect(server, "127.0.0.9"))
            connection.sendall(head)
            assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert ask(server, "127.0.0.9", b"").startswith(b"HTTP/1.1 503")
        assert ask(server, "127.0.0.10").startswith(b"HTTP/1.1 200")


def test_headers_that_come_byte_by_byte_are_cut_off_in_time(
    in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEADERS_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", 0.5)
    server = in_process()
    answered = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    for what, first in (("a first request", b""), ("a later one", KEPT), ("what is left of a body", answered)):
        with connect(server) as connection:
            connection.sendall(first)
            with suppress(ConnectionError):
                for _ in range(400):  # of at most 0.05 s each: long after the limit
                    connection.sendall(b"\r\n" if what == "a first request" else b"G")
                    connection.settimeout(0.05)
                    with suppress(TimeoutError):
                        if not connection.recv(65536):
                            break
                else:
                    pytest.fail(f"{what} was not cut off")


ENDLESS = {
    "a header": b"GET /models HTTP/1.1\r\nHost: localhost\r\nX: ",
    "a header's name": b"GET /models HTTP/1.1\r\nHost: localhost\r\nX",
    "a path": b"GET /models",
    "a method": b"G",
    "a trailer": b"POST /models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ",
    "a chunk's extension": b"POST /models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;x=",
}


@linux
def test_headers_without_an_end_are_cut_off_and_take_no_memory(serve: Serve) -> None:
    server = serve()
    for what, begun in ENDLESS.items():
        with connect(server) as connection:
            connection.sendall(begun)
            sent = 0
            with pytest.raises(ConnectionError):
                while sent < 64 << 20:
                    sent += connection.send(b"x" * (1 << 20))
            assert sent < 32 << 20, what
        assert ask(server).startswith(b"HTTP/1.1 200"), what
    assert peak(server) < PEAK_BYTES


@linux
def test_pipelined_requests_and_many_small_headers_take_little_memory(serve: Serve) -> None:
    server = serve()
    ask(server)
    before = peak(server)
    small = b"GET /models HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 20_000 + b"\r\n"
    with ExitStack() as stack:
        for request in (KEPT * 5_000, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5_000, small):
            for _ in range(12):
                connection = stack.enter_context(connect(server))
                connection.settimeout(0.3)
                with suppress(OSError):
                    connection.sendall(request)
        assert ask(server).startswith(b"HTTP/1.1 200")
    assert peak(server) - before < 64 << 20
    assert ask(server, request=small).startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [(b"GET / HTTP/9.9\x00\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", 431)],
    ids=["no request", "long headers"],
)
def test_a_refusal_before_a_request_is_a_problem_of_mreg(
    in_process: Callable[..., Served], request_bytes: bytes, status: int
) -> None:
    head, _, body = in_process().raw(request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nMreg-Api: 1" in head
    assert json.loads(body)["code"] == "bad_request"


def test_pipelined_requests_of_a_client_that_is_gone_fail_quietly(serve: Serve) -> None:
    server = serve()
    for _ in range(30):
        with connect(server) as connection:
            connection.sendall(b"GET /models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        assert ask(server).startswith(b"HTTP/1.1 200")
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


@linux
def test_descriptors_come_back_after_a_flood(serve: Serve, flood: Callable[..., list[socket.socket]]) -> None:
    server = serve()
    ask(server)
    before = descriptors(server)
    for connection in flood(server, 200, ["127.0.0.1"], KEPT + BEGUN):
        connection.close()
    deadline = time.monotonic() + 20
    while descriptors(server) > before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_limits_follow_from_the_files_that_may_be_open() -> None:
    for files in (16, 100, 256, 1024, 20_000, 1 << 20):
        found = compute_limits(files)
        assert 1 <= found.per_address <= found.total <= 4096
        assert found.total + found.backlog < files
        if files >= 100:
            assert found.total + found.backlog + 4 * found.threads + 16 <= files
    assert (compute_limits(1024).total, compute_limits(1024).per_address) == (512, 256)
    assert (compute_limits(1024, 30).per_address, compute_limits(1024, 30, 30).per_address) == (15, 30)


def test_addresses_of_one_client_count_as_one() -> None:
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth1")
    assert network_of("") == ""


def test_the_address_with_most_connections_makes_room_and_the_log_says_so_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Fake:
        closed = False

        def disconnect(self) -> None:
            self.closed = True

    now = [0.0]
    connections = Connections(compute_limits(100, 4, 4), clock=lambda: now[0])
    greedy, modest = [Fake() for _ in range(3)], Fake()
    connections.admit(modest, "192.0.2.1")
    for one in greedy:
        assert connections.admit(one, "192.0.2.2")
    for _ in range(20):
        assert connections.admit(Fake(), "192.0.2.3")
    assert (greedy[0].closed, modest.closed) == (True, False)
    assert len(caplog.messages) == 1
    now[0] = 61
    connections.admit(Fake(), "192.0.2.4")
    assert caplog.messages[1].endswith("closed 20 idle or new connections")


def test_options_of_connections_are_checked(process: Mreg) -> None:
    for option in ("--max-connections", "--max-connections-per-address"):
        assert process("serve", option, "0").code == 2
