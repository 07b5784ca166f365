"""Stores that past releases wrote; they must open for ever.

``schema-N`` was written by the commands of the release of that schema and is never changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mreg
from mreg.catalog.schema import SCHEMA
from mreg.domain.events import first_broken
from mreg.domain.model import ModelStage
from tests.conftest import local_registry

HERE = Path(__file__).parent
STORES = sorted(HERE.glob("schema-*"))


def test_there_is_a_store_of_every_schema() -> None:
    assert [store.name for store in STORES] == [f"schema-{number}" for number in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("store", STORES, ids=lambda path: path.name)
def test_a_store_of_a_past_release_opens_and_goes_on(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    with local_registry(catalog=str(tmp_path / "store/catalog.db")) as registry:
        model = registry.model("classifier")
        assert (model.description, model.tags, model.directions) == (
            "of schema 1",
            {"team": "fraud"},
            {"cost": "lower"},
        )
        assert (model.production_version, model.aliases, model.version_count) == (1, {"champ": 2}, 2)
        second = registry.version("classifier@champ")
        assert (second.metrics, second.tags, str(second.parent)) == ({"accuracy": 0.95}, {"a": "b"}, "classifier@1")
        registry.pull("classifier@2", tmp_path / "out")
        assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
            "a": "one\n",
            "b": "two\n",
            "c": "three\n",
        }
        events = registry._session.catalog.read(lambda reader: reader.events(newest_first=False))
        assert first_broken(events) is None
        assert events[0].actor == "ada"
        (tmp_path / "new.pkl").write_bytes(b"x")
        registry.upgrade()
        assert registry.push(tmp_path / "new.pkl", name="classifier", stage="production").version == 4
        assert registry.version("classifier@1").stage is ModelStage.ARCHIVED


def test_policies_and_decisions_of_a_past_release_hold(tmp_path: Path) -> None:
    shutil.copytree(HERE / "schema-2", tmp_path / "store")
    with local_registry(catalog=str(tmp_path / "store/catalog.db"), user="lin") as registry:
        policy = registry.policy("classifier").policy
        assert (policy.rules["Production"].override, policy.rules["best-of-all"].approvals) == (True, 1)
        registry.upgrade()
        with pytest.raises(mreg.ApprovalMissing):
            registry.set_alias("classifier@2", "best-of-all")
        (decision,) = registry.why("classifier@1").decisions
        assert (decision.target, decision.person, decision.comment) == ("Staging", "grace", "fine")
        registry.verify_audit()


def test_what_gc_removed_is_remembered(tmp_path: Path) -> None:
    shutil.copytree(HERE / "schema-4", tmp_path / "store")
    with local_registry(catalog=str(tmp_path / "store/catalog.db")) as registry:
        rows = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM removals", {}))
        assert [(str(row["digest"])[:12], row["removed"]) for row in rows] == [("4b9f2c32577b", 1)]
        assert registry.verify().problems == ()


def test_deployments_of_a_past_release_are_there(tmp_path: Path) -> None:
    shutil.copytree(HERE / "schema-3", tmp_path / "store")
    with local_registry(catalog=str(tmp_path / "store/catalog.db")) as registry:
        (deployment,) = registry.deployments("classifier")
        assert (deployment.hook, deployment.status.value, deployment.output) == ("deploy", "deployed", "deployed")
