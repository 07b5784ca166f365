"""Uploads whose digest the client names at the end."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

import mreg
from mreg.artifacts import source
from mreg.artifacts.source import fingerprint, sample_starts
from mreg.registry.local import LocalRegistry
from tests.server.conftest import Serve, Served, stored
from tests.server.test_blobs import commit, digest_of, missing, push_folder, put
from tests.servers import Place

ID = "0123456789abcdef" * 2


def path_of(upload: str = ID, model: str = "classifier") -> str:
    return f"/models/{model}/uploads/{upload}"


def begin(server: Served, size: int, upload: str = ID, model: str = "classifier") -> dict[str, object]:
    answered = server.post(path_of(upload, model), {"size": size})
    assert answered.status_code == 200, answered.text
    found: dict[str, object] = answered.json()
    assert answered.headers["Upload-Offset"] == str(found["offset"])
    return found


def send(
    server: Served, part: bytes, offset: int, length: int, upload: str = ID, model: str = "classifier"
) -> requests.Response:
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(length)}
    return server.ask("PATCH", path_of(upload, model), data=part, headers=headers)


def finish(
    server: Served, data: bytes, upload: str = ID, model: str = "classifier", *, size: int | None = None
) -> requests.Response:
    body = {"digest": digest_of(data), "size": len(data) if size is None else size}
    return server.post(f"{path_of(upload, model)}/finish", body)


def offset_at(server: Served, upload: str = ID, model: str = "classifier") -> int:
    return int(server.ask("HEAD", path_of(upload, model)).headers["Upload-Offset"])


def fingerprint_of(data: bytes) -> str:
    return fingerprint(len(data), [data[start : start + source.SAMPLE_BYTES] for start in sample_starts(len(data))])


@pytest.fixture
def server(in_process: Callable[..., Served]) -> Served:
    return in_process()


@pytest.mark.parametrize("size", [1, 5000, (9 << 20) + 5])
def test_a_file_is_uploaded_and_its_digest_named_at_the_end(server: Served, store: Path, size: int) -> None:
    data, step = os.urandom(size), -(-size // 3)
    assert begin(server, size) == {"offset": 0, "hash_first": False}
    for offset in range(0, size, step):
        there = min(offset + step, size)
        answered = send(server, data[offset:there], offset, size)
        assert (answered.status_code, answered.json()) == (200, {"offset": there, "hash_first": False})
        assert answered.headers["Upload-Offset"] == str(there)
        assert offset_at(server) == there
        assert server.get(path_of()).json() == begin(server, size) == answered.json()
        assert missing(server, data) == [digest_of(data)]
    for _ in range(2):  # an answer can be lost
        named = finish(server, data)
        assert (named.status_code, named.json()) == (200, {"digest": digest_of(data), "offset": size, "complete": True})
    assert (missing(server, data), offset_at(server), list((store / "tmp").iterdir())) == ([], 0, [])
    assert commit(server, data).json()["artifact"]["checksum"] == digest_of(data)
    assert server.get("/models/classifier/versions/1/artifact").content == data


def test_an_upload_continues_where_it_was_cut(server: Served) -> None:
    data = os.urandom(6 << 20)
    head = (
        f"PATCH {path_of()} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpload-Offset: 0\r\n"
        f"Upload-Length: {len(data)}\r\nContent-Length: {len(data)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head + data[: 4 << 20])
    deadline = time.monotonic() + 60
    while not (offset := offset_at(server)):  # the server has not read the request yet
        assert time.monotonic() < deadline
    assert begin(server, len(data))["offset"] == offset <= 4 << 20
    assert send(server, data[offset:], offset, len(data)).status_code == 200
    assert finish(server, data).json()["complete"] is True


def test_an_upload_survives_restarts_of_the_server(serve: Serve) -> None:
    data = os.urandom(5 << 20)
    for start, end in ((0, 3 << 20), (3 << 20, len(data))):
        server = serve()
        assert begin(server, len(data))["offset"] == start
        assert send(server, data[start:end], start, len(data)).json()["offset"] == end
        server.process.kill()
        server.process.wait()
    server = serve()
    assert finish(server, data).json()["complete"] is True
    assert commit(server, data).status_code == 200


@pytest.mark.usefixtures("bucket")
def test_bytes_for_a_bucket_wait_on_the_server_until_their_digest_is_named(serve: Serve, bucket: Place) -> None:
    data = os.urandom(9 << 20)
    server = serve()
    assert send(server, data, 0, len(data)).status_code == 200
    assert bucket.keys() == []
    server.process.kill()
    server.process.wait()
    server = serve()
    assert begin(server, len(data))["offset"] == len(data)
    assert finish(server, data).json()["complete"] is True
    assert list(Path(os.environ["HOME"], ".cache/mreg/uploads").rglob("tmp/*")) == []
    assert commit(server, data).status_code == 200
    assert begin(server, len(data), fingerprint_of(data)) == {"offset": 0, "hash_first": True}
    with mreg.open_registry() as registry:
        assert registry.verify().problems == ()


def test_a_wrong_offset_is_refused_with_the_right_one(server: Served) -> None:
    data = b"0123456789"
    send(server, data[:4], 0, 10)
    for offset, part in ((3, data[3:]), (5, data[5:]), (10, b"")):
        refused = send(server, part, offset, 10)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert refused.json()["details"] == {"offset": 4}
    refused = finish(server, data)
    assert (refused.status_code, refused.json()["details"]) == (409, {"offset": 4})
    assert missing(server, data) == [digest_of(data)]
    send(server, data[4:], 4, 10)
    assert finish(server, data).status_code == 200


def test_a_wrong_digest_is_refused_and_the_bytes_are_removed(server: Served, store: Path) -> None:
    data, wrong = b"0123456789", b"x123456789"
    send(server, wrong, 0, 10)
    refused = finish(server, data)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_input")
    assert refused.json()["detail"] == (
        f"the bytes do not match their digest: expected {digest_of(data)}, got {digest_of(wrong)}"
    )
    assert (offset_at(server), stored(store), list((store / "tmp").iterdir())) == (0, [], [])
    assert missing(server, data, wrong) == [digest_of(data), digest_of(wrong)]
    assert finish(server, wrong).status_code == 409
    send(server, data, 0, 10)
    assert finish(server, data).status_code == 200


def test_a_repeated_end_does_not_renew_the_claim(server: Served, store: Path) -> None:
    """Otherwise, a claim could last longer than the record of the gc that removed the blob."""
    send(server, b"x", 0, 1)
    finish(server, b"x")
    (claim,) = (path for path in (store / "uploads").rglob("*") if path.is_file())
    before = int(time.time()) - 3600
    os.utime(claim, (before, before))
    assert finish(server, b"x").json()["complete"] is True
    assert claim.stat().st_mtime == before


def test_a_size_that_lies_gives_nothing(server: Served) -> None:
    data = b"0123456789"
    send(server, data, 0, 11)
    for size, status in ((0, 422), (9, 409), (11, 409)):
        assert finish(server, data, size=size).status_code == status
        assert missing(server, data) == [digest_of(data)]
    assert finish(server, data).status_code == 200
    assert finish(server, data, size=9).status_code == 409


BAD_IDS = ["0" * 31, "0" * 33, "A" * 32, "g" * 32, "0" * 31 + "%0A", "%2E%2E", f"sha256:{'0' * 64}"]


@pytest.mark.parametrize("upload", BAD_IDS)
def test_an_id_has_one_form(server: Served, store: Path, upload: str) -> None:
    answers = [
        server.post(path_of(upload), {"size": 1}),
        server.get(path_of(upload)),
        send(server, b"x", 0, 1, upload),
        finish(server, b"x", upload),
    ]
    assert [answered.status_code for answered in answers] == [422] * 4, upload
    assert not (store / "tmp").exists() or list((store / "tmp").iterdir()) == []


BAD_PATCHES: dict[str, tuple[Mapping[str, str], int]] = {
    "no offset": ({"Upload-Length": "4"}, 422),
    "no length": ({"Upload-Offset": "0"}, 422),
    "an offset beyond the length": ({"Upload-Offset": "5", "Upload-Length": "4"}, 400),
    "more bytes than the length": ({"Upload-Offset": "0", "Upload-Length": "3"}, 400),
    "a huge length": ({"Upload-Offset": "0", "Upload-Length": str(1 << 62)}, 413),
    "compressed": ({"Upload-Offset": "0", "Upload-Length": "4", "Content-Encoding": "gzip"}, 415),
}


def test_a_request_that_is_not_valid_is_refused(server: Served) -> None:
    for what, (headers, status) in BAD_PATCHES.items():
        assert server.ask("PATCH", path_of(), data=b"data", headers=headers).status_code == status, what
    for size, status in ((0, 422), (-1, 422), (1 << 62, 413), (1 << 63, 422)):
        assert server.post(path_of(), {"size": size}).status_code == status, size
    assert server.post(f"{path_of()}/finish", {"digest": "x", "size": 1}).status_code == 400
    assert offset_at(server) == 0


def test_a_file_that_the_caller_could_have_is_hashed_first(server: Served) -> None:
    """It was uploaded, or is a version of any model, or a file of a recent version of this model."""
    claimed, pushed, inner = (os.urandom(700_000) for _ in range(3))
    put(server, claimed)
    put(server, pushed, model="other")
    commit(server, pushed, model="other")
    push_folder(server, {"a.bin": inner, "b": b"b"})

    def hash_first(data: bytes, model: str = "classifier") -> object:
        return begin(server, len(data), fingerprint_of(data), model)["hash_first"]

    for data in (claimed, pushed, inner):
        assert hash_first(data)
        assert begin(server, len(data))["hash_first"] is False  # the id is of another file
        for start in (0, 350_000, 699_999):  # another training: the size is the same
            changed = data[:start] + bytes([data[start] ^ 1]) + data[start + 1 :]
            assert hash_first(changed) is False
        longer = data + b"x"
        assert begin(server, len(longer), fingerprint_of(data))["hash_first"] is False
    assert [hash_first(data, "other") for data in (claimed, pushed, inner)] == [False, True, False]


def test_damage_does_not_block_an_upload(server: Served, registry: LocalRegistry) -> None:
    data = os.urandom(700_000)
    push_folder(server, {"a.bin": data})
    put(server, data)
    for path in (Path(registry.profile.artifacts) / "blobs").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"{")
    assert begin(server, len(data), fingerprint_of(data)) == {"offset": 0, "hash_first": False}


def test_eight_uploads_of_one_file_at_once_make_one_blob(server: Served, store: Path) -> None:
    """Each continues from where the server is, as mreg's client does; bytes that are left over expire."""
    data = os.urandom(3 << 20)

    def upload(_number: int) -> bool:
        with requests.Session() as session:
            client = Served(server.url, server.process, server.log, session=session)
            for _ in range(100):
                offset = begin(client, len(data))["offset"]
                assert isinstance(offset, int)
                if offset < len(data):
                    assert send(client, data[offset : offset + (1 << 20)], offset, len(data)).status_code in (200, 409)
                elif finish(client, data).status_code == 200:
                    return True
                if missing(client, data) == []:
                    return True
            return False

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(upload, range(8)))
    assert commit(server, data).status_code == 200
    assert stored(store / "blobs") == [digest_of(data).removeprefix("sha256:")[2:]]
