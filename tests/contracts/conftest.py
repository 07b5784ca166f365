"""Servers of the contract tests of a remote registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresqlServer, Store, new_place
from tests.serving import Serving, serving, serving_a_folder


@pytest.fixture(scope="module")
def over_a_folder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server over SQLite and a folder."""
    with serving_a_folder(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def over_a_bucket(
    postgresql: PostgresqlServer, s3_server: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server over PostgreSQL and a bucket."""
    place = new_place(s3_server)
    variables = {
        **s3_server.environment(),
        "MREG_CATALOG": postgresql.new_catalog(),
        "MREG_ARTIFACTS": place.url,
        "MREG_ENDPOINT_URL": place.endpoint,
    }
    with serving(tmp_path_factory.mktemp("served"), variables) as found:
        yield found


@pytest.fixture(scope="module")
def over_a_bucket_directly(
    people: Path, s3_server: Store, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A server over SQLite and a bucket, whose clients may use the bucket by presigned URLs."""
    place, folder = new_place(s3_server), tmp_path_factory.mktemp("served")
    variables = {
        **s3_server.environment(),
        "MREG_CATALOG": str(folder / "catalog.db"),
        "MREG_ARTIFACTS": place.url,
        "MREG_ENDPOINT_URL": place.endpoint,
    }
    with serving(folder, variables, "--direct") as found:
        yield found
