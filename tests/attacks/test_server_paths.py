"""Answers to clients other than admins for all models name no path of the server, whatever failed."""

# ruff: noqa: F811  (fixtures are imported)

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
import requests

import mreg
from mreg.errors import BadInput, Conflict, Corrupt, MregError, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.profiles import Profile
from mreg.results.tokens import NewToken
from mreg.server.places import SEE_LOG, Places
from mreg.server.settings import ServerSettings
from mreg.wire.protocol import MEDIA_TYPE
from tests.server.conftest import Served, in_process  # noqa: F401
from tests.server.test_blobs import artifact, digest_of, patch, put

Fault = Callable[[Path, Path, pytest.MonkeyPatch], None]
InProcess = Callable[..., Served]

CATALOG, STORE = Path(".local/share/mreg/catalog.db"), Path(".local/share/mreg/artifacts")


def blobs(store: Path) -> list[Path]:
    return [path for path in (store / "blobs").rglob("*") if path.is_file()]


def truncated(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    for blob in blobs(store):
        blob.chmod(0o600)
        blob.write_bytes(b"x")


def flipped(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    for blob in blobs(store):
        blob.chmod(0o600)
        blob.write_bytes(bytes(byte ^ 1 for byte in blob.read_bytes()))


def missing(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    for blob in blobs(store):
        blob.unlink()


def folders(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    for blob in blobs(store):
        blob.unlink()
        blob.mkdir()


def links(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    for blob in blobs(store):
        blob.unlink()
        blob.symlink_to("/etc/passwd")


def no_store(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(store)


def a_file_for_a_store(_catalog: Path, store: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(store)
    store.write_text("x")


def full(_catalog: Path, _store: Path, patch: pytest.MonkeyPatch) -> None:
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        if descriptor > 2 and os.path.exists(target := f"/proc/self/fd/{descriptor}"):
            place = os.readlink(target)
            if place.startswith((str(Path.home()), tempfile.gettempdir())):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data)

    patch.setattr(os, "write", write)


def no_room(_catalog: Path, _store: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mreg.registry.temporary_space.room", lambda _folder: 0)


def no_temporary_folder(_catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(tempfile.gettempdir())


def no_catalog(catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    for path in catalog.parent.glob("catalog.db*"):
        path.unlink()


def not_sqlite(catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    no_catalog(catalog, _store, _patch)
    catalog.write_bytes(b"not a database" * 1000)


def a_folder_for_a_catalog(catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    no_catalog(catalog, _store, _patch)
    catalog.mkdir()


def newer_schema(catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(catalog)) as raw, raw:
        raw.execute("PRAGMA user_version = 99")


def damaged_rows(catalog: Path, _store: Path, _patch: pytest.MonkeyPatch) -> None:
    with closing(sqlite3.connect(catalog)) as raw, raw:
        raw.execute("UPDATE versions SET created_at = 'x'")


FAULTS: dict[str, Fault] = {
    "truncated blobs": truncated,
    "flipped bits": flipped,
    "missing blobs": missing,
    "blobs that are folders": folders,
    "blobs that are links": links,
    "no store": no_store,
    "a file for a store": a_file_for_a_store,
    "a full disk": full,
    "no room": no_room,
    "no temporary folder": no_temporary_folder,
    "no catalog": no_catalog,
    "a catalog that is not SQLite": not_sqlite,
    "a folder for a catalog": a_folder_for_a_catalog,
    "a catalog of a later schema": newer_schema,
    "damaged rows": damaged_rows,
}

DATA = b"0123456789"


READS = (
    "/models",
    "/models/m/versions/1/artifact",
    "/models/m/versions/2/files",
    "/models/m/versions/2/files/a",
    f"/models/m/versions/1/blobs/{digest_of(b'file')}",
    f"/models/m/versions/2/blobs?digests={digest_of(b'a')[7:]}",
    f"/models/m/blobs/{digest_of(b'x')}",
    "/models/m/history",
    "/search?q=accuracy",
    "/readyz",
    "/ui/models/m/versions/2",
    "/ui/models/m/versions/1/artifact",
    "/m/resolve/main/a",
    "/api/models/m",
)


def requests_of(server: Served) -> Iterator[requests.Response]:
    """Send a request to each route that reads or writes bytes or rows, in each form of an answer."""
    for path in READS:
        yield server.get(path)
    for accept in ("*/*", MEDIA_TYPE, "text/event-stream"):
        headers = {"Accept": accept}
        yield server.get("/models/m/versions/2/files", headers=headers)
        yield server.get("/models/m/export", headers=headers)
        yield server.post("/verify", headers=headers)
        yield server.ask("POST", "/import", data=DATA, headers=headers)
        yield server.post("/models", {"name": "n"}, headers=headers)
    yield server.post("/models/m/blobs/missing", {"blobs": []})
    yield server.post("/models/m/versions", artifact(b"a"))
    yield server.ask("POST", "/models/m/versions", files={"model_file": ("f", b"x")})
    yield put(server, os.urandom(10), model="m")
    yield put(server, os.urandom(2 << 20), model="m")
    yield patch(server, DATA, DATA[:4], 0, model="m")
    one = os.urandom(10)
    yield server.ask("POST", "/models/m/blobs", data=f"{digest_of(one)[7:]} 10\n\n".encode() + one)


def places_in(answer: requests.Response) -> list[str]:
    """Return where an answer names a path; the metadata of a version can have one, which its user sent."""
    if answer.status_code < 400 and not answer.url.endswith("verify") and "event: problem" not in answer.text:
        return []
    text = f"{answer.headers}{answer.text}"
    places = (str(Path.home()), os.getcwd(), tempfile.gettempdir())
    found = re.compile("|".join([*map(re.escape, places), r"(?<![\\w.])/(?:tmp|root|home|etc|proc|srv)/"]))
    return [text[max(0, one.start() - 100) : one.end() + 50] for one in found.finditer(text)]


CLIENTS: dict[str, NewToken] = {
    "writer": new_token("writer", "writer"),
    "approver": new_token("approver", "approver"),
    "a limited admin": new_token("lead", "admin", ["m", "n"]),
}
ADMIN = new_token("root", "admin")


@pytest.fixture
def filled(registry: LocalRegistry) -> LocalRegistry:
    """A registry with a model that has a file and a folder."""
    Path("file").write_text("file")
    Path("folder").mkdir()
    Path("folder/a").write_text("a")
    registry.push("file", name="m", metrics={"accuracy": 0.9})
    registry.push("folder", name="m", metrics={"accuracy": 0.9})
    return registry


SETTINGS = ServerSettings(tokens=tuple(made.token for made in (ADMIN, *CLIENTS.values())))


@pytest.mark.parametrize("fault", FAULTS)
def test_no_answer_names_a_path_of_the_server(
    filled: LocalRegistry,
    in_process: InProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    server = in_process(SETTINGS, filled)
    FAULTS[fault](Path.home() / CATALOG, Path.home() / STORE, monkeypatch)
    with mreg.open_registry() as opened:
        if fault == "a catalog of a later schema":  # which only a server that starts reads
            assert isinstance(opened, LocalRegistry)
            server = in_process(SETTINGS, opened)
        name = list(CLIENTS)[list(FAULTS).index(fault) % len(CLIENTS)]
        server.secret = CLIENTS[name].secret
        found = list(requests_of(server))
    assert {answer.url: places for answer in found if (places := places_in(answer))} == {}
    assert any(answer.status_code >= 500 or "damaged" in answer.text for answer in found), fault
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert any(str(Path.home()) in line or tempfile.gettempdir() in line for line in logged) or fault in UNNAMED


UNNAMED = {"no room", "no temporary folder", "a catalog that is not SQLite", "damaged rows"}
"""Faults whose errors name no path at all."""


@pytest.mark.parametrize("client", CLIENTS)
def test_only_an_admin_for_all_models_learns_the_place_of_the_store(
    filled: LocalRegistry, in_process: InProcess, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = in_process(SETTINGS, filled)
    no_store(Path(), Path.home() / STORE, monkeypatch)
    answers = []
    for made in (ADMIN, CLIENTS[client]):
        server.secret = made.secret
        answers.append(put(server, b"x", model="m").json())
    place = str(Path.home() / STORE)
    assert f"the artifact store {place}: " in answers[0]["detail"]
    assert answers[1]["detail"] == answers[0]["detail"].replace(f" {place}", "")
    assert answers[1]["hint"] == SEE_LOG


READER = new_token("reader", "reader")
SUCCESSES = (
    "/models/m",
    "/models/m/production",
    "/models/m/versions/1",
    "/models/m/versions/1/why",
    "/models/m/versions/1/lineage",
    "/models/m/compare?version_a=1&version_b=1",
    "/models/m/deployments",
    "/models/m/history",
    "/search",
    "/ui",
    "/ui/models/m",
    "/ui/models/m/versions/1",
)


def test_results_have_places_only_for_an_admin_for_all_models(in_process: InProcess) -> None:
    """Kept answers, the output of hooks and the results in envelopes, too."""
    hook = f"{{name: h, stage: Production, command: [sh, -c, 'echo wrote {Path.home()}/x; exit 3']}}"
    Path("config.yaml").write_text(f"default: here\nprofiles: {{here: {{hooks: [{hook}]}}}}\n")
    Path("file").write_text("file")
    with mreg.open_registry(config="config.yaml") as opened:
        assert isinstance(opened, LocalRegistry)
        opened.push("file", name="m", stage="production")
        made = (ADMIN, READER, *CLIENTS.values())
        server = in_process(ServerSettings(tokens=tuple(one.token for one in made)), opened)
        with_places: dict[str, set[str]] = {one.token.name: set() for one in made}
        for one, accept in product(made, ("*/*", MEDIA_TYPE)):
            server.secret = one.secret
            for path in SUCCESSES:
                answer = server.get(path, headers={"Accept": accept})
                assert answer.status_code == 200
                if str(Path.home()) in answer.text:
                    with_places[one.token.name].add(path)
            if one is not READER:
                answer = server.post("/models/m/versions/1/deploy", headers={"Accept": accept})
                if str(Path.home()) in answer.text:
                    with_places[one.token.name].add("deploy")
        versions = {"/models/m", "/models/m/production", "/models/m/versions/1", "/search", "/ui/models/m/versions/1"}
        seen = with_places.pop("root")
        assert seen >= {*versions, "/models/m/deployments", "deploy"}
        assert set().union(*with_places.values()) == set()
        server.secret = READER.secret
        production = server.get("/models/m/production").json()
        assert (production["artifact_path"], production["artifact"]["path"]) == ("", "")
        assert "wrote the home folder" in server.get("/models/m/deployments").json()[0]["output"]


PLACES = Places(Profile(name="p", catalog="/srv/models/catalog.db", artifacts="/srv/models/artifacts"))

HIDDEN: dict[str, tuple[MregError, str]] = {
    "the store": (
        Unavailable("cannot write the artifact store /srv/models/artifacts: No space left on device"),
        "cannot write the artifact store: No space left on device",
    ),
    "a file of the store": (
        Corrupt("the blob blobs/sha256/ab/cd in /srv/models/artifacts/blobs is damaged: it is not a file"),
        "the blob blobs/sha256/ab/cd in the artifact store is damaged: it is not a file",
    ),
    "the catalog": (Conflict("the catalog /srv/models/catalog.db is busy"), "the catalog is busy"),
    "a file beside the catalog": (
        Unavailable("cannot write /srv/models/catalog.db-wal: it belongs to user 7"),
        "cannot write a path of the server: it belongs to user 7",
    ),
    "a URL": (
        Unavailable("cannot read file:///srv/models/artifacts/x, again"),
        "cannot read the artifact store, again",
    ),
    "another path": (Unavailable("cannot open /etc/mreg/x.yaml."), "cannot open a path of the server."),
    "a hidden path": (Unavailable("cannot open /.mreg/x"), "cannot open a path of the server"),
    "a path after a colon": (Unavailable("no answer of unix:/run/x.sock"), "no answer of unix:a path of the server"),
    "a path with blanks": (Unavailable("cannot use '/mnt/my disk/x': EIO"), "cannot use a path of the server: EIO"),
    "a bucket": (Unavailable("cannot reach s3://secret/prefix: refused"), "cannot reach a path of the server: refused"),
    "what the client sent": (
        BadInput("invalid name '/srv/models/artifacts': it begins with /"),
        "invalid name '/srv/models/artifacts': it begins with /",
    ),
    "a name of a model": (Unavailable("cannot read team-a/churn@3 now"), "cannot read team-a/churn@3 now"),
    "a pattern": (Unavailable("limited to team-a/*, b/?"), "limited to team-a/*, b/?"),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_places_are_replaced_by_words(what: str) -> None:
    error, message = HIDDEN[what]
    shown = PLACES.error(error, failed=isinstance(error, (Unavailable, Corrupt)))
    assert (type(shown), shown.message) == (type(error), message)


TEAM = Places(
    Profile(
        name="p",
        catalog="postgresql://mreg@db.internal:5433,standby/prod?sslmode=require",
        artifacts="s3://secret-bucket/models",
        endpoint_url="https://minio:9000",
    )
)

WORDS = [
    # (what a message of a server that failed says, what a client reads)
    ("cannot read '/srv/ada's models/x': EIO", "cannot read a path of the server: EIO"),
    ('cannot read "/srv/ada\'s models/x": EIO', "cannot read a path of the server: EIO"),
    ("can't read '/srv/x' and '/srv/y'", "can't read a path of the server and a path of the server"),
    (r"cannot read \\nas\models\x.pkl: EIO", "cannot read a path of the server: EIO"),
    (r"cannot read '\\\\nas\\my models\\x': EIO", "cannot read a path of the server: EIO"),
    ("cannot read //nas/models/x", "cannot read a path of the server"),
    ("cannot read '//nas/my models/x'", "cannot read a path of the server"),
    ("cannot read D:/models/x and d:\\x", "cannot read a path of the server and a path of the server"),
    ("cannot read S3://Secret/x, AZ://c/x", "cannot read a path of the server, a path of the server"),
    ("cannot use the catalog postgresql://mreg@db.internal:5433,standby/prod: x", "cannot use the catalog: x"),
    ('FATAL: database "prod" does not exist', "FATAL: database *** does not exist"),
    ('password authentication failed for user "mreg"', "password authentication failed for user ***"),
    ('role "mreg_app" is not permitted to log in', "role *** is not permitted to log in"),
    (
        'connection to server at "db.internal" (10.0.0.5), port 5433 failed: Connection refused',
        "connection to server at *** (***), port 5433 failed: Connection refused",
    ),
    ('could not translate host name "standby" to address', "could not translate host name *** to address"),
    (
        'no pg_hba.conf entry for host "::1", user "u", database "d"',
        "no pg_hba.conf entry for host ***, user ***, database ***",
    ),
    ("host: 'standby', port: '5433', hostaddr: '10.0.0.5': x", "host: ***, port: ***, hostaddr: ***: x"),
    ("DB.INTERNAL does not respond", "*** does not respond"),
    ("Error 111 connecting to cache.example:6379. Refused.", "Error 111 connecting to ***. Refused."),
    ("Error 111 connecting to localhost:6379. Refused.", "Error 111 connecting to ***. Refused."),
    ("connecting to [2001:db8::1]:6379 or 2001:db8:0:0:0:0:0:1", "connecting to *** or ***"),
    ("cannot connect to minio:9000: refused", "cannot connect to ***: refused"),
    ("User mreg has no permissions to run the 'set' command", "User *** has no permissions to run the 'set' command"),
    ('the bucket "secret-bucket" does not exist', "the bucket *** does not exist"),
]
STAYS = [
    "cannot read team-a/churn@3 now, nor a/b/c.d",
    f"the blob sha256:{'ab' * 32} is damaged; so is sha256:1234",
    "it failed at 04:08:20, 2026-11-27T04:08:20Z, after 1.5 s: 3/4 of 10.5 GB",
    "limited to team-a/*, b/?; the standby is minio",
    "invalid host name 'x' of the model 'm'",
    "mreg 1.2.3, schema 5; x::y",
]


@pytest.mark.parametrize(("text", "shown"), WORDS)
def test_places_hosts_and_databases_of_the_server_are_hidden(text: str, shown: str) -> None:
    assert TEAM.hide(text, failed=True) == shown


@pytest.mark.parametrize("text", STAYS)
def test_names_digests_and_times_stay(text: str) -> None:
    assert TEAM.hide(text, failed=True) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot reach https://hf.example/x; see '/srv/x' and 10.0.0.5", None),
        ("invalid name 'postgresql://mreg@db.internal:5433,standby/prod'", None),
        ("invalid name 'it's s3://secret-bucket/models'", None),
        ("the catalog postgresql://mreg@db.internal:5433,standby/prod is busy", "the catalog is busy"),
        ("can't lock s3://secret-bucket/models/x: 'm' has it", "can't lock the artifact store: 'm' has it"),
    ],
)
def test_what_a_client_sent_stays(text: str, shown: str | None) -> None:
    assert TEAM.hide(text, failed=False) == (shown or text)


def test_a_known_place_can_have_an_apostrophe() -> None:
    places = Places(Profile(name="p", catalog="/srv/ada's/c.db", artifacts="/srv/ada's/artifacts"))
    for failed in (True, False):
        assert (
            places.hide("cannot write /srv/ada's/artifacts/x: EIO", failed=failed)
            == "cannot write the artifact store: EIO"
        )


def test_hints_and_details_with_a_place_are_left_out() -> None:
    error = Unavailable(
        "cannot write", hint="chmod g+w /srv/models", path="/srv/x", size=7, more=["a", "/srv/y"], blob="sha256:00"
    )
    shown = PLACES.error(error, failed=True)
    assert (shown.hint, shown.details) == (SEE_LOG, {"size": 7, "blob": "sha256:00"})


def test_a_long_text_takes_no_long_time() -> None:
    for text in ("/srv/models/artifacts/" + "." * 500_000 + "x", "/a" * 200_000, "'/" * 200_000, "a://" * 100_000, "'/a'b" * 99_999,
                 "1:" * 200_000, "a." * 200_000, "\\\\a" * 99_999, "//a" * 99_999, 'user "' * 99_999, "::" * 99_999):  # fmt: skip
        assert "/srv" not in PLACES.hide(text, failed=True)
