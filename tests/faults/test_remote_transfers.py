"""Pushes to a server and pulls from it through a bad network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mreg
from mreg.registry.remote import RemoteRegistry
from mreg.remote import blobs, connection
from mreg.remote.connection import Connection
from mreg.results.profiles import Profile
from tests.proxy import Proxy
from tests.serving import Serving, serving

SIZE = 24 << 20
HTML = ("502 Bad Gateway", "text/html", "<html>bad gateway</html>")


@pytest.fixture(scope="module")
def served(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("served")
    variables = {"MREG_CATALOG": str(folder / "catalog.db"), "MREG_ARTIFACTS": str(folder / "artifacts")}
    with serving(folder, variables) as found:
        yield found


@pytest.fixture
def proxy(served: Serving) -> Iterator[Proxy]:
    made = Proxy(int(served.url.rpartition(":")[2]))
    yield made
    made.stop()


@pytest.fixture
def open_registry(
    served: Serving, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., mreg.Registry]]:
    monkeypatch.setattr(blobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_SECONDS", 0.01)
    opened: list[mreg.Registry] = []

    def open_one(notice: Callable[[str], None] = lambda _text: None) -> mreg.Registry:
        line = Connection(proxy.endpoint, token=lambda: served.secrets["ada"])
        profile = Profile(name="team", catalog="", artifacts="")
        opened.append(RemoteRegistry(line, profile, notice))  # type: ignore[abstract]
        return opened[-1]

    yield open_one
    for registry in opened:
        registry.close()


@pytest.fixture
def registry(open_registry: Callable[..., mreg.Registry]) -> mreg.Registry:
    return open_registry()


@pytest.fixture
def name() -> str:
    return f"m{os.urandom(16).hex()}"


def write(size: int, path: str = "model.bin") -> bytes:
    content = os.urandom(size)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content)
    return content


def count(registry: mreg.Registry, name: str) -> int:
    found = registry.show(name)
    assert isinstance(found, mreg.ModelVersions)
    return len(found.versions)


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.3, 0.5, 0.6, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("way", ["cut_up_after", "cut_down_after"])
def test_a_push_continues_after_a_cut(registry: mreg.Registry, proxy: Proxy, name: str, way: str, share: float) -> None:
    content = write(SIZE)
    registry.models(limit=1)
    total = SIZE if way == "cut_up_after" else 4096
    setattr(proxy, way, int((proxy.up if way == "cut_up_after" else proxy.down) + total * share))
    steps: list[tuple[int, int]] = []
    version = registry.push("model.bin", name=name, progress=lambda *step: steps.append(step))
    assert steps[-1] == (SIZE, SIZE)
    assert count(registry, name) == 1
    proxy.heal()
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


@pytest.mark.parametrize("share", [0.001, 0.2, 0.5, 0.8, 0.999])
def test_a_pull_continues_after_a_cut(registry: mreg.Registry, proxy: Proxy, name: str, share: float) -> None:
    content = write(SIZE)
    version = registry.push("model.bin", name=name)
    proxy.cut_down_after = int(proxy.down + SIZE * share)
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == content


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_pull_of_a_folder_continues_after_a_cut(
    registry: mreg.Registry, proxy: Proxy, name: str, share: float
) -> None:
    files = {f"net/{number}.bin": write(5_000, f"net/{number}.bin") for number in range(300)}
    version = registry.push("net", name=name)
    proxy.cut_down_after = int(proxy.down + 1_500_000 * share)
    registry.pull(version, "back")
    assert {f"net/{path.name}": path.read_bytes() for path in Path("back").iterdir()} == files


def test_an_interrupted_push_is_resumed_by_the_next(
    open_registry: Callable[..., mreg.Registry], proxy: Proxy, name: str
) -> None:
    write(SIZE)
    notes: list[str] = []
    registry = open_registry(notes.append)
    proxy.cut_up_after = proxy.up + SIZE * 2 // 3
    proxy.cut_for_good = True
    with pytest.raises(mreg.Unavailable):
        registry.push("model.bin", name=name)
    proxy.heal()
    before = proxy.up
    registry.push("model.bin", name=name)
    assert proxy.up - before < SIZE * 2 // 3
    (note,) = notes
    assert note.startswith("resumed: ") and note.endswith(f" of {SIZE} bytes had arrived before")


@pytest.mark.parametrize("size", [10, 300_000, 6 << 20])
@pytest.mark.parametrize("lost", ["POST /models/.*/versions ", "PATCH", "PUT", "missing"])
def test_a_lost_answer_makes_no_second_version(
    registry: mreg.Registry, proxy: Proxy, name: str, lost: str, size: int
) -> None:
    import re

    write(size)
    registry.models(limit=1)
    seen: list[str] = []

    def lose(line: str) -> bool:
        first = re.search(lost, line) is not None and not seen
        seen.extend([line] * first)
        return first

    proxy.lose_answer = lose
    version = registry.push("model.bin", name=name)
    assert (version.version, count(registry, name)) == (1, 1)


@pytest.mark.parametrize("answer", [HTML, ("504 Gateway Timeout", "text/plain", "late")], ids=["502", "504"])
def test_a_push_waits_for_a_proxy_without_its_server(
    registry: mreg.Registry, proxy: Proxy, name: str, answer: tuple[str, str, str]
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

    proxy.answer = fail_once
    registry.push("model.bin", name=name)
    assert failed == {"POST", "HEAD", "PATCH"}
    assert count(registry, name) == 1


def test_bytes_that_arrive_changed_make_no_version(registry: mreg.Registry, proxy: Proxy, name: str) -> None:
    write(6 << 20)
    proxy.flip = lambda line: line.startswith("PATCH")
    with pytest.raises(mreg.BadInput, match="the bytes do not match their digest"):
        registry.push("model.bin", name=name)
    with pytest.raises(mreg.NotFound):
        registry.model(name)
    proxy.heal()
    assert registry.push("model.bin", name=name).version == 1


def test_unchanged_files_of_a_folder_are_not_sent_again(registry: mreg.Registry, proxy: Proxy, name: str) -> None:
    for number in range(50):
        write(20_000, f"net/{number}.bin")
    write(6 << 20, "net/large.bin")
    registry.push("net", name=name)
    write(10, "net/0.bin")
    before, proxy.requests = proxy.up, []
    registry.push("net", name=name)
    assert proxy.up - before < 40_000
    assert len(proxy.requests) < 8


def test_a_folder_of_many_small_files_takes_a_few_requests(registry: mreg.Registry, proxy: Proxy, name: str) -> None:
    for number in range(1_000):
        write(100, f"net/{number % 7}/{number}.bin")
    proxy.requests = []
    version = registry.push("net", name=name)
    assert len(proxy.requests) < 8
    proxy.requests = []
    registry.pull(version, "back")
    assert len(proxy.requests) < 16
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
