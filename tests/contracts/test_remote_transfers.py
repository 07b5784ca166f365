"""Pushes and pulls over a real server process: over a folder, through it to a bucket, and directly to the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import mreg
from mreg.testing.transfers import Open, TransferContract
from tests.serving import Serving, clients


class OverHttp(TransferContract):
    """A client of the server in ``served``."""

    @pytest.fixture
    def open_as(self, served: Serving) -> Iterator[Open]:
        with clients(served) as open_one:
            yield open_one

    def test_fsspec_opens_a_file_of_a_version(self, registry: mreg.Registry, name: str, folder: Path) -> None:
        from mreg.filesystem import MregFileSystem

        registry.push(folder, name=name)
        system = MregFileSystem(registry=registry, skip_instance_cache=True)
        assert system.cat(f"mreg://{name}@1/layers/0.bin") == (folder / "layers/0.bin").read_bytes()
        assert f"{name}@1/weights.bin" in system.ls(f"mreg://{name}@1", detail=False)


class TestOverSqliteAndAFolder(OverHttp):
    @pytest.fixture
    def served(self, over_a_folder: Serving) -> Serving:
        return over_a_folder


class TestOverPostgresqlAndABucket(OverHttp):
    @pytest.fixture
    def served(self, over_a_bucket: Serving) -> Serving:
        return over_a_bucket


class TestDirectlyWithABucket(OverHttp):
    @pytest.fixture
    def served(self, over_a_bucket_directly: Serving) -> Serving:
        return over_a_bucket_directly

    @pytest.fixture(autouse=True)
    def _never_through_the_server(self, notes: list[str]) -> Iterator[None]:
        """No test may pass because its bytes went through the server after a failure."""
        yield
        assert [note for note in notes if "not directly" in note] == []
