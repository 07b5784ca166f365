"""Small files of a folder that arrive from a network are written by several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

import mreg
from mreg.artifacts.backend import BlobRequest
from mreg.artifacts.destination import SMALL_BYTES, Destination
from mreg.artifacts.hashing import CHUNK_BYTES, digest_of
from mreg.artifacts.parallel import in_order
from mreg.artifacts.partial import KEEP_BYTES
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.errors import Corrupt, Unavailable
from mreg.files import WRITE_BYTES

FILES = {
    **{
        f"{folder}{number}": f"{folder}{number}".encode() for folder in ("", "a/", "a/b/", "c/") for number in range(50)
    },
    "a/large": os.urandom(KEEP_BYTES),
    "empty": b"",
    "z-large": os.urandom(SMALL_BYTES + 1),
}
MANIFEST = Manifest(
    tuple(ManifestEntry(path, len(data), digest_of(data), path == "c/7") for path, data in FILES.items()), ("d",)
)
DIGEST = digest_of(MANIFEST.canonical())


class Source:
    """Blobs as `mreg.artifacts.download.fetched` yields them: in a buffer that the next blob overwrites."""

    def __init__(self, replaced: Mapping[str, bytes | Exception] | None = None) -> None:
        self.blobs: dict[Digest, bytes | Exception] = {
            digest_of(data): (replaced or {}).get(path, data) for path, data in FILES.items()
        }
        self.asked: list[Digest] = []
        self._buffer = bytearray(KEEP_BYTES + 1)

    def __call__(self, wanted: Sequence[BlobRequest]) -> Generator[Iterator[memoryview]]:
        for one in wanted:
            self.asked.append(one.digest)
            yield self._chunks(self.blobs[one.digest])

    def _chunks(self, data: bytes | Exception) -> Iterator[memoryview]:
        if isinstance(data, Exception):
            raise data
        self._buffer[: len(data)] = data
        half = len(data) // 2
        yield memoryview(self._buffer)[:half]
        yield memoryview(self._buffer)[half : len(data)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_arrives_and_is_kept(tmp_path: Path) -> None:
    kept: dict[Digest, bytes] = {}
    place = Destination(
        tmp_path / "back",
        Source(),
        keep=lambda digest, path: kept.update({digest: Path(path).read_bytes()}),
        parallel=True,
    )
    place.receive_folder(DIGEST, MANIFEST, force=False)
    assert content(tmp_path / "back") == FILES
    assert (tmp_path / "back" / "d").is_dir()
    assert os.access(tmp_path / "back" / "c" / "7", os.X_OK)
    assert not os.access(tmp_path / "back" / "c" / "8", os.X_OK)
    assert kept == {digest_of(data): data for data in FILES.values()}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all calls that write."""
    found: list[int] = []
    written = os.write

    def write(descriptor: int, data: bytes | memoryview) -> int:
        found.append(len(data))
        return written(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    return found


def test_no_call_of_a_pull_writes_more_than_is_fast(tmp_path: Path, sizes: list[int]) -> None:
    Destination(tmp_path / "back", Source(), parallel=True).receive_folder(DIGEST, MANIFEST, force=False)
    assert max(sizes) == WRITE_BYTES < KEEP_BYTES // 2
    assert content(tmp_path / "back") == FILES


def test_no_call_of_an_export_or_an_import_writes_more_than_is_fast(tmp_path: Path, sizes: list[int]) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(os.urandom(2 * CHUNK_BYTES))
    with mreg.open_registry() as registry:
        registry.push(source, name="classifier")
        sizes.clear()
        exported = registry.export("classifier")
        assert (max(sizes), sum(sizes) >= exported.size_bytes) == (WRITE_BYTES, True)
        sizes.clear()
        registry.import_bundle("classifier.mreg", "copy")
    assert max(sizes) == WRITE_BYTES


@pytest.mark.parametrize("path", ["0", "a/b/49", "a/large", "z-large"])
@pytest.mark.parametrize("how", ["other bytes", "too short", "too long", "unavailable"])
def test_a_file_that_does_not_arrive_leaves_no_folder(path: str, how: str, tmp_path: Path) -> None:
    ways: dict[str, bytes | Exception] = {
        "other bytes": bytes(byte ^ 1 for byte in FILES[path]),
        "too short": FILES[path][:-1],
        "too long": FILES[path] + b"x",
        "unavailable": Unavailable("the store is gone"),
    }
    place = Destination(tmp_path / "back", Source({path: ways[how]}), parallel=True)
    with pytest.raises(Unavailable if how == "unavailable" else Corrupt):
        place.receive_folder(DIGEST, MANIFEST, force=False)
    assert not (tmp_path / "back").exists()


@pytest.mark.skipif(os.name == "nt", reason="an interrupted pull is not resumed on Windows")
def test_what_was_written_before_a_failure_is_not_fetched_again(tmp_path: Path) -> None:
    place = Destination(tmp_path / "back", Source({"z-large": Unavailable("gone")}), resumable=True, parallel=True)
    with pytest.raises(Unavailable):
        place.receive_folder(DIGEST, MANIFEST, force=False)
    source = Source()
    Destination(tmp_path / "back", source, resumable=True, parallel=True).receive_folder(DIGEST, MANIFEST, force=False)
    assert source.asked == [digest_of(FILES["z-large"])]
    assert content(tmp_path / "back") == FILES


def test_the_calls_of_all_items_that_were_read_are_finished_after_a_failure() -> None:
    ended: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError(28, "no space")

    def work(number: int) -> None:
        reading.wait(60)
        ended.append(number)

    reading = threading.Event()
    under_way = in_order(work, items(), at_once=2, awaited=True)
    threading.Timer(0.05, reading.set).start()
    with pytest.raises(OSError, match="no space"):
        list(under_way)
    assert sorted(ended) == [0, 1, 2]
