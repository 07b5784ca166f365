from __future__ import annotations

from collections.abc import Iterator

import pytest

from mreg.catalog.redis import RedisObject
from mreg.catalog.versioned import VersionedObject
from mreg.domain.password import Password
from mreg.domain.redis_url import parse_redis_url
from mreg.testing.versioned import VersionedObjectContract
from tests.servers import RedisServer


class TestRedisObject(VersionedObjectContract):
    @pytest.fixture(autouse=True)
    def _place(self, redis_server: RedisServer) -> Iterator[None]:
        self.server = redis_server
        self.url, _ = parse_redis_url(redis_server.new_catalog())
        self.opened: list[VersionedObject] = []
        yield
        for one in self.opened:
            one.close()

    def open(self) -> VersionedObject:
        self.opened.append(RedisObject(self.url, Password()))
        return self.opened[-1]

    def names(self) -> list[str]:
        found = self.server.run("KEYS", f"{self.url.key}*")
        return sorted(key.decode().removeprefix(self.url.key) for key in found)
