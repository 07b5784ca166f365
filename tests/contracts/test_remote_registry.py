"""Registries behind a real server process: over SQLite and a folder, and over PostgreSQL and a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import mreg
from mreg.registry.remote import RemoteRegistry
from mreg.remote.connection import Connection
from mreg.results.profiles import Profile
from mreg.testing.registry import Open, RegistryContract
from tests.serving import Serving


class OverHttp(RegistryContract):
    """A client of the server in ``served``."""

    @pytest.fixture
    def open_as(self, served: Serving) -> Iterator[Open]:
        opened: list[mreg.Registry] = []

        def open_one(user: str, **options: Any) -> mreg.Registry:
            secret = served.secrets[user]
            profile = Profile(name="team", catalog="", artifacts="")
            connection = Connection(served.url, token=lambda: secret)
            opened.append(RemoteRegistry(connection, profile, **options))  # type: ignore[abstract]
            return opened[-1]

        yield open_one
        for registry in opened:
            registry.close()


class TestOverSqliteAndAFolder(OverHttp):
    @pytest.fixture
    def served(self, over_a_folder: Serving) -> Serving:
        return over_a_folder


class TestOverPostgresqlAndABucket(OverHttp):
    @pytest.fixture
    def served(self, over_a_bucket: Serving) -> Serving:
        return over_a_bucket
