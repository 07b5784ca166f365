"""Hostile streams of events, hostile bundles for a server, and clients that reach beyond their models."""

# ruff: noqa: F811  (fixtures are imported)

from __future__ import annotations

import json
import os
import random
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.artifacts.bundle_file import BundleFile
from mreg.errors import MregError, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.remote import events
from mreg.remote.events import read
from mreg.server import guard
from mreg.server.operations import OPERATIONS
from mreg.server.receiving import UPLOADS
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile
from tests.attacks.test_fuzz_bundles import bundle, damaged, edited, repacked  # noqa: F401
from tests.hostile import plant, untouched
from tests.server.conftest import Served, Tokens, in_process, tokens  # noqa: F401
from tests.server.test_long_operations import Slow, connect, slow, until  # noqa: F401

NOW = timedelta(0)
SERVER = "https://models.example"
RESULT = b'event: result\ndata: {"result":1}\n\n'


def event(kind: str, document: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(document)}\n\n".encode()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_arrive_in_any_pieces(size: int) -> None:
    more = event("progress", {"done": 2**60, "total": 2})
    data = (
        b":\n\n" + event("progress", {"done": 1, "total": 2}) + more + b"retry: 5\n\n" + event("unknown", {}) + RESULT
    )
    shown: list[tuple[int, int]] = []
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    assert read(pieces, SERVER, progress=lambda *both: shown.append(both)).envelope.result == 1
    assert shown == [(1, 2), (2, 2)]


HOSTILE: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "an event without an end": (lambda: repeat(b"x" * 100_000), "an event is too large: it is larger than 1 MB"),
    "a line without an end": (lambda: iter([b"data: "] + [b"[" * 1_000_000] * 100), "an event is too large"),
    "a result without an end": (
        lambda: chain([b"event: result\ndata: "], repeat(b"[" * 1_000_000)),
        "an event is too large: it is larger than 40 MB",
    ),
    "many lines": (lambda: iter([b"event: result\n" + b"ab\n" * 12_000_000 + b"\n"]), "an event has too many lines"),
    "a large progress": (lambda: iter([event("progress", {"done": "x" * 1_000_000})]), "an event is too large"),
    "progress that begins as a result": (
        lambda: repeat(b"event: result\nevent: progress\ndata: {}" + b" " * 10_000_000 + b"\n\n"),
        "it has too many events",
    ),
    "endless comments": (lambda: repeat(b":\n\n" * 30_000), "it has too many events"),
    "endless progress": (lambda: repeat(event("progress", {"done": 1, "total": 2}) * 2_000), "it has too many"),
    "endless notices": (lambda: repeat(event("notice", {"text": "x" * 100_000})), "it has too many events"),
    "endless parts": (lambda: repeat(event("part", {"items": [[]] * 10_000})), "it has too many values"),
    "endless files": (lambda: repeat(event("file", {"path": "/prepared/x"})), "it offers an invalid file"),
    "deep nesting": (lambda: iter([b"event: result\ndata: " + b"[" * 100_000 + b"\n\n"]), "an event is not JSON"),
    "many values": (
        lambda: iter([b"event: result\ndata: {}" + b",[]" * 3_000_000 + b"\n\n"]),
        "it has too many values",
    ),
    "many keys": (
        lambda: iter([b'event: result\ndata: {"":0' + b',"":0' * 2_600_000 + b"}\n\n"]),
        "it has too many values",
    ),
    "no object": (lambda: iter([b"event: result\ndata: []\n\n"]), "an event is not an object"),
    "no UTF-8": (lambda: iter([b'event: result\ndata: {"\xff": 1}\n\n']), "an event is not JSON"),
    "no result": (lambda: iter([b"event: result\ndata: {}\n\n"]), "it has no result"),
    "no list": (lambda: iter([event("part", {"items": 1})]), "an event of a list has no items"),
    "a list for one": (lambda: iter([event("part", {"items": [1]}), RESULT]), "its result is not a list"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_stream_of_events_ends_in_an_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PROGRESS_BYTES", events.PROGRESS_BYTES // 20)
    stream, why = HOSTILE[kind]
    with pytest.raises(Unavailable, match=why) as failure:
        read(stream(), SERVER)
    assert failure.value.message.startswith(f"invalid response from {SERVER}")


@pytest.mark.parametrize("kind", ["many lines", "many values", "many keys", "a result without an end"])
def test_a_hostile_stream_of_events_takes_little_memory(kind: str) -> None:
    stream, _ = HOSTILE[kind]
    chunks = list(islice(stream(), 50))
    tracemalloc.start()
    try:
        with pytest.raises(Unavailable):
            read(chunks, SERVER)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 150 << 20


def test_a_hostile_server_tells_a_bounded_number_of_notices() -> None:
    told: list[str] = []
    read(iter([event("notice", {"text": "x" * 20_000}) * 2_000, RESULT]), SERVER, notice=told.append)
    assert (len(told), max(map(len, told))) == (events.NOTICES_LIMIT, events.NOTICE_CHARACTERS)


def test_a_stream_that_ends_early_is_a_lost_connection() -> None:
    for data in (b"", b":\n\n", RESULT[:-1], event("progress", {"done": 1, "total": 1})):
        with pytest.raises(Unavailable, match="ended without a result") as failure:
            read(iter([data]), SERVER)
        assert failure.value.details["cut"] is True


def test_progress_that_is_no_number_is_not_shown() -> None:
    values: list[Any] = [-1, True, None, "1", 1.5, [], 2**70]
    data = b"".join(event("progress", {"done": value, "total": 1}) for value in values)
    read(iter([data, event("progress", {}), RESULT]), SERVER, progress=lambda *_both: pytest.fail("shown"))


@pytest.mark.parametrize(
    "path",
    ["", "x", "/models", "//evil.example/prepared/x", "/prepared/../models", "/prepared/x?y", "/prepared/x#y",
     "/prepared/x y", "/prepared/\r\nX: y", "/prepared/%2e%2e/x", "/prepared/é", "/prepared/\\x", None, 1],
)  # fmt: skip
def test_a_file_elsewhere_is_not_downloaded(path: Any) -> None:
    offered = {"path": path, "digest": f"sha256:{'0' * 64}", "size_bytes": 1}
    with pytest.raises(Unavailable, match="it offers an invalid file"):
        read(iter([event("file", offered), RESULT]), SERVER)


@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([b"\n", b"\n\n", b"event: result\n", b"data: {}\n\n", RESULT]))
)
def test_random_bytes_are_a_result_or_an_error(chunks: list[bytes]) -> None:
    try:
        read(chunks, SERVER)
    except MregError:
        pass


# Bundles


def test_a_random_bundle_is_imported_whole_or_refused_by_a_server(
    bundle: bytes,
    in_process: Callable[..., Served],
    registry: LocalRegistry,
) -> None:
    chance = random.Random(25)
    with BundleFile("m.mreg") as file:
        document = json.loads(file.bundle.canonical())
    server = in_process()
    os.makedirs("../around")
    plant("../around")
    with untouched("../around"):
        for number in range(30):
            data = (
                repacked(bundle, edited(document, chance), chance) if chance.random() < 0.7 else damaged(bundle, chance)
            )
            found = server.ask("POST", f"/import?name=imported-{number}", data=data)
            assert found.status_code in (200, 400), found.text
            names = {str(one.model.name) for one in registry.models()}
            assert (f"imported-{number}" in names) == (found.status_code == 200)
            assert "mreg-serve-" not in found.text
    assert not list(Path(os.environ["TMPDIR"]).glob("mreg-*"))
    assert not registry.gc(grace=NOW)


# Clients with a pattern of models


def test_a_client_reaches_only_its_own_models(
    registry: LocalRegistry,
    in_process: Callable[..., Served],
    tokens: Tokens,
) -> None:
    Path("model").write_text("secret bytes")
    registry.push("model", name="secret/base")
    Path("model").write_text("own bytes")
    registry.push("model", name="own/m", parent="secret/base@1")
    registry.export("secret/base", "secret.mreg")
    registry.export("own/m", "own.mreg")
    lines = tokens.file.read_text().splitlines()
    tokens.file.write_text("\n".join(f"{line} models=own/*" for line in lines) + "\n")
    server = in_process(ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None)))
    server.secret = tokens.secrets["admin"]
    stream = {"Accept": "text/event-stream"}
    for method, path in (
        ("POST", "/models/secret%2Fbase/verify"),
        ("POST", "/models/secret%2Fbase/versions/1/verify"),
        ("GET", "/models/secret%2Fbase/export"),
        ("GET", "/models/secret%2Fbase/versions/1/export"),
    ):
        assert server.ask(method, path).status_code == 404, path
        assert '"code":"not_found"' in server.ask(method, path, headers=stream).text
    for method, path in (("POST", "/verify"), ("POST", "/gc"), ("GET", "/doctor"), ("GET", "/check"), ("GET", "/audit"), ("GET", "/backup")):  # fmt: skip
        found = server.ask(method, path)
        assert found.status_code == 403, (path, found.text)
        assert "event: problem" in server.ask(method, path, headers=stream).text
    assert b"secret" not in server.get("/models/own%2Fm/export").content
    before = registry.gc(grace=NOW)
    for data, query in (("secret.mreg", ""), ("own.mreg", "?name=other/m"), ("own.mreg", "?name=secret/base")):
        found = server.ask("POST", f"/import{query}", data=Path(data).read_bytes())
        assert found.status_code == 403, found.text
    assert registry.gc(grace=NOW) == before
    assert [str(one.model.name) for one in registry.models()] == ["own/m", "secret/base"]
    assert server.ask("POST", "/import?name=own/copy", data=Path("own.mreg").read_bytes()).status_code == 200
    assert registry.version("own/copy@1").parent is None


# Slow senders


def sending(server: Served, secret: str = "", length: int = 100_000, accept: str = "*/*") -> socket.socket:
    """Return the connection of an import whose body has begun."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    token = f"Authorization: Bearer {secret}\r\n" if secret else ""
    connection.sendall(
        f"POST /import?name=copy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n{token}"
        f"Content-Length: {length}\r\n\r\nm".encode()
    )
    return connection


def received(count: int) -> None:
    """Wait until the bodies of a number of imports are being received."""
    while len(list(Path(os.environ["TMPDIR"]).glob("mreg-serve-*/upload"))) < count:
        time.sleep(0.01)


def removed() -> None:
    """Wait until the server has removed its temporary files, which it does after it has given up a place."""
    while list(Path(os.environ["TMPDIR"]).glob("mreg-*")):
        time.sleep(0.01)


def test_slow_senders_of_bundles_take_no_place_and_no_space(
    bundle: bytes, in_process: Callable[..., Served], registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 4 * len(bundle)
    monkeypatch.setattr("mreg.registry.temporary_space.room", lambda _folder: room)
    monkeypatch.setattr("mreg.registry.temporary_space._shares", set())
    server = in_process()
    # Each has sent a byte, which counts; together they announce more than twice of what all can have.
    slow = [sending(server, length=room // 4) for _ in range(OPERATIONS + 1)]
    received(len(slow))
    assert server.ask("POST", "/import", data=bundle).status_code == 200
    assert server.post("/verify").status_code == 200
    for connection in slow:
        connection.close()
    while UPLOADS.active:
        time.sleep(0.01)
    assert [str(one.model.name) for one in registry.models()] == ["m"]
    removed()


def test_a_silent_sender_of_a_bundle_is_cut(in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.05)
    server = in_process()
    for accept in ("*/*", "text/event-stream"):
        with sending(server, accept=accept) as connection:
            text = b""
            while more := connection.recv(65536):
                text += more
        assert b'"code":"too_slow"' in text
    removed()


@contextmanager
def importing(server: Served, length: int, accept: str) -> Iterator[socket.socket]:
    """An import whose first byte was received, at a server that then runs as many operations as it can."""
    with sending(server, length=length, accept=accept) as connection, ExitStack() as others:
        received(1)
        for _ in range(OPERATIONS):
            until(others.enter_context(connect(server)), b'"total":10')
        yield connection


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_an_import_that_was_received_waits_for_its_turn(
    bundle: bytes, in_process: Callable[..., Served], registry: LocalRegistry, slow: Slow, accept: str
) -> None:
    """A bundle of gigabytes is not sent again because other operations began while it was received."""
    server = in_process()
    with importing(server, len(bundle), accept) as connection:
        assert server.ask("POST", "/import", data=bundle).json()["code"] == "busy"  # it has sent nothing yet
        connection.sendall(bundle[1:])
        while UPLOADS.active != 1 or Path(
            next(Path(os.environ["TMPDIR"]).glob("mreg-serve-*/upload"))
        ).stat().st_size < len(bundle):
            time.sleep(0.01)
        slow.go.set()
        until(connection, b'"versions"')
    assert registry.model("copy").version_count == 2


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_an_import_that_waits_ends_with_its_client(
    bundle: bytes, in_process: Callable[..., Served], registry: LocalRegistry, slow: Slow, accept: str
) -> None:
    server = in_process()
    with importing(server, len(bundle), accept) as connection:
        connection.sendall(bundle[1:])
        connection.close()
        while UPLOADS.active:
            time.sleep(0.01)
        slow.go.set()
    assert [str(one.model.name) for one in registry.models()] == ["m"]
    removed()
