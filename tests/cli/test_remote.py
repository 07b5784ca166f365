"""Commands print the same over a server as over a local registry: output, notes, exit codes and JSON."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Mreg
from tests.serving import Serving, serving

LIFE = [
    ["list"],
    ["list", "--json"],
    ["show", "churn"],
    ["register", "churn", "--description", "who leaves", "--tag", "team=crm", "--primary-metric", "accuracy"],
    ["register", "churn"],
    ["register", "a/../b"],
    ["register", "churn-2", "--json"],
    ["show", "churn", "--json"],
    ["tag", "churn", "owner=ada"],
    ["tag", "churn", "owner=ada", "--json"],
    ["edit", "churn", "--description", "who will leave", "--json"],
    ["edit", "churn", "--primary-metric", "x" * 300],
    ["rename", "churn-2", "leavers"],
    ["rename", "churn-2", "churn"],
    ["list", "-q"],
    ["list", "--limit", "1"],
    ["list", "--format", "csv"],
    ["list", "--format", "md"],
    ["search", "accuracy > 0.9"],
    ["search", "accuracy >"],
    ["search", "accuracy > 0.9", "--json"],
    ["show", "chrun"],
    ["show", "churn@3"],
    ["show", "churn@3", "--json"],
    ["show", "churn@production"],
    ["history", "churn", "--json"],
    ["history", "churn"],
    ["why", "churn@1"],
    ["promote", "churn@1", "--to", "production"],
    ["approve", "churn@1", "--to", "production", "--json"],
    ["approvals"],
    ["approvals", "--json"],
    ["alias", "churn@1", "champion"],
    ["compare", "churn", "1", "2"],
    ["archive", "churn@1"],
    ["deployments", "churn"],
    ["policy", "show", "churn"],
    ["policy", "show", "--json"],
    ["delete", "churn"],
    ["delete", "leavers", "--yes"],
    ["delete", "churn", "--yes", "--json"],
    ["list", "--json"],
]  # fmt: skip
"""The life of a model, and commands that fail, in this order."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, {"MREG_CATALOG": str(folder / "catalog.db")}) as found:
        yield found


def without_times(text: str) -> str:
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-][\d:]+)?", "TIME", text)
    return re.sub(r'"(previous|hash)": "[0-9a-f]*"', r'"\1": HASH', text)  # of an event, with its time


def test_each_command_prints_the_same_as_over_a_local_registry(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_USER", "ada")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("catalog.db"))
    first = ["register", "churn-2", "--json"]  # this note is of a local registry alone
    assert "created the registry" in command(*first).err
    local = [command(*words) for words in LIFE]
    monkeypatch.delenv("MREG_CATALOG")
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    command(*first)
    different = {}
    for words, expected in zip(LIFE, local, strict=True):
        done = command(*words)
        found = (done.code, without_times(done.out), without_times(done.err))
        wanted = (expected.code, without_times(expected.out), without_times(expected.err))
        if found != wanted:
            different[" ".join(words)[:80]] = (wanted, found)
    assert different == {}
