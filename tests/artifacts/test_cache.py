"""The cache: nothing is fetched twice, nothing damaged is given out, and the limit is kept."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import mreg
from mreg.artifacts.cache import BlobCache
from mreg.artifacts.hashing import digest_of
from mreg.artifacts.local import LocalBackend
from mreg.artifacts.store import ArtifactStore
from mreg.errors import BadProfile
from mreg.profile.cache import cache_place
from tests.conftest import Mreg
from tests.hostile import untouched
from tests.proxy import Proxy
from tests.servers import Place


@pytest.fixture
def pushed(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[mreg.Registry]:
    """A file as m@1 and a folder as m@2, and a cache."""
    monkeypatch.setenv("MREG_CACHE", str(Path("cache").absolute()))
    Path("big.bin").write_bytes(os.urandom(9 << 20))
    Path("folder").mkdir()
    for number in range(5):
        Path(f"folder/{number}").write_bytes(os.urandom(1000))
    with mreg.open_registry() as registry:
        registry.push("big.bin", name="m")
        registry.push("folder", name="m")
        yield registry


def cached() -> list[Path]:
    return [path for path in Path("cache/blobs").rglob("*") if path.is_file()]


def test_nothing_is_fetched_twice(pushed: mreg.Registry, proxy: Proxy) -> None:
    for number, reference in enumerate(("m@1", "m@2")):
        pushed.pull(reference, f"out-{number}")
        proxy.requests.clear()
        pushed.pull(reference, f"again-{number}")
        assert proxy.requests == []
    assert Path("again-0").read_bytes() == Path("big.bin").read_bytes()
    assert sorted(path.name for path in Path("again-1").iterdir()) == ["0", "1", "2", "3", "4"]
    assert len(cached()) == 7  # the manifest, too


def test_it_is_shared_by_processes(pushed: mreg.Registry, proxy: Proxy, process: Mreg) -> None:
    assert process("pull", "m@1", "one").code == 0
    proxy.requests.clear()
    assert process("pull", "m@1", "two").code == 0
    assert proxy.requests == []


def test_what_is_damaged_is_removed_and_fetched_again(pushed: mreg.Registry, proxy: Proxy) -> None:
    pushed.pull("m@1", "out")
    (kept,) = cached()
    kept.chmod(0o644)
    with kept.open("r+b") as stream:
        stream.write(b"damage")
    pushed.pull("m@1", "again")
    assert Path("again").read_bytes() == Path("big.bin").read_bytes()
    assert cached()[0].read_bytes() == Path("big.bin").read_bytes()


def test_damage_in_the_store_is_found_whatever_the_cache_holds(pushed: mreg.Registry, place: Place) -> None:
    """Rolling back reads the bytes of the store, not of the cache."""
    pushed.promote("m@1", to="Production")
    pushed.promote("m@2", to="Production")
    pushed.pull("m@1", "out")
    (key,) = [key for key in place.keys("blobs/") if len(place.read(key)) > 1 << 20]
    place.write(key, b"damage")
    with pytest.raises(mreg.Corrupt):
        pushed.rollback("m")


@pytest.mark.parametrize("trouble", ["a file in its place", "not writable"])
def test_a_cache_that_can_not_be_used_is_done_without(pushed: mreg.Registry, trouble: str) -> None:
    if trouble == "a file in its place":
        Path("cache").write_text("mine")
    else:
        Path("cache").mkdir()
        Path("cache/blobs").write_text("")
    pushed.pull("m@1", "out")
    assert Path("out").read_bytes() == Path("big.bin").read_bytes()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    blobs = [bytes([number]) * 100 for number in range(5)]
    cache = BlobCache(tmp_path, 300)
    for number, data in enumerate(blobs):
        cache.keep(digest_of(data), data)
        place = tmp_path / "blobs/sha256" / digest_of(data).value[:2] / digest_of(data).value[2:]
        os.utime(place, (number, number))
    stream = cache.open(digest_of(blobs[0]))
    assert stream is not None
    assert stream.read() == blobs[0]
    stream.close()
    cache.trim()
    assert [digest_of(data) in cache for data in blobs] == [True, False, False, True, True]


def test_an_artifact_store_that_is_named_as_the_cache_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"model")
    store = ArtifactStore(LocalBackend(tmp_path / "artifacts"))
    stored = store.put(str(tmp_path / "model"))
    blob = next(path for path in (tmp_path / "artifacts/blobs").rglob("*") if path.is_file())
    os.utime(blob, (0, 0))
    with untouched(tmp_path):
        cache = BlobCache(tmp_path / "artifacts", 10)
        for data in (b"one", b"two", b"three", b"four"):
            cache.keep(digest_of(data), data)
            cache.trim()
        assert cache.open(stored.digest) is None
    assert blob.stat().st_mtime == 0
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    assert BlobCache(tmp_path / "artifacts", 10).open(stored.digest) is None
    assert blob.exists()


def test_what_is_larger_than_all_of_it_is_not_kept(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 10)
    cache.keep(digest_of(b"x" * 11), b"x" * 11)
    assert digest_of(b"x" * 11) not in cache


def test_many_use_it_at_once(tmp_path: Path) -> None:
    blobs = [os.urandom(1000) for _ in range(30)]
    failures: list[BaseException] = []

    def work() -> None:
        cache = BlobCache(tmp_path, 10_000)
        try:
            for data in blobs * 3:
                cache.keep(digest_of(data), data)
                stream = cache.open(digest_of(data))
                if stream is not None:
                    assert stream.read() == data
                    stream.close()
                cache.trim()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(path.stat().st_size for path in (tmp_path / "blobs").rglob("*") if path.is_file()) <= 10_000


def test_its_value_is_a_size_or_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path(os.environ["HOME"])
    assert cache_place("20GB") == (home / ".cache/mreg", 20 * 10**9)
    assert cache_place("1.5 GiB") == (home / ".cache/mreg", 3 << 29)
    assert cache_place("500MB") == (home / ".cache/mreg", 500 * 10**6)
    assert cache_place("/var/cache/x") == (Path("/var/cache/x"), 20 * 10**9)
    assert cache_place("./20") == (Path.cwd() / "20", 20 * 10**9)
    for wrong in ("20", "20XB", "1.2.3GB", "-1GB", "1e9GB"):
        with pytest.raises(BadProfile):
            cache_place(wrong)
