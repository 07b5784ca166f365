"""Many processes that do everything at once: afterwards the audit trail explains the catalog, and no promise is broken."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mreg.domain.events import first_broken, stages_at
from mreg.domain.model import ModelStage
from mreg.registry.local import LocalRegistry
from mreg.results.models import ModelVersions
from tests.conftest import EVERY_PROVIDER, FULL, local_registry
from tests.faults.living import live
from tests.forking import start_function
from tests.servers import Place

WORKERS, STEPS = (8, 120) if FULL else (4, 30)
IN_BUCKET = (6, 40) if FULL else (3, 10)
"""Workers and steps where the catalog is in a bucket."""


def run(registry: LocalRegistry, workers: int, steps: int) -> None:
    """Let the workers live, then hold what they left against its audit trail."""
    lives = [start_function(live, seed, steps, log=f"log-{seed}") for seed in range(1, workers + 1)]
    codes = [one.wait() for one in lives]
    assert codes == [0] * workers, [Path(f"log-{seed}").read_text() for seed in range(1, workers + 1)]
    session = registry._session
    events = session.catalog.read(lambda reader: reader.events(newest_first=False))
    assert first_broken(events) is None
    assert len(events) > workers * steps / 4  # much was done, and not only refused
    registry.backup("backup.db")
    raw = sqlite3.connect("backup.db")
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    counted = "(SELECT count(*) FROM versions WHERE versions.model_id = models.model_id)"
    assert raw.execute(f"SELECT model_id FROM models WHERE version_count <> {counted}").fetchall() == []
    raw.close()
    # A number under a name was given once, and two were never in a stage at the same time.
    given: set[tuple[str, int]] = set()
    there: dict[tuple[int, str], set[int]] = {}
    for event in events:
        if event.action == "version.pushed":
            assert event.version is not None
            assert (event.model, event.version) not in given
            given.add((event.model, event.version))
        elif event.action == "version.stage_changed":
            assert event.version is not None
            there.setdefault((event.model_id, str(event.details["from"])), set()).discard(event.version)
            entered = there.setdefault((event.model_id, str(event.details["to"])), set())
            entered.add(event.version)
            if event.details["to"] in ("Staging", "Production"):
                assert len(entered) == 1
        elif event.action == "version.deleted":
            for versions in (there[key] for key in there if key[0] == event.model_id):
                versions.discard(event.version or 0)
    # What is there is what the events say.
    for summary in registry.models():
        shown = registry.show(summary.model.name.value)
        assert isinstance(shown, ModelVersions)
        now: dict[ModelStage, tuple[int, ...]] = {}
        for version in reversed(shown.versions):
            now[version.stage] = (*now.get(version.stage, ()), version.version)
            session.artifacts().verify(version.artifact.digest, version.artifact.kind, version.artifact.size_bytes)
        mine = [event for event in events if event.model_id == summary.model.model_id]
        assert stages_at(mine) == now


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_crowd_leaves_a_catalog_that_its_audit_trail_explains(registry: LocalRegistry) -> None:
    run(registry, WORKERS, STEPS)
    assert list(Path(registry.profile.artifacts, "tmp").iterdir()) == []


@pytest.mark.campaign
@pytest.mark.timeout(900)
@EVERY_PROVIDER
def test_a_crowd_leaves_such_a_catalog_in_a_bucket(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    with local_registry() as registry:
        run(registry, *IN_BUCKET)
    assert bucket.uploads() == []
    assert not [key for key in bucket.keys("") if "probe" in key]
