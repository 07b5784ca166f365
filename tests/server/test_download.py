"""Downloads: exactly those bytes, whole or by ranges, or a failure that the client sees."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from mreg.server import download, protocol
from mreg.server.tokens import Role
from tests.conftest import Mreg
from tests.server.conftest import Serve, Served

DATA = bytes(range(256)) * 40
ARTIFACT = "/models/classifier/versions/1/artifact"

RANGES = {
    "bytes=0-9": (206, DATA[:10]),
    "bytes=10-10": (206, DATA[10:11]),
    "bytes=10230-": (206, DATA[10230:]),
    "bytes=-5": (206, DATA[-5:]),
    "bytes=-99999": (206, DATA),
    "bytes=0-99999": (206, DATA),
    "bytes=0-": (206, DATA),
    "bytes=10240-": (416, None),
    "bytes=-0": (416, None),
    "bytes=9-3": (200, DATA),
    "bytes=0-1,4-5": (200, DATA),
    "bytes=a-b": (200, DATA),
    "bytes=-": (200, DATA),
    "lines=0-1": (200, DATA),
    "bytes=99999999999999999999999-": (200, DATA),
}


def test_ranges_are_given_as_http_has_them(server: Served) -> None:
    server.upload(DATA)
    for asked, (status, content) in RANGES.items():
        found = server.get(ARTIFACT, headers={"Range": asked})
        assert found.status_code == status, asked
        if content is not None:
            assert found.content == content, asked
            assert int(found.headers["content-length"]) == len(content)
        else:
            assert found.headers["content-range"] == "bytes */10240"
    found = server.get(ARTIFACT, headers={"Range": "bytes=5-9"})
    assert found.headers["content-range"] == "bytes 5-9/10240"


def test_an_entity_tag_is_the_checksum_and_is_heeded(server: Served) -> None:
    server.upload(DATA, name="mödel (x).pkl")
    found = server.get(ARTIFACT)
    checksum = hashlib.sha256(DATA).hexdigest()
    etag = f'"sha256:{checksum}"'
    assert (found.headers["etag"], found.headers["x-checksum-sha256"]) == (etag, checksum)
    assert found.headers["x-reference"] == "classifier@1"
    assert found.headers["content-disposition"] == "attachment; filename*=UTF-8''m%C3%B6del%20%28x%29.pkl"
    assert found.headers["content-type"] == "application/octet-stream"
    for tags in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        again = server.get(ARTIFACT, headers={"If-None-Match": tags})
        assert (again.status_code, again.content) == (304, b"")
    assert server.get(ARTIFACT, headers={"If-None-Match": '"other"'}).content == DATA
    assert server.get(ARTIFACT, headers={"If-Match": '"other"'}).status_code == 412
    assert server.get(ARTIFACT, headers={"If-Range": etag, "Range": "bytes=0-1"}).status_code == 206
    assert server.get(ARTIFACT, headers={"If-Range": '"other"', "Range": "bytes=0-1"}).content == DATA
    head = server.ask("HEAD", ARTIFACT)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "10240")


def test_a_folder_gives_its_files_one_by_one(server: Served, command: Mreg) -> None:
    folder = Path("net")
    (folder / "sub dir").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub dir" / "wéights.bin").write_bytes(DATA)
    (folder / "empty").touch()
    command("push", "net", "-n", "classifier")
    whole = server.get(ARTIFACT)
    assert (whole.status_code, whole.json()["code"]) == (409, "not_allowed")
    files = server.get("/models/classifier/versions/1/files").json()
    assert [file["path"] for file in files] == ["config.json", "empty", "sub dir/wéights.bin"]
    below = "/models/classifier/versions/latest/files"
    for path in ("sub%20dir/w%C3%A9ights.bin", "sub%20dir%2Fw%C3%A9ights.bin"):
        assert server.get(f"{below}/{path}").content == DATA
    assert server.get(f"{below}/empty").content == b""
    assert server.get(f"{below}/sub%20dir/w%C3%A9ights.bin", headers={"Range": "bytes=1-2"}).content == DATA[1:3]
    for path in (
        "none",
        "..%2Fconfig.json",
        "../config.json",
        "sub%20dir",
        "%2Fetc%2Fpasswd",
        "//etc/passwd",
        "sub%2520dir",
    ):
        assert server.get(f"{below}/{path}").status_code == 404, path


def test_bytes_that_are_damaged_are_never_given_whole(server: Served, store: Path) -> None:
    data = os.urandom(5 << 20)
    server.upload(data)
    (blob,) = (path for path in (store / "blobs").rglob("*") if path.is_file())
    for damaged in (data[:-1] + bytes([data[-1] ^ 1]), bytes([data[0] ^ 1]) + data[1:], data + b"x"):
        blob.chmod(0o644)
        blob.write_bytes(damaged)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            server.get(ARTIFACT)
    assert any("is damaged" in (line["failure"] or "") for line in server.lines())
    blob.write_bytes(b"short")
    missing = server.get(ARTIFACT)
    assert (missing.status_code, missing.json()["code"]) == (500, "corrupt")
    blob.unlink()
    missing = server.get(ARTIFACT)
    assert (missing.status_code, missing.json()["code"]) == (500, "corrupt")
    assert "classifier@1" in missing.json()["detail"]


def test_a_small_file_that_is_damaged_is_a_problem_and_no_file(server: Served, store: Path) -> None:
    server.upload(DATA)
    (blob,) = (path for path in (store / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(DATA[:-1] + b"!")
    assert server.get(ARTIFACT).json()["code"] == "corrupt"


def test_a_client_that_goes_away_is_not_read_for_any_longer(server: Served) -> None:
    server.upload(os.urandom(64 << 20))
    found = server.get(ARTIFACT, stream=True)
    found.raw.read(1000)
    found.close()
    server.session.close()
    assert server.line(path=ARTIFACT)["sent"] < 64 << 20


def test_who_reads_nothing_is_left_alone_and_one_too_many_comes_again(
    in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 1.0)
    monkeypatch.setattr(download.DOWNLOADS, "limit", 1)
    server = in_process()
    server.post("/models", {"name": "classifier"})
    server.upload(os.urandom(32 << 20))
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"GET {ARTIFACT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert connection.recv(4) == b"HTTP"
        busy = server.get(ARTIFACT)
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "busy", "5")
        deadline = time.monotonic() + 20
        while download.DOWNLOADS.under_way:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert len(server.get(ARTIFACT).content) == 32 << 20


def test_a_reader_may_download(serve: Serve, command: Mreg) -> None:
    import json

    Path("m").write_bytes(DATA)
    command("push", "m", "-n", "classifier")
    made = json.loads(command("token", "r", "--role", str(Role.READER), "--json").out)
    server = serve(secret=made["secret"], MREG_SERVER_TOKENS=made["line"])
    assert server.get(ARTIFACT).content == DATA
