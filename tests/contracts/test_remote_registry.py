"""Registries behind a real server process: over SQLite and a folder, and over PostgreSQL and a bucket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mreg.testing.registry import Open, RegistryContract
from tests.serving import Serving, clients


class OverHttp(RegistryContract):
    """A client of the server in ``served``."""

    @pytest.fixture
    def open_as(self, served: Serving) -> Iterator[Open]:
        with clients(served) as open_one:
            yield open_one


class TestOverSqliteAndAFolder(OverHttp):
    @pytest.fixture
    def served(self, over_a_folder: Serving) -> Serving:
        return over_a_folder


class TestOverPostgresqlAndABucket(OverHttp):
    @pytest.fixture
    def served(self, over_a_bucket: Serving) -> Serving:
        return over_a_bucket
