"""Contract tests of blob backends."""

from __future__ import annotations

import abc
import hashlib
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.artifacts.backend import BlobBackend, Part, SupportsParts, SupportsStaging, SupportsStreams
from mreg.artifacts.parts import measured
from mreg.artifacts.source import source_file
from mreg.errors import Conflict, NotFound, Unavailable


def key_of(data: bytes) -> str:
    """Return the key that `ArtifactStore` uses for a blob."""
    value = hashlib.sha256(data).hexdigest()
    return f"blobs/sha256/{value[:2]}/{value[2:]}"


def file_and_parts(folder: Path, data: bytes) -> tuple[Path, tuple[Part, ...]]:
    """Write a file, and return its path and its parts as a push computes them."""
    path = folder / "large.bin"
    path.write_bytes(data)
    return path, measured(source_file(str(path)), lambda _count: None)[1]


def section(path: Path, part: Part) -> BinaryIO:
    """Return a stream of the current bytes of a part."""
    return io.BytesIO(path.read_bytes()[part.start : part.start + part.size])


class BlobBackendContract(abc.ABC):
    """Contract of `BlobBackend`; needs a fixture ``backend``. `raw` and `leftovers` bypass the backend."""

    @abc.abstractmethod
    def raw(self, backend: BlobBackend, key: str) -> bytes | None:
        """Return the stored bytes of a key without the backend; None if it does not exist."""

    @abc.abstractmethod
    def leftovers(self, backend: BlobBackend) -> list[str]:
        """Return the stored objects that are not blobs, such as temporary files."""

    def test_a_mark_is_an_empty_blob_that_can_be_renewed(self, backend: BlobBackend) -> None:
        key = "uploads/a/b/c-1"
        for _ in range(2):
            backend.mark(key)
            assert [(name, found.size) for name, found in backend.list("uploads/")] == [(key, 0)]
        first = backend.stat(key)
        backend.mark(key)
        second = backend.stat(key)
        assert first is not None
        assert second is not None
        assert second.modified >= first.modified
        backend.delete(key)
        assert list(backend.list("uploads/")) == []

    def test_many_marks_are_set_and_renewed_at_once(self, backend: BlobBackend) -> None:
        keys = [f"uploads/{folder}/b/{number}-1" for number in range(3) for folder in "ac"]
        for _ in range(2):
            backend.mark_many(iter(keys))
            assert sorted(name for name, _ in backend.list("uploads/")) == sorted(keys)
        backend.mark_many(())

    def test_a_blob_that_was_put_can_be_read(self, backend: BlobBackend) -> None:
        assert backend.put_if_absent(key_of(b"x"), b"x")
        assert self.raw(backend, key_of(b"x")) == b"x"
        with backend.open(key_of(b"x")) as stream:
            assert stream.read() == b"x"
        stat = backend.stat(key_of(b"x"))
        assert stat is not None
        assert stat.size == 1
        assert stat.modified.tzinfo is not None

    def test_an_existing_blob_is_never_overwritten(self, backend: BlobBackend) -> None:
        assert backend.put_if_absent("blobs/sha256/aa/bb", b"first")
        assert not backend.put_if_absent("blobs/sha256/aa/bb", b"other")
        assert self.raw(backend, "blobs/sha256/aa/bb") == b"first"
        assert self.leftovers(backend) == []

    def test_an_absent_blob_is_not_found(self, backend: BlobBackend) -> None:
        assert backend.stat(key_of(b"x")) is None
        with pytest.raises(NotFound):
            backend.open(key_of(b"x"))
        assert list(backend.list("blobs/")) == []
        backend.delete(key_of(b"x"))

    def test_a_blob_can_be_read_from_any_offset(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"hello"), b"hello")
        with backend.open(key_of(b"hello"), 2) as stream:
            assert stream.read() == b"llo"
        with backend.open(key_of(b"hello"), 5) as stream:
            assert stream.read() == b""
        with backend.open(key_of(b"hello"), 1, 3) as stream:
            assert stream.read() == b"ell"
        with backend.open(key_of(b"hello"), 4, 9) as stream:
            assert stream.read() == b"o"
        with backend.open(key_of(b"hello"), 5, 1) as stream:
            assert stream.read() == b""

    def test_an_empty_blob_is_a_blob(self, backend: BlobBackend) -> None:
        assert backend.put_if_absent(key_of(b""), b"")
        assert self.raw(backend, key_of(b"")) == b""
        for length in (None, 1):
            with backend.open(key_of(b""), 0, length) as stream:
                assert stream.read() == b""

    def test_putting_many_blobs_counts_the_new_ones(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"0"), b"0")
        blobs = [(key_of(data), data) for data in (str(number).encode() for number in range(20))]
        assert backend.put_many_if_absent([*blobs, blobs[3]]) == 19
        assert backend.put_many_if_absent(blobs) == 0
        assert backend.put_many_if_absent([]) == 0
        assert all(self.raw(backend, key) == data for key, data in blobs)
        assert self.leftovers(backend) == []

    def test_the_list_has_the_keys_with_the_prefix(self, backend: BlobBackend) -> None:
        for key in ("blobs/sha256/aa/1", "blobs/sha256/ab/2", "other/x"):
            backend.put_if_absent(key, b"x")
        assert {key for key, _ in backend.list("blobs/")} == {"blobs/sha256/aa/1", "blobs/sha256/ab/2"}
        assert {key for key, _ in backend.list("blobs/sha256/aa/")} == {"blobs/sha256/aa/1"}

    def test_a_deleted_blob_is_gone_and_can_be_put_again(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"x"), b"x")
        backend.delete(key_of(b"x"))
        assert self.raw(backend, key_of(b"x")) is None
        assert backend.put_if_absent(key_of(b"x"), b"x")

    def test_one_of_many_concurrent_puts_wins(self, backend: BlobBackend) -> None:
        data = b"same" * 10_000
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda _: backend.put_if_absent(key_of(data), data), range(32)))
        assert won.count(True) == 1
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []


class StagingContract(BlobBackendContract):
    """Contract of a backend that accepts bytes before their key is known: `SupportsStaging`."""

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
    @given(chunks=st.lists(st.binary(max_size=50), max_size=5))
    def test_staged_bytes_become_a_complete_blob(self, backend: BlobBackend, chunks: list[bytes]) -> None:
        data = b"".join(chunks)
        assert isinstance(backend, SupportsStaging)
        with backend.stage() as staged:
            for chunk in chunks:
                staged.write(chunk)
            staged.put_if_absent(key_of(data))
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []

    def test_staged_bytes_that_are_not_put_are_discarded(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStaging)
        with backend.stage() as staged:
            staged.write(b"x")
        assert self.leftovers(backend) == []
        assert list(backend.list("blobs/")) == []

    def test_an_unfinished_upload_can_be_discarded(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStaging)
        with backend.stage() as staged:
            staged.write(b"x" * 1000)
            found = list(backend.unfinished())
            assert [unfinished.size for unfinished in found] == [1000]
            assert found[0].modified.tzinfo is not None
            backend.discard(found[0])
            backend.discard(found[0])
            assert list(backend.unfinished()) == []


class PartsContract(BlobBackendContract):
    """Contract of a backend that accepts large blobs in parts: `SupportsParts`."""

    def test_parts_become_one_blob_on_completion(self, backend: BlobBackend, tmp_path: Path) -> None:
        data = b"0123456789" * 1_200_000
        file, parts = file_and_parts(tmp_path, data)
        key = key_of(data)
        assert isinstance(backend, SupportsParts)
        upload = backend.parts(key)
        for part in reversed(parts):
            upload.put(part, section(file, part))
            assert backend.stat(key) is None
        assert list(backend.list("blobs/")) == []
        assert upload.complete(parts)
        assert self.raw(backend, key) == data
        assert self.leftovers(backend) == []

    def test_uploaded_parts_are_found_by_the_next_upload(self, backend: BlobBackend, tmp_path: Path) -> None:
        data = b"abcdefghij" * 1_200_000
        file, parts = file_and_parts(tmp_path, data)
        key = key_of(data)
        assert isinstance(backend, SupportsParts)
        backend.parts(key).put(parts[1], section(file, parts[1]))
        again = backend.parts(key)
        assert [again.has(part, section(file, part)) for part in parts] == [False, True]
        other = Part(2, parts[1].start, parts[1].size, parts[0].digest)
        assert not again.has(other, section(file, parts[0]))
        again.put(parts[0], section(file, parts[0]))
        assert again.complete(parts)
        assert not backend.parts(key).complete(parts)
        assert self.raw(backend, key) == data

    def test_a_changed_part_is_refused(self, backend: BlobBackend, tmp_path: Path) -> None:
        data = b"klmnopqrst" * 1_200_000
        file, parts = file_and_parts(tmp_path, data)
        assert isinstance(backend, SupportsParts)
        upload = backend.parts(key_of(data))
        file.write_bytes(b"x" * len(data))
        with pytest.raises(Conflict):
            upload.put(parts[0], section(file, parts[0]))
        assert backend.stat(key_of(data)) is None

    def test_an_unfinished_upload_can_be_discarded(self, backend: BlobBackend, tmp_path: Path) -> None:
        data = b"uvwxyz0123" * 1_200_000
        file, parts = file_and_parts(tmp_path, data)
        assert isinstance(backend, SupportsParts)
        upload = backend.parts(key_of(data))
        upload.put(parts[0], section(file, parts[0]))
        found = list(backend.unfinished())
        assert [unfinished.size for unfinished in found] == [parts[0].size]
        assert found[0].modified.tzinfo is not None
        backend.discard(found[0])
        backend.discard(found[0])
        assert list(backend.unfinished()) == []
        with pytest.raises(Conflict):
            upload.put(parts[1], section(file, parts[1]))
        with pytest.raises(Conflict):
            upload.complete(parts)


class StreamsContract(BlobBackendContract):
    """Contract of a backend that accepts large blobs as streams: `SupportsStreams`."""

    def test_a_large_blob_is_stored_as_a_stream_once(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStreams)
        data = os.urandom(20_000_000)
        pieces = [data[start : start + 1_000_003] for start in range(0, len(data), 1_000_003)]
        assert backend.put_stream(key_of(data), len(data), lambda: iter(pieces))
        assert self.raw(backend, key_of(data)) == data
        assert not backend.put_stream(key_of(data), len(data), lambda: iter(pieces))
        assert self.leftovers(backend) == []

    def test_streams_of_one_blob_at_once_all_succeed(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStreams)
        data, streams = os.urandom(20_000_000), backend
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: streams.put_stream(key_of(data), len(data), lambda: iter([data])), range(4)))
        assert any(made)
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []

    def test_a_stream_that_fails_is_not_stored(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStreams)

        def broken() -> Iterator[bytes]:
            for _ in range(20):
                yield os.urandom(1 << 20)
            raise KeyError("the file changed")

        with pytest.raises(KeyError, match="the file changed"):
            backend.put_stream("blobs/sha256/aa/bb", 30 << 20, broken)
        assert backend.stat("blobs/sha256/aa/bb") is None
        assert list(backend.list("")) == []

    def test_a_stream_of_another_size_is_an_error(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStreams)
        with pytest.raises(Unavailable):
            backend.put_stream("blobs/sha256/aa/bb", 100, lambda: iter([b"x" * 50]))
