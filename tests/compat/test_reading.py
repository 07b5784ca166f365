"""Reading a catalog of a past release leaves every byte of it as it was, so that the past release can still use it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mreg.catalog.schema import SCHEMA
from tests.conftest import Mreg
from tests.hostile import snapshot

HERE = Path(__file__).parent
PAST = range(1, SCHEMA)

READING = [
    ["list"], ["show", "classifier"], ["show", "classifier@1"], ["compare", "classifier@1", "classifier@2"],
    ["pull", "classifier@2", "out"], ["history", "classifier"], ["history", "classifier", "--at", "2099-01-01"],
    ["search", "metrics.accuracy > 0"], ["export", "classifier@2", "-o", "classifier.mreg"], ["verify"], ["doctor"],
    ["why", "classifier@1"], ["lineage", "classifier@2"], ["approvals"], ["policy", "show"], ["audit", "verify"],
    ["deployments", "classifier"], ["gc"], ["backup", "backup.db"], ["delete", "classifier@2", "--force", "--dry-run"],
    ["promote", "classifier@2", "--to", "staging", "--plan"], ["profile", "show"], ["upgrade", "--check"],
]  # fmt: skip


@pytest.fixture(params=PAST)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a past release's store, which the environment names."""
    folder = tmp_path / "store"
    shutil.copytree(HERE / f"schema-{request.param}", folder)
    monkeypatch.setenv("MREG_CATALOG", str(folder / "catalog.db"))
    return folder


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_reading_command_changes_no_byte_of_an_older_store(store: Path, command: Mreg, words: list[str]) -> None:
    before = snapshot(store)
    done = command(*words)
    assert done.code == 0, done.err
    assert snapshot(store) == before


def test_completion_changes_no_byte_of_an_older_store(
    store: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(store)
    monkeypatch.setenv("_MREG_COMPLETE", "bash")
    assert command("mreg show cl").out == "assifier\n"
    assert snapshot(store) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions")
def test_an_older_catalog_that_may_only_be_read_is_read(store: Path, command: Mreg) -> None:
    (store / "catalog.db").chmod(0o444)
    store.chmod(0o555)
    before = snapshot(store)
    try:
        assert command("show", "classifier@2", "-q").out == "classifier@2\n"
        assert snapshot(store) == before
    finally:
        store.chmod(0o755)
