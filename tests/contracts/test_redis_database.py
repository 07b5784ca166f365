from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.catalog.database import Database
from mreg.catalog.redis import RedisDatabase
from mreg.domain.redis_url import parse_redis_url
from mreg.testing.database import DatabaseContract
from tests.servers import RedisServer


class TestRedisDatabase(DatabaseContract):
    @pytest.fixture(autouse=True, params=["one machine", "many machines"])
    def _place(self, request: pytest.FixtureRequest, redis_server: RedisServer, tmp_path: Path) -> Iterator[None]:
        self.server = redis_server
        self.url, _ = parse_redis_url(redis_server.new_catalog())
        self.folder = tmp_path
        self.alone = request.param == "many machines"
        self.opened: list[Database] = []
        yield
        for database in self.opened:
            database.close()

    def open(self) -> Database:
        folder = self.folder / str(len(self.opened)) if self.alone else self.folder
        self.opened.append(RedisDatabase(self.url, str(folder)))
        return self.opened[-1]

    def test_reading_makes_nothing(self) -> None:
        self.test_a_new_place_is_an_empty_catalog()
        assert self.server.run("KEYS", f"{self.url.key}*") == []

    def test_nothing_is_left_beside_the_catalog(self) -> None:
        self.test_concurrent_writers_are_serialized()
        assert self.server.run("KEYS", f"{self.url.key}*") == [self.url.key.encode()]
