"""Values that another person stored under the key of a catalog, and a server that is not Redis."""

from __future__ import annotations

import gzip
import os
import socket
import sqlite3
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from mreg.catalog import redis as module
from mreg.catalog import redis_connection
from mreg.catalog.packing import pack
from mreg.catalog.redis import RedisDatabase
from mreg.domain.redis_url import parse_redis_url
from mreg.errors import Corrupt, MregError, Unavailable
from mreg.testing.database import add_event, count
from tests.attacks.sqlite_files import make_catalog
from tests.attacks.test_buckets import OBJECTS, bomb
from tests.hostile import attack, plant, untouched
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "catalog.db"
    make_catalog(path)
    return path.read_bytes()


def headed(data: bytes) -> bytes:
    """The value of a key with this file."""
    return sha256(data).hexdigest().encode() + b"\n" + data


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.new_catalog()


@pytest.fixture
def database(url: str, tmp_path: Path) -> RedisDatabase:
    return RedisDatabase(parse_redis_url(url)[0], str(tmp_path / "copies"))


FORM = "does not have the form of a catalog"
SUM = "its bytes do not match their SHA-256"

VALUES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", FORM),
    "text": (lambda _: b"hello", FORM),
    "a SQLite file": (lambda file: file, FORM),
    "the object of a bucket": (pack, FORM),
    "a tag alone": (lambda _: b"0" * 64, FORM),
    "a tag in upper case": (lambda file: headed(pack(file)).upper(), FORM),
    "a tag of other bytes": (lambda _: b"\xff" * 64 + b"\nx", FORM),
    "a tag with an escape sequence": (lambda _: b"\x1b[2J" * 16 + b"\nx", FORM),
    "a tag and nothing": (lambda _: b"0" * 64 + b"\n", SUM),
    "a wrong tag": (lambda file: b"0" * 64 + b"\n" + pack(file), SUM),
    "cut": (lambda file: headed(pack(file))[:-9], SUM),
    "a flipped bit": (lambda file: headed(pack(file))[:-9] + b"\0" + headed(pack(file))[-8:], SUM),
    **{
        f"{kind}, with its own tag": (lambda file, make=make: headed(make(file)), message)  # type: ignore[misc]
        for kind, (make, message) in OBJECTS.items()
    },
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_that_is_not_a_catalog_is_refused_and_left(
    kind: str, file: bytes, redis_server: RedisServer, url: str, database: RedisDatabase
) -> None:
    make, message = VALUES[kind]
    value, key = make(file), url.rpartition("/")[2]
    redis_server.run("SET", key, value)
    works: tuple[Callable[[], object], ...] = (lambda: database.read(count), lambda: database.write(add_event))
    for work in works:
        with pytest.raises(Corrupt, match=message) as caught:
            work()
        assert "\x1b" not in caught.value.message
    assert redis_server.run("GET", key) == value
    database.close()


@pytest.mark.parametrize("words", [("list",), ("doctor",), ("tag", "one0@1", "a=b")], ids=lambda words: words[0])
def test_a_bomb_ends_in_an_error(
    words: tuple[str, ...], redis_server: RedisServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.run("SET", url.rpartition("/")[2], headed(bomb()))
    plant(tmp_path)
    monkeypatch.setenv("MREG_CATALOG", url)
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path))
    with untouched(tmp_path):
        outcome = attack(*words)
    assert outcome.code == 6, outcome
    assert "decompress to more than" in outcome.text


@pytest.mark.parametrize("size", [256 << 20, 500 << 20])
def test_a_huge_value_is_not_read(
    size: int, redis_server: RedisServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = url.rpartition("/")[2]
    redis_server.run("SET", key, b"0" * 64 + b"\n")
    redis_server.run("SETRANGE", key, size + 65, "x")
    monkeypatch.setenv("MREG_CATALOG", url)
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path))
    try:
        outcome = attack("list")
    finally:
        redis_server.run("DEL", key)
    assert outcome.code == 6, outcome
    assert f"is too large: {size + 66:,} bytes; the limit is 268,435,456" in outcome.text


def test_a_value_that_grew_since_its_size_was_asked_is_not_read_further(
    file: bytes, redis_server: RedisServer, url: str, database: RedisDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, value = url.rpartition("/")[2], headed(pack(file))
    redis_server.run("SET", key, value)
    monkeypatch.setattr(module, "LARGEST_OBJECT", len(value) - 65)
    real = redis_connection.RedisConnection.ask

    def ask(self: redis_connection.RedisConnection, *commands: redis_connection.Command) -> list[object]:
        if commands[0][0] == "GETRANGE":
            redis_server.run("APPEND", key, "x" * 100_000)
        answers = real(self, *commands)
        assert all(
            len(answer) <= len(value) + 1
            for answer in answers
            if isinstance(answer, bytes) and b"\r" not in answer[:9] and commands[0][0] == "GETRANGE"
        )
        return answers

    monkeypatch.setattr(redis_connection.RedisConnection, "ask", ask)
    with pytest.raises(Corrupt, match=SUM):
        database.read(count)
    database.close()


def test_a_catalog_with_a_view_is_refused(
    file: bytes, redis_server: RedisServer, url: str, database: RedisDatabase, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(file)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = DELETE")
    raw.execute("CREATE VIEW v AS SELECT 1")
    raw.close()
    redis_server.run("SET", url.rpartition("/")[2], headed(gzip.compress(path.read_bytes())))
    for action in (database.read, database.write):
        with pytest.raises(Corrupt, match="it has an unexpected 'view' 'v'"):
            action(lambda connection: connection.one("models.by_name", name="x"))
    database.close()


ANSWERS = {
    "nothing": b"",
    "a page": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>hunter2</html>",
    "a banner": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "zeros": bytes(1000),
    "an unknown type": b"%2\r\n",
    "a length that is not a number": b"$abc\r\n",
    "a negative length": b"$-5\r\n" * 9,
    "a number that is not one": b":1_0x\r\n" * 9,
    "a long number": b":" + b"9" * 100_000 + b"\r\n",
    "a list without an end": b"*1\r\n" * 200_000,
    "a list of other types": b"*2\r\n+OK\r\n:1\r\n" * 9,
    "numbers": b":1\r\n" * 9,
    "texts": b"$5\r\nhello\r\n" * 9,
    "nothing known": b"$-1\r\n" * 9,
    "an error of any kind": b"-WEIRD \x1b[2J hunter2\r\n" * 9,
    "an error without a text": b"-\r\n" * 9,
    "an error that is not UTF-8": b"-ERR \xff\xfe\r\n" * 9,
    "a redirect to another server": b"-MOVED 1 evil.example:6379\r\n" * 9,
    "a malformed redirect": b"-MOVED\r\n" * 9,
    "a replica of a strange primary": b"$70\r\nrole:slave\r\nmaster_host:\x1b[31mevil\r\nmaster_port:x\r\n" + b"x" * 23 + b"\r\n" + b":1\r\n" * 9,
}  # fmt: skip


@pytest.fixture
def impostor() -> Iterator[Callable[[bytes], int]]:
    """Starts a server that gives one answer to each connection; its port."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(5)
                try:
                    client.recv(65536)
                    client.sendall(answer)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
                except OSError:
                    pass

    def start(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_server_that_answers_otherwise_is_told(
    kind: str, impostor: Callable[[bytes], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "SECONDS", 0.2)
    monkeypatch.setattr(redis_connection, "FIRST_SECONDS", 0.2)
    url, _ = parse_redis_url(f"redis://127.0.0.1:{impostor(ANSWERS[kind])}")
    database = RedisDatabase(url, str(tmp_path / "copies"))
    for work in (lambda: database.read(count), lambda: database.write(add_event), database.try_writing):
        with pytest.raises(MregError) as caught:
            work()
        assert isinstance(caught.value, Unavailable | Corrupt)
        assert caught.value.message.isprintable()
        assert caught.value.hint
    database.close()
    assert not os.path.exists(tmp_path / "copies") or not list((tmp_path / "copies").rglob("*.db"))


@pytest.mark.parametrize("start", [b"$90000000000\r\n", b"$-1\r\n" * 2 + b"+", b"-ERR ", b"*2\r\n:"])
def test_an_answer_without_an_end_is_not_read(
    start: bytes, impostor: Callable[[bytes], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "SECONDS", 0.2)
    monkeypatch.setattr(redis_connection, "FIRST_SECONDS", 0.2)
    url, _ = parse_redis_url(f"redis://127.0.0.1:{impostor(start + bytes(64 << 20))}")
    database = RedisDatabase(url, str(tmp_path / "copies"))
    tracemalloc.start()
    try:
        for work in (lambda: database.read(count), lambda: database.write(add_event), database.try_writing):
            with pytest.raises(Unavailable, match="the response is not from a Redis server"):
                work()
        assert tracemalloc.get_traced_memory()[1] < 100 << 20  # the impostor's own bytes are 64 MiB of it
    finally:
        tracemalloc.stop()
    database.close()
