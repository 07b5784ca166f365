from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.testing.transfers import Open, TransferContract


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the registry of all tests, which none of them creates: its user would be told so."""
    folder = tmp_path_factory.mktemp("registry")
    with mreg.open_registry(catalog=str(folder / "catalog.db"), artifacts=str(folder / "artifacts")) as registry:
        registry.register("first")
    return folder


class TestLocalRegistry(TransferContract):
    @pytest.fixture
    def open_as(self, place: Path) -> Iterator[Open]:
        opened: list[mreg.Registry] = []

        def open_one(user: str, **options: Any) -> mreg.Registry:
            catalog, artifacts = str(place / "catalog.db"), str(place / "artifacts")
            opened.append(mreg.open_registry(user=user, catalog=catalog, artifacts=artifacts, **options))
            return opened[-1]

        yield open_one
        for registry in opened:
            registry.close()
