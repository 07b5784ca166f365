"""Uploads by digest from a hostile client: it uses, reads, finishes and detects only what is its own."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

import mreg.registry.uploads
from mreg.artifacts import partial_upload
from mreg.artifacts.claims import Claims
from mreg.domain.manifest import NOTHING
from mreg.registry.local import LocalRegistry
from mreg.registry.push import add_pushed
from mreg.registry.tokens import new_token
from mreg.results.tokens import NewToken
from mreg.server import blobs
from mreg.server.receiving import UPLOADS
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile
from tests.server import test_staged_uploads as staged
from tests.server.conftest import Served, in_process, store, stored  # noqa: F401
from tests.server.test_blobs import (
    FILES,
    age,
    artifact,
    commit,
    digest_of,
    manifest_of,
    missing,
    offset_of,
    patch,
    push_folder,
    put,
)
from tests.server.test_staged_uploads import send as send_staged

# ruff: noqa: F811  (fixtures are imported)

SECRET = b"weights of a model that others may not read"


class Team:
    """A server, and a client for each of its tokens."""

    def __init__(self, server: Served, tokens: dict[str, NewToken]) -> None:
        self._server, self._tokens = server, tokens

    def __getitem__(self, name: str) -> Served:
        return Served(self._server.url, self._server.process, self._server.log, self._tokens[name].secret)


@pytest.fixture
def team(in_process: Callable[..., Served]) -> Team:
    """Two writers of all models, and one of the models of a team; the model secret/net has a file and a folder."""
    tokens = {
        "ada": new_token("ada", "writer"),
        "bob": new_token("bob", "writer"),
        "eve": new_token("eve", "writer", ["eve/*"]),
        "root": new_token("root", "admin"),
    }
    found = Team(in_process(ServerSettings(tokens=tuple(token.token for token in tokens.values()))), tokens)
    put(found["ada"], SECRET, model="secret%2Fnet")
    assert commit(found["ada"], SECRET, model="secret%2Fnet").status_code == 200
    assert push_folder(found["ada"], FILES, "secret%2Fnet").status_code == 200
    return found


def answer(response: requests.Response) -> tuple[int, dict[str, Any]]:
    """What a client learns from an answer, apart from the digest that it sent."""
    document = response.json()
    text = str(document)
    for digest in document.get("details", {}).get("blobs", ()):
        text = text.replace(digest, "DIGEST")
    return response.status_code, {"text": text}


def test_a_digest_alone_gives_no_version_and_no_bytes(team: Team) -> None:
    """Whether the server has the blob or not, the answers are the same."""
    eve, unknown = team["eve"], b"bytes that nobody has"
    for kind, known in (("file", SECRET), ("folder", manifest_of(FILES)), ("file", FILES["weights/a.bin"])):
        answers = [answer(commit(eve, data, kind, "eve%2Fnet")) for data in (known, unknown)]
        assert answers[0] == answers[1]
        assert answers[0][0] == 409
        assert missing(eve, known, unknown, model="eve%2Fnet") == [digest_of(known), digest_of(unknown)]
        assert [offset_of(eve, data, "eve%2Fnet") for data in (known, unknown)] == [0, 0]
        for data in (known, unknown):
            assert eve.get(f"/models/eve%2Fnet/versions/1/blobs/{digest_of(data)}").status_code == 404
    # A manifest of its own that names the blobs.
    manifest = manifest_of({"stolen": SECRET})
    put(eve, manifest, model="eve%2Fnet")
    refused = commit(eve, manifest, "folder", "eve%2Fnet")
    assert (refused.status_code, refused.json()["details"]["blobs"]) == (409, [digest_of(SECRET)])
    # Other bytes do not give it the blob, and the bytes themselves do, whether the server has them or not.
    for data in (SECRET, unknown):
        assert put(eve, data[:-1] + b"!", digest_of(data), "eve%2Fnet").status_code == 400
        assert patch(eve, data, data[:-1] + b"!", 0, model="eve%2Fnet").status_code == 400
        assert put(eve, data, model="eve%2Fnet").json() == {
            "digest": digest_of(data),
            "offset": len(data),
            "complete": True,
        }
        assert commit(eve, data, model="eve%2Fnet").status_code == 200


def test_a_caller_uploads_only_for_models_within_its_scope(team: Team) -> None:
    eve = team["eve"]
    answers = {
        (model, what): response.status_code
        for model in ("secret%2Fnet", "unknown")
        for what, response in {
            "missing": eve.post(f"/models/{model}/blobs/missing", {"blobs": []}),
            "put": put(eve, b"x", model=model),
            "large": put(eve, b"x" * (2 << 20), model=model),
            "patch": patch(eve, b"xy", b"x", 0, model=model),
            "state": eve.get(f"/models/{model}/blobs/{digest_of(b'x')}"),
            "begin staged": eve.post(staged.path_of(model=model), {"size": 1}),
            "send staged": send_staged(eve, b"x", 0, 1, model=model),
            "show staged": eve.get(staged.path_of(model=model)),
            "finish staged": staged.finish(eve, b"x", model=model),
            "commit": commit(eve, b"x", model=model),
        }.items()
    }
    assert set(answers.values()) == {403}, answers
    assert eve.get(f"/models/secret%2Fnet/versions/1/blobs/{digest_of(SECRET)}").status_code == 404


def test_nobody_finishes_sees_or_uses_the_upload_of_another(team: Team) -> None:
    data = os.urandom(5000)
    assert patch(team["ada"], data, data[:3000], 0).json()["offset"] == 3000
    assert offset_of(team["bob"], data) == 0
    assert patch(team["bob"], data, data[3000:], 3000).status_code == 409
    assert offset_of(team["ada"], data, "other") == 0  # nor that for another model
    assert patch(team["bob"], data, b"other bytes", 0).json()["offset"] == 11
    assert offset_of(team["ada"], data) == 3000
    assert patch(team["ada"], data, data[3000:], 3000).json()["complete"] is True
    assert missing(team["bob"], data) == [digest_of(data)]
    assert missing(team["ada"], data, model="other") == [digest_of(data)]
    assert commit(team["bob"], data).status_code == 409
    assert commit(team["ada"], data, model="other").status_code == 409
    assert commit(team["ada"], data).status_code == 200
    assert commit(team["bob"], data).status_code == 200  # it may read the version that ada made


def test_nobody_finishes_sees_or_changes_the_staged_upload_of_another(team: Team) -> None:
    """The id can be known: it is in the path, and equal files have equal ones."""
    ada, bob, data = team["ada"], team["bob"], os.urandom(5000)
    assert send_staged(ada, data[:3000], 0, 5000).json()["offset"] == 3000
    for client, model in ((bob, "classifier"), (ada, "other"), (team["eve"], "eve%2Fnet")):
        assert staged.begin(client, 5000, model=model) == {"offset": 0, "hash_first": False}
        assert staged.offset_at(client, model=model) == 0
        assert send_staged(client, data[3000:], 3000, 5000, model=model).status_code == 409
        assert send_staged(client, b"other bytes", 0, 11, model=model).json()["offset"] == 11
        assert staged.finish(client, data, model=model).status_code == 409
    assert staged.offset_at(ada) == 3000
    assert send_staged(ada, data[3000:], 3000, 5000).status_code == 200
    assert staged.finish(bob, data).status_code == 409
    assert staged.finish(ada, data, model="other").status_code == 409
    assert staged.finish(ada, data).status_code == 200
    assert staged.finish(bob, data).status_code == 409  # although the server has the blob
    assert missing(bob, data) == [digest_of(data)]
    assert missing(ada, data, model="other") == [digest_of(data)]
    assert staged.finish(bob, b"other bytes").status_code == 200
    assert (commit(bob, data).status_code, commit(ada, data).status_code) == (409, 200)


def test_a_fingerprint_tells_nothing_about_blobs_that_the_caller_cannot_use(team: Team) -> None:
    """Neither of versions outside its scope, nor of files in folders, nor of what another has uploaded."""
    claimed = b"uploaded by ada"
    put(team["ada"], claimed, model="eve%2Fnet")
    for data in (SECRET, FILES["weights/a.bin"], claimed):
        answer = staged.begin(team["eve"], len(data), staged.fingerprint_of(data), "eve%2Fnet")
        assert answer == {"offset": 0, "hash_first": False}
    assert staged.begin(team["bob"], len(SECRET), staged.fingerprint_of(SECRET))["hash_first"] is True


@pytest.mark.parametrize("stored", [True, False], ids=["token of the catalog", "token of the file"])
def test_a_token_under_the_name_of_a_revoked_one_inherits_nothing(
    in_process: Callable[..., Served], registry: LocalRegistry, *, stored: bool
) -> None:
    """Neither blobs that were uploaded, nor bytes that have arrived, nor versions that requests made."""
    file = Path("tokens").absolute()

    def client() -> str:
        if stored:
            return registry.create_token("ci", role="writer").secret
        made = new_token("ci", "writer")
        file.write_text(f"{new_token('root', 'admin').token.line}\n{made.token.line}\n")
        return made.secret

    file.write_text(new_token("root", "admin").token.line + "\n")
    secret = client()
    server = in_process(ServerSettings(token_file=TokenFile(str(file), lambda _warning: None)))
    first = Served(server.url, server.process, server.log, secret)
    claimed, partial, committed = b"claimed by the first", b"half of it arrived", b"of the first version"
    assert put(first, claimed).status_code == 200
    assert patch(first, partial, partial[:4], 0).status_code == 200
    assert send_staged(first, partial, 0, len(partial)).status_code == 200
    assert put(first, committed).status_code == 200
    key = {"Idempotency-Key": "1"}
    made = first.post("/models/classifier/versions", artifact(committed), headers=key)
    assert made.status_code == 200
    assert first.post("/models/classifier/versions", artifact(committed), headers=key).json() == made.json()
    if stored:
        registry.revoke_token("ci")
    second = Served(server.url, server.process, server.log, client())
    assert first.get("/whoami").status_code == 401
    assert second.get("/whoami").json()["name"] == "ci"
    assert missing(second, claimed) == [digest_of(claimed)]
    assert commit(second, claimed).status_code == 409
    assert offset_of(second, partial) == 0
    assert patch(second, partial, partial[4:], 4).status_code == 409
    assert (staged.offset_at(second), staged.finish(second, partial).status_code) == (0, 409)
    again = second.post("/models/classifier/versions", artifact(committed), headers=key)
    assert (again.status_code, again.json()["version"]) == (200, 2)


def test_sizes_and_offsets_that_lie_give_nothing(team: Team, store: Path) -> None:
    ada, data = team["ada"], b"0123456789"
    before = stored(store)
    for length in (9, 11):
        assert patch(ada, data, data, 0, length=length).status_code in (400, 200)
        assert missing(ada, data) == [digest_of(data)]
    patch(ada, data, data[:5], 0)
    for offset, part in ((4, data[4:]), (6, data[6:]), (0, data[5:])):  # an overlap, a hole, the wrong place
        patch(ada, data, part, offset)
        assert missing(ada, data) == [digest_of(data)]
    assert patch(ada, data, data, 0).json()["complete"] is True
    for size in (0, 1, 9, 11, 1 << 40):
        entry = f'{{"executable":false,"path":"a","sha256":"{digest_of(data)[7:]}","size":{size}}}'
        manifest = f'{{"files":[{entry}],"format":"mreg.manifest.v1"}}'.encode()
        put(ada, manifest)
        refused = commit(ada, manifest, "folder")
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_input"), (size, refused.text)
    assert commit(ada, data).status_code == 200
    assert len(set(stored(store)) - set(before)) > 0


def entry(path: str, data: bytes = b"x") -> str:
    return f'{{"executable":false,"path":"{path}","sha256":"{digest_of(data)[7:]}","size":{len(data)}}}'


def listed(*entries: str, form: str = "mreg.manifest.v1") -> bytes:
    return f'{{"files":[{",".join(entries)}],"format":"{form}"}}'.encode()


MANIFESTS = {
    "not JSON": b"x",
    "nothing": b"",
    "spaces": listed(entry("a")).replace(b",", b", "),
    "another order": listed(entry("b"), entry("a")),
    "the same path twice": listed(entry("a"), entry("a")),
    "paths that differ in case": listed(entry("A"), entry("a")),
    "a file that is a folder": listed(entry("a"), entry("a/b")),
    "a path that leads out": listed(entry("../a")),
    "a path that leads out within": listed(entry("a/../../b")),
    "an absolute path": listed(entry("/etc/passwd")),
    "a backslash": listed(entry("a\\\\b")),
    "a drive": listed(entry("C:a")),
    "a NUL": listed(entry("a\\u0000")),
    "an escape": listed(entry("a\x1b[2J")),
    "a digest in upper case": listed(entry("a").replace(digest_of(b"x")[7:], digest_of(b"x")[7:].upper())),
    "another format": listed(entry("a"), form="mreg.manifest.v9"),
    "a long path": listed(entry("d/" * 3000 + "f")),
    "more behind it": listed(entry("a")) + b"\n",
    "an executable that is a number": listed(entry("a").replace("false", "0")),
    "only empty folders": listed(
        f'{{"executable":false,"path":"a/","sha256":"{NOTHING.value}","size":0}}', form="mreg.manifest.v2"
    ),
}


def test_a_manifest_that_is_not_canonical_or_hostile_makes_no_version(team: Team) -> None:
    ada = team["ada"]
    put(ada, b"x")
    for what, manifest in MANIFESTS.items():
        assert put(ada, manifest).status_code == 200
        refused = commit(ada, manifest, "folder")
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_input"), f"{what}: {refused.text}"
    assert ada.get("/models/classifier").status_code == 404


@pytest.mark.parametrize(
    "digest",
    ["sha256:" + "A" * 64, "sha512:" + "a" * 64, "a" * 64, "sha256:" + "a" * 63, "sha256:..%2F..%2Fx", "%00", "\u00e9"],
)
def test_a_digest_has_one_form(team: Team, store: Path, digest: str) -> None:
    before = stored(store)
    for method, path in (
        ("PUT", f"/models/m/blobs/{digest}"),
        ("PATCH", f"/models/m/blobs/{digest}"),
        ("HEAD", f"/models/m/blobs/{digest}"),
        ("GET", f"/models/secret%2Fnet/versions/1/blobs/{digest}"),
    ):
        answered = team["ada"].ask(method, path, headers={"Upload-Offset": "0", "Upload-Length": "1"})
        assert answered.status_code in (400, 404), (method, answered.status_code)
    assert stored(store) == before


def test_unfinished_uploads_of_a_caller_are_limited(team: Team, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partial_upload, "CALLER_LIMIT", 5)
    kept = b"of another caller"
    patch(team["bob"], kept, kept[:4], 0)
    for number in range(20):
        data = b"%d of eve" % number
        if number % 2:
            assert patch(team["eve"], data, data[:3], 0, model="eve%2Fnet").status_code == 200
        else:
            assert send_staged(team["eve"], data, 0, 99, f"{number:032x}", "eve%2Fnet").status_code == 200
        os.utime(max((store / "tmp").iterdir(), key=lambda path: path.stat().st_ctime_ns), (number + 1e9, number + 1e9))
        age_of = {path: path.stat().st_mtime for path in (store / "tmp").iterdir()}
        assert len(age_of) <= 6
    assert offset_of(team["bob"], kept) == 4


def test_one_caller_cannot_take_all_places_for_uploads(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UPLOADS, "limit", 3)
    monkeypatch.setattr(UPLOADS, "each", 2)
    eve, held = team["eve"], []
    head = (
        f"PUT /models/eve%2Fnet/blobs/{digest_of(b'x')} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {eve.secret}\r\nContent-Length: 10\r\n\r\nx"
    )
    for _ in range(2):
        connection = socket.create_connection(("127.0.0.1", eve.port))
        connection.sendall(head.encode())
        held.append(connection)
    while UPLOADS.active < 2:
        pass
    refused = put(eve, b"y", model="eve%2Fnet")
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert put(team["bob"], b"y").status_code == 200
    for connection in held:
        connection.close()
    while UPLOADS.active:
        pass
    assert put(eve, b"y", model="eve%2Fnet").status_code == 200


def test_the_tokens_of_a_limited_admin_count_together(
    registry: LocalRegistry, in_process: Callable[..., Served], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {
        "lead": registry.create_token("lead", role="admin", models="eve/*"),
        "bob": registry.create_token("bob", role="writer"),
    }
    lead = made["lead"].token
    made["lead/ci"] = registry.acting_as("lead", scope=lead.scope, client=lead).create_token(
        "lead/ci", role="writer", models="eve/*"
    )
    team = Team(in_process(ServerSettings()), made)
    monkeypatch.setattr(partial_upload, "CALLER_LIMIT", 1)
    patch(team["bob"], b"of bob", b"of", 0)
    for name in ("lead", "lead/ci"):
        data = f"of {name}".encode()
        assert patch(team[name], data, data[:3], 0, model="eve%2Fnet").status_code == 200
    assert len(list((store / "tmp").iterdir())) == 2
    monkeypatch.setattr(UPLOADS, "each", 1)
    with socket.create_connection(("127.0.0.1", team["lead"].port)) as held:
        held.sendall(
            f"PUT /models/eve%2Fnet/blobs/{digest_of(b'x')} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {made['lead'].secret}\r\nContent-Length: 10\r\n\r\nx".encode()
        )
        while not UPLOADS.active:
            pass
        assert put(team["lead/ci"], b"y", model="eve%2Fnet").status_code == 503
        assert put(team["bob"], b"y").status_code == 200
    while UPLOADS.active:
        pass


def test_questions_about_a_busy_upload_hold_no_thread(team: Team, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more of them than threads, and another client is served."""
    waiting: list[float] = []
    over = Event()

    async def held(seconds: float) -> None:
        waiting.append(seconds)
        while not over.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(blobs, "sleep", held)
    eve, data, count = team["eve"], b"0123456789", 50
    path = f"/models/eve%2Fnet/blobs/{digest_of(data)}"
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {eve.secret}\r\n"
    with ExitStack() as opened:

        def send(text: str) -> socket.socket:
            connection = opened.enter_context(socket.create_connection(("127.0.0.1", eve.port), timeout=30))
            connection.sendall(text.encode())
            return connection

        patch(eve, data, data[:4], 0, model="eve%2Fnet")
        send(f"PATCH {path} {head}Upload-Offset: 4\r\nUpload-Length: 10\r\nContent-Length: 6\r\n\r\n4")
        while not UPLOADS.active:
            pass
        asking = [send(f"HEAD {path} {head}\r\n") for _ in range(count)]
        while len(waiting) < count:
            pass
        refused = patch(eve, data, data[4:], 4, model="eve%2Fnet")
        assert (refused.status_code, refused.json()["details"]) == (409, {"offset": 0})
        assert put(team["bob"], b"y").status_code == 200
        over.set()
        for connection in asking:
            assert b"upload-offset: 0\r\n" in connection.recv(65536).lower()
    while UPLOADS.active:
        pass
    assert offset_of(eve, data, "eve%2Fnet") == 4


def test_a_version_whose_blob_counted_as_present_is_deleted_and_collected(
    team: Team, registry: LocalRegistry, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happens between the check of the new version and its transaction."""
    real = add_pushed
    data = b"only in one version"
    put(team["ada"], data)
    commit(team["ada"], data)

    def deleted_first(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(mreg.registry.uploads, "add_pushed", real)
        registry.delete("classifier@1", force=True)
        age(store)
        assert registry.gc(grace=timedelta(0), remove=True)
        return real(*args, **options)

    monkeypatch.setattr(mreg.registry.uploads, "add_pushed", deleted_first)
    refused = team["bob"].post("/models/other/versions", artifact(data))
    assert (refused.status_code, refused.json()["code"]) == (409, "blobs_missing")
    assert team["bob"].get("/models/other").status_code == 404
    put(team["bob"], data, model="other")
    assert commit(team["bob"], data, model="other").status_code == 200
    assert registry.verify().problems == ()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_blob_that_was_claimed_while_a_gc_removed_it_is_uploaded_again(
    team: Team, registry: LocalRegistry, store: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The upload finds an old blob in the store, and the gc looked for claims before."""
    files = {"a": b"old a", "b": b"old b"}
    ada, data = team["ada"], b"old" if kind == "file" else manifest_of(files)
    blobs = {digest_of(blob): blob for blob in (data, *files.values())}
    for blob in blobs.values():
        put(ada, blob)
    age(store / "blobs")
    with monkeypatch.context() as earlier:
        earlier.setattr(Claims, "all", lambda _claims: iter(()))
        assert len(registry.gc(grace=timedelta(0), remove=True)) == 3
    for _ in range(2):  # the manifest is read before the files are looked up
        made = commit(ada, data, kind)
        if made.status_code == 200:
            break
        assert made.json()["code"] == "blobs_missing"
        for digest in missing(ada, *blobs.values()):
            put(ada, blobs[digest])
    assert commit(ada, data, kind).status_code == 200
    assert registry.verify().problems == ()


def test_versions_that_race_with_gc_have_all_their_bytes(team: Team, registry: LocalRegistry, store: Path) -> None:
    """Blobs that no version needs are collected again and again, while twenty versions are made of them."""
    done = Event()

    def collect() -> None:
        while not done.is_set():
            age(store / "blobs")
            registry.gc(grace=timedelta(0), remove=True)

    def push(number: int) -> int:
        files = {"shared": b"s" * 100, "own": b"%d" % (number % 4)}
        with requests.Session() as session:
            ada = team["ada"]
            ada.session = session
            deadline = time.monotonic() + 120
            while (made := push_folder(ada, files, f"m{number}")).status_code == 409:
                assert time.monotonic() < deadline, made.text
            return made.status_code

    with ThreadPoolExecutor(6) as pool:
        collecting = pool.submit(collect)
        try:
            assert set(pool.map(push, range(20))) == {200}
        finally:
            done.set()
        collecting.result()
    assert registry.verify().problems == ()
