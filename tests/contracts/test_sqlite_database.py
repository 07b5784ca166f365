from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.catalog.database import Database
from mreg.catalog.sqlite import SqliteDatabase
from mreg.testing.database import DatabaseContract


class TestSqliteDatabase(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "deep" / "catalog.db"
        self.path.parent.mkdir()
        self.opened: list[Database] = []
        yield
        for database in self.opened:
            database.close()

    def open(self) -> Database:
        self.opened.append(SqliteDatabase(self.path))
        return self.opened[-1]

    def test_reading_makes_nothing(self) -> None:
        self.test_a_new_place_is_an_empty_catalog()
        assert not list(self.path.parent.iterdir())

    def test_nothing_is_left_beside_a_closed_catalog(self) -> None:
        database = self.open()
        self.test_other_clients_read_a_write()
        database.close()
        for one in self.opened:
            one.close()
        assert [path.name for path in self.path.parent.iterdir()] == ["catalog.db"]
