"""Downloads: exactly those bytes, whole or by ranges, or a failure that the client sees."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from mreg.results.tokens import Role
from mreg.server import download, guard, protocol
from tests.conftest import Mreg
from tests.hostile import untouched
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
    assert found.headers["content-disposition"] == (
        "attachment; filename=\"classifier@1-m~C3~B6del (x).pkl\"; filename*=UTF-8''m%C3%B6del%20%28x%29.pkl"
    )
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
    first = bytes([data[0] ^ 1]) + data[1:]
    for damaged in (data[:-1] + bytes([data[-1] ^ 1]), first, data + b"x", first + b"x"):
        blob.chmod(0o644)
        blob.write_bytes(damaged)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            server.get(ARTIFACT)
        rest = server.get(ARTIFACT, headers={"Range": f"bytes={4 << 20}-"})
        assert (rest.status_code, rest.json()["code"]) == (500, "corrupt")
    assert any("is damaged" in (line["failure"] or "") for line in server.lines())
    blob.write_bytes(data)
    assert server.get(ARTIFACT, headers={"Range": f"bytes={4 << 20}-"}).content == data[4 << 20 :]
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
        while download.DOWNLOADS.active:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert len(server.get(ARTIFACT).content) == 32 << 20


def test_a_client_that_reads_slowly_gets_the_whole_file(
    in_process: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit for a silent client is a limit for its body; a request that is whole has said all that it has to say."""
    idle = 0.2
    monkeypatch.setattr(guard, "IDLE_SECONDS", idle)
    server = in_process()
    server.post("/models", {"name": "classifier"})
    data = os.urandom(48 << 20)  # more than the buffers of both sides hold
    server.upload(data)
    with server.get(ARTIFACT, stream=True, headers={"Content-Length": "0"}) as found:
        until = time.monotonic() + 5 * idle
        received = bytearray()
        while time.monotonic() < until:
            received += found.raw.read(1 << 10)
            time.sleep(0.01)
        assert len(received) < len(data) // 2
        while more := found.raw.read(1 << 20):
            received += more
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def test_a_reader_may_download(serve: Serve, command: Mreg) -> None:
    import json

    Path("m").write_bytes(DATA)
    command("push", "m", "-n", "classifier")
    made = json.loads(command("token", "create", "r", "--role", str(Role.READER), "--line", "--json").out)
    server = serve(secret=made["secret"], MREG_SERVER_TOKENS=made["line"])
    assert server.get(ARTIFACT).content == DATA


NAMES = (
    "plain-1.0_final.pkl", "epoch=1-step=10.ckpt", "mödel.pkl", "müdel.pkl", "модель.pkl", "模型.pkl", "100%.bin", "100%25.bin",
    "100~25.bin", "a;b.bin", "a#b.bin", 'a"b.bin', "a'b.bin", "a?b.bin", "a&b.bin", "$(id).bin", "`id`.bin", "a b.bin",
    "%2e%2e%2fsentinel", "%2fetc%2fpasswd", "..;sentinel", "x; filename=sentinel", 'x"; filename="sentinel', ".curlrc",
    ".bashrc", "-rf", "--output=sentinel", "~root", "nul.txt", "CON", "трансформер-" * 10 + ".pkl", "трансформер-" * 10 + "2.pkl",
    "x" * 250 + ".pkl", "x" * 250 + ".bin", "file:sentinel", "https:evil.example", "é.txt", "😀.bin",
)  # fmt: skip


@pytest.fixture
def named(server: Served, command: Mreg) -> list[str]:
    """The URLs of files with difficult names, in the order of `NAMES`."""
    folder = Path("named")
    folder.mkdir()
    for number, name in enumerate(NAMES):
        try:
            (folder / name).write_text(str(number))
        except OSError:  # a file system that normalises names
            pytest.skip(f"this file system cannot hold {name!r}")
    assert command("push", "named", "-n", "classifier").code == 0
    return [f"{server.url}/models/classifier/versions/1/files/{quote(name, safe='')}" for name in NAMES]


@pytest.mark.parametrize("program", ["curl", "wget"])
def test_a_client_saves_each_file_under_a_name_of_its_own_and_nowhere_else(
    named: list[str], program: str, tmp_path: Path
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    words = {"curl": ["curl", "-q", "-fsSOJ"], "wget": ["wget", "--no-config", "-q", "--content-disposition"]}[program]
    inner = tmp_path / "downloads"
    inner.mkdir()
    with untouched(tmp_path, but=("downloads",)):
        for number, url in enumerate(named):
            before = set(os.listdir(inner))
            subprocess.run([*words, url], cwd=inner, check=True, timeout=60)
            (new,) = set(os.listdir(inner)) - before
            assert (inner / new).read_text() == str(number)
            assert not new.startswith((".", "-")), new
            assert len(os.fsencode(new)) <= 250
    assert len(os.listdir(inner)) == len(NAMES)
    start = "classifier@1-" if program == "curl" else ""
    assert {f"{start}{name}" for name in ("plain-1.0_final.pkl", "epoch=1-step=10.ckpt", "a b.bin")} <= {
        *os.listdir(inner)
    }
    assert not [path for path in inner.iterdir() if path.name == "sentinel"]


def test_both_names_of_a_file_are_safe_and_distinct(named: list[str], server: Served) -> None:
    plain, full = set(), set()
    for name, url in zip(NAMES, named, strict=True):
        said = server.get(url.removeprefix(server.url)).headers["content-disposition"]
        found = re.fullmatch(r'attachment; filename="([A-Za-z0-9_.,+=@()~ -]+)"; filename\*=UTF-8\'\'([^\s;"]+)', said)
        assert found is not None, said
        plain.add(found[1])
        full.add(unquote(found[2]))
        if re.match(r"[.-]|CON|nul|.*%[0-9a-f]{2}", name) is None and len(name) < 100 and "~" not in name:
            assert unquote(found[2]) == name
    assert len(plain) == len(full) == len(NAMES)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_downloads_of_two_versions_do_not_overwrite_each_other(server: Served, tmp_path: Path) -> None:
    server.post("/models", {"name": "team/m"})
    for content in (b"one", b"two"):
        assert server.upload(content, "team%2Fm", name="модель.pkl").status_code == 200
        assert server.upload(content, name="model.pkl").status_code == 200
    paths = [f"/models/{model}/versions/{number}" for model in ("team%2Fm", "classifier") for number in (1, 2)]
    for path in paths:
        curl = ["curl", "-q", "-fsSOJ", f"{server.url}{path}/artifact"]
        subprocess.run(curl, cwd=tmp_path, check=True, timeout=60)
    escaped = "".join(f"~{byte:02X}" for byte in "модель".encode())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".pkl"} == {
        f"team~2Fm@1-{escaped}.pkl": b"one",
        f"team~2Fm@2-{escaped}.pkl": b"two",
        "classifier@1-model.pkl": b"one",
        "classifier@2-model.pkl": b"two",
    }


REFERENCES = st.builds("{}@{}".format, st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,20}", fullmatch=True), st.integers(1, 99))
PATHS = st.text(min_size=1, max_size=300)


@given(REFERENCES, PATHS, REFERENCES, PATHS)
@example("a@1", "2-b", "a@12", "b")
@example("a/b@1", "c", "a@1", "b/c")
@example("a@1", "b/c", "a@1", "d/c")
@example("a@1", "x" * 300, "a@2", "x" * 300)
@example("nul.x@1", "y", "con@1", "y")
def test_any_two_files_are_told_apart_by_one_safe_header_line(
    reference: str, path: str, other_reference: str, other: str
) -> None:
    files = ((reference, path), (other_reference, other))
    lines = [download._disposition(f"{owner}-{place}", place.rpartition("/")[2]) for owner, place in files]
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        plain = line.partition('filename="')[2].partition('"')[0]
        assert not re.search(r'^[.\-]|^nul\.|[/\\%;"]|[. ]$', plain)
        full = unquote(line.partition("UTF-8''")[2])
        assert not re.search(r"^[.\-]|[/\\\x00-\x1f]", full)
        assert len(plain.encode()) < 255
        assert len(full.encode()) < 255
    if (reference, path) != (other_reference, other):
        assert lines[0].partition("; filename*")[0] != lines[1].partition("; filename*")[0]
