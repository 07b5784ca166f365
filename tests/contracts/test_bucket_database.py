from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.database import Database
from mreg.testing.database import DatabaseContract
from tests.conftest import EVERY_STORE
from tests.servers import Place, bucket_of


class BucketDatabaseContract(DatabaseContract):
    @pytest.fixture(autouse=True, params=["one machine", "many machines"])
    def _place(self, request: pytest.FixtureRequest, place: Place, tmp_path: Path) -> Iterator[None]:
        self.place = place
        self.folder = tmp_path
        self.alone = request.param == "many machines"
        self.opened: list[Database] = []
        yield
        for database in self.opened:
            database.close()

    def open(self) -> Database:
        folder = self.folder / str(len(self.opened)) if self.alone else self.folder
        self.opened.append(BucketDatabase(bucket_of(self.place), "catalog.db", str(folder)))
        return self.opened[-1]

    def test_reading_makes_nothing(self) -> None:
        self.test_a_new_place_is_an_empty_catalog()
        assert self.place.keys() == []

    def test_nothing_is_left_beside_the_catalog(self) -> None:
        self.test_concurrent_writers_are_serialized()
        assert self.place.keys() == ["catalog.db"]


@EVERY_STORE
class TestBucketDatabase(BucketDatabaseContract):
    """A catalog in an S3 bucket."""
