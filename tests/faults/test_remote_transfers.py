"""Pushes to a server and pulls from it through a bad network."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
import requests

import mreg
from mreg.artifacts.source import SAMPLE_BYTES, fingerprint, sample_starts
from mreg.domain.text import size_text
from mreg.registry.remote import RemoteRegistry
from mreg.remote import blobs
from mreg.remote.connection import Connection
from tests.conftest import FULL
from tests.proxy import Proxy
from tests.serving import OpenClient, Serving

SIZE = 24 << 20
SHARES = [number / 19 for number in range(1, 19)] if FULL else [0.1, 0.5, 0.9]
"""Shares of a transfer after which it is cut."""

HTML = ("502 Bad Gateway", "text/html", "<html>bad gateway</html>")


@pytest.fixture
def registry(open_client: OpenClient) -> RemoteRegistry:
    return open_client()


def write(size: int, path: str = "model.bin") -> bytes:
    content = os.urandom(size)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    return content


def count(registry: mreg.Registry, name: str) -> int:
    found = registry.show(name)
    assert isinstance(found, mreg.ModelVersions)
    return len(found.versions)


@pytest.mark.parametrize("share", [0.0001, 0.21, *SHARES, 1.0])  # 0.21 is in the head of an answer
@pytest.mark.parametrize("way", ["cut_up_after", "cut_down_after"])
def test_a_push_continues_after_a_cut(registry: mreg.Registry, line: Proxy, name: str, way: str, share: float) -> None:
    content = write(SIZE)
    registry.models(limit=1)
    total = SIZE if way == "cut_up_after" else 4096
    setattr(line, way, int((line.up if way == "cut_up_after" else line.down) + total * share))
    steps: list[tuple[int, int]] = []
    version = registry.push("model.bin", name=name, progress=lambda *step: steps.append(step))
    assert steps[-1] == (SIZE, SIZE)
    assert count(registry, name) == 1
    line.heal()
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


@pytest.mark.parametrize("share", [0.001, *SHARES, 0.999])
def test_a_pull_continues_after_a_cut(registry: mreg.Registry, line: Proxy, name: str, share: float) -> None:
    content = write(SIZE)
    version = registry.push("model.bin", name=name)
    line.cut_down_after = int(line.down + SIZE * share)
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


@pytest.mark.parametrize("share", SHARES)
def test_a_pull_of_a_folder_continues_after_a_cut(
    registry: mreg.Registry, line: Proxy, name: str, share: float
) -> None:
    files = {f"net/{number}.bin": write(5_000, f"net/{number}.bin") for number in range(300)}
    version = registry.push("net", name=name)
    line.cut_down_after = int(line.down + 1_500_000 * share)
    registry.pull(version, "back")
    assert {f"net/{path.name}": path.read_bytes() for path in Path("back").iterdir()} == files


def test_an_interrupted_push_is_resumed_by_the_next(open_client: OpenClient, line: Proxy, name: str) -> None:
    write(SIZE)
    notes: list[str] = []
    registry = open_client(notice=notes.append)
    line.cut_up_after = line.up + SIZE * 2 // 3
    line.cut_for_good = True
    with pytest.raises(mreg.Unavailable):
        registry.push("model.bin", name=name)
    line.heal()
    before = line.up
    registry.push("model.bin", name=name)
    assert line.up - before < SIZE * 2 // 3
    (note,) = notes
    assert note.startswith("resumed: ") and note.endswith(f" of {size_text(SIZE)} had arrived before")


def test_an_interrupted_push_is_resumed_from_a_copy_of_the_file(
    registry: mreg.Registry, line: Proxy, name: str
) -> None:
    """As in the next job of a pipeline, which has another machine."""
    content = write(SIZE)
    line.cut_up_after = line.up + SIZE * 2 // 3
    line.cut_for_good = True
    with pytest.raises(mreg.Unavailable):
        registry.push("model.bin", name=name)
    line.heal()
    Path("copy.bin").write_bytes(content)
    before = line.up
    registry.push("copy.bin", name=name)
    assert line.up - before < SIZE * 3 // 4


def test_a_file_that_the_server_has_is_not_sent_again(registry: mreg.Registry, line: Proxy, name: str) -> None:
    content = write(SIZE)
    registry.push("model.bin", name=name)
    Path("net").mkdir()
    Path("net/copy.bin").write_bytes(content)
    before = line.up
    steps: list[tuple[int, int]] = []
    for path, model in (("model.bin", name), ("model.bin", f"{name}x"), ("net", f"{name}y"), ("net", f"{name}y")):
        registry.push(path, name=model, progress=lambda *step: steps.append(step))
        assert steps[-1] == (SIZE, SIZE)
    assert line.up - before < 40_000


def test_another_training_of_the_same_size_is_sent_while_it_is_hashed(
    registry: mreg.Registry, line: Proxy, name: str
) -> None:
    for version in (1, 2):
        content = write(SIZE)
        line.requests = []
        assert registry.push("model.bin", name=name).version == version
        assert not any("missing" in line for line in line.requests)
    registry.pull(f"{name}@2", "back.bin")
    assert Path("back.bin").read_bytes() == content


def test_bytes_of_another_file_with_the_same_samples_are_replaced(
    registry: mreg.Registry, line: Proxy, name: str
) -> None:
    """They are those of an interrupted push, after which the file changed between its samples."""
    content = bytearray(write(SIZE))
    line.cut_up_after = line.up + SIZE * 2 // 3
    line.cut_for_good = True
    with pytest.raises(mreg.Unavailable):
        registry.push("model.bin", name=name)
    line.heal()
    content[1 << 20] ^= 1
    Path("model.bin").write_bytes(content)
    steps: list[tuple[int, int]] = []
    version = registry.push("model.bin", name=name, progress=lambda *step: steps.append(step))
    assert steps[-1] == (SIZE, SIZE)
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


def test_a_file_that_changes_in_place_while_it_is_sent_makes_no_version(
    registry: mreg.Registry, line: Proxy, name: str
) -> None:
    write(SIZE)
    registry.models(limit=1)

    def change() -> None:
        with open("model.bin", "r+b") as stream:
            stream.write(b"changed")

    line.when_up = (line.up + SIZE * 9 // 10, change)
    with pytest.raises(mreg.Conflict, match="changed while it was read; no version was added"):
        registry.push("model.bin", name=name)
    with pytest.raises(mreg.NotFound):
        registry.model(name)


def test_a_push_continues_after_a_restart_of_the_server(
    registry: mreg.Registry, served: Serving, line: Proxy, name: str
) -> None:
    content = write(SIZE)
    registry.models(limit=1)

    def restart() -> None:
        line.passing.clear()
        served.kill()
        served.start()
        line.passing.set()

    for share in (0.5, 1.0):
        content = write(SIZE)
        line.when_up = (line.up + int(SIZE * share), restart)
        version = registry.push("model.bin", name=name)
        registry.pull(version, "back.bin", force=True)
        assert Path("back.bin").read_bytes() == content


def test_two_pushes_of_one_file_at_once_make_two_versions_of_it(
    open_client: OpenClient, line: Proxy, name: str
) -> None:
    content = write(SIZE)
    pushing = [open_client().push for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        versions = list(pool.map(lambda push: push("model.bin", name=name), pushing))
    assert {version.version for version in versions} == {1, 2}
    registry = open_client()
    registry.pull(f"{name}@2", "back.bin")
    assert Path("back.bin").read_bytes() == content


def test_a_server_of_an_older_release_gets_the_digest_first(registry: mreg.Registry, line: Proxy, name: str) -> None:
    content = write(SIZE)
    problem = ("404 Not Found", "application/problem+json\r\nMreg-Api: 1", '{"code": "no_such_route", "detail": "x"}')
    line.answer = lambda line: problem if "/uploads/" in line else None
    version = registry.push("model.bin", name=name)
    assert sum("/uploads/" in line for line in line.requests) == 1
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


@pytest.mark.parametrize("size", [6 << 20, SIZE])
def test_an_upload_whose_last_byte_arrived_before_the_server_died_is_finished(
    registry: mreg.Registry, served: Serving, line: Proxy, name: str, size: int
) -> None:
    content = write(size)
    samples = [content[start : start + SAMPLE_BYTES] for start in sample_starts(size)]
    own = f"uploads/{fingerprint(size, samples)}" if size == SIZE else f"blobs/sha256:{sha256(content).hexdigest()}"
    headers = {"Upload-Offset": "0", "Upload-Length": str(size), "Authorization": f"Bearer {served.secrets['ada']}"}
    url = f"{served.url}/models/{name}/{own}"
    assert requests.patch(url, data=content[:-1], headers=headers, timeout=60).status_code == 200
    (unfinished,) = (
        path
        for path in Path(served.variables["MREG_ARTIFACTS"], "tmp").iterdir()
        if path.stat().st_size == size - 1 and path.read_bytes() == content[:-1]
    )
    unfinished.write_bytes(content)
    before = line.up
    assert registry.push("model.bin", name=name).version == 1
    assert line.up - before < 40_000


@pytest.mark.parametrize("size", [10, 300_000, 6 << 20, SIZE])
@pytest.mark.parametrize(
    "lost", ["POST /models/.*/versions ", "PATCH", "PUT", "missing", "uploads/[0-9a-f]* ", "finish"]
)
def test_a_lost_answer_makes_no_second_version(
    registry: mreg.Registry, line: Proxy, name: str, lost: str, size: int
) -> None:
    import re

    write(size)
    registry.models(limit=1)
    seen: list[str] = []

    def lose(line: str) -> bool:
        first = re.search(lost, line) is not None and not seen
        seen.extend([line] * first)
        return first

    line.lose_answer = lose
    version = registry.push("model.bin", name=name)
    assert (version.version, count(registry, name)) == (1, 1)


@pytest.mark.parametrize("answer", [HTML, ("504 Gateway Timeout", "text/plain", "late")], ids=["502", "504"])
def test_a_push_waits_for_a_proxy_without_its_server(
    registry: mreg.Registry, line: Proxy, name: str, answer: tuple[str, str, str]
) -> None:
    write(SIZE)
    registry.models(limit=1)
    failed: set[str] = set()

    def fail_once(line: str) -> tuple[str, str, str] | None:
        method = line.split()[0]
        if method in failed:
            return None
        failed.add(method)
        return answer

    line.answer = fail_once
    registry.push("model.bin", name=name)
    assert failed == {"POST", "HEAD", "PATCH"}
    assert count(registry, name) == 1


def test_bytes_that_arrive_changed_make_no_version(registry: mreg.Registry, line: Proxy, name: str) -> None:
    write(6 << 20)
    line.flip = lambda line: line.startswith("PATCH")
    with pytest.raises(mreg.BadInput, match="the bytes do not match their digest"):
        registry.push("model.bin", name=name)
    with pytest.raises(mreg.NotFound):
        registry.model(name)
    line.heal()
    assert registry.push("model.bin", name=name).version == 1


def test_unchanged_files_of_a_folder_are_not_sent_again(registry: mreg.Registry, line: Proxy, name: str) -> None:
    for number in range(50):
        write(20_000, f"net/{number}.bin")
    write(6 << 20, "net/large.bin")
    registry.push("net", name=name)
    write(10, "net/0.bin")
    before, line.requests = line.up, []
    registry.push("net", name=name)
    assert line.up - before < 40_000
    assert len(line.requests) < 8


def test_a_folder_of_many_small_files_takes_a_few_requests(registry: mreg.Registry, line: Proxy, name: str) -> None:
    for number in range(1_000):
        write(100, f"net/{number % 7}/{number}.bin")
    line.requests = []
    version = registry.push("net", name=name)
    assert len(line.requests) < 8
    line.requests = []
    registry.pull(version, "back")
    assert len(line.requests) < 16
    assert registry.verify_copy("back", version).problems == ()


def test_damaged_bytes_are_not_pulled(registry: mreg.Registry, served: Serving, name: str) -> None:
    write(300_000)
    version = registry.push("model.bin", name=name)
    hexadecimal = version.artifact.digest.value
    blob = Path(served.variables["MREG_ARTIFACTS"], "blobs/sha256", hexadecimal[:2], hexadecimal[2:])
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    with pytest.raises(mreg.Corrupt, match=f"{name}@1: the blob {version.artifact.digest} is damaged"):
        registry.pull(version, "back.bin")
    assert not Path("back.bin").exists()


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
def test_a_pull_waits_for_a_proxy_without_its_server(
    registry: mreg.Registry, line: Proxy, name: str, status: str
) -> None:
    content = write(SIZE)
    version = registry.push("model.bin", name=name)
    asked: list[str] = []

    def fail_once(line: str) -> tuple[str, str, str] | None:
        asked.append(line)
        return (status, "text/html", "<html>away</html>") if asked.count(line) == 1 else None

    line.answer = fail_once
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content
    read = [line for line in asked if "/blobs/" in line]
    assert len(read) > len(set(read)) > 0, asked


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_server_that_falls_silent_is_given_up_and_the_transfer_can_be_resumed(
    registry: mreg.Registry, line: Proxy, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write(SIZE)
    registry.models(limit=1)
    if way == "pull":
        registry.push("model.bin", name=name)
        line.when_down = (line.down + SIZE * 2 // 3, lambda: setattr(line, "silent", True))
    else:
        line.when_up = (line.up + SIZE * 2 // 3, lambda: setattr(line, "silent", True))
    with monkeypatch.context() as patched, pytest.raises(mreg.Unavailable) as caught:
        patched.setitem(Connection.request.__kwdefaults__ or {}, "silence", 3.0)
        patched.setattr(blobs, "HASHING_SECONDS", 3.0)
        registry.push("model.bin", name=name) if way == "push" else registry.pull(f"{name}@1", "back.bin")
    assert "repeat the command to resume: the bytes that arrived are kept" in caught.value.hint
    line.heal()
    before = line.up + line.down
    registry.push("model.bin", name=name) if way == "push" else registry.pull(f"{name}@1", "back.bin")
    # Of a pull, 3 ranges arrive in parallel. If they advance alike, two thirds of the first are kept.
    assert line.up + line.down - before < SIZE * 5 // 6
    assert count(registry, name) == 1
    if way == "pull":
        assert Path("back.bin").read_bytes() == content
