from __future__ import annotations

from collections.abc import Iterator

import pytest

from mreg.catalog.database import Database
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.testing.database import DatabaseContract
from tests.servers import PostgresqlServer


class TestPostgresqlDatabase(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _place(self, postgresql: PostgresqlServer) -> Iterator[None]:
        self.url = postgresql.new_catalog()
        self.opened: list[Database] = []
        yield
        for database in self.opened:
            database.close()

    def open(self) -> Database:
        self.opened.append(PostgresqlDatabase(self.url))
        return self.opened[-1]

    def test_reading_makes_nothing(self, postgresql: PostgresqlServer) -> None:
        self.test_a_new_place_is_an_empty_catalog()
        name = self.url.partition("@/")[2].partition("?")[0]
        assert postgresql.sql("SELECT to_regnamespace('mreg')", database=name) == [(None,)]
