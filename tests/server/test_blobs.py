"""Uploads by digest: blobs are sent one by one, and a version of them is created at the end."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

import mreg
from mreg.artifacts import partial_upload
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.domain.names import ModelName
from mreg.errors import Unavailable
from mreg.files import WRITE_BYTES
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg
from tests.server.conftest import Serve, Served, Tokens, stored
from tests.servers import Place

ROUTE = "/models/classifier/versions"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    entries = (ManifestEntry(path, len(data), Digest.parse(digest_of(data))) for path, data in files.items())
    return Manifest(tuple(entries)).canonical()


def missing(server: Served, *blobs: bytes, model: str = "classifier") -> list[str]:
    listed = {digest_of(data): len(data) for data in blobs}
    body = {"blobs": [{"digest": digest, "size": size} for digest, size in listed.items()]}
    answered = server.post(f"/models/{model}/blobs/missing", body)
    assert answered.status_code == 200, answered.text
    assert all(blob["method"] == "server" for blob in answered.json())
    return [blob["digest"] for blob in answered.json()]


def put(server: Served, data: bytes, digest: str = "", model: str = "classifier") -> requests.Response:
    return server.ask("PUT", f"/models/{model}/blobs/{digest or digest_of(data)}", data=data)


def artifact(data: bytes, kind: str = "file", name: str = "model.pkl") -> dict[str, Any]:
    return {"artifact": {"kind": kind, "name": name, "digest": digest_of(data)}}


def commit(
    server: Served, data: bytes, kind: str = "file", model: str = "classifier", **more: Any
) -> requests.Response:
    return server.post(f"/models/{model}/versions", {**artifact(data, kind), **more})


FILES = {"config.json": b"{}", "weights/a.bin": b"a" * 5000, "weights/empty": b""}


def push_folder(server: Served, files: Mapping[str, bytes], model: str = "classifier") -> requests.Response:
    manifest = manifest_of(files)
    blobs = {digest_of(data): data for data in (*files.values(), manifest)}
    for digest in missing(server, *blobs.values(), model=model):
        assert put(server, blobs[digest], model=model).status_code == 200
    return commit(server, manifest, "folder", model)


@pytest.fixture
def server(in_process: Callable[..., Served]) -> Served:
    """A server without tokens, with the model classifier."""
    served = in_process()
    assert served.post("/models", {"name": "classifier"}).status_code == 200
    return served


@pytest.mark.parametrize("size", [1, 4096, (1 << 20) - 1, (1 << 20) + 1, (9 << 20) - 7])
def test_a_file_is_uploaded_by_its_digest_and_comes_back(server: Served, store: Path, size: int) -> None:
    data = os.urandom(size)
    assert missing(server, data) == [digest_of(data)]
    answered = put(server, data)
    assert (answered.status_code, answered.json()) == (
        200,
        {"digest": digest_of(data), "offset": size, "complete": True},
    )
    assert missing(server, data) == []
    made = commit(server, data)
    assert made.status_code == 200, made.text
    assert made.json()["reference"] == "classifier@1"
    assert made.json()["artifact"] | {"path": "", "artifact_id": 0} == {
        "artifact_id": 0,
        "kind": "file",
        "name": "model.pkl",
        "path": "",
        "size_bytes": size,
        "checksum": digest_of(data),
        "file_count": 1,
        "format": "pickle",
    }
    assert server.get(f"{ROUTE}/1/artifact").content == data
    assert stored(store) == [digest_of(data).removeprefix("sha256:")[2:]]


def test_a_folder_is_the_version_that_a_push_of_it_makes(server: Served, tmp_path: Path) -> None:
    for path, data in FILES.items():
        file = tmp_path / "net" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o644)
    made = push_folder(server, FILES)
    assert made.status_code == 200, made.text
    with mreg.open_registry() as registry:
        pushed = registry.push(tmp_path / "net", name="classifier")
        pulled = registry.pull("classifier@1", tmp_path / "pulled")
    assert made.json()["artifact"]["checksum"] == str(pushed.artifact.digest)
    assert made.json()["artifact"]["file_count"] == 3
    assert {path: (pulled.destination / path).read_bytes() for path in FILES} == FILES


def test_the_metadata_of_a_version_is_that_of_the_body(server: Served) -> None:
    put(server, b"base")
    commit(server, b"base")
    put(server, b"data")
    sent: dict[str, Any] = {
        "metadata": {
            "description": "d",
            "metrics": {"accuracy": 0.95, "loss": {"val": 1}},
            "parameters": {"lr": 0.1, "layers": [1, 2]},
            "tags": {"a": "b"},
            "data": {"train": "s3://bucket/train"},
            "aliases": ["champion"],
            "run_id": "r1",
            "experiment_id": "e1",
            "format": "onnx",
        },
        "stage": "staging",
        "parent": "classifier@1",
        "source": {"git_commit": "0" * 40, "git_dirty": True, "environment": {"python": "3.13.1"}},
    }
    made = commit(server, b"data", **sent).json()
    assert (made["description"], made["metrics"]) == ("d", {"accuracy": 0.95, "loss.val": 1})
    assert (made["parameters"], made["tags"]) == ({"lr": "0.1", "layers": "[1,2]"}, {"a": "b"})
    assert (made["data"], made["aliases"]) == ({"train": "s3://bucket/train"}, ["champion"])
    assert (made["run_id"], made["experiment_id"], made["artifact"]["format"]) == ("r1", "e1", "onnx")
    assert (made["stage"], made["parent_version"]) == ("Staging", "classifier@1")
    assert made["source"] == {
        "git_commit": "0" * 40,
        "git_branch": None,
        "git_remote": None,
        "git_dirty": True,
        "run_url": None,
        "environment": {"python": "3.13.1"},
    }


BAD_BODIES: dict[str, tuple[object, int]] = {
    "no JSON": (None, 422),
    "a list": ([], 422),
    "no artifact": ({}, 422),
    "an unknown key": ({**artifact(b"x"), "metrics": {}}, 422),
    "another kind": ({"artifact": {"kind": "link", "name": "m", "digest": digest_of(b"x")}}, 422),
    "no digest": ({"artifact": {"kind": "file", "name": "m", "digest": "x"}}, 400),
    "a digest in upper case": ({"artifact": {"name": "m", "digest": digest_of(b"x").upper()}}, 400),
    "a name that leads out": (artifact(b"x", name="../m"), 400),
    "a name with an escape": (artifact(b"x", name="\x1b[2J"), 400),
    "no name": (artifact(b"x", name=""), 400),
    "a metric that is not a number": ({**artifact(b"x"), "metadata": {"metrics": {"a": {"b=": 1}}}}, 400),
    "an alias that cannot be": ({**artifact(b"x"), "metadata": {"aliases": ["latest"]}}, 400),
    "another stage": ({**artifact(b"x"), "stage": "Nowhere"}, 400),
    "a parent that does not exist": ({**artifact(b"x"), "parent": "none@1"}, 404),
    "a commit with an escape": ({**artifact(b"x"), "source": {"git_commit": "\x1b"}}, 400),
    "a package with NUL": ({**artifact(b"x"), "source": {"environment": {"a": "\0"}}}, 400),
    "packages that are numbers": ({**artifact(b"x"), "source": {"environment": {"a": 1}}}, 422),
}


def test_a_body_that_is_not_valid_creates_no_version(server: Served) -> None:
    put(server, b"x")
    for what, (body, status) in BAD_BODIES.items():
        text = "{" if body is None else json.dumps(body)
        answered = server.ask("POST", ROUTE, data=text, headers={"Content-Type": "application/json; charset=utf-8"})
        assert answered.status_code == status, f"{what}: {answered.text}"
    assert server.get("/models/classifier").json()["version_count"] == 0
    assert commit(server, b"x").status_code == 200  # the blob can still be used


def test_a_json_body_has_the_limit_of_other_bodies(server: Served) -> None:
    body = {**artifact(b"x"), "metadata": {"description": "x" * (1 << 20)}}
    assert server.post(ROUTE, body).status_code == 413


def test_the_model_is_registered_unless_it_must_exist(server: Served) -> None:
    assert put(server, b"x", model="team%2Fnew").status_code == 200
    refused = commit(server, b"x", model="team%2Fnew", existing=True)
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert commit(server, b"x", model="team%2Fnew").json()["reference"] == "team/new@1"


def test_other_bytes_than_the_digest_says_are_not_kept(server: Served, store: Path) -> None:
    for size in (1, 5 << 20):
        data = os.urandom(size)
        refused = put(server, data + b"x", digest_of(data))
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_input")
        assert digest_of(data + b"x") in refused.json()["detail"]
        assert missing(server, data, data + b"x") == [digest_of(data), digest_of(data + b"x")]
    assert stored(store) == []


def test_a_version_with_missing_blobs_is_refused_with_their_digests(server: Served) -> None:
    manifest = manifest_of(FILES)
    refused = commit(server, manifest, "folder")
    assert (refused.status_code, refused.json()["code"]) == (409, "blobs_missing")
    assert refused.json()["details"] == {"blobs": [digest_of(manifest)], "count": 1}
    put(server, manifest)
    put(server, b"{}")
    refused = commit(server, manifest, "folder")
    wanted = sorted([digest_of(FILES["weights/a.bin"]), digest_of(b"")])
    assert refused.json()["details"] == {"blobs": wanted, "count": 2}
    assert server.get("/models/classifier").json()["version_count"] == 0


def test_files_of_earlier_versions_are_not_uploaded_again(server: Served) -> None:
    push_folder(server, FILES)
    changed = {**FILES, "config.json": b"{ }"}
    manifest = manifest_of(changed)
    assert missing(server, *changed.values(), manifest) == [digest_of(b"{ }"), digest_of(manifest)]
    assert push_folder(server, changed).json()["version"] == 2
    # A manifest or file that is the artifact of a version may be used in another model; a file of a folder may not.
    assert missing(server, manifest, b"{}", model="other") == [digest_of(b"{}")]
    assert commit(server, manifest, "folder", "other").json()["reference"] == "other@1"
    put(server, b"{}")
    commit(server, b"{}")
    assert missing(server, b"{}", model="third") == []


def test_a_blob_of_another_size_is_missing(server: Served) -> None:
    put(server, b"data")
    body = {"blobs": [{"digest": digest_of(b"data"), "size": 5}]}
    assert [blob["digest"] for blob in server.post("/models/classifier/blobs/missing", body).json()] == [
        digest_of(b"data")
    ]


BAD_LISTS: dict[str, tuple[object, int]] = {
    "a list": ([], 422),
    "no size": ({"blobs": [{"digest": digest_of(b"")}]}, 422),
    "a negative size": ({"blobs": [{"digest": digest_of(b""), "size": -1}]}, 422),
    "a huge size": ({"blobs": [{"digest": digest_of(b""), "size": 1 << 63}]}, 422),
    "a digest in upper case": ({"blobs": [{"digest": digest_of(b"").upper(), "size": 0}]}, 400),
    "two sizes": ({"blobs": [{"digest": digest_of(b""), "size": size} for size in (0, 1)]}, 400),
    "10,001 blobs": ({"blobs": [{"digest": "", "size": 0}] * 10_001}, 422),
}


def test_a_list_of_blobs_that_is_not_valid_is_refused(server: Served) -> None:
    for what, (body, status) in BAD_LISTS.items():
        assert server.post("/models/classifier/blobs/missing", body).status_code == status, what


def test_ten_thousand_blobs_fit_into_one_question(server: Served) -> None:
    blobs = [{"digest": f"sha256:{number:064x}", "size": 10**11 - 1} for number in range(10_000)]
    body = json.dumps({"blobs": blobs}, separators=(",", ":"))
    answered = server.ask(
        "POST", "/models/classifier/blobs/missing", data=body, headers={"Content-Type": "application/json"}
    )
    assert len(answered.json()) == 10_000


def test_blobs_of_a_version_are_downloaded_by_their_digests(server: Served) -> None:
    push_folder(server, FILES)
    manifest, weights = manifest_of(FILES), FILES["weights/a.bin"]
    for data in (manifest, weights, b"{}"):
        found = server.get(f"{ROUTE}/1/blobs/{digest_of(data)}")
        assert (found.status_code, found.content) == (200, data)
        assert found.headers["ETag"] == f'"{digest_of(data)}"'
        assert found.headers["X-Reference"] == "classifier@1"
    part = server.get(f"{ROUTE}/1/blobs/{digest_of(weights)}", headers={"Range": "bytes=4990-"})
    assert (part.status_code, part.content) == (206, weights[4990:])
    assert server.ask("HEAD", f"{ROUTE}/1/blobs/{digest_of(weights)}").headers["Content-Length"] == "5000"
    put(server, b"file")
    commit(server, b"file")
    assert server.get(f"{ROUTE}/2/blobs/{digest_of(b'file')}").content == b"file"
    for version, data in ((1, b"file"), (2, manifest), (3, b"file")):
        assert server.get(f"{ROUTE}/{version}/blobs/{digest_of(data)}").status_code == 404
    assert server.get(f"{ROUTE}/1/blobs/{digest_of(weights).upper()}").status_code == 400


def test_an_empty_artifact_is_refused(server: Served) -> None:
    put(server, b"")
    assert "0 bytes" in commit(server, b"").json()["detail"]
    for files in ({}, {"a": b"", "b": b""}):
        manifest = manifest_of(files)
        put(server, manifest)
        refused = commit(server, manifest, "folder")
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_input"), files
    assert server.get("/models/classifier").json()["version_count"] == 0


def test_a_reader_uploads_nothing(serve: Serve, tokens: Tokens, store: Path) -> None:
    server = serve("--token-file", str(tokens.file), secret=tokens.secrets["reader"])
    assert put(server, b"x").status_code == 403
    assert server.post("/models/classifier/blobs/missing", {"blobs": []}).status_code == 403
    assert commit(server, b"x").status_code == 403
    assert stored(store) == []


def patch(
    server: Served, data: bytes, part: bytes, offset: int, *, model: str = "classifier", length: int | None = None
) -> requests.Response:
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(len(data) if length is None else length)}
    return server.ask("PATCH", f"/models/{model}/blobs/{digest_of(data)}", data=part, headers=headers)


def offset_of(server: Served, data: bytes, model: str = "classifier") -> int:
    answered = server.ask("HEAD", f"/models/{model}/blobs/{digest_of(data)}")
    assert answered.status_code == 200, answered.headers
    return int(answered.headers["Upload-Offset"])


@pytest.mark.parametrize("size", [1, 5000, (9 << 20) + 5])
def test_a_blob_is_uploaded_in_several_requests(server: Served, store: Path, size: int) -> None:
    data, step = os.urandom(size), -(-size // 3)
    assert offset_of(server, data) == 0
    for offset in range(0, size, step):
        part = data[offset : offset + step]
        answered = patch(server, data, part, offset)
        there = offset + len(part)
        assert answered.status_code == 200, answered.text
        assert answered.json() == {"digest": digest_of(data), "offset": there, "complete": there == size}
        assert answered.headers["Upload-Offset"] == str(there)
        assert offset_of(server, data) == there
        assert server.get(f"/models/classifier/blobs/{digest_of(data)}").json() == answered.json()
    assert missing(server, data) == []
    assert commit(server, data).json()["artifact"]["checksum"] == digest_of(data)
    assert stored(store) == [digest_of(data).removeprefix("sha256:")[2:]]


def test_an_upload_continues_where_it_was_cut(server: Served) -> None:
    data = os.urandom(6 << 20)
    head = (
        f"PATCH /models/classifier/blobs/{digest_of(data)} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpload-Offset: 0\r\n"
        f"Upload-Length: {len(data)}\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + data[: 4 << 20])
    deadline = time.monotonic() + 60
    while not (offset := offset_of(server, data)):  # the server has not read the request yet
        assert time.monotonic() < deadline
    assert offset <= 4 << 20
    answered = patch(server, data, data[offset:], offset)
    assert answered.json()["complete"] is True
    assert commit(server, data).status_code == 200


def test_an_upload_survives_a_restart_of_the_server(serve: Serve, store: Path) -> None:
    data = os.urandom(9 << 20)
    first = serve()
    assert patch(first, data, data[: 5 << 20], 0).json()["offset"] == 5 << 20
    assert put(first, b"claimed").status_code == 200
    first.process.kill()
    first.process.wait()
    second = serve()
    assert offset_of(second, data) == 5 << 20
    assert patch(second, data, data[5 << 20 :], 5 << 20).json()["complete"] is True
    assert commit(second, data).status_code == 200
    assert commit(second, b"claimed").status_code == 200


def test_a_wrong_offset_is_refused_with_the_right_one(server: Served) -> None:
    data = b"0123456789"
    for offset in (1, 10):
        refused = patch(server, data, data[offset:], offset)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
        assert refused.json()["details"] == {"offset": 0}
    patch(server, data, data[:4], 0)
    for offset, part in ((3, data[3:]), (5, data[5:])):
        refused = patch(server, data, part, offset)
        assert (refused.status_code, refused.json()["details"]) == (409, {"offset": 4}), refused.text
    assert offset_of(server, data) == 4
    assert patch(server, data, data[4:], 4).json()["complete"] is True


def test_an_upload_can_begin_again(server: Served) -> None:
    data = b"0123456789"
    assert patch(server, data, b"wrong", 0).json()["offset"] == 5
    assert patch(server, data, data[:3], 0).json()["offset"] == 3
    assert patch(server, data, data[3:], 3).json()["complete"] is True
    assert patch(server, data, data, 0).json()["complete"] is True  # once more, although it is complete


def test_wrong_bytes_of_several_requests_are_not_kept(server: Served, store: Path) -> None:
    data = b"0123456789"
    patch(server, data, b"0123", 0)
    refused = patch(server, data, b"x56789", 4)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_input")
    assert offset_of(server, data) == 0
    assert stored(store) == []


BAD_PATCHES: dict[str, tuple[dict[str, str], bytes, int]] = {
    "no offset": ({"Upload-Length": "4"}, b"data", 422),
    "no length": ({"Upload-Offset": "0"}, b"data", 422),
    "a negative offset": ({"Upload-Offset": "-1", "Upload-Length": "4"}, b"data", 422),
    "an offset that is no number": ({"Upload-Offset": "x", "Upload-Length": "4"}, b"data", 422),
    "an offset beyond the length": ({"Upload-Offset": "5", "Upload-Length": "4"}, b"", 400),
    "more bytes than the length": ({"Upload-Offset": "0", "Upload-Length": "3"}, b"data", 400),
    "a huge length": ({"Upload-Offset": "0", "Upload-Length": str(1 << 62)}, b"data", 413),
    "compressed": ({"Upload-Offset": "0", "Upload-Length": "4", "Content-Encoding": "gzip"}, b"data", 415),
}


def test_a_part_of_a_blob_that_is_not_valid_is_refused(server: Served, store: Path) -> None:
    for what, (headers, body, status) in BAD_PATCHES.items():
        answered = server.ask("PATCH", f"/models/classifier/blobs/{digest_of(b'data')}", data=body, headers=headers)
        assert answered.status_code == status, f"{what}: {answered.text}"
    chunked = server.ask(
        "PATCH",
        f"/models/classifier/blobs/{digest_of(b'data')}",
        data=iter([b"da", b"tata"]),
        headers={"Upload-Offset": "0", "Upload-Length": "4"},
    )
    assert (chunked.status_code, chunked.json()["code"]) == (400, "bad_input")
    assert offset_of(server, b"data") == 0


@pytest.mark.parametrize("way", ["PUT", "PATCH"])
def test_twenty_uploads_of_one_blob_at_once_succeed(server: Served, store: Path, way: str) -> None:
    data = os.urandom(3 << 20)

    def send(_number: int) -> tuple[int, bool]:
        with requests.Session() as session:
            client = Served(server.url, server.process, server.log, session=session)
            answered = put(client, data) if way == "PUT" else patch(client, data, data, 0)
            return answered.status_code, answered.json().get("complete")

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(send, range(20))) == {(200, True)}
    assert commit(server, data).status_code == 200
    assert stored(store) == [digest_of(data).removeprefix("sha256:")[2:]]


@pytest.mark.parametrize(
    ("place", "start"),
    [("mreg.artifacts.local.LocalResumableFile.chunks", 4), ("mreg.artifacts.local.LocalBackend.unfinished", 0)],
)
def test_an_upload_that_cannot_begin_holds_nothing(
    server: Served, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, place: str, start: int
) -> None:
    data = b"0123456789"

    def fail(_self: object) -> None:
        raise Unavailable("cannot read it")

    if start:
        assert patch(server, data, data[:start], 0).json()["offset"] == start
    partial_upload.STATES._states.clear()  # as after a restart
    with monkeypatch.context() as broken:
        broken.setattr(place, fail)
        refused = patch(server, data, data[start:], start)
        assert (refused.status_code, refused.json()["detail"]) == (503, "cannot read it")
    found, busy = registry.look_at_upload(ModelName("classifier"), Digest.parse(digest_of(data)))
    assert (found.offset, busy) == (start, False)
    assert patch(server, data, data[start:], start).json()["complete"] is True


def test_a_full_disk_is_said_and_the_upload_can_continue(
    server: Served, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(3 << 20)
    assert patch(server, data, data[:1000], 0).json()["offset"] == 1000
    written = os.write

    def write(descriptor: int, chunk: memoryview) -> int:
        if len(chunk) == WRITE_BYTES:
            written(descriptor, chunk[:10])  # a part of it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(descriptor, chunk)

    with monkeypatch.context() as full:
        full.setattr(os, "write", write)
        refused = patch(server, data, data[1000:], 1000)
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert "No space left on device" in refused.json()["detail"]
    assert offset_of(server, data) == 1000
    with monkeypatch.context() as full:
        full.setattr("mreg.artifacts.local.room_in", lambda _folder: 100)
        refused = patch(server, data, data[1000:], 1000)
        assert (refused.status_code, "not enough space" in refused.json()["detail"]) == (503, True)
    assert patch(server, data, data[1000:], 1000).json()["complete"] is True


UPLOADS: dict[str, Callable[[Served, bytes], requests.Response]] = {
    "PUT": put,
    "PATCH": lambda server, data: patch(server, data, data, 0),
    "several": lambda server, data: server.ask(
        "POST", "/models/classifier/blobs", data=f"{digest_of(data)[7:]} {len(data)}\n\n".encode() + data
    ),
    "version": lambda server, data: server.upload(data),
}


@pytest.mark.parametrize("way", UPLOADS)
def test_uploads_leave_space_for_the_catalog(
    server: Served, store: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr("mreg.artifacts.local.reserve_in", lambda _folder: 6 << 20)
    monkeypatch.setattr("mreg.artifacts.local.room_in", lambda _folder: 5 << 20)
    refused = UPLOADS[way](server, os.urandom(4 << 20))
    told = f"not enough space in {store}: 5.24 MB free, and uploads leave 6.29 MB"
    assert (refused.status_code, refused.json()["detail"]) == (503, told)
    assert stored(store / "blobs") == []
    assert server.post("/models", {"name": "other"}).status_code == 200


@pytest.mark.usefixtures("bucket")
def test_blobs_are_uploaded_to_a_bucket(serve: Serve, bucket: Place) -> None:
    server = serve()
    files = {"config.json": b"{}", "empty": b"", "weights.bin": os.urandom(9 << 20)}
    weights = files["weights.bin"]
    assert push_folder(server, files).json()["artifact"]["file_count"] == 3
    assert server.get(f"{ROUTE}/1/blobs/{digest_of(weights)}").content == weights
    assert [key for key in bucket.keys() if not key.startswith("blobs/")] == []  # no claims are left  # noqa: SIM118
    again = os.urandom(9 << 20)
    assert patch(server, again, again[: 5 << 20], 0).json()["offset"] == 5 << 20
    server.process.kill()
    server.process.wait()
    spool = Path(os.environ["HOME"], ".cache/mreg/uploads")
    assert spool.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_size for path in spool.rglob("tmp/*")] == [5 << 20]
    server = serve()
    assert offset_of(server, again) == 5 << 20
    assert patch(server, again, again[5 << 20 :], 5 << 20).json()["complete"] is True
    assert list(spool.rglob("tmp/*")) == []
    assert [key.partition("/")[0] for key in bucket.keys() if not key.startswith("blobs/")] == ["uploads"]  # noqa: SIM118
    server.process.kill()
    server.process.wait()
    server = serve()
    assert offset_of(server, again) == len(again)
    assert missing(server, again) == []
    assert commit(server, again).json()["version"] == 2
    with mreg.open_registry() as registry:
        assert registry.verify().problems == ()


def keyed(server: Served, key: str, data: bytes, **more: Any) -> requests.Response:
    return server.post(ROUTE, {**artifact(data), **more}, headers={"Idempotency-Key": key})


def test_a_repeated_request_returns_the_version_that_the_first_one_made(server: Served) -> None:
    put(server, b"x")
    put(server, b"y")
    first = keyed(server, "k1", b"x", metadata={"aliases": ["champion"]})
    again = keyed(server, "k1", b"x", metadata={"aliases": ["champion"]})
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json() == first.json()
    for other in (keyed(server, "k1", b"y"), keyed(server, "k1", b"x")):
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert keyed(server, "k2", b"y").json()["version"] == 2
    for key in ("", "a\x1b", "x" * 1000):
        assert keyed(server, key, b"y").status_code == 400
    assert server.get("/models/classifier").json()["version_count"] == 2
    server.ask("DELETE", f"{ROUTE}/2")
    assert "deleted" in keyed(server, "k2", b"y").json()["detail"]


def test_a_request_that_is_sent_ten_times_at_once_makes_one_version(server: Served) -> None:
    put(server, b"x")

    def send(_number: int) -> tuple[int, int]:
        with requests.Session() as session:
            answered = keyed(Served(server.url, server.process, server.log, session=session), "k", b"x")
            return answered.status_code, answered.json().get("version")

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, range(10))) == {(200, 1)}
    assert server.get("/models/classifier").json()["version_count"] == 1


def age(store: Path, *kept: Path) -> None:
    """Make the files of a store old."""
    for path in store.rglob("*"):
        if path.is_file() and path not in kept:
            with suppress(FileNotFoundError):
                os.utime(path, (0, 0))


def test_gc_keeps_what_a_client_uploads(server: Served, registry: LocalRegistry, store: Path) -> None:
    data = os.urandom(3000)
    put(server, data)
    patch(server, b"0123456789", b"0123", 0)
    blob = next(path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 3000)
    os.utime(blob, (0, 0))  # it was there long before
    registry.gc(grace=timedelta(0), remove=True)
    assert commit(server, data).status_code == 200
    assert offset_of(server, b"0123456789") == 4
    put(server, b"old")
    age(store, blob)
    removed = registry.gc(remove=True)
    assert sorted(garbage.kind for garbage in removed) == ["unfinished", "unfinished", "unreferenced"]
    assert stored(store) == [blob.name]
    assert missing(server, b"old") == [digest_of(b"old")]
    assert offset_of(server, b"0123456789") == 0


def test_a_blob_that_gc_removed_must_be_uploaded_again(server: Served, registry: LocalRegistry, store: Path) -> None:
    put(server, b"x")
    claim = next(path for path in (store / "uploads").rglob("*") if path.is_file())
    age(store)
    assert len(registry.gc(grace=timedelta(0), remove=True)) == 2
    claim.touch()  # as if the blob had been found in the store just before gc removed it
    refused = commit(server, b"x")
    assert (refused.status_code, refused.json()["code"]) == (409, "blobs_missing")
    put(server, b"x")
    assert commit(server, b"x").json()["version"] == 1
    registry.delete("classifier@1")
    age(store)
    registry.gc(grace=timedelta(0), remove=True)
    assert missing(server, b"x") == [digest_of(b"x")]


@pytest.mark.usefixtures("bucket")
def test_a_blob_is_downloaded_from_the_bucket_where_the_server_permits_it(serve: Serve) -> None:
    data = os.urandom(5000)
    server = serve("--direct", "--json-log")
    put(server, data)
    commit(server, data)
    path = f"{ROUTE}/1/blobs/{digest_of(data)}"
    assert server.session.get(f"{server.url}{path}", allow_redirects=False).content == data
    found = server.session.get(f"{server.url}{path}?direct=true", allow_redirects=False)
    assert (found.status_code, found.content, found.headers["Cache-Control"]) == (307, b"", "no-store")
    url = found.headers["Location"]
    assert not url.startswith(server.url)
    assert requests.get(url, timeout=60).content == data
    assert requests.get(url, headers={"Range": "bytes=4990-"}, timeout=60).content == data[4990:]
    assert requests.put(url, data=b"x", timeout=60).status_code == 403
    assert server.get(f"{ROUTE}/1/blobs/sha256:{'0' * 64}?direct=true").status_code == 404
    assert url.partition("?")[2] not in server.log.read_text()
    plain = serve()
    assert plain.session.get(f"{plain.url}{path}?direct=true", allow_redirects=False).content == data


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize(
    "object_store, reason",
    [
        ("radosgw", "the store accepts headers that are not signed"),
        ("azurite", "only S3 stores have presigned URLs for parts"),
    ],
    indirect=["object_store"],
)
def test_a_server_says_once_that_its_store_takes_no_direct_uploads(serve: Serve, reason: str) -> None:
    server = serve("--direct")
    note = f"uploads go through this server, not directly to the bucket: {reason}; downloads are direct\n"
    deadline = time.monotonic() + 20
    while note not in server.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    answer = server.post("/models/m/blobs/missing", {"blobs": [{"digest": digest_of(b""), "size": 8 << 20}]})
    assert answer.json()[0]["direct"] is False
    assert server.log.read_text().count(note) == 1


def test_a_folder_store_cannot_be_served_directly(command: Mreg, server: Served) -> None:
    done = command("serve", "--direct", "--port", "0")
    assert (done.code, "has no presigned URLs: it is not a bucket" in done.err) == (2, True)
    assert "serve without --direct" in done.err
    put(server, b"x")
    commit(server, b"x")
    assert server.get(f"{ROUTE}/1/blobs/{digest_of(b'x')}?direct=true").content == b"x"
