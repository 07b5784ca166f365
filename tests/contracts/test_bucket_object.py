from __future__ import annotations

import pytest

from mreg.catalog.bucket import BucketObject
from mreg.catalog.versioned import VersionedObject
from mreg.testing.versioned import VersionedObjectContract
from tests.conftest import EVERY_PROVIDER
from tests.servers import Place, bucket_of


@EVERY_PROVIDER
class TestBucketObject(VersionedObjectContract):
    @pytest.fixture(autouse=True)
    def _place(self, place: Place) -> None:
        self.place = place

    def open(self) -> VersionedObject:
        return BucketObject(bucket_of(self.place), "catalog.db")

    def names(self) -> list[str]:
        return sorted(key.removeprefix("catalog.db") for key in self.place.keys("catalog.db"))
