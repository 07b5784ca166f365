"""What every blob backend must do; subclass it with a fixture ``backend`` and ways around the backend."""

from __future__ import annotations

import abc
import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.artifacts.backend import BlobBackend
from mreg.errors import NotFound


def key_of(data: bytes) -> str:
    """A key as `ArtifactStore` makes it."""
    value = hashlib.sha256(data).hexdigest()
    return f"blobs/sha256/{value[:2]}/{value[2:]}"


class BlobBackendContract(abc.ABC):
    """Laws of `BlobBackend`. What is there is looked at around the backend, by `raw` and `overwrite`."""

    @abc.abstractmethod
    def raw(self, backend: BlobBackend, key: str) -> bytes | None:
        """The bytes under a key, not by the backend."""

    @abc.abstractmethod
    def leftovers(self, backend: BlobBackend) -> list[str]:
        """Everything that is kept under no key."""

    def test_what_was_put_is_there(self, backend: BlobBackend) -> None:
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
        assert not backend.put_if_absent("blobs/sha256/aa/bb", b"second")
        assert self.raw(backend, "blobs/sha256/aa/bb") == b"first"
        assert self.leftovers(backend) == []

    def test_putting_again_counts_as_put_anew(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"x"), b"x")
        before = backend.stat(key_of(b"x"))
        backend.put_if_absent(key_of(b"x"), b"x")
        after = backend.stat(key_of(b"x"))
        assert before is not None
        assert after is not None
        assert after.modified >= before.modified
        assert backend.renew(key_of(b"x"))
        assert not backend.renew(key_of(b"y"))

    def test_an_absent_blob_is_not_found(self, backend: BlobBackend) -> None:
        assert backend.stat(key_of(b"x")) is None
        with pytest.raises(NotFound):
            backend.open(key_of(b"x"))
        assert list(backend.list("blobs/")) == []
        backend.delete(key_of(b"x"))

    def test_reading_may_begin_anywhere(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"hello"), b"hello")
        with backend.open(key_of(b"hello"), 2) as stream:
            assert stream.read() == b"llo"
        with backend.open(key_of(b"hello"), 5) as stream:
            assert stream.read() == b""

    def test_a_file_is_put_as_it_is(self, backend: BlobBackend, tmp_path: Path) -> None:
        data = b"0123456789" * 300_000
        (tmp_path / "big").write_bytes(data)
        assert backend.put_if_absent(key_of(data), tmp_path / "big")
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []

    def test_many_are_put_and_the_new_ones_counted(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"0"), b"0")
        blobs = [(key_of(data), data) for data in (str(number).encode() for number in range(20))]
        assert backend.put_many_if_absent([*blobs, blobs[3]]) == 19
        assert backend.put_many_if_absent(blobs) == 0
        assert backend.put_many_if_absent([]) == 0
        assert all(self.raw(backend, key) == data for key, data in blobs)
        assert self.leftovers(backend) == []

    def test_the_list_holds_what_begins_with_the_prefix(self, backend: BlobBackend) -> None:
        for key in ("blobs/sha256/aa/1", "blobs/sha256/ab/2", "other/x"):
            backend.put_if_absent(key, b"x")
        assert {key for key, _ in backend.list("blobs/")} == {"blobs/sha256/aa/1", "blobs/sha256/ab/2"}
        assert {key for key, _ in backend.list("blobs/sha256/aa/")} == {"blobs/sha256/aa/1"}

    def test_a_deleted_blob_is_gone_and_can_be_put_again(self, backend: BlobBackend) -> None:
        backend.put_if_absent(key_of(b"x"), b"x")
        backend.delete(key_of(b"x"))
        assert self.raw(backend, key_of(b"x")) is None
        assert backend.put_if_absent(key_of(b"x"), b"x")

    def test_of_many_at_once_one_puts(self, backend: BlobBackend) -> None:
        data = b"same" * 10_000
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda _: backend.put_if_absent(key_of(data), data), range(32)))
        assert won.count(True) == 1
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
    @given(chunks=st.lists(st.binary(max_size=50), max_size=5))
    def test_staged_bytes_appear_whole_under_their_key(self, backend: BlobBackend, chunks: list[bytes]) -> None:
        if not backend.abilities.stages:
            return
        data = b"".join(chunks)
        with backend.stage() as staged:
            for chunk in chunks:
                staged.write(chunk)
            backend.put_if_absent(key_of(data), staged)
        assert self.raw(backend, key_of(data)) == data
        assert self.leftovers(backend) == []

    def test_what_was_staged_and_not_put_is_gone(self, backend: BlobBackend) -> None:
        if not backend.abilities.stages:
            return
        with backend.stage() as staged:
            staged.write(b"x")
        assert self.leftovers(backend) == []
        assert list(backend.list("blobs/")) == []
