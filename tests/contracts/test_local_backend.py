from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from mreg import linux
from mreg.artifacts.backend import BlobBackend
from mreg.artifacts.local import LocalBackend
from mreg.errors import Corrupt, Unavailable
from mreg.testing.blob_backend import StagingContract, key_of


class TestLocalBackend(StagingContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> LocalBackend:
        return LocalBackend(tmp_path / "store")

    def raw(self, backend: BlobBackend, key: str) -> bytes | None:
        path = self._root(backend) / key
        return path.read_bytes() if path.exists() else None

    def leftovers(self, backend: BlobBackend) -> list[str]:
        return [str(path) for path in (self._root(backend) / "tmp").rglob("*")]

    def _root(self, backend: BlobBackend) -> Path:
        return Path(backend.url.removeprefix("file://"))

    def test_reading_an_absent_store_makes_nothing(self, backend: LocalBackend) -> None:
        assert list(backend.list("blobs/")) == []
        assert backend.stat(key_of(b"x")) is None
        assert not self._root(backend).exists()

    def test_a_blob_can_not_be_written(self, backend: LocalBackend) -> None:
        backend.put_if_absent(key_of(b"x"), b"x")
        backend.put_many_if_absent([(key_of(b"y"), b"y")])
        for data in (b"x", b"y"):
            mode = (self._root(backend) / key_of(data)).stat().st_mode
            assert mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) == 0

    @pytest.mark.parametrize("what", ["folder", "link", "fifo"])
    def test_something_else_in_a_blobs_place_is_corrupt(self, backend: LocalBackend, what: str, tmp_path: Path) -> None:
        place = self._root(backend) / key_of(b"x")
        place.parent.mkdir(parents=True)
        if what == "folder":
            place.mkdir()
        elif what == "link":
            place.symlink_to("/etc/passwd")
        else:
            os.mkfifo(place)
        with pytest.raises(Corrupt):
            backend.open(key_of(b"x"))
        with pytest.raises(Corrupt):
            backend.put_if_absent(key_of(b"x"), b"x")

    def test_foreign_files_are_left_alone(self, backend: LocalBackend) -> None:
        backend.put_if_absent(key_of(b"x"), b"x")
        foreign = self._root(backend) / "README"
        foreign.write_text("mine")
        (self._root(backend) / "blobs" / "link").symlink_to("/etc")
        assert {key for key, _ in backend.list("blobs/")} == {key_of(b"x")}
        assert foreign.read_text() == "mine"

    @pytest.mark.parametrize("missing", ["link", "syncfs", "sync"])
    def test_it_does_without_calls_that_a_platform_lacks(
        self, backend: LocalBackend, missing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        if missing == "link":
            monkeypatch.setattr(os, "link", refuse)
        else:
            monkeypatch.setattr(linux, "_call", lambda _name: None)
            if missing == "sync":
                monkeypatch.delattr(os, "sync")
        self.test_an_existing_blob_is_never_overwritten(backend)
        self.test_putting_many_blobs_counts_the_new_ones(backend)

    def test_a_file_where_the_store_should_be_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(Unavailable) as caught:
            LocalBackend(tmp_path / "file").put_if_absent(key_of(b"x"), b"x")
        assert "cannot create " in caught.value.message
