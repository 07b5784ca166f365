"""Tokens that are taken away or too powerful, and token files that another user can change."""

# ruff: noqa: F811  (fixtures are imported)
from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from mreg.catalog.tokens import TokenWriter
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.policy import parse_policy
from mreg.errors import BadInput, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role, Token
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile, parse_tokens
from tests.conftest import Done, Mreg
from tests.hostile import printable_only
from tests.server.conftest import Serve, Served, Tokens, in_process, serve, store, stored, tokens  # noqa: F401

InProcess = Callable[..., Served]


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
    server.line(failure="the token 'reader' was revoked")


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


# Tokens of the catalog


@pytest.fixture
def admin(registry: LocalRegistry) -> dict[str, str]:
    """The header of an admin without limits."""
    return bearer(registry.create_token("root", role="admin").secret)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.parametrize("role", ["reader", "writer", "approver"])
def test_only_admins_manage_tokens(role: str, in_process: InProcess, registry: LocalRegistry) -> None:
    headers = bearer(registry.create_token("ci", role=role).secret)
    registry.create_token("other")
    server = in_process()
    for refused in (
        server.get("/tokens", headers=headers),
        server.post("/tokens", {"name": "x", "role": "reader"}, headers=headers),
        server.ask("DELETE", "/tokens/other", headers=headers),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
    assert [token.name for token in registry.tokens()] == ["ci", "other"]


def test_a_read_only_server_changes_no_token(in_process: InProcess, admin: dict[str, str]) -> None:
    server = in_process(ServerSettings(read_only=True))
    assert server.get("/tokens", headers=admin).status_code == 200
    assert server.post("/tokens", {"name": "x"}, headers=admin).json()["code"] == "read_only"
    assert server.ask("DELETE", "/tokens/root", headers=admin).json()["code"] == "read_only"


WIDER: tuple[list[str], ...] = (
    [], ["*"], ["**"], ["team-*"], ["team-?/*"], ["team-a*"], ["?eam-a/x"], ["team-a/*", "team-b/*"], ["team-b/x"],
    ["x??"], ["x*"], ["?"], ["team-a"], ["TEAM-A/x"],
)  # fmt: skip
NARROWER: tuple[list[str], ...] = (
    ["team-a/*"], ["team-a/x"], ["team-a/?"], ["team-a/*/b"], ["team-a/**"], ["team-a/x*", "one"], ["xy"], ["x?"], ["x-"],
)  # fmt: skip


@pytest.mark.parametrize("own", [["team-a/*", "one", "x?"]])
def test_a_limited_admin_creates_no_token_with_more_models(
    own: list[str], in_process: InProcess, registry: LocalRegistry
) -> None:
    headers = bearer(registry.create_token("lead", role="admin", models=own).secret)
    server = in_process()
    for models in WIDER:
        refused = server.post("/tokens", {"name": "x", "role": "reader", "models": models}, headers=headers)
        assert refused.status_code == 403, models
        assert refused.json()["code"] == "outside_scope", models
        assert "your own token is limited to" in refused.json()["detail"]
    assert [token.name for token in registry.tokens()] == ["lead"]
    for number, models in enumerate(NARROWER):
        made = server.post("/tokens", {"name": f"lead/{number}", "role": "admin", "models": models}, headers=headers)
        assert made.status_code == 200, made.text


def test_a_limited_admin_neither_sees_nor_revokes_the_tokens_of_others(
    in_process: InProcess, registry: LocalRegistry
) -> None:
    headers = bearer(registry.create_token("lead", role="admin", models=["team-a/*"]).secret)
    for name, models in (("root", ()), ("b", ["team-b/*"]), ("both", ["team-a/*", "team-b/*"]), ("mine", ["team-a/x"])):
        registry.create_token(name, models=models)
    server = in_process()
    assert [token["name"] for token in server.get("/tokens", headers=headers).json()] == ["lead", "mine"]
    for name in ("root", "b", "both"):
        hidden = server.ask("DELETE", f"/tokens/{name}", headers=headers)
        missing = server.ask("DELETE", f"/tokens/{name[::-1]}x", headers=headers)
        assert (hidden.status_code, missing.status_code) == (404, 404)
        assert hidden.json()["detail"].replace(name, "N") == missing.json()["detail"].replace(f"{name[::-1]}x", "N")
        assert "root" not in str(hidden.json()["hint"])
    assert server.ask("DELETE", "/tokens/mine", headers=headers).status_code == 200
    assert [token.name for token in registry.tokens()] == ["lead", "root", "b", "both"]


def test_a_limited_admin_acts_under_the_name_of_nobody_else(
    in_process: InProcess, registry: LocalRegistry, tokens: Tokens
) -> None:
    """The answer is the same for names of approvers, of tokens in the catalog and the file, and of nobody."""
    registry.apply_policy(parse_policy({"production": {"approvals": 1, "approvers": ["boss"]}}))
    registry.create_token("other")
    lead = bearer(registry.create_token("lead", role="admin", models=["team-a/*"]).secret)
    server = in_process(ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None)))
    for name in ("boss", "BOSS", "other", "writer", "WRITER", "nobody", "lead", "Lead/x"):
        refused = server.post("/tokens", {"name": name, "role": "approver", "models": ["team-a/*"]}, headers=lead)
        assert (refused.status_code, refused.json()["code"]) == (403, "outside_scope"), name
        assert refused.json()["detail"].endswith("so the names of tokens that you create begin with lead/")
    own = {"name": "lead/ci", "role": "approver", "models": ["team-a/*"]}
    assert server.post("/tokens", own, headers=lead).status_code == 200


def test_a_name_in_the_token_file_has_one_spelling(
    in_process: InProcess, registry: LocalRegistry, tokens: Tokens
) -> None:
    line = new_token("WRITER", "writer").token.line
    with pytest.raises(BadInput, match="repeated name"):
        parse_tokens(f"{tokens.file.read_text()}{line}\n", "tokens")
    server = in_process(ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None)))
    for name in ("writer", "Writer", "\uff57riter"):
        refused = server.post("/tokens", {"name": name}, headers=bearer(tokens.secrets["admin"]))
        assert refused.json()["code"] == "already_exists", name
    assert registry.tokens() == ()


def test_a_token_that_expires_creates_none_that_outlives_it(in_process: InProcess, registry: LocalRegistry) -> None:
    made = registry.create_token("lead", role="admin", expires="10d")
    own = time_text(made.token.expires)  # type: ignore[arg-type]
    headers = bearer(made.secret)
    server = in_process()
    refused = server.post("/tokens", {"name": "x", "expires": "11d"}, headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        f"cannot create a token that expires after your own, which expires at {own}",
    )
    assert server.post("/tokens", {"name": "x"}, headers=headers).json()["expires"] == own
    assert server.post("/tokens", {"name": "y", "expires": "9d"}, headers=headers).json()["expires"] < own


INVALID: dict[str, dict[str, object]] = {
    "no name": {}, "an empty name": {"name": ""}, "a blank": {"name": "a b"}, "an escape": {"name": "a\x1b[2J"},
    "a comment": {"name": "a#b"}, "a long name": {"name": "x" * 300}, "a number": {"name": 7}, "another key": {"name": "x", "digest": "0" * 64},
    "no role": {"name": "x", "role": "owner"}, "a role above admin": {"name": "x", "role": "5"}, "an empty pattern": {"name": "x", "models": [""]},
    "a pattern with a comma": {"name": "x", "models": ["a,b"]}, "a pattern with a blank": {"name": "x", "models": ["a b"]},
    "a pattern with an escape": {"name": "x", "models": ["a\x1b"]}, "a way up": {"name": "x", "models": ["../*"]}, "a class": {"name": "x", "models": ["[a-z]"]},
    "too many patterns": {"name": "x", "models": [f"m{n}" for n in range(101)]}, "a text for a list": {"name": "x", "models": "a"},
    "a past time": {"name": "x", "expires": "2001-01-01"}, "no days": {"name": "x", "expires": "0d"}, "an empty expiry": {"name": "x", "expires": ""},
    "a far year": {"name": "x", "expires": "3000-01-01"}, "too many days": {"name": "x", "expires": "999999d"}, "a negative period": {"name": "x", "expires": "-1d"},
    "a fraction": {"name": "x", "expires": "1.5d"}, "another unit": {"name": "x", "expires": "3w"}, "no date": {"name": "x", "expires": "tomorrow"},
    "a number of days": {"name": "x", "expires": 90}, "digits of another script": {"name": "x", "expires": "\u0669d"},
}  # fmt: skip


def test_an_invalid_token_is_not_created(in_process: InProcess, registry: LocalRegistry, admin: dict[str, str]) -> None:
    server = in_process()
    for what, body in INVALID.items():
        refused = server.post("/tokens", body, headers=admin)
        assert refused.status_code in (400, 422), (what, refused.text)
        assert printable_only(refused.content), what
    assert [token.name for token in registry.tokens()] == ["root"]
    assert server.ask("DELETE", "/tokens/%2e%2e%2froot", headers=admin).status_code == 404
    assert server.ask("DELETE", "/tokens/%ff", headers=admin).status_code == 400


def test_neither_a_secret_nor_a_digest_is_told_again(
    in_process: InProcess, registry: LocalRegistry, admin: dict[str, str]
) -> None:
    server = in_process()
    made = server.post("/tokens", {"name": "ci"}, headers=admin).json()
    server.ask("DELETE", "/tokens/ci", headers=admin)
    digest = made["line"].split()[2].removeprefix("sha256:")
    shown = "".join(
        server.get(path, headers=admin).text for path in ("/tokens", "/history", "/whoami", "/metrics", "/openapi.json")
    )
    assert made["secret"] not in shown
    assert digest[:12] not in shown
    files = [path.read_bytes() for path in Path(registry.profile.catalog).parent.rglob("*") if path.is_file()]
    assert not any(made["secret"].encode() in data for data in files)


def test_an_upload_and_a_download_end_when_their_token_is_revoked(
    in_process: InProcess, registry: LocalRegistry, store: Path
) -> None:
    registry.register("classifier")
    secret = registry.create_token("ci", role="writer").secret
    server = in_process()
    size = 64 << 20
    headers = bearer(secret)
    assert server.post("/models", {"name": "x"}, headers=headers).status_code == 200
    files = {"model_file": ("model.pkl", os.urandom(size))}
    assert server.ask("POST", "/models/classifier/versions", files=files, headers=headers).status_code == 200
    before = stored(store)
    with (
        upload(server, secret) as uploading,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as downloading,
    ):
        downloading.sendall(
            b"GET /models/classifier/versions/1/artifact HTTP/1.1\r\nHost: localhost\r\n"
            + f"Authorization: Bearer {secret}\r\n\r\n".encode()
        )
        found = len(downloading.recv(1000))
        registry.revoke_token("ci")
        uploading.sendall(END)
        assert uploading.recv(12) == b"HTTP/1.1 401"
        while more := downloading.recv(1 << 20):
            found += len(more)
        assert found < size
    assert registry.model("classifier").version_count == 1
    deadline = time.monotonic() + 20
    while stored(store) != before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_many_invented_tokens_share_the_reads_of_the_catalog(
    in_process: InProcess, registry: LocalRegistry, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine without a counter of changes is read again for each, but by one read at a time."""
    reading, most, reads = 0, 0, 0
    find = LocalRegistry.find_tokens

    def counted(self: LocalRegistry, digests: list[Digest]) -> object:
        nonlocal reading, most, reads
        reads += 1
        reading += 1
        most = max(most, reading)
        try:
            time.sleep(0.05)
            return find(self, digests)
        finally:
            reading -= 1

    monkeypatch.setattr(LocalRegistry, "find_tokens", counted)
    monkeypatch.setattr(LocalRegistry, "catalog_state", lambda _self: None)
    server = in_process()
    with ThreadPoolExecutor(16) as pool:
        invented = [bearer(new_token("x").secret) for _ in range(64)]
        found = list(
            pool.map(lambda headers: requests.get(f"{server.url}/models", headers=headers, timeout=20), invented)
        )
    assert {one.status_code for one in found} == {401}
    assert most == 1
    assert reads < 32
    assert server.get("/models", headers=admin).status_code == 200


def test_a_planted_token_of_a_damaged_row_opens_nothing(
    in_process: InProcess, registry: LocalRegistry, admin: dict[str, str]
) -> None:
    made = {column: new_token("ci", Role.ADMIN) for column in ("role", "models", "expires_at", "name", "revoked_at")}
    for column, one in made.items():
        registry._session.write(
            lambda writer, one=one, name=column: TokenWriter(writer).create(  # type: ignore[misc]
                Token(name=name, role=Role.READER, digest=one.token.digest, models=("a",))
            )
        )
    values = {"role": "ADMIN", "models": "", "expires_at": "never", "name": "a b", "revoked_at": "no"}
    with contextlib.closing(sqlite3.connect(registry.profile.catalog, isolation_level=None)) as raw:
        for column, value in values.items():
            digest = made[column].token.digest.value
            raw.execute(f"UPDATE tokens SET {column} = ? WHERE digest = ?", (value, digest))
    server = in_process()
    assert server.get("/models", headers=admin).status_code == 200
    for column, one in made.items():
        assert server.get("/models", headers=bearer(one.secret)).status_code == 503, column
