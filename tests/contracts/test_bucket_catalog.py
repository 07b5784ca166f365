from __future__ import annotations

from pathlib import Path

import pytest

from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.database import Database
from mreg.testing.catalog import CatalogContract
from tests.servers import Place, bucket_of


class TestBucketCatalog(CatalogContract):
    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place
        self.count = 0

    def database(self, folder: Path) -> Database:
        self.count += 1
        return BucketDatabase(bucket_of(self.place), f"{self.count}.db", str(folder))
