"""A server of the fault tests, and a bad network before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.remote import blobs, connection
from tests.proxy import Proxy
from tests.serving import OpenClient, Serving, clients, serving_a_folder


@pytest.fixture(scope="module")
def served(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving_a_folder(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture
def line(served: Serving) -> Iterator[Proxy]:
    """The connection to the server."""
    made = Proxy(served.port)
    yield made
    made.stop()


@pytest.fixture
def open_client(served: Serving, line: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenClient]:
    """Opens registries over the line, which retry at once."""
    monkeypatch.setattr(blobs, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "BACKOFF_SECONDS", 0.01)
    with clients(served, line.endpoint) as found:
        yield found


@pytest.fixture
def name() -> str:
    """The name of a model that no other test has."""
    return f"m{os.urandom(16).hex()}"
