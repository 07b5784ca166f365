"""Azure Blob Storage, as artifact store and for the catalog, by the same contracts as every other place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.artifacts.backend import BlobBackend, SupportsParts, SupportsStreams
from mreg.artifacts.objects import BlockBackend
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.database import Database
from mreg.errors import Unavailable
from mreg.testing.blob_backend import BlobBackendContract, key_of
from mreg.testing.catalog import CatalogContract
from tests.conftest import ON_AZURE
from tests.contracts.test_bucket_database import BucketDatabaseContract
from tests.servers import Place, bucket_of


@ON_AZURE
class TestAzureBackend(BlobBackendContract):
    @pytest.fixture
    def backend(self, place: Place) -> BlockBackend:
        self.place = place
        return BlockBackend(bucket_of(place))

    def raw(self, backend: BlobBackend, key: str) -> bytes | None:
        try:
            return self.place.read(key)
        except KeyError:
            return None

    def leftovers(self, backend: BlobBackend) -> list[str]:
        return self.place.uploads()

    def test_a_large_blob_is_stored_as_a_stream_once(self, backend: BlobBackend) -> None:
        assert isinstance(backend, SupportsStreams)
        assert not isinstance(backend, SupportsParts)
        data = os.urandom(20_000_000)
        pieces = [data[start : start + 1_000_003] for start in range(0, len(data), 1_000_003)]
        assert backend.put_stream(key_of(data), len(data), lambda: iter(pieces))
        assert self.raw(backend, key_of(data)) == data
        assert not backend.put_stream(key_of(data), len(data), lambda: iter(pieces))
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


@ON_AZURE
class TestAzureDatabase(BucketDatabaseContract):
    """A catalog in a container."""


@ON_AZURE
class TestAzureCatalog(CatalogContract):
    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place
        self.count = 0

    def database(self, folder: Path) -> Database:
        self.count += 1
        return BucketDatabase(bucket_of(self.place), f"{self.count}.db", str(folder))
