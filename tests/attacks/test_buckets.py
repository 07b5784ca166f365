"""Catalog objects that another person put into a bucket."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mreg.catalog import local_copy, packing
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.local_copy import LocalCopy
from mreg.catalog.packing import pack, unpack
from mreg.errors import Corrupt, Unavailable
from tests.attacks.sqlite_files import make_catalog
from tests.hostile import attack, plant, untouched
from tests.servers import Place, bucket_of


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "catalog.db"
    make_catalog(path)
    return path.read_bytes()


def bomb(size: int = 300 << 20) -> bytes:
    """A gzip object that begins as a SQLite file and inflates to many bytes."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    found = packing.compress(b"SQLite format 3\0")
    for _ in range(size >> 20):
        found += packing.compress(bytes(1 << 20))
    return found + packing.flush()


OBJECTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a bomb": (lambda _: bomb(), "decompress to more than"),
    "two members": (lambda file: pack(file) + pack(file), "extra bytes after its gzip data"),
    "trailing bytes": (lambda file: pack(file) + b"x", "extra bytes after its gzip data"),
    "cut": (lambda file: pack(file)[:-9], "its gzip data is incomplete"),
    "cut in the checksum": (lambda file: pack(file)[:-3], "its gzip data is incomplete"),
    "a wrong checksum": (lambda file: pack(file)[:-8] + b"abcd" + pack(file)[-4:], "incorrect data check"),
    "a wrong length": (lambda file: pack(file)[:-4] + b"abcd", "incorrect length check"),
    "empty": (lambda _: b"", "not a SQLite file"),
    "an empty member": (lambda _: gzip.compress(b""), "not a SQLite file"),
    "text": (lambda _: gzip.compress(b"hello" * 1000), "not a SQLite file"),
    "half a catalog": (lambda file: pack(file[:50_000]), "database disk image is malformed"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_is_not_a_catalog_is_refused_in_bounded_memory(kind: str, file: bytes, tmp_path: Path) -> None:
    make, message = OBJECTS[kind]
    data = make(file)
    if kind == "half a catalog":
        assert b"".join(unpack(data, "s3://b/c")) == file[:50_000]
        return
    copy = LocalCopy(str(tmp_path), "s3://b/c")
    tracemalloc.start()
    try:
        with pytest.raises(Corrupt, match=message):
            copy.receive('"1"', lambda: unpack(data, "s3://b/c"))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert os.listdir(copy.folder) == []


@pytest.mark.parametrize("words", [("list",), ("doctor",), ("tag", "one0@1", "a=b")], ids=lambda words: words[0])
def test_a_bomb_in_a_bucket_ends_in_an_error(
    words: tuple[str, ...], place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("catalog.db", bomb())
    monkeypatch.setenv("MREG_CATALOG", f"{place.url}/catalog.db")
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    plant(tmp_path)
    with untouched(tmp_path):
        outcome = attack(*words)
    assert outcome.code == 6, outcome
    assert "decompress to more than" in outcome.text


def test_a_catalog_with_a_view_in_a_bucket_is_refused(place: Place, file: bytes, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "catalog.db"
    path.write_bytes(file)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = DELETE")
    raw.execute("CREATE VIEW v AS SELECT 1")
    raw.close()
    place.write("catalog.db", pack(path.read_bytes()))
    database = BucketDatabase(bucket_of(place), "catalog.db", str(tmp_path / "copies"))
    for action in (database.read, database.write):
        with pytest.raises(Corrupt, match="it has an unexpected 'view' 'v'"):
            action(lambda connection: connection.one("models.by_name", name="x"))
    database.close()


def test_an_object_over_the_limit_is_not_read(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.catalog import bucket

    place.write("catalog.db", b"x" * 2000)
    monkeypatch.setattr(bucket, "LARGEST_OBJECT", 1999)
    database = BucketDatabase(bucket_of(place), "catalog.db", str(tmp_path / "copies"))
    with pytest.raises(Corrupt, match="is too large: 2,000 bytes; the limit is 1,999"):
        database.read(lambda connection: connection.one("models.by_name", name="x"))
    database.close()


def test_where_the_disk_is_full_a_small_catalog_is_read_and_a_large_one_refused(
    file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    copy = LocalCopy(str(tmp_path), "s3://b/c")
    assert copy.receive('"1"', lambda: unpack(pack(file), "s3://b/c")).data == file
    monkeypatch.setattr(local_copy, "IN_MEMORY", 1000)
    with pytest.raises(Unavailable, match="No space left on device") as caught:
        copy.receive('"1"', lambda: unpack(pack(file), "s3://b/c"))
    assert "df -h" in caught.value.hint
    assert os.listdir(copy.folder) == []


def test_a_catalog_larger_than_the_limit_is_refused(file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST_FILE", 10_000)

    def pieces() -> Iterator[bytes]:
        return unpack(pack(file), "s3://b/c")

    with pytest.raises(Corrupt, match="decompress to more than 10,000"):
        list(pieces())
