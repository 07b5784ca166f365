from __future__ import annotations

from pathlib import Path

import pytest

from mreg.catalog.database import Database
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.testing.catalog import CatalogContract
from tests.servers import PostgresqlServer


class TestPostgresqlCatalog(CatalogContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgresql: PostgresqlServer) -> None:
        self.server = postgresql

    def database(self, folder: Path) -> Database:
        return PostgresqlDatabase(self.server.new_catalog())
