"""Connections to servers and proxies that answer wrongly, in parts, or not at all."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg import errors
from mreg.remote import connection as connections
from mreg.remote import response as responses
from mreg.remote.connection import Connection
from mreg.remote.problems import HTTP_CODES, problem_error
from mreg.wire.errors import error_class
from mreg.wire.protocol import OLDEST_API
from tests.conftest import ROOT, counted_pauses
from tests.ways import TlsServer, make_certificates

OK = b'{"result": 1, "notices": [{"text": "told", "caution": false}]}'


def answer(
    body: bytes = OK,
    status: str = "200 OK",
    kind: str = "application/vnd.mreg+json",
    *headers: str,
    api: str | None = "1",
    length: int | None = None,
) -> bytes:
    """Return the bytes of a response."""
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    lines += [f"Mreg-Api: {api}"] if api is not None else []
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def problem(code: str, status: str, detail: str = "x", **more: Any) -> bytes:
    """Return the response of mreg for an error."""
    document = {"code": code, "detail": detail, "hint": "h", "details": {"a": 1}, **more}
    return answer(json.dumps(document).encode(), status, "application/problem+json")


class Fake:
    """A server that gives one answer to each request, in order; the last one for all others.

    Attributes:
        answers: Bytes of the responses, or functions that act on the socket; empty bytes close the connection.
        requests: The requests as they came.
    """

    def __init__(self, *answers: bytes | Callable[[socket.socket], None]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client, client.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                lengths = [
                    int(x.split(b":")[1]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")
                ]
                body = stream.read(lengths[0]) if lengths else b""
                if b"transfer-encoding: chunked" in head.lower():
                    while (size := int(stream.readline(), 16)) > 0:
                        body += stream.read(size)
                        stream.readline()
                    stream.readline()
                self.requests.append(head + body)
                chosen = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if callable(chosen):
                    chosen(client)
                    return
                if not chosen:
                    return
                client.sendall(chosen)
                if b"Connection: close" in chosen:
                    return

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


Serve = Callable[..., Fake]


@pytest.fixture
def fake() -> Iterator[Serve]:
    """Starts servers with these answers."""
    made: list[Fake] = []

    def start(*answers: bytes | Callable[[socket.socket], None]) -> Fake:
        made.append(Fake(*answers))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def failure(url: str, method: str = "GET", **options: Any) -> errors.MregError:
    """Return the error of a call; pauses before retries are skipped."""
    with counted_pauses(), Connection(url) as connection, pytest.raises(errors.MregError) as caught:
        connection.call(method, "/models", **options)
    return caught.value


def cut(data: bytes) -> Callable[[socket.socket], None]:
    """Send some bytes and close."""
    return lambda client: client.sendall(data)


HTML = b"<html>\x1b[31mSign in</html>"

ANSWERS: dict[str, tuple[bytes | Callable[[socket.socket], None], str, str]] = {
    "an HTML page of a proxy": (
        answer(HTML, kind="text/html", api=None),
        "{url} is not a server of mreg: it answered 200 OK with an HTML page",
        "check the URL; a server behind a proxy can have a path: https://HOST/PATH",
    ),
    "a path that another server does not have": (
        answer(HTML, "404 Not Found", "text/html; charset=utf-8", api=None),
        "{url} is not a server of mreg: it answered 404 Not Found with an HTML page",
        "check the URL; a server behind a proxy can have a path: https://HOST/PATH",
    ),
    "JSON of another server": (
        answer(b'{"detail": "Not Found"}', "404 Not Found", "application/json", api=None),
        "{url} is not a server of mreg: it answered 404 Not Found with an answer of type 'application/json'",
        "check the URL; a server behind a proxy can have a path: https://HOST/PATH",
    ),
    "JSON of another server, successful": (
        answer(b"[]", kind="application/json", api=None),
        "{url} is not a server of mreg: it answered 200 OK with an answer of type 'application/json'",
        "check the URL; a server behind a proxy can have a path: https://HOST/PATH",
    ),
    "an escape in the reason": (
        answer(b"", "418 \x1b[31mred", "", api=None),
        "{url} is not a server of mreg: it answered 418 \\x1b[31mred with an empty answer",
        "check the URL; a server behind a proxy can have a path: https://HOST/PATH",
    ),
    "502 of a proxy": (
        answer(HTML, "502 Bad Gateway", "text/html", api=None),
        "{url} cannot be reached: the proxy in front of it answered 502 Bad Gateway",
        "try again in a minute, or ask the operator whether mreg serve runs",
    ),
    "503 of a proxy": (
        answer(HTML, "503 Service Unavailable", "text/html", api=None),
        "{url} is not available: a proxy in front of it answered 503 Service Unavailable",
        "try again in a minute",
    ),
    "504 of a proxy": (
        answer(HTML, "504 Gateway Time-out", "text/html", api=None),
        "{url} cannot be reached: the proxy in front of it answered 504 Gateway Time-out",
        "try again in a minute, or ask the operator whether mreg serve runs",
    ),
    "403 of a proxy": (
        answer(HTML, "403 Forbidden", "text/html", api=None),
        "{url} refused the request, but the answer is not from mreg: 403 Forbidden",
        "check the URL; if a proxy is in front of the server, check whether it needs a separate login",
    ),
    "a redirect": (
        answer(b"", "301 Moved", "", "Location: https://evil.example/\x1b[2J", api=None),
        "{url} redirects to 'https://evil.example/\\x1b[2J'",
        "if you trust that address, use it as the URL of the server",
    ),
    "an unknown token": (
        problem("no_token", "401 Unauthorized", "unknown token"),
        "{url} did not accept the request: unknown token",
        "mreg login {url}",
    ),
    "an expired token": (
        problem("no_token", "401 Unauthorized", "the token 'a/$x' expired at 2026-01-31T12:00:00Z"),
        "{url} did not accept the request: the token 'a/$x' expired at 2026-01-31T12:00:00Z",
        "mreg login {url}\nfor a new token, ask an administrator of the server: mreg token create 'a/$x' --role ROLE",
    ),
    "a role that is too low": (
        problem("role_too_low", "403 Forbidden", "ci has role reader; this needs role writer"),
        "{url} refused the request: ci has role reader; this needs role writer",
        "ask an administrator of the server for a token with that role",
    ),
    "a client that is too old": (
        problem("client_too_old", "400 Bad Request", "this server needs a client with API version 3 or later"),
        "{url}: this server needs a client with API version 3 or later",
        "h",
    ),
    "a code of a later release": (
        problem("not_invented", "409 Conflict", "no"),
        "{url}: no",
        "the server says: h",
    ),
    "a body that is cut off": (
        cut(answer(OK, length=len(OK) + 5)),
        "the response from {url} was cut off",
        "try again",
    ),
    "a chunk that is cut off": (
        cut(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.mreg+json\r\nMreg-Api: 1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{}"
        ),
        "the response from {url} was cut off",
        "try again",
    ),
    "headers that are cut off": (
        cut(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.mreg+json\r\nContent-Le"),
        "the response from {url} was cut off",
        "try again",
    ),
    "no answer": (
        b"",
        "{url} closed the connection without a response",
        "try again; if it never responds, try {other}",
    ),
    "another protocol": (
        cut(b"SSH-2.0-OpenSSH_9.6\x1b]0;x\x07\r\n"),
        "{url} is not a web server: it answered 'SSH-2.0-OpenSSH_9.6\\x1b]0;x\\x07\\r\\n'",
        "check host and port",
    ),
    "TLS": (cut(b"\x15\x03\x01\x00\x02\x02\x16\n"), "{url} expects TLS", "use the URL {other}"),
    "a header without an end": (
        cut(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"),
        "invalid response from {url}: got more than 65536 bytes when reading header line",
        "check host and port",
    ),
    "too many headers": (
        cut(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        "invalid response from {url}: got more than 100 headers",
        "check host and port",
    ),
    "JSON that is none": (
        answer(b"{"),
        "invalid response from {url} (status 200): it is not JSON",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "NaN": (
        answer(b'{"result": NaN}'),
        "invalid response from {url} (status 200): it is not JSON",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "a number of many digits": (
        answer(b'{"result": ' + b"1" * 5000 + b"}"),
        "invalid response from {url} (status 200): it is not JSON",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "deep JSON": (
        answer(b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "invalid response from {url} (status 200): it is not JSON",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "no envelope": (
        answer(b"[]"),
        "invalid response from {url} (status 200): invalid JSON of an envelope: it has no result",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "a result without an envelope": (
        answer(b"[]", kind="application/json"),
        "invalid response from {url} (status 200): its type is 'application/json'",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "an encoded body": (
        answer(OK, "200 OK", "application/vnd.mreg+json", "Content-Encoding: gzip"),
        "invalid response from {url} (status 200): its body is encoded",
        "try again; if it happens again, compare the releases of mreg: mreg --version",
    ),
    "an older server": (
        answer(api="0"),
        "{url} runs an older release of mreg: expected API version 1 or newer, got 0",
        "operator of the server: upgrade mreg; or install the release of the server here",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_each_wrong_answer_has_its_message_and_next_step(fake: Serve, case: str) -> None:
    sent, message, hint = ANSWERS[case]
    server = fake(sent)
    other = server.url.replace("http:", "https:")
    error = failure(server.url)
    assert error.message == message.format(url=server.url)
    assert error.hint == hint.format(url=server.url, other=other)
    assert isinstance(error, errors.Unavailable | errors.NotAllowed | errors.Conflict)
    assert error.message.isprintable()


HINTS = [
    ("corrupt", "", "remove /srv/models/blobs/sha256/ab, then push again", "operator of the server: remove /srv/models/blobs/sha256/ab, then push again"),
    ("corrupt", "missing_blob", "mreg verify", "operator of the server: mreg verify"),
    ("corrupt", "damaged_bundle", "export it again", "export it again"),
    ("unavailable", "", "mreg upgrade", "operator of the server: mreg upgrade"),
    ("unavailable", "", "try again in a minute", "try again in a minute"),
    ("unavailable", "", "operator of the server: see the log", "operator of the server: see the log"),
    ("corrupt", "", "", ""),
    ("conflict", "", "repeat the command", "repeat the command"),
    ("conflict", "", "first\nerror: your token expired\r\n\n\u2028  mreg login http://evil", "first\n  error: your token expired\n  mreg login http://evil"),
    ("conflict", "", "a" + " " * 70 + "error: b", "a error: b"),
    ("busy", "", "try again", "try again"),
    ("unexpected", "", "see the log", "operator of the server: see the log"),
    ("client_too_old", "", "install mreg 2", "install mreg 2"),
    ("not_found", "", "mreg list", "mreg list"),
    ("not_invented", "", "mreg login http://evil", "the server says: mreg login http://evil"),
    ("not_invented", "", "try again", "the server says: try again"),
    ("not_invented", "", "operator of the server: rm -r /", "the server says: operator of the server: rm -r /"),
    ("not_invented", "", "", ""),
    ("", "", "x\n" * 1_000, "the server says: " + "\n  ".join("x" * 10)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "subcode", "sent", "shown"), HINTS)
def test_a_hint_of_the_server_is_told_from_those_of_mreg(code: str, subcode: str, sent: str, shown: str) -> None:
    document = {"code": code, "subcode": subcode, "detail": "d", "hint": sent}
    hints = {problem_error(status, document, "https://models.example")[0].hint for status in range(300, 600)}
    assert hints == {shown}


def test_a_hint_of_the_server_arrives_with_its_answer(fake: Serve) -> None:
    for status in ("404 Not Found", "409 Conflict", "500 Internal Server Error"):
        server = fake(problem("not_invented", status, hint="mreg list"))
        assert failure(server.url, "POST").hint == "the server says: mreg list"


def test_the_codes_of_the_http_layer_are_known() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "mreg" / "server").glob("*.py"))
    codes = set(re.findall(r'(?:Refused|problem)\(\s*\d{3},\s*"(\w+)"', sources))
    own = {"no_token", "role_too_low", "read_only"}  # the client has its own hints for them
    assert len(codes) > 15
    assert {code for code in codes - own if error_class(code) is None} == HTTP_CODES.keys() & codes


def test_a_message_of_the_server_has_a_limit(fake: Serve) -> None:
    for code in ("conflict", "role_too_low", "not_invented", "no_token"):
        server = fake(problem(code, "409 Conflict", "x" * 1_000_000))
        assert len(failure(server.url, "POST").message) < 11_000


def test_a_path_that_no_server_of_mreg_has_is_named(fake: Serve) -> None:
    server = fake(problem("no_such_route", "404 Not Found", "path not found"))
    error = failure(f"{server.url}/wrong")
    assert error.message == f"no mreg server at {server.url}/wrong: there is one at this host, but not with this path"
    assert error.hint == (
        f"check the path of the URL: it is {server.url}, or {server.url}/PATH if the server runs with --root-path /PATH"
    )
    assert [request.split(b" ")[1] for request in server.requests] == [b"/wrong/models", b"/wrong/version"]


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_the_url_of_an_html_page_is_not_one_of_a_server(fake: Serve, status: str) -> None:
    server = fake(answer(HTML, status, "text/html; charset=utf-8"))
    assert failure(f"{server.url}/docs").message.startswith(
        f"no mreg server at {server.url}/docs: there is one at this"
    )


def test_a_route_that_an_older_server_lacks_is_named(fake: Serve) -> None:
    missing = problem("method_not_allowed", "405 Method Not Allowed", "POST is not allowed for this path")
    for version in (answer(), answer(HTML, "502 Bad Gateway", "text/html", api=None)):
        server = fake(missing, version)
        error = failure(server.url, "POST")
        assert (
            error.message
            == f"{server.url} does not have this operation (POST /models): it runs another release of mreg"
        )


CODES: dict[str, tuple[type[errors.MregError], str]] = {
    "bad_input": (errors.BadInput, ""),
    "not_found": (errors.NotFound, ""),
    "already_exists": (errors.AlreadyExists, ""),
    "conflict": (errors.Conflict, ""),
    "not_allowed": (errors.NotAllowed, ""),
    "leaves": (errors.LeavesProduction, "leaves_production"),
    "gate_failed": (errors.GateFailed, ""),
    "approval_missing": (errors.ApprovalMissing, ""),
    "corrupt": (errors.Corrupt, ""),
    "missing": (errors.MissingBlob, "missing_blob"),
    "unavailable": (errors.Unavailable, ""),
}


@pytest.mark.parametrize("code", CODES)
def test_a_problem_is_the_error_of_a_local_registry(fake: Serve, code: str) -> None:
    kind, subcode = CODES[code]
    details = {"kind": "model", "message": "m", "hint": "x", "self": 1}
    server = fake(problem(kind.code, "409 Conflict", "what failed", subcode=subcode, details=details))
    error = failure(server.url, "POST")
    assert type(error) is kind
    hint = "operator of the server: h" if kind in (errors.Corrupt, errors.MissingBlob, errors.Unavailable) else "h"
    assert (error.message, error.hint, error.details) == ("what failed", hint, details)


@pytest.mark.parametrize(
    "document",
    ["[]", "1", '"x"', "null", "{}", '{"code": 1, "detail": [], "hint": {}, "details": 3, "notices": 7}', "nonsense",
     '{"code": "not_found", "detail": "x", "details": {"notices": 5}}'],
)  # fmt: skip
def test_a_damaged_problem_is_still_an_error(fake: Serve, document: str) -> None:
    server = fake(answer(document.encode(), "404 Not Found", "application/problem+json"))
    assert isinstance(failure(server.url), errors.MregError)


def _flood(start: bytes, more: bytes) -> Callable[[socket.socket], None]:
    """Send an answer without an end."""

    def send(client: socket.socket) -> None:
        client.sendall(start)
        while True:
            client.sendall(more)

    return send


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nMreg-Api: 1\r\nContent-Type: application/vnd.mreg+json\r\nTransfer-Encoding: chunked\r\n\r\n"
)

LARGE: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "a length that is too large": (cut(answer(b"", length=40_000_001)), "it is larger than 40 MB"),
    "a body without an end": (_flood(CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n"), "it is larger than 40 MB"),
    "a problem without an end": (
        _flood(CHUNKED.replace(b"200", b"409").replace(b"vnd.mreg", b"problem"), b"10000\r\n" + b" " * 65536 + b"\r\n"),
        "it is larger than 8 MB",
    ),
    "empty lists": (cut(answer(b'{"result": [' + b"[]," * 500_000 + b"1]}")), "it has too many values"),
    "keys": (cut(answer(b'{"result": {' + b'"":1,' * 500_000 + b'"":1}}')), "it has too many values"),
    "endless extensions of chunks": (
        _flood(CHUNKED, b"1;" + b"x" * 4000 + b"\r\n{\r\n"),
        "the lines before its chunks are too long",
    ),
    "an endless extension": (_flood(CHUNKED + b"1;", b"x" * 65536), "was cut off"),
    "endless trailers": (_flood(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000), "too many trailers"),
    "a length with a sign": (cut(CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n"), "a chunk has no length"),
    "a length of many digits": (cut(CHUNKED + b"0" * 17 + b"2\r\n{}\r\n0\r\n\r\n"), "a chunk has no length"),
    "endless interim responses": (
        _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        "got more than 20 interim responses",
    ),
    "endless early hints": (
        _flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000),
        "got more than 20 interim responses",
    ),
    "an interim response without an end": (
        _flood(b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n" * 1000),
        "got more than 100 headers",
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_an_answer_without_an_end_is_given_up_in_little_memory(fake: Serve, case: str) -> None:
    sent, why = LARGE[case]
    server = fake(sent)
    tracemalloc.start()
    try:
        error = failure(server.url)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert server.url in error.message
    assert error.message.endswith(why)
    assert peak < 200 << 20


def test_a_large_document_takes_little_memory(fake: Serve) -> None:
    body = (
        b'{"result": ["' + b"x" * 30_000_000 + '\U0001f600"]}'.encode()
    )  # four bytes in memory for each of its letters
    server = fake(answer(body))
    del body
    tracemalloc.start()
    try:
        with Connection(server.url) as connection:
            opened = connection.call("GET", "/models")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(opened.result[0]) == 30_000_001
    assert opened.size < 10
    assert peak < 300 << 20


def test_a_document_in_the_smallest_chunks_is_read(fake: Serve) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in OK)
    with Connection(fake(CHUNKED + chunks + b"0\r\n\r\n").url) as connection:
        assert connection.call("GET", "/models").result == 1


def test_interim_responses_are_skipped(fake: Serve) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
    server = fake(interim * 10 + answer())
    with Connection(server.url) as connection:
        for _ in range(2):
            assert connection.call("GET", "/models").result == 1
    assert server.connections == 1


@pytest.mark.parametrize("part", ["interim responses", "headers", "the line of a chunk", "a problem"])
def test_an_answer_that_arrives_slowly_is_given_up(fake: Serve, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(responses, "JSON_SECONDS", 0.2)
    start, more = {
        "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        "the line of a chunk": (CHUNKED + b"1;", b"x"),
        "a problem": (answer(b"", "409 Conflict", "application/problem+json", length=10_000), b" "),
    }[part]
    ended = threading.Event()

    def drip(client: socket.socket) -> None:
        client.sendall(start)
        while not ended.wait(0.05):
            client.sendall(more)

    server = fake(drip)
    with counted_pauses(), Connection(server.url) as connection, pytest.raises(errors.Unavailable) as caught:
        connection.request("GET", "/models", silence=0.1, repeatable=False).json()
    ended.set()
    assert "in time" in caught.value.message


# Retries


LOST = {
    "closed": b"",
    "reset": lambda client: client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),
}
BUSY = problem("busy", "503 Service Unavailable")
BUSY_LATER = BUSY.replace(b"Mreg-Api: 1", b"Mreg-Api: 1\r\nRetry-After: 5")


@pytest.mark.parametrize("kind", [*LOST, "502", "503", "504", "busy"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_repeatable_request_is_sent_again(fake: Serve, kind: str, method: str) -> None:
    failed = (
        LOST.get(kind)
        if kind in LOST
        else BUSY_LATER
        if kind == "busy"
        else answer(HTML, f"{kind} x", "text/html", api=None)
    )
    server = fake(failed, failed, answer())
    with counted_pauses() as pauses, Connection(server.url) as connection:
        opened = connection.call(method, "/models", body={} if method == "POST" else None, repeatable=True)
    assert (opened.result, opened.notices) == (1, ("told",))
    assert len(server.requests) == 3
    assert len(pauses) == 2
    assert all(pause >= 5 for pause in pauses) == (kind == "busy")


def test_a_wait_that_the_server_asks_for_is_told(fake: Serve) -> None:
    broken = problem("unavailable", "503 Service Unavailable", "cannot read the tokens").replace(
        b"Mreg-Api: 1", b"Mreg-Api: 1\r\nRetry-After: 5"
    )
    told: list[str] = []
    server = fake(broken)
    with (
        counted_pauses() as pauses,
        Connection(server.url, notice=told.append) as connection,
        pytest.raises(errors.Unavailable),
    ):
        connection.call("GET", "/models")
    assert pauses == [5.0] * 4
    assert told == [f"waiting for {server.url}: cannot read the tokens"]


def test_attempts_are_limited(fake: Serve) -> None:
    server = fake(answer(HTML, "502 Bad Gateway", "text/html", api=None))
    assert "502" in failure(server.url).message
    assert len(server.requests) == connections.ATTEMPTS


@pytest.mark.parametrize("kind", ["502", "503", "504"])
def test_a_change_is_not_sent_again_if_a_proxy_answers(fake: Serve, kind: str) -> None:
    server = fake(answer(HTML, f"{kind} x", "text/html", "Retry-After: 1", api=None))
    failure(server.url, "POST", body={})
    assert len(server.requests) == 1


def test_an_answer_that_is_cut_off_is_asked_for_again(fake: Serve) -> None:
    part = answer(OK, "200 OK", "application/vnd.mreg+json", "Connection: close", length=len(OK) + 5)
    server = fake(part, part, answer())
    with counted_pauses() as pauses, Connection(server.url) as connection:
        assert connection.call("GET", "/models").result == 1
    assert (len(server.requests), len(pauses)) == (3, 2)
    assert failure(fake(part).url, "POST", body={}).details == {"sent": True}


@pytest.mark.parametrize("kind", LOST)
def test_a_change_whose_answer_was_lost_is_not_sent_again(fake: Serve, kind: str) -> None:
    server = fake(LOST[kind])
    error = failure(server.url, "POST", body={})
    assert error.message == (
        f"the response from {server.url} was lost, and the change might have been made: "
        f"{server.url} closed the connection without a response"
    )
    assert error.hint == "check the newest events before you repeat the command: mreg history --limit 5"
    assert len(server.requests) == 1


def test_a_change_that_the_server_has_not_begun_is_sent_again(fake: Serve) -> None:
    server = fake(BUSY_LATER, answer())
    with counted_pauses(), Connection(server.url) as connection:
        assert connection.call("POST", "/models", body={}).result == 1


def test_an_error_of_the_server_is_not_repeated(fake: Serve) -> None:
    server = fake(problem("unavailable", "503 Service Unavailable"))
    assert type(failure(server.url)) is errors.Unavailable
    assert len(server.requests) == 1


def test_a_server_that_was_never_reached_is_not_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with counted_pauses() as pauses, Connection(url) as connection, pytest.raises(errors.Unavailable) as caught:
        connection.call("GET", "/models")
    assert caught.value.message == f"cannot reach {url}: connection refused"
    assert pauses == []


def test_a_server_that_is_restarted_is_waited_for(fake: Serve) -> None:
    server = fake(answer(OK, "200 OK", "application/vnd.mreg+json", "Connection: close"))
    with Connection(server.url) as connection, counted_pauses() as pauses:
        connection.call("GET", "/models")
        server.stop()
        with pytest.raises(errors.Unavailable, match="connection refused"):
            connection.call("POST", "/models", body={})  # nothing was sent
    assert len(pauses) == connections.RESTART_ATTEMPTS - 1
    assert 8 < sum(pauses) < 18  # a restart with the start of a process and a recovery of the catalog


@pytest.mark.parametrize("status", ["502", "503", "504"])
def test_a_server_that_is_restarted_behind_a_proxy_is_waited_for(fake: Serve, status: str) -> None:
    told: list[str] = []
    server = fake(answer(), answer(HTML, f"{status} x", "text/html", "Connection: close", api=None))
    with Connection(server.url, notice=told.append) as connection, counted_pauses() as pauses:
        connection.call("GET", "/models")
        with pytest.raises(errors.Unavailable, match=status):
            connection.call("GET", "/models")
    assert len(pauses) == connections.RESTART_ATTEMPTS - 1
    assert [text.partition(": ")[0] for text in told] == [f"waiting for {server.url}"]


def test_a_wait_for_a_server_that_cannot_be_reached_is_told(fake: Serve) -> None:
    told: list[str] = []
    server = fake(answer(OK, "200 OK", "application/vnd.mreg+json", "Connection: close"))
    with Connection(server.url, notice=told.append) as connection, counted_pauses():
        connection.call("GET", "/models")
        server.stop()
        with pytest.raises(errors.Unavailable):
            connection.call("GET", "/models")
    assert told == [f"cannot reach {server.url}: connection refused; trying again"]


def test_connections_are_used_again_and_shared_by_threads(fake: Serve) -> None:
    server = fake(answer())
    with Connection(server.url) as connection:
        for _ in range(5):
            connection.call("GET", "/models")
        assert server.connections == 1
        threads = [threading.Thread(target=connection.call, args=("GET", "/models")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.requests) == 13
    assert server.connections <= 9
    with pytest.raises(errors.Unavailable, match="the registry is closed"):
        connection.call("GET", "/models")


def test_a_connection_that_the_server_closed_is_not_used_for_a_change(fake: Serve) -> None:
    def once(client: socket.socket) -> None:
        client.sendall(answer())
        client.shutdown(socket.SHUT_WR)

    server = fake(once, answer())
    with Connection(server.url) as connection:
        connection.call("GET", "/models")
        while not connections._is_readable(connection._idle[0][0]):
            pass
        connection.call("POST", "/models", body={})
    assert server.connections == 2


def test_bytes_after_an_answer_do_not_become_the_next_one(fake: Serve) -> None:
    def twice(client: socket.socket) -> None:
        client.sendall(answer() + answer(b'{"result": "smuggled"}'))
        with contextlib.suppress(OSError):
            client.recv(1)

    server = fake(twice, answer())
    with Connection(server.url) as connection:
        assert connection.call("GET", "/models").result == 1
        assert connection.call("GET", "/models").result == 1


# Times


def test_a_silent_server_is_given_up(fake: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(
        Connection.request, "__kwdefaults__", {**(Connection.request.__kwdefaults__ or {}), "silence": 0.05}
    )
    release = threading.Event()
    server = fake(lambda _client: release.wait(20) and None)
    error = failure(server.url)
    release.set()
    assert error.message == f"cannot reach {server.url}: no response in time"


def test_a_call_has_ten_minutes_of_which_a_server_may_be_silent_for_one(
    fake: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[float, float]] = []
    real = Connection._exchange

    def spy(self: Connection, sent: Any, *, silence: float, deadline: float, **options: Any) -> Any:
        given.append((silence, deadline))
        return real(self, sent, silence=silence, deadline=time.monotonic() + 20, **options)

    monkeypatch.setattr(Connection, "_exchange", spy)
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    with Connection(fake(answer()).url) as connection:
        connection.call("GET", "/models")
        with connection.request("GET", "/models") as response:
            response.json()
    assert given == [(60.0, 1600.0), (60.0, float("inf"))]


@pytest.mark.parametrize(("spare", "expected"), [(0, "not a problem"), (1, "it is larger than 8 MB")])
def test_an_error_answer_has_a_largest_size(fake: Serve, spare: int, expected: str) -> None:
    document = json.dumps({"code": "bad_input", "detail": "not a problem", "hint": ""}).encode()
    body = document.ljust(8_000_000 + spare)
    assert failure(fake(answer(body, "400 Bad Request", "application/problem+json")).url).message.endswith(expected)


def test_a_slow_answer_has_a_limit(fake: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CALL_SECONDS", 0.3)

    def drip(client: socket.socket) -> None:
        for byte in answer() * 100:
            client.sendall(bytes([byte]))
            time.sleep(0.01)

    assert "in time" in failure(fake(drip).url, repeatable=False).message


# The token


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("to", ["another origin", "the same origin", "a path"])
def test_no_redirect_is_followed(fake: Serve, status: int, method: str, to: str) -> None:
    other, redirect = fake(answer()), bytearray()
    server = fake(lambda client: client.sendall(redirect))
    place = {"another origin": f"{other.url}/models", "the same origin": f"{server.url}/other", "a path": "/other"}[to]
    redirect += answer(b"", f"{status} Moved", "", f"Location: {place}")
    with Connection(server.url, token=lambda: "mreg_secret") as connection, pytest.raises(errors.Unavailable) as caught:
        connection.request(method, "/models", body=b"x", repeatable=True)
    assert len(server.requests) == 1
    assert b"Authorization: Bearer mreg_secret\r\n" in server.requests[0]
    assert other.requests == []
    assert caught.value.message == f"{server.url} redirects to '{place}'"
    assert "mreg_secret" not in str(caught.value)


def test_a_redirect_from_tls_to_none_is_not_followed(
    fake: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate, key = make_certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    other = fake(answer())
    server = fake(answer(b"", "307 Temporary Redirect", "", f"Location: {other.url}/models"))
    tls = TlsServer(server.port, certificate, key)
    with Connection(tls.endpoint, token=lambda: "mreg_secret") as connection, pytest.raises(errors.Unavailable):
        connection.call("GET", "/models")
    assert (len(server.requests), other.requests) == (1, [])
    tls.stop()


def test_the_token_is_not_sent_without_tls_to_another_machine() -> None:
    connection = Connection("http://models.example", token=lambda: "mreg_secret")
    with pytest.raises(errors.BadInput) as caught:
        connection.call("GET", "/models")
    assert caught.value.message == "the token is not sent to http://models.example without TLS"


@pytest.mark.parametrize("secret", ["a\r\nX: y", "a b", "ä", "a\0"])
def test_a_token_that_is_none_is_not_sent(fake: Serve, secret: str) -> None:
    server = fake(answer())
    with Connection(server.url, token=lambda: secret) as connection, pytest.raises(errors.BadInput) as caught:
        connection.call("GET", "/models")
    assert server.requests == []
    assert secret not in caught.value.message


# API versions


def test_a_newer_server_is_used(fake: Serve) -> None:
    server = fake(answer(b'{"result": 1, "invented": {}, "notices": []}', api="7"))
    with Connection(server.url) as connection:
        assert connection.call("GET", "/models").result == 1
        assert connection.server_api == 7
        assert b"Mreg-Api: 1\r\n" in server.requests[0]


def test_a_parameter_that_an_older_server_would_ignore_is_not_sent(fake: Serve) -> None:
    server = fake(answer())
    with Connection(server.url) as connection, pytest.raises(errors.Unavailable) as caught:
        connection.call("DELETE", "/models/m", query={"seen": "x"}, api=2)
    assert caught.value.message == (
        f"{server.url} runs an older release of mreg: expected API version 2 or newer, got 1"
    )
    assert [request.split(b" ")[:2] for request in server.requests] == [[b"GET", b"/version"]]


# Streams


def test_a_body_is_streamed_both_ways_and_read_again_for_a_retry(fake: Serve) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nMreg-Api: 1\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    )
    server = fake(b"", chunked, answer())
    read: list[int] = []

    def body() -> Iterator[bytes]:
        read.append(1)
        yield b"abc"
        yield b""
        yield b"def"

    with counted_pauses(), Connection(server.url) as connection:
        for length in (6, None):
            with connection.request("PUT", "/x", body=body, length=length, repeatable=True, accept="*/*") as response:
                content = b"".join(response.chunks())
            assert content in (b"hello!", OK)
        assert server.connections == 2
    assert read == [1, 1, 1]
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [b"abcdef"] * 3
    assert b"Transfer-Encoding: chunked\r\n" in server.requests[2]


def test_an_error_of_the_callers_body_is_its_own(fake: Serve) -> None:
    def body() -> Iterator[bytes]:
        yield b"x"
        raise FileNotFoundError("gone")

    with Connection(fake(answer()).url) as connection, pytest.raises(FileNotFoundError, match="gone"):
        connection.request("PUT", "/x", body=body, repeatable=True)


def test_an_answer_before_the_end_of_the_body_is_the_answer() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        client.recv(65536)
        client.sendall(problem("too_large", "413 Content Too Large"))
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while client.recv(1 << 20):
                pass
        client.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Connection(url) as connection, pytest.raises(errors.BadInput, match="x"):
        connection.request("PUT", "/x", body=lambda: (b"x" * 65536 for _ in range(100)), length=6_553_600)
    thread.join(10)
    listener.close()


def test_a_status_that_is_expected_is_returned(fake: Serve) -> None:
    server = fake(answer(b"", "307 x", "", "Location: https://store.example/signed"), problem("blobs_missing", "409 x"))
    with Connection(server.url) as connection:
        with connection.request("GET", "/x", expect=(307,)) as response:
            assert response.headers["location"] == "https://store.example/signed"
        with connection.request("POST", "/x", body=b"{}", expect=(409,)) as response:
            assert response.json()["code"] == "blobs_missing"
        assert server.connections == 1


# TLS and proxies


def test_tls_is_verified_with_the_authority_of_the_variable(
    fake: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, certificate, key = make_certificates(tmp_path)
    server = fake(answer())
    tls = TlsServer(server.port, certificate, key)
    error = failure(tls.endpoint)
    assert error.message.startswith(f"cannot reach {tls.endpoint}: its certificate is not valid: ")
    assert error.hint == "if it is signed by your own authority: export SSL_CERT_FILE=FILE.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with Connection(tls.endpoint, token=lambda: "t") as connection:
        assert connection.call("GET", "/models").result == 1
    tls.stop()


def test_a_server_without_tls_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        port = listener.getsockname()[1]
        error = failure(f"https://127.0.0.1:{port}")
        thread.join()
    assert error.message == f"https://127.0.0.1:{port} does not speak TLS"
    assert error.hint == f"check the port; a server without TLS has the URL http://127.0.0.1:{port}"


def test_an_unknown_host_is_named() -> None:
    error = failure("http://models.invalid")
    assert error.message == "cannot reach http://models.invalid: the host name models.invalid was not found"


@pytest.mark.parametrize("login", ["", "ada:pa%20ss@"])
def test_a_proxy_of_the_environment_is_used(fake: Serve, monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    proxy = fake(answer())
    monkeypatch.setenv("http_proxy", f"http://{login}127.0.0.1:{proxy.port}")
    with Connection("http://models.example/mreg") as connection:
        connection.call("GET", "/models", query={"limit": 3, "force": True, "none": None})
    head = proxy.requests[0]
    assert head.startswith(
        b"GET http://models.example/mreg/models?limit=3&force=true HTTP/1.1\r\nHost: models.example\r\n"
    )
    assert (b"Proxy-Authorization: Basic YWRhOnBhIHNz\r\n" in head) == bool(login)


def test_a_tunnel_that_the_proxy_refuses_is_told(fake: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = fake(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    error = failure("https://models.example")
    assert error.message == (
        f"cannot reach https://models.example: the proxy http://127.0.0.1:{proxy.port} answered "
        "'407 Proxy Authentication Required'"
    )
    assert error.hint.endswith("export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")


@pytest.mark.parametrize(
    "excluded", ["*", "models.example", ".example", "example", "x, models.example:80", "10.0.0.0/8,*.example"]
)
def test_no_proxy_is_used_for_an_excluded_host(excluded: str) -> None:
    from mreg.domain.address import Address
    from mreg.remote.proxies import find_proxy

    address = Address.parse("http://models.example")
    variables = {"http_proxy": "http://proxy:3128", "no_proxy": excluded}
    assert find_proxy(address, variables) is None
    for other in ("example.org", "models.example:81", "notmodels.example.org", "10.0.0.0/8"):
        assert find_proxy(address, {**variables, "no_proxy": other}) is not None
    assert find_proxy(Address.parse("http://127.0.0.1"), {"http_proxy": "http://proxy"}) is None
    assert (
        find_proxy(Address.parse("http://10.1.2.3"), {"http_proxy": "http://proxy", "NO_PROXY": "10.0.0.0/8"}) is None
    )
    assert find_proxy(address, {"HTTP_PROXY": "http://proxy", "REQUEST_METHOD": "GET"}) is None
    for bad in ("socks5://proxy:1080", "http://", "http://a b"):
        with pytest.raises(errors.BadInput, match="the variable ALL_PROXY does not have"):
            find_proxy(address, {"ALL_PROXY": bad})


@given(st.binary(max_size=200))
def test_no_bytes_of_a_server_are_more_than_an_error(data: bytes) -> None:
    with contextlib.closing(_Once(data)) as server:
        error = failure(server.url, repeatable=False)
    assert error.message.isprintable()


class _Once(Fake):
    def __init__(self, data: bytes) -> None:
        super().__init__(cut(data))

    close = Fake.stop


def test_a_call_imports_neither_a_catalog_nor_another_http_library(fake: Serve) -> None:
    server = fake(problem("not_found", "404 Not Found"))
    code = (
        "import sys\n"
        "from mreg.errors import NotFound\n"
        "from mreg.registry.remote import RemoteRegistry\n"
        "from mreg.remote.connection import Connection\n"
        "from mreg.results.profiles import Profile\n"
        "registry = RemoteRegistry(Connection(sys.argv[1]), Profile(name='team', catalog='', artifacts=''))\n"
        "try:\n    registry.show('m@1')\nexcept NotFound:\n    print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, server.url], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded
    heavy = {"sqlite3", "urllib3", "httpx", "requests", "urllib.request", "asyncio", "tempfile", "hashlib", "yaml"}
    assert not loaded & heavy
    assert not {name for name in loaded if name.startswith(("mreg.catalog", "mreg.server", "mreg.artifacts"))}


# Idle connections, retries and answers at their limits


class Line:
    """A connection that is only kept and closed."""

    sock = None

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_a_limited_number_of_connections_is_kept() -> None:
    connection = Connection("http://127.0.0.1:9")
    lines: list[Any] = [Line() for _ in range(connections.IDLE_LIMIT + 1)]
    for line in lines:
        connection._keep(line)
    assert connections.IDLE_LIMIT == 16
    assert [line for line, _ in connection._idle] == lines[:-1]
    assert [line.closed for line in lines] == [0] * connections.IDLE_LIMIT + [1]
    connection.close()
    connection.close()
    assert [line.closed for line in lines] == [1] * (connections.IDLE_LIMIT + 1)
    late: Any = Line()
    connection._keep(late)  # its answer was read after the registry was closed
    assert (late.closed, connection._idle) == (1, [])


@pytest.mark.parametrize(
    ("age", "fresh", "used"),
    [(19.9, False, True), (20.0, False, False), (2.9, True, True), (3.0, True, False), (19.9, True, False)],
)
def test_an_idle_connection_is_used_up_to_its_age(
    monkeypatch: pytest.MonkeyPatch, age: float, fresh: bool, used: bool
) -> None:
    connection = Connection("http://127.0.0.1:9")
    monkeypatch.setattr(connections, "_is_readable", lambda _line: False)
    line: Any = Line()
    connection._idle.append((line, 100.0))
    monkeypatch.setattr(connections, "time", SimpleNamespace(monotonic=lambda: 100.0 + age))
    assert (connection._line(fresh=fresh) is line) is used
    assert (line.closed, connection._idle) == (int(not used), [])


def test_the_newest_connection_that_is_still_open_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("http://127.0.0.1:9")
    open_line: Any = Line()
    closed_line: Any = Line()
    monkeypatch.setattr(connections, "_is_readable", lambda line: line is closed_line)
    older: Any = Line()
    lines: list[Any] = [older, open_line, closed_line]
    connection._idle.extend((line, time.monotonic()) for line in lines)
    assert connection._line(fresh=True) is open_line
    assert [line.closed for line in lines] == [0, 0, 1]
    assert [line for line, _ in connection._idle] == [older]


def test_a_child_process_does_not_use_the_connections_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("http://127.0.0.1:9")
    monkeypatch.setattr(connections, "_is_readable", lambda _line: False)
    line: Any = Line()
    connection._idle.append((line, time.monotonic()))
    pid = connection._process
    monkeypatch.setattr(connections, "os", SimpleNamespace(getpid=lambda: pid + 1, environ={}))
    other: Any = Line()
    connection._keep(other)  # begun in the parent
    assert other.closed == 1
    assert connection._line(fresh=False) is not line
    assert (line.closed, connection._idle, connection._process) == (0, [], pid + 1)
    connection._keep(other)
    assert connection._line(fresh=False) is other


RETRY_AFTER = [("0", 0.0), ("1", 1.0), ("10", 10.0), ("11", 10.0), ("99999999", 10.0)]


@pytest.mark.parametrize(("asked", "pause"), RETRY_AFTER)
def test_the_pause_that_a_server_asks_for_has_a_limit(fake: Serve, asked: str, pause: float) -> None:
    busy = BUSY.replace(b"Mreg-Api: 1", f"Mreg-Api: 1\r\nRetry-After: {asked}".encode())
    with counted_pauses() as pauses, Connection(fake(busy, answer()).url) as connection:
        assert connection.call("GET", "/models").result == 1
    (found,) = pauses
    assert pause <= found <= max(pause, connections.BACKOFF_SECONDS)


@pytest.mark.parametrize("asked", ["", "-1", "1.5", "soon", "999999999", "Thu, 26 Nov 2026 22:00:00 GMT"])
def test_a_busy_server_that_asks_for_no_pause_is_not_asked_again(fake: Serve, asked: str) -> None:
    busy = BUSY.replace(b"Mreg-Api: 1", f"Mreg-Api: 1\r\nRetry-After: {asked}".encode())
    server = fake(busy)
    assert failure(server.url).details["refused"] == "busy"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["502", "504"])
@pytest.mark.parametrize(("asked", "pause"), [("2", 2.0), ("99", 10.0), ("soon", 0.0)])
def test_a_proxy_can_ask_for_a_pause(fake: Serve, status: str, asked: str, pause: float) -> None:
    server = fake(answer(HTML, f"{status} x", "text/html", f"Retry-After: {asked}", api=None), answer())
    with counted_pauses() as pauses, Connection(server.url) as connection:
        assert connection.call("GET", "/models").result == 1
    assert pauses[0] >= pause
    assert pauses[0] == pause or pause == 0.0


def test_pauses_double_with_each_attempt_up_to_a_limit() -> None:
    for attempt, longest in ((1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (5, 2.0), (11, 2.0)):
        found = [connections._backoff(attempt) for _ in range(200)]
        assert longest / 2 <= min(found) < longest * 0.6
        assert longest * 0.9 < max(found) <= longest


@pytest.mark.parametrize("api", ["", "x", "-1", "1.0", "1" * 10, "\u0661".encode().decode("latin-1")])
def test_an_answer_without_an_api_version_is_not_one_of_mreg(fake: Serve, api: str) -> None:
    assert " is not a server of mreg: it answered 200 OK" in failure(fake(answer(api=api)).url).message


def test_the_highest_api_version_has_nine_digits(fake: Serve) -> None:
    with Connection(fake(answer(api="9" * 9)).url) as connection:
        assert connection.call("GET", "/models").result == 1
        assert connection.server_api == 999_999_999


def test_an_object_store_needs_no_api_version(fake: Serve) -> None:
    with Connection(fake(answer(b"bytes", api=None)).url, is_mreg=False) as connection:
        with connection.request("GET", "/x") as response:
            assert b"".join(response.chunks()) == b"bytes"
        assert (connection.server_api, response.is_mreg) == (None, False)


def test_a_version_that_every_server_has_is_not_asked_for(fake: Serve) -> None:
    server = fake(answer(api="2"))
    with Connection(server.url) as connection:
        connection.require_api(OLDEST_API)
        assert server.requests == []
        connection.require_api(2)
        connection.require_api(2)
        assert len(server.requests) == 1
        with pytest.raises(errors.Unavailable, match="expected API version 3 or newer, got 2") as caught:
            connection.require_api(3)
    assert caught.value.details == {"api": 2}


@pytest.mark.parametrize(
    ("method", "body", "length", "expected"),
    [
        ("GET", None, None, None),
        ("HEAD", None, None, None),
        ("DELETE", None, None, None),
        ("POST", None, None, b"Content-Length: 0"),
        ("PUT", b"", None, b"Content-Length: 0"),
        ("DELETE", b"{}", None, b"Content-Length: 2"),
        ("PUT", lambda: [b"abc"], 3, b"Content-Length: 3"),
        ("PUT", list, 0, b"Content-Length: 0"),
        ("PUT", lambda: [b"abc"], None, b"Transfer-Encoding: chunked"),
    ],
)
def test_a_body_has_one_length(fake: Serve, method: str, body: Any, length: int | None, expected: bytes | None) -> None:
    server = fake(answer(b"" if method == "HEAD" else OK))
    with Connection(server.url) as connection, connection.request(method, "/x", body=body, length=length):
        pass
    framing = (b"content-length:", b"transfer-encoding:")
    lines = [line for line in server.requests[0].split(b"\r\n") if line.lower().startswith(framing)]
    assert lines == ([] if expected is None else [expected])


def test_a_token_is_sent_to_this_machine_or_where_it_is_allowed(fake: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = fake(answer())
    monkeypatch.setenv("http_proxy", server.url)
    with Connection("http://models.example", token=lambda: "mreg_secret", insecure=True) as connection:
        connection.call("GET", "/models")
    assert b"\r\nAuthorization: Bearer mreg_secret\r\n" in server.requests[0]
    for token in (None, lambda: ""):
        with Connection(server.url, token=token) as connection:
            connection.call("GET", "/models")
        assert b"Authorization" not in server.requests[-1]


def test_a_request_that_cannot_be_repeated_and_a_second_attempt_need_a_fresh_connection(
    fake: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    real = Connection._line

    def spy(self: Connection, *, fresh: bool) -> Any:
        asked.append(fresh)
        return real(self, fresh=fresh)

    monkeypatch.setattr(Connection, "_line", spy)
    for method, repeatable, expected in (
        ("GET", None, [False, True]),
        ("POST", True, [False, True]),
        ("POST", None, [True, True]),
        ("GET", False, [True, True]),
    ):
        with counted_pauses(), Connection(fake(BUSY_LATER, answer()).url) as connection:
            connection.call(method, "/models", repeatable=repeatable)
        assert asked == expected, (method, repeatable)
        asked.clear()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_has_ten_seconds_to_accept_a_connection(scheme: str) -> None:
    with Connection(f"{scheme}://models.example:8443/mreg") as connection:
        line = connection._new_line()
        assert (line.host, line.port, line.timeout) == ("models.example", 8443, 10.0)
