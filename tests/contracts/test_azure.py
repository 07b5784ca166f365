"""Azure Blob Storage, as artifact store and for the catalog, by the same contracts as every other place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mreg.artifacts.backend import BlobBackend
from mreg.artifacts.objects import BlockBackend
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.database import Database
from mreg.testing.blob_backend import StreamsContract
from mreg.testing.catalog import CatalogContract
from tests.conftest import ON_AZURE
from tests.contracts.test_bucket_database import BucketDatabaseContract
from tests.servers import Place, bucket_of


@ON_AZURE
class TestAzureBackend(StreamsContract):
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
