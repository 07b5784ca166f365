"""A server that lies to its client: what it sends is never written outside of the destination, nor taken for the version."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.upload import ONE_PASS_BYTES
from mreg.registry import remote_session
from mreg.registry.local import LocalRegistry
from mreg.remote import blobs, connection, direct_upload
from mreg.wire.protocol import DIRECT_BYTES
from tests.server.conftest import Served, in_process  # noqa: F401

MEDIA = "application/vnd.mreg+json"
DIGEST = f"sha256:{'0' * 64}"


class Quiet(ThreadingHTTPServer):
    """A server whose clients may close their connections."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


class Liar:
    """A server that has one version, and whatever a test makes of it.

    Attributes:
        envelope: The answer to every request that is not for a blob.
        blob: Writes the answer to a request for a blob or several.
        offsets: Where each request of an upload ends, again and again.
        endless: Whether the answers to the bytes of an upload have no end.
    """

    def __init__(self, envelope: dict[str, Any]) -> None:
        self.envelope = envelope
        self.blob: Callable[[BaseHTTPRequestHandler], None] = lambda handler: send(handler, b"")
        self.offsets = cycle([0])
        self.endless = False
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.do_PATCH()

            def do_POST(self) -> None:
                """Say that every blob must be sent, directly if it is large, and that some of its bytes arrived."""
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                result: Any
                if "blobs" in sent:
                    result = [
                        {"digest": blob["digest"], "direct": blob["size"] >= DIRECT_BYTES} for blob in sent["blobs"]
                    ]
                else:
                    part = {"number": 1, "start": 0, "size_bytes": 1, "url": f"{liar.url}/part"}
                    offset = next(liar.offsets)
                    result = {"digest": DIGEST, "arrived_bytes": offset, "parts": [part]}
                    result |= {"offset": offset, "hash_first": False}
                send(self, json.dumps({**liar.envelope, "result": result}).encode(), MEDIA)

            def do_PUT(self) -> None:
                """Take the bytes of a direct upload."""
                self.rfile.read(int(self.headers["Content-Length"]))
                self.close_connection = liar.endless
                if liar.endless:
                    _endless_body(self)
                else:
                    send(self, b"")

            def do_PATCH(self) -> None:
                """Take the bytes, and say that others arrived."""
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if liar.endless and self.command == "PATCH":
                    self.close_connection = True
                    _endless_body(self, next(liar.offsets))
                self.send_response(200)
                for name, value in {"Upload-Offset": next(liar.offsets), "Content-Length": 0, "Mreg-Api": 1}.items():
                    self.send_header(name, str(value))
                self.end_headers()

            def do_GET(self) -> None:
                if "/blobs" in self.path:
                    liar.blob(self)
                else:
                    send(self, json.dumps(liar.envelope).encode(), MEDIA)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(
    handler: BaseHTTPRequestHandler, body: bytes, kind: str = "application/octet-stream", length: int | None = None
) -> None:
    handler.send_response(200)
    for name, value in {"Content-Type": kind, "Content-Length": len(body) if length is None else length}.items():
        handler.send_header(name, str(value))
    handler.send_header("Mreg-Api", "1")
    handler.end_headers()
    handler.wfile.write(body)
    if length is not None:
        handler.close_connection = True


@pytest.fixture
def liar(
    in_process: Callable[..., Served],  # noqa: F811
    registry: LocalRegistry,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Liar]:
    """A liar that begins with a true version: a file, or a folder with two files."""
    monkeypatch.setattr(blobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_SECONDS", 0.01)
    Path("net").mkdir()
    Path("net/a.bin").write_bytes(b"a" * 1000)
    Path("net/b.bin").write_bytes(b"b" * 300_000)
    registry.push("net" if request.param == "folder" else "net/b.bin", name="m")
    answer = in_process().get("/models/m/versions/1", headers={"Accept": MEDIA})
    made = Liar(answer.json())
    yield made
    made.stop()


def pull(liar: Liar) -> mreg.MregError:
    """Pull, and return the error; nothing may be written."""
    before = sorted(Path().rglob("*"))
    with mreg.open_registry(server=liar.url, token="x") as remote, pytest.raises(mreg.MregError) as raised:
        remote.pull("m@1", "deep/back")
    assert [path for path in sorted(Path().rglob("*")) if path not in before and path != Path("deep")] == []
    assert "unexpected" not in raised.value.message
    return raised.value


FILES: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
    "other bytes of the same size": lambda handler: send(handler, b"x" * 300_000),
    "fewer bytes": lambda handler: send(handler, b"b" * 10),
    "no bytes": lambda handler: send(handler, b""),
    "more bytes": lambda handler: send(handler, b"b" * 300_001),
    "a huge length and few bytes": lambda handler: send(handler, b"b" * 10, length=10**18),
    "a length that is no number": lambda handler: send(handler, b"b" * 10, length=-5),
}


@pytest.mark.parametrize("liar", ["file"], indirect=True)
@pytest.mark.parametrize("case", FILES)
def test_bytes_that_are_not_those_of_the_version_are_not_kept(liar: Liar, case: str) -> None:
    liar.blob = FILES[case]
    error = pull(liar)
    assert isinstance(error, (mreg.Corrupt, mreg.Unavailable))
    if isinstance(error, mreg.Corrupt):
        assert error.message.startswith("m@1: the blob sha256:")
        assert error.hint == (
            "repeat the command, since bytes can change in transit\noperator of the server: mreg verify m@1"
        )


def _endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-More: and more\r\n" * 1000)


def _endless_header(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-More: ")
    while True:
        handler.wfile.write(b"x" * 65536)


def _endless_body(handler: BaseHTTPRequestHandler, offset: int = 0) -> None:
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nMreg-Api: 1\r\nUpload-Offset: %d\r\nContent-Type: application/octet-stream\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" % offset
    )
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


@pytest.mark.parametrize("liar", ["file", "folder"], indirect=True)
@pytest.mark.parametrize("endless", [_endless_headers, _endless_header, _endless_body])
def test_an_answer_without_an_end_is_given_up(liar: Liar, endless: Callable[[BaseHTTPRequestHandler], None]) -> None:
    def quietly(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        try:
            endless(handler)
        except OSError:
            return  # the client has closed the connection

    liar.blob = quietly
    assert isinstance(pull(liar), (mreg.Corrupt, mreg.Unavailable))


PATHS = [
    "../evil",
    "/etc/evil",
    "a/../../evil",
    "..",
    ".",
    "",
    "a//b",
    "a\\..\\evil",
    "C:evil",
    "a\0b",
    "\x1b[2J",
    "a.bin/x",
]


@pytest.mark.parametrize("liar", ["folder"], indirect=True)
def test_a_manifest_with_a_path_elsewhere_is_refused(liar: Liar, registry: LocalRegistry) -> None:
    true, true_digest = liar.envelope, registry.version("m@1").artifact.digest.value
    manifest = Path(registry.profile.artifacts, "blobs/sha256", true_digest[:2], true_digest[2:]).read_bytes()
    by_digest = {hashlib.sha256(data).hexdigest(): data for data in (b"a" * 1000, b"b" * 300_000)}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        blob = handler.path.rpartition("/blobs")[2]  # before it is the digest of the version
        asked = [data for digest, data in by_digest.items() if digest in blob]
        send(handler, asked[0] if asked else b"a" * 1000)

    liar.blob = answer
    with mreg.open_registry(server=liar.url, token="x") as remote:
        by_digest[true_digest] = manifest
        assert remote.pull("m@1", "true").version == remote.version("m@1")  # what follows differs in the path alone
    for path in PATHS:
        hostile = manifest.replace(b'"b.bin"', json.dumps(path).encode())
        assert hostile != manifest
        digest = hashlib.sha256(hostile).hexdigest()
        by_digest[digest] = hostile
        liar.envelope = json.loads(json.dumps(true).replace(true_digest, digest))
        error = pull(liar)
        assert isinstance(error, (mreg.Corrupt, mreg.BadInput)), (path, error)
        assert "\x1b" not in error.message


@pytest.mark.parametrize("endless", [False, True])
@pytest.mark.parametrize("offsets", [[0], [0, 1]])
@pytest.mark.parametrize(
    ("size", "why"),
    [
        (DIRECT_BYTES - 1, "it does not accept the bytes that are sent"),
        (DIRECT_BYTES, "the parts that were sent have not arrived"),
        (ONE_PASS_BYTES, "it does not accept the bytes that are sent"),
    ],
)
@pytest.mark.parametrize("liar", ["file"], indirect=True)
def test_a_push_to_a_server_that_keeps_no_byte_ends(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, size: int, why: str, offsets: list[int], endless: bool
) -> None:
    monkeypatch.setattr(direct_upload, "BACKOFF_SECONDS", 0.01)
    liar.offsets, liar.endless = cycle(offsets), endless
    Path("large.bin").write_bytes(b"l" * size)
    with mreg.open_registry(server=liar.url, token="x") as remote, pytest.raises(mreg.Unavailable) as raised:
        remote.push("large.bin", name="m")
    assert why in raised.value.message


@pytest.mark.parametrize("liar", ["file"], indirect=True)
def test_a_list_without_an_end_is_given_up(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_session, "LIST_VALUES", 10_000)
    liar.envelope = {**liar.envelope, "result": [liar.envelope["result"]] * 10, "more": True}
    for limit in (None, 10**9):
        with mreg.open_registry(server=liar.url, token="x") as remote, pytest.raises(mreg.Unavailable) as raised:
            remote.search(limit=limit)
        assert raised.value.message == f"invalid response from {liar.url} (status 200): the list has too many values"
