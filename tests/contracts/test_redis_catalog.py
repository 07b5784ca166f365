from __future__ import annotations

from pathlib import Path

import pytest

from mreg.catalog.database import Database
from mreg.catalog.redis import RedisDatabase
from mreg.domain.redis_url import parse_redis_url
from mreg.testing.catalog import CatalogContract
from tests.servers import RedisServer


class TestRedisCatalog(CatalogContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def database(self, folder: Path) -> Database:
        url, _ = parse_redis_url(self.server.new_catalog())
        return RedisDatabase(url, str(folder))
