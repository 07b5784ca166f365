from __future__ import annotations

from pathlib import Path

from mreg.catalog.database import Database
from mreg.catalog.sqlite import SqliteDatabase
from mreg.testing.catalog import CatalogContract


class TestSqliteCatalog(CatalogContract):
    def database(self, folder: Path) -> Database:
        return SqliteDatabase(folder / "catalog.db")
