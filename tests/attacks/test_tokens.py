"""Tokens that are taken away, and token files that another user can change."""

# ruff: noqa: F811  (fixtures are imported)
from __future__ import annotations

import os
import socket
import time
from base64 import b64encode
from pathlib import Path

import pytest

from mreg.errors import BadInput, NotFound, Unavailable
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server.tokens import TokenFile
from tests.conftest import Done, Mreg
from tests.server.conftest import Serve, Served, Tokens, serve, store, stored, tokens  # noqa: F401


def replace(file: Path, text: str) -> None:
    """Put a new file in the place of another one, as an editor does."""
    new = file.with_name("new-tokens")
    new.write_text(text)
    new.replace(file)


def without(file: Path, name: str) -> str:
    return "".join(line + "\n" for line in file.read_text().splitlines() if not line.startswith(f"{name} "))


def test_a_token_that_is_removed_opens_nothing_more(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["writer"])
    assert server.post("/models", {"name": "m"}).status_code == 200
    basic = {"Authorization": "Basic " + b64encode(f"x:{tokens.secrets['writer']}".encode()).decode()}
    replace(tokens.file, without(tokens.file, "writer"))
    refused = server.post("/models", {"name": "n"})
    assert (refused.status_code, refused.json()["code"]) == (401, "no_token")
    server.secret = ""
    assert server.get("/ui", headers=basic).status_code == 401
    server.secret = tokens.secrets["admin"]
    assert server.post("/models", {"name": "n"}).status_code == 200
    assert server.log.read_text().count("read 3 tokens from") == 1


def test_a_change_in_place_of_the_same_size_is_seen(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["writer"])
    times = tokens.file.stat()
    for role, status in (("reader", 403), ("writer", 200), ("reader", 403), ("writer", 200)):
        text = tokens.file.read_text()
        changed = text.replace("\nwriter writer ", f"\nwriter {role} ").replace("\nwriter reader ", f"\nwriter {role} ")
        with tokens.file.open("r+") as stream:
            stream.write(changed)
        os.utime(tokens.file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert server.post("/models/none/rename", {"name": "m"}).status_code in (403, 404)
        assert server.ask("PUT", "/models/none/tags/a", json={"value": "b"}).status_code == (
            status if status == 403 else 404
        ), role


BROKEN = {
    "nothing": "",
    "a line cut off": "writer wri",
    "a secret in place of its digest": "writer writer mreg_secret-by-mistake\n",
    "not text": "\udcff\udcfe",
}


def test_a_broken_token_file_lets_nobody_in_until_it_is_mended(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file), "--json-log", secret=tokens.secrets["writer"])
    good = tokens.file.read_text()

    def refused(what: str) -> None:
        for _ in range(3):
            answer = server.get("/models")
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), what
            assert answer.headers["retry-after"] == "5"
            assert str(tokens.file.parent) not in answer.text
        assert server.get("/healthz").status_code == 200, what

    for what, text in BROKEN.items():
        tokens.file.write_text(text, errors="surrogateescape")
        refused(what)
        replace(tokens.file, good)
        assert server.get("/models").status_code == 200, what
    tokens.file.unlink()
    refused("missing")
    tokens.file.mkdir()
    refused("a folder")
    tokens.file.rmdir()
    tokens.file.write_text(good)
    tokens.file.chmod(0o666)
    refused("writable by every user")
    tokens.file.chmod(0o600)
    assert server.get("/models").status_code == 200
    log = server.log.read_text()
    assert "secret-by-mistake" not in log
    lines = [line["message"] for line in server.lines() if "all tokens are refused" in str(line.get("message"))]
    assert len(lines) == len(BROKEN) + 3, lines


BEGUN, END = b'--x\r\nContent-Disposition: form-data; name="model_file"\r\n', b"\r\ndata\r\n--x--\r\n"


def upload(server: Served, secret: str) -> socket.socket:
    """The connection of an upload that is half sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(
        f"POST /models/classifier/versions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(BEGUN + END)}\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(BEGUN)
    return connection


def test_an_upload_ends_when_its_token_is_removed(serve: Serve, tokens: Tokens, store: Path) -> None:
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["admin"])
    server.post("/models", {"name": "classifier"})
    good = tokens.file.read_text()
    with upload(server, tokens.secrets["writer"]) as connection:
        replace(tokens.file, without(tokens.file, "writer"))
        connection.sendall(END)
        assert connection.recv(12) == b"HTTP/1.1 401"
    assert server.get("/models/classifier").json()["version_count"] == 0
    deadline = time.monotonic() + 20
    while stored(store):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    replace(tokens.file, good)
    with upload(server, tokens.secrets["writer"]) as connection:
        tokens.file.write_text("half writ")  # ends no request that was let in
        connection.sendall(END)
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_a_download_ends_when_its_token_is_removed(serve: Serve, tokens: Tokens) -> None:
    server = serve("--token-file", str(tokens.file), "--json-log", secret=tokens.secrets["writer"])
    server.post("/models", {"name": "classifier"})
    size = 64 << 20
    server.upload(os.urandom(size))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(
            b"GET /models/classifier/versions/1/artifact HTTP/1.1\r\nHost: localhost\r\n"
            + f"Authorization: Bearer {tokens.secrets['reader']}\r\n\r\n".encode()
        )
        found = len(connection.recv(1000))
        replace(tokens.file, without(tokens.file, "reader"))
        while more := connection.recv(1 << 20):
            found += len(more)
        assert found < size
    server.line(failure="the token was revoked")


def test_a_token_file_that_others_may_write_to_is_refused_or_told(process: Mreg, command: Mreg, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(new_token("ci", Role.READER).token.line)
    file.chmod(0o602)
    done: Done = process("serve", "--token-file", str(file))
    assert done.code == 8
    assert "every user can write to it" in done.err
    assert f"chmod o-w {file}" in done.err
    heard: list[str] = []
    file.chmod(0o660)
    TokenFile(str(file), heard.append)
    assert heard == [f"the group of the token file {file} can write to it: chmod g-w {file}"]
    if os.geteuid() == 0:
        heard.clear()
        file.chmod(0o600)
        os.chown(file, 12345, -1)
        assert TokenFile(str(file), heard.append).current()
        assert heard == [f"the token file {file} belongs to user 12345, not to the server or root"]


def test_a_warning_about_a_token_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens"
    lines = [new_token(name, Role.READER).token.line + "\n" for name in ("a", "b", "c")]
    file.write_text(lines[0])
    heard: list[str] = []
    caplog.set_level("WARNING", "mreg.server")
    tokens = TokenFile(str(file), heard.append)
    for mode, text in ((0o660, lines[0]), (0o660, "".join(lines[:2])), (0o600, "".join(lines))):
        file.chmod(mode)
        replaced = file.with_name("new")
        replaced.write_text(text)
        replaced.chmod(mode)
        replaced.replace(file)
        assert len(tokens.current()) == len(text.splitlines())
    assert heard == []
    assert caplog.messages == [f"the group of the token file {file} can write to it: chmod g-w {file}"]


def test_a_token_file_is_bounded_and_a_pipe_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    line = new_token("ci", Role.READER).token.line
    file.write_text(f"{line}\n" + "#" * (2 << 20))
    with pytest.raises(BadInput, match="is too large"):
        TokenFile(str(file), print)
    with pytest.raises(NotFound):
        TokenFile(str(tmp_path / "none"), print)
    with pytest.raises(Unavailable):
        TokenFile(str(tmp_path), print)
    reading, writing = os.pipe()
    os.write(writing, line.encode())
    os.close(writing)
    piped = TokenFile(f"/dev/fd/{reading}", print)
    os.close(reading)
    assert [one.name for one in piped.current()] == ["ci"]
