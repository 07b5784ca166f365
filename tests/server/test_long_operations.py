"""Long operations over HTTP: their events, their end when nobody waits, and who may ask for them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.bundle_file import BundleFile
from mreg.registry import verify
from mreg.registry.session import Session
from mreg.results.upkeep import Verification
from mreg.server import operations
from mreg.server.operations import Stopped
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile
from tests.server.conftest import Serve, Served, Tokens

InProcess = Callable[..., Served]

EVENTS = {"Accept": "text/event-stream"}


def guarded(tokens: Tokens) -> ServerSettings:
    return ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None))


def events_of(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, without its comments."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if not line.startswith(":")]
        if lines:
            assert [name for name, _, _ in lines] == ["event", "data"]
            found.append((lines[0][2], json.loads(lines[1][2])))
    return found


def ask(server: Served, method: str, path: str, **options: Any) -> list[tuple[str, Any]]:
    options["headers"] = {**EVENTS, **options.get("headers", {})}
    found = server.ask(method, path, **options)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert found.headers["x-accel-buffering"] == "no"
    return events_of(found.text)


def result(events: list[tuple[str, Any]]) -> Any:
    assert events[-1][0] == "result", events[-1]
    return events[-1][1]["result"]


@pytest.fixture
def filled(in_process: InProcess) -> Served:
    """A server with two versions of a model, one of them a folder."""
    server = in_process()
    server.post("/models", {"name": "classifier"})
    assert server.upload(b"x" * 3_000_000, accuracy="0.9").status_code == 200
    folder = [("folder_file", ("a.txt", b"a")), ("folder_file", ("sub/b.txt", b"b" * 10))]
    assert server.ask("POST", "/models/classifier/versions", files=folder).status_code == 200
    return server


@pytest.mark.parametrize("path", ["/verify", "/models/classifier/verify", "/models/classifier/versions/1/verify"])
def test_verify_answers_with_events_or_with_json(filled: Served, path: str) -> None:
    events = ask(filled, "POST", path)
    done = filled.post(path).json()
    assert result(events) == done
    assert done["problems"] == []
    assert {kind for kind, _ in events} <= {"progress", "result"}
    progress = [data for kind, data in events if kind == "progress"]
    assert progress
    assert progress[-1]["done"] == progress[-1]["total"] == done["size_bytes"]


def test_an_error_of_a_long_operation_is_the_last_event(server: Served) -> None:
    events = ask(server, "POST", "/models/none/verify")
    plain = server.post("/models/none/verify")
    assert events == [("problem", plain.json())]
    assert plain.status_code == 404
    assert server.line(path="/models/none/verify", status=200)["failure"] == "model 'none' not found"


def test_damage_is_a_result_of_verify(filled: Served, store: Path) -> None:
    blob = next(path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 3_000_000)
    blob.chmod(0o600)
    with blob.open("r+b") as stream:
        stream.write(b"y")
    found = result(ask(filled, "POST", "/verify"))
    assert [problem["problem"] for problem in found["problems"]] == ["damaged"]
    assert filled.post("/verify").status_code == 200


@pytest.mark.parametrize("path", ["/audit", "/doctor", "/check"])
def test_an_examination_answers_with_events_or_with_json(filled: Served, path: str) -> None:
    found, plain = result(ask(filled, "GET", path)), filled.get(path).json()
    if path == "/check":
        assert [check["name"] for check in found] == [check["name"] for check in plain]
    else:
        assert found == plain
    head = filled.ask("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")


def garbage(store: Path, count: int, name: str = "") -> None:
    """Blobs of no version, of the year 2020."""
    for number in range(count):
        data = f"{name}{number}".encode()
        digest = hashlib.sha256(data).hexdigest()
        path = store / "blobs/sha256" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (1577836800, 1577836800))


def test_gc_lists_removes_what_was_seen_and_reports_it_in_parts(filled: Served, store: Path) -> None:
    garbage(store, 2_001)
    listed = ask(filled, "POST", "/gc")
    assert [len(data["items"]) for kind, data in listed if kind == "part"] == [1000, 1000]
    seen = [item for kind, data in listed if kind == "part" for item in data["items"]] + result(listed)
    assert len(seen) == 2_001
    assert filled.post("/gc").json() == seen
    garbage(store, 1, "later")
    wanted = [{"kind": one["kind"], "name": one["name"]} for one in seen]
    removed = filled.post("/gc", {"remove": True, "seen": wanted}).json()
    assert removed == [{**one, "removed": True} for one in removed]
    assert {one["name"] for one in removed} == {one["name"] for one in wanted}
    assert len(filled.post("/gc").json()) == 1
    assert [event for event in ask(filled, "POST", "/gc", json={"remove": True}) if event[0] == "progress"]
    assert filled.post("/gc").json() == []
    assert filled.post("/verify").json()["problems"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"x", "invalid body: the body: Invalid JSON"),
        (b"[]", "invalid body: the body: Input should be an object"),
        (b'{"grace_seconds": -1}', "the grace period cannot be negative"),
        (b'{"grace_seconds": NaN}', "invalid body: grace_seconds: "),
        (b'{"grace_seconds": 1e999}', "invalid body: grace_seconds: "),
        (b'{"seen": [{"kind": "x"}]}', "invalid body: seen.0.name: Field required"),
        (b'{"sen": []}', "invalid body: sen: Extra inputs are not permitted"),
    ],
)
def test_gc_refuses_an_invalid_body(in_process: InProcess, body: bytes, message: str) -> None:
    found = in_process().ask("POST", "/gc", data=body)
    assert found.status_code == 400, found.text
    assert found.json()["detail"].startswith(message)


def test_who_may_ask_for_long_operations(in_process: InProcess, tokens: Tokens) -> None:
    server = in_process(guarded(tokens))
    server.secret = tokens.secrets["admin"]
    server.post("/models", {"name": "classifier"})
    server.upload(b"1")
    bundle = server.get("/models/classifier/export").content
    least = {
        ("POST", "/verify"): "writer",
        ("POST", "/models/classifier/verify"): "writer",
        ("POST", "/models/classifier/versions/1/verify"): "writer",
        ("POST", "/gc"): "admin",
        ("GET", "/doctor"): "admin",
        ("GET", "/check"): "admin",
        ("GET", "/audit"): "reader",
        ("GET", "/models/classifier/export"): "reader",
        ("GET", "/models/classifier/versions/1/export"): "reader",
        ("POST", "/import"): "writer",
        ("GET", "/backup"): "admin",
    }
    roles = ["reader", "writer", "approver", "admin"]
    for (method, path), role in least.items():
        for place, mine in enumerate(roles):
            server.secret = tokens.secrets[mine]
            for headers in ({}, EVENTS):
                found = server.ask(method, path, headers=headers, data=bundle if path == "/import" else None)
                expected = 200 if place >= roles.index(role) else 403
                assert found.status_code == expected, (method, path, mine, found.text[:300])
                if expected == 403:  # a change needs a writer, before the route is known
                    assert found.json()["detail"].startswith(f"{mine} has role {mine}; this needs role ")


def test_an_export_is_prepared_and_then_downloaded_with_ranges(filled: Served) -> None:
    events = ask(filled, "GET", "/models/classifier/export")
    (file,) = [data for kind, data in events if kind == "file"]
    assert events[-2] == ("file", file)
    assert result(events) == {
        "reference": "classifier",
        "versions": ["classifier@1", "classifier@2"],
        "destination": "classifier.mreg",
        "size_bytes": file["size_bytes"],
    }
    whole = filled.get(file["path"])
    assert whole.headers["content-disposition"].startswith('attachment; filename="classifier.mreg"')
    assert file["digest"] == f"sha256:{hashlib.sha256(whole.content).hexdigest()}"
    assert len(whole.content) == file["size_bytes"]
    half = file["size_bytes"] // 2
    first = filled.get(file["path"], headers={"Range": f"bytes=0-{half - 1}"})
    second = filled.get(file["path"], headers={"Range": f"bytes={half}-"})
    assert (first.status_code, second.status_code) == (206, 206)
    assert first.content + second.content == whole.content
    assert filled.get(file["path"], headers={"Range": f"bytes={file['size_bytes']}-"}).status_code == 416
    assert filled.ask("HEAD", file["path"]).headers["content-length"] == str(file["size_bytes"])
    Path("got.mreg").write_bytes(whole.content)
    with BundleFile("got.mreg") as bundle:
        bundle.verify()
    plain = filled.get("/models/classifier/export")
    assert plain.content == whole.content
    assert plain.headers["content-disposition"].startswith('attachment; filename="classifier.mreg"')
    one = filled.get("/models/classifier/versions/1/export")
    assert one.headers["content-disposition"].startswith('attachment; filename="classifier-1.mreg"')
    assert not list(Path(os.environ["TMPDIR"]).glob("mreg-*"))


def test_a_damaged_version_is_not_exported(filled: Served, store: Path) -> None:
    blob = next(path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 3_000_000)
    blob.chmod(0o600)
    blob.write_bytes(b"y" * 3_000_000)
    kind, data = ask(filled, "GET", "/models/classifier/export")[-1]
    assert (kind, data["code"]) == ("problem", "corrupt")
    assert filled.get("/models/classifier/export").status_code == 500
    assert not list(Path(os.environ["TMPDIR"]).glob("mreg-*"))


def test_a_backup_is_a_catalog(filled: Served) -> None:
    events = ask(filled, "GET", "/backup")
    (file,) = [data for kind, data in events if kind == "file"]
    Path("got.db").write_bytes(filled.get(file["path"]).content)
    assert result(events)["target"] == "mreg-backup.db"
    with mreg.open_registry(catalog=os.path.abspath("got.db"), artifacts=os.path.abspath("none")) as registry:
        assert registry.verify_audit().last_hash == result(events)["last_hash"]
    assert filled.get("/backup").content[:15] == b"SQLite format 3"


def test_an_import_is_whole_and_can_be_repeated(filled: Served, serve: Serve) -> None:
    bundle = filled.get("/models/classifier/export").content
    other = serve(HOME=str(Path("other").absolute()))
    Path("other").mkdir()
    events = ask(other, "POST", "/import?name=team/copy", data=bundle)
    assert result(events)["model"] == "team/copy"
    assert [version["already_there"] for version in result(events)["versions"]] == [False, False]
    again = other.ask("POST", "/import?name=team/copy", data=bundle).json()
    assert [version["already_there"] for version in again["versions"]] == [True, True]
    assert other.get("/models/team%2Fcopy").json()["version_count"] == 2
    assert not list(Path(os.environ["TMPDIR"]).glob("mreg-*"))


def test_another_client_cannot_download_a_prepared_file(in_process: InProcess, tokens: Tokens) -> None:
    server = in_process(guarded(tokens))
    server.secret = tokens.secrets["admin"]
    server.post("/models", {"name": "classifier"})
    server.upload(b"1")
    (path,) = [data["path"] for kind, data in ask(server, "GET", "/backup") if kind == "file"]
    for other in ("reader", "writer", "approver"):
        server.secret = tokens.secrets[other]
        assert server.get(path).status_code == 404
    server.secret = tokens.secrets["admin"]
    for name in ("none", "..", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%00", "x" * 1000):
        assert server.get(f"/prepared/{name}").status_code == 404, name
    assert server.get(path).status_code == 200
    lines = tokens.file.read_text().splitlines()
    tokens.file.write_text("\n".join(line.replace("admin admin", "admin reader") for line in lines) + "\n")
    deadline = time.monotonic() + 20
    while server.get("/backup").status_code != 403:
        assert time.monotonic() < deadline
    assert server.get(path).status_code == 404


def test_a_client_keeps_a_few_prepared_files(filled: Served) -> None:
    paths = []
    for _ in range(5):
        paths += [data["path"] for kind, data in ask(filled, "GET", "/models/classifier/export") if kind == "file"]
    assert [filled.get(path).status_code for path in paths] == [404, 200, 200, 200, 200]


def test_an_import_needs_a_length_that_the_server_accepts(in_process: InProcess) -> None:
    server = in_process(ServerSettings(upload_limit=1_000_000))

    def chunks() -> Iterator[bytes]:
        yield b"x"

    assert server.ask("POST", "/import", data=chunks()).json()["code"] == "no_length"
    assert server.ask("POST", "/import", data=b"x" * 1_000_001).json()["code"] == "too_large"
    assert server.ask("POST", "/import", data=b"", headers={"Content-Length": "0"}).status_code == 400
    found = server.ask("POST", "/import", data=b"x" * 1000)
    assert found.status_code == 400
    assert "mreg-serve" not in found.text
    assert server.ask("POST", "/import", data=b"x", headers={"Content-Encoding": "gzip"}).json()["code"] == "compressed"


def test_a_read_only_server_exports_and_imports_nothing(filled: Served, in_process: InProcess) -> None:
    only = in_process(ServerSettings(read_only=True))
    bundle = only.get("/models/classifier/export")
    assert bundle.status_code == 200
    for path in ("/import", "/gc", "/verify"):
        assert only.ask("POST", path, data=bundle.content).json()["code"] == "read_only"
    assert only.get("/check").json()["code"] == "read_only"


@dataclass
class Slow:
    """A verification that waits until a test lets it go on.

    Attributes:
        began: Set once it runs.
        go: Lets it go on.
        outcome: How it ended.
    """

    began: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    outcome: list[BaseException | None] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _session: Session, _reference: object = None, *, progress: Any, **_options: Any) -> Any:
        try:
            progress(0, 10)
            self.began.set()
            while not self.go.wait(0.01):
                progress(1, 10)
        except BaseException as error:
            self.outcome.append(error)
            raise
        else:
            self.outcome.append(None)
            return Verification(artifacts=0, all_artifacts=0, blobs=0, size_bytes=0, problems=())
        finally:
            self.ended.set()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    found = Slow()
    monkeypatch.setattr(verify, "verify", found)
    yield found
    found.go.set()


def connect(
    server: Served, path: str = "/verify", secret: str = "", accept: str = "text/event-stream"
) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    token = f"Authorization: Bearer {secret}\r\n" if secret else ""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n{token}Content-Length: 0\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def until(connection: socket.socket, end: bytes) -> bytes:
    """What arrives up to and with some bytes."""
    found = b""
    while end not in found:
        data = connection.recv(65536)
        assert data, found
        found += data
    return found


@pytest.mark.parametrize("accept", ["text/event-stream", "*/*"])
def test_an_operation_ends_when_its_client_goes_away(in_process: InProcess, slow: Slow, accept: str) -> None:
    server = in_process()
    with connect(server, accept=accept):
        assert slow.began.wait(20)
    assert slow.ended.wait(20)
    assert isinstance(slow.outcome[0], Stopped)


def test_an_operation_ends_when_its_token_is_revoked(in_process: InProcess, tokens: Tokens, slow: Slow) -> None:
    server = in_process(guarded(tokens))
    with connect(server, secret=tokens.secrets["writer"]) as connection:
        assert slow.began.wait(20)
        lines = [line for line in tokens.file.read_text().splitlines() if not line.startswith("writer")]
        tokens.file.write_text("\n".join(lines) + "\n")
        text = until(connection, b"0\r\n\r\n").decode()
    assert '"detail":"the token \'writer\' was revoked"' in text
    assert isinstance(slow.outcome[0], Stopped)


def test_comments_keep_the_connection_alive_while_nothing_happens(
    in_process: InProcess, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(operations, "PROGRESS_SECONDS", 0.02)
    monkeypatch.setattr(Slow, "__call__", lambda self, *_args, **_options: self.go.wait(20))
    with connect(in_process()) as connection:
        text = until(connection, b"\r\n\r\n")
        while text.count(b":\n\n") < 3:
            text += connection.recv(65536)
    assert b"event: " not in text


def test_further_operations_are_refused_while_many_run(in_process: InProcess, slow: Slow) -> None:
    server = in_process()
    connections = [connect(server) for _ in range(operations.OPERATIONS)]
    for connection in connections:
        until(connection, b'"total":10')
    for headers in ({}, EVENTS):
        found = server.post("/verify", headers=headers)
        assert (found.status_code, found.json()["code"]) == (503, "busy")
        assert found.json()["detail"] == "too many long operations: 4 are in progress"
        assert found.headers["retry-after"] == "5"
    assert server.get("/models").status_code == 200
    slow.go.set()
    for connection in connections:
        assert b"event: result" in until(connection, b"0\r\n\r\n")
        connection.close()
    assert server.post("/verify").status_code == 200


def test_a_stopping_server_ends_operations_and_says_so(in_process: InProcess, slow: Slow) -> None:
    server = in_process()
    with connect(server) as connection:
        assert slow.began.wait(20)
        in_process.apps[-1].state.operations.stop()  # type: ignore[attr-defined]
        text = until(connection, b"0\r\n\r\n").decode()
    assert '"detail":"the server is stopping, and has stopped the operation"' in text
    found = server.post("/verify")
    assert (found.status_code, found.json()["code"]) == (503, "stopping")


def test_an_unexpected_failure_is_a_problem_and_in_the_log(
    in_process: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(verify, "verify", fail)
    server = in_process()
    for headers in ({"Connection": "close"}, {"Connection": "close", **EVENTS}):
        found = server.post("/verify", headers=headers)
        assert "secret" not in found.text
        assert "unexpected error in the server" in found.text


def test_sigterm_ends_an_import_that_is_still_uploading_and_the_server(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(b"POST /import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx")
        folder = Path(os.environ["TMPDIR"])
        deadline = time.monotonic() + 20
        while not list(folder.glob("mreg-serve-*")):
            assert time.monotonic() < deadline
        server.process.terminate()
        connection.shutdown(socket.SHUT_WR)
    assert server.process.wait(30) == 0
    assert not list(folder.glob("mreg-serve-*"))


def test_a_server_removes_the_leftovers_of_a_killed_one(serve: Serve) -> None:
    folder = Path(os.environ["TMPDIR"])
    first = serve()
    with socket.create_connection(("127.0.0.1", first.port), timeout=30) as connection:
        connection.sendall(b"POST /import HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx")
        deadline = time.monotonic() + 20
        while not list(folder.glob("mreg-serve-*/upload")):
            assert time.monotonic() < deadline
        other = serve()  # leaves what is in use
        assert list(folder.glob("mreg-serve-*/upload"))
        first.process.kill()
        first.process.wait()
    (folder / "mreg-serve-file").write_text("stays")
    serve()
    assert [path.name for path in folder.glob("mreg-serve-*")] == ["mreg-serve-file"]
    other.stop()
