"""A tracking server of MLflow that another person runs: an import reads no file of this machine and is bounded."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mreg.errors import BadInput, MregError
from mreg.registry.local import LocalRegistry
from mreg.results.imports import ImportReport
from mreg.sources import mlflow as source
from tests.conftest import Mreg
from tests.hostile import plant, printable_only, untouched

API = "/api/2.0/mlflow/"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


class Hostile:
    """A server that speaks MLflow's routes, and lies where a test says so.

    Attributes:
        model: Fields of its registered model.
        versions: Fields of its versions.
        location: The location of the artifact of each version.
        listing: What it lists, by folder.
        bodies: The bytes of each file; an iterator never ends.
        answers: Answers by path, in place of its own: a status, headers and a body.
        asked: The targets of all requests.
    """

    def __init__(self) -> None:
        self.model: dict[str, Any] = {"name": "churn", "creation_timestamp": 1, "last_updated_timestamp": 1}
        self.versions: list[dict[str, Any]] = [_version("1")]
        self.location = "mlflow-artifacts:/0/model"
        self.listing: dict[str, list[dict[str, Any]]] = {
            "0/model": [{"path": "MLmodel", "is_dir": False, "file_size": 5}]
        }
        self.bodies: dict[str, bytes | Iterator[bytes]] = {"0/model/MLmodel": b"hello"}
        self.answers: dict[str, tuple[int, dict[str, str], bytes | Iterator[bytes]]] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, headers, body = outer.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if isinstance(body, bytes):
                    self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for chunk in [body] if isinstance(body, bytes) else body:
                        self.wfile.write(chunk)
                except OSError:
                    pass  # the client has seen enough

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, target: str) -> tuple[int, dict[str, str], bytes | Iterator[bytes]]:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        if parts.path in self.answers:
            return self.answers[parts.path]
        if parts.path == f"{API}registered-models/search":
            return _json({"registered_models": [self.model]})
        if parts.path == f"{API}model-versions/search":
            return _json({"model_versions": self.versions})
        if parts.path == f"{API}model-versions/get-download-uri":
            return _json({"artifact_uri": self.location})
        if parts.path == FILES:
            return _json({"files": self.listing.get(query.get("path", [""])[0], [])})
        if parts.path.startswith(f"{FILES}/"):
            return 200, {}, self.bodies.get(parts.path.removeprefix(f"{FILES}/"), b"")
        return _json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "nothing"}, 404)


def _json(document: dict[str, Any], status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _version(number: str, **fields: Any) -> dict[str, Any]:
    return {"name": "churn", "version": number, "creation_timestamp": 1, "status": "READY", "source": "x", **fields}


def _endless(start: bytes = b"") -> Iterator[bytes]:
    yield start
    while True:
        yield b"x" * 65536


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = Hostile()
    yield server
    server.server.shutdown()
    server.server.server_close()


def problem(report: ImportReport) -> str:
    (entry,) = report.versions
    return entry.problem


def test_the_server_of_these_tests_is_one_that_can_be_imported_from(registry: LocalRegistry, hostile: Hostile) -> None:
    assert problem(registry.import_mlflow(hostile.url)) == ""
    assert registry.version("churn@1").artifact.size_bytes == 5


FOREIGN = "an import does not read the scheme"
LOCAL = "and a tracking server must not name a place on this machine"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("file:///etc/passwd", LOCAL),
        ("FILE:///etc/passwd", LOCAL),
        ("file://localhost/etc/passwd", LOCAL),
        ("/etc/passwd", LOCAL),
        ("etc/passwd", LOCAL),
        ("../../etc/passwd", LOCAL),
        ("", LOCAL),
        ("C:\\secret", FOREIGN),
        ("ftp://127.0.0.1/x", FOREIGN),
        ("sftp://127.0.0.1/x", FOREIGN),
        ("hdfs://127.0.0.1/x", FOREIGN),
        ("dbfs:/x", FOREIGN),
        ("http://127.0.0.1:1/api/2.0/mlflow-artifacts/artifacts/x", "and not on the tracking server 127.0.0.1:"),
        ("http://169.254.169.254/latest/meta-data", "and not on the tracking server 127.0.0.1:"),
        ("mlflow-artifacts://evil.example/x", "and not on the tracking server 127.0.0.1:"),
        *[
            (location, "and this is not a server of the scheme")
            for location in (
                "abfss://files@account.evil.example/x",
                "abfss://files@account.dfs.core.windows.net.evil.example/x",
                "abfss://files@evil.example\\.dfs.core.windows.net/x",
                "abfss://files@evil.example:443@account.dfs.core.windows.net/x",
                "ABFSS://files@account.evil.example/x",
                "wasbs://files@account.blob.core.windows.net.evil.example/x",
                "r2://bucket@evil.example/x",
                "r2://bucket@r2.cloudflarestorage.com.evil.example/x",
                "b2://bucket@s3.eu.evil.example/x",
                "b2://evil.example/x",
            )
        ],
        ("models:/churn/1", "more than 5 locations lead to each other"),
        ("runs:/0123/model", "nothing"),
        ("models:/m-0123/model", "nothing"),
        ("mlflow-artifacts:/nothing", "there are no files at 'mlflow-artifacts:/nothing'"),
    ],
)
def test_an_artifact_is_read_only_from_the_server_itself(
    registry: LocalRegistry, hostile: Hostile, location: str, message: str
) -> None:
    secret = Path("etc/passwd")
    secret.parent.mkdir()
    secret.write_text("secret")
    hostile.location = location
    if not location:
        hostile.versions = [_version("1", source="")]
    report = registry.import_mlflow(hostile.url)
    assert message in problem(report)
    assert registry.show("churn").versions == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "a/../../x",
        "a\\..\\x",
        "%2e%2e/x",
        "%252e%252e/x",
        "a\nb",
        "a\x1b[2Jb",
        "",
        ".",
        "C:x",
        "x" * 300,
    ],
)
def test_a_listed_path_cannot_lead_elsewhere(
    registry: LocalRegistry, hostile: Hostile, tmp_path: Path, path: str
) -> None:
    plant(tmp_path)
    hostile.listing["0/model"] = [{"path": path, "is_dir": False, "file_size": 5}]
    for name in (path, f"model/{path}"):
        hostile.bodies[f"0/{name}"] = b"hello"
    with untouched(tmp_path):
        report = registry.import_mlflow(hostile.url)
    assert problem(report)
    assert printable_only(problem(report).encode())


@pytest.mark.parametrize(
    ("size", "body", "message"),
    [
        (5, b"hell", "expected 5 bytes, got 4"),
        (5, b"hello!", "expected 5 bytes, got more than 5"),
        (5, _endless(b"hello"), "expected 5 bytes, got more than 5"),
        (None, b"hello", "the server states no size of the file 'MLmodel'"),
        (-1, b"hello", "the server states no size of the file 'MLmodel'"),
        (10**18, b"hello", "not enough space in"),
        (0, b"", "the folder is empty: it has only files of 0 bytes"),
    ],
)
def test_a_size_that_lies_is_found(
    registry: LocalRegistry, hostile: Hostile, size: int | None, body: bytes | Iterator[bytes], message: str
) -> None:
    hostile.listing["0/model"][0]["file_size"] = size
    if size is None:
        del hostile.listing["0/model"][0]["file_size"]
    hostile.bodies["0/model/MLmodel"] = body
    assert message in problem(registry.import_mlflow(hostile.url))
    assert not registry.gc()


def test_a_listing_without_end_is_refused(
    registry: LocalRegistry, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "ITEMS_LIMIT", 50)
    folder = "0/model"
    for _depth in range(60):
        hostile.listing[folder] = [{"path": "a", "is_dir": True}]
        folder += "/a"
    assert "the artifact has more than 50 files and folders" in problem(registry.import_mlflow(hostile.url))


@pytest.mark.parametrize("route", ["registered-models/search", "model-versions/get-download-uri"])
def test_an_answer_without_end_is_refused(
    registry: LocalRegistry, hostile: Hostile, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    monkeypatch.setattr(source, "ANSWER_BYTES", 1 << 20)
    hostile.answers[API + route] = 200, {"Content-Type": "application/json"}, _endless(b'{"x": "')
    try:
        found = problem(registry.import_mlflow(hostile.url))
    except MregError as error:
        found = error.message
    assert "the answer of the server has more than 1 MiB" in found


def test_pages_that_repeat_are_refused(registry: LocalRegistry, hostile: Hostile) -> None:
    hostile.answers[f"{API}registered-models/search"] = _json(
        {"registered_models": [hostile.model], "next_page_token": "again"}
    )
    with pytest.raises(BadInput, match="the server repeats the pages of a list"):
        registry.import_mlflow(hostile.url)
    assert len(hostile.asked) < 5


@pytest.mark.parametrize(
    ("location", "known"),
    [
        ("abfss://files@account.dfs.core.windows.net/x", True),
        ("abfss://workspace@onelake.dfs.fabric.microsoft.com/x", True),
        ("abfss://files@account.z21.dfs.storage.azure.net/x", True),
        ("wasbs://files@account.blob.core.chinacloudapi.cn/x", True),
        ("wasbs://files@account.dfs.core.windows.net/x", False),
        ("r2://my-bucket@0123abc.r2.cloudflarestorage.com/x", True),
        ("r2://my-bucket@0123abc.eu.r2.cloudflarestorage.com/x", True),
        ("b2://my.bucket@s3.us-west-004.backblazeb2.com/x", True),
    ],
)
def test_the_servers_of_a_service_are_known(location: str, known: bool) -> None:
    parts = urlsplit(location)
    assert (source.SERVICES[parts.scheme].fullmatch(parts.netloc) is not None) == known


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "user:hunter2@127.0.0.1"])
@pytest.mark.parametrize("target", [f"{API}registered-models/search", f"{FILES}/0/model/MLmodel"])
def test_a_redirect_to_another_server_is_refused(
    registry: LocalRegistry, hostile: Hostile, target: str, host: str
) -> None:
    other = Hostile()
    there = f"http://{host}:{other.server.server_address[1]}{target}"
    hostile.answers[target] = 302, {"Location": there}, b""
    try:
        found = problem(registry.import_mlflow(hostile.url))
    except MregError as error:
        found = error.message
    finally:
        other.server.shutdown()
        other.server.server_close()
    assert f"the server redirects to another one: '{host.rpartition('@')[2]}:" in found
    assert other.asked == []


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "x", "", "1000001", "99999999999999999999"])
def test_a_version_number_that_mreg_cannot_have_is_refused(
    registry: LocalRegistry, hostile: Hostile, number: str
) -> None:
    hostile.versions = [_version(number)]
    report = registry.import_mlflow(hostile.url)
    assert problem(report)
    assert registry.push(__file__, name="churn").version == 1


def test_what_a_server_says_reaches_the_terminal_as_text(
    registry: LocalRegistry, hostile: Hostile, command: Mreg
) -> None:
    nasty = "a\x1b[2J\x1b]0;x\x07[red]\u202eb"
    hostile.model |= {"description": nasty, "tags": [{"key": nasty, "value": nasty}]}
    hostile.model["aliases"] = [{"alias": nasty, "version": "1"}]
    hostile.versions = [
        _version("1", current_stage=nasty, description=nasty, user_id=nasty, run_link=nasty, source=nasty),
        _version("2", status="FAILED_REGISTRATION"),
    ]
    for form in ("table", "plain", "json", "md", "csv"):
        done = command("import", f"mlflow:{hostile.url}", "--format", form)
        assert printable_only(done.out.encode(), allowed="\n\t") and printable_only(done.err.encode())
    done = command("history", "churn", "--format", "plain")
    assert printable_only(done.out.encode(), allowed="\n\t")
    hostile.model["name"] = nasty
    done = command("import", f"mlflow:{hostile.url}")
    assert done.code == 2
    assert printable_only(done.out.encode(), allowed="\n\t") and printable_only(done.err.encode())


def test_credentials_are_sent_to_the_tracking_server_alone(
    registry: LocalRegistry, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    other = Hostile()
    hostile.location = f"{other.url}{FILES}/0/model"
    report = registry.import_mlflow(hostile.url)
    other.server.shutdown()
    other.server.server_close()
    assert "and not on the tracking server" in problem(report)
    assert other.asked == []
