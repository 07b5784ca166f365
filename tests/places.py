"""The places of a catalog, for tests of what must be the same in each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import PostgresqlServer, RedisServer, Store, new_place

KINDS = ("file", "bucket", "postgresql", "redis")

# "azure" is one more place of `catalogs_of`: it needs another MREG_ENDPOINT_URL than the bucket, so no test has both.

NewCatalog = Callable[[], str]


@pytest.fixture(params=KINDS)
def new_catalog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NewCatalog:
    """Gives the place of another empty catalog, of each kind in turn; what it needs is in the environment."""
    return catalogs_of(request.param, request, monkeypatch, tmp_path)


def catalogs_of(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: Path) -> NewCatalog:
    """Gives the place of another empty catalog of a kind."""
    if kind == "file":

        def new_file() -> str:
            made = folder / f"catalog-{os.urandom(4).hex()}"
            made.mkdir()
            return str(made / "catalog.db")

        return new_file
    if kind == "postgresql":
        postgresql: PostgresqlServer = request.getfixturevalue("postgresql")
        return postgresql.new_catalog
    if kind == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        return redis.new_catalog
    server: Store = request.getfixturevalue("azurite" if kind == "azure" else "s3_server")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MREG_ENDPOINT_URL", server.endpoint)
    return lambda: f"{new_place(server).url}/catalog.db"
