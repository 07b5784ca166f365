"""SIGKILL at random instants: the catalog stays consistent, and no version is there without its bytes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

import mreg
from mreg.domain.events import first_broken
from mreg.domain.model import ModelVersion
from mreg.registry.local import LocalRegistry
from mreg.results.models import ModelVersions
from tests.conftest import FULL, SEED, local_registry
from tests.forking import forked_mreg, start_mreg

ROUNDS = 200 if FULL else 24


def check(registry: LocalRegistry) -> list[ModelVersion]:
    """Every promise that must hold between any two commands; the versions of the model."""
    path = registry.profile.catalog
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()
    session = registry._session
    events = session.catalog.read(lambda reader: reader.events(newest_first=False))
    assert first_broken(events) is None
    shown = registry.show("m")
    assert isinstance(shown, ModelVersions)
    versions = list(shown.versions)
    assert sorted(version.version for version in versions) == list(range(1, len(versions) + 1))
    assert [event.action for event in events if event.model == "m"].count("version.pushed") == len(versions)
    assert [version.stage.value for version in versions].count("Production") <= 1
    store = session.artifacts()
    for version in versions:
        store.verify(version.artifact.digest, version.artifact.kind, version.artifact.size_bytes)
    return versions


def killed(words: list[str], delay: float) -> int:
    """Run a command and kill it after some seconds; its exit code where it was faster."""
    with open(os.devnull, "wb") as nothing:
        running = start_mreg(*words, stdout=nothing)
    try:
        return running.wait(delay)
    except subprocess.TimeoutExpired:
        running.send_signal(signal.SIGKILL)
        return running.wait()


def duration(words: list[str]) -> float:
    began = time.monotonic()
    subprocess.run([forked_mreg(), *words], check=True, capture_output=True)
    return time.monotonic() - began


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_killed_push_promote_or_pull_leaves_everything_consistent() -> None:
    chance = random.Random(SEED)
    Path("file.bin").write_bytes(os.urandom(100))
    folder = Path("folder")
    folder.mkdir()
    for number in range(40):
        (folder / str(number)).write_bytes(os.urandom(2000))
    Path("big.bin").write_bytes(os.urandom(24 << 20))
    seconds = {what: duration(["push", what, "-n", "m"]) for what in ("file.bin", "folder", "big.bin")}
    seconds["promote"] = duration(["promote", "m@1", "--to", "production"])
    out = Path("out")
    out.mkdir()
    died = {"push": 0, "promote": 0, "pull": 0}
    with local_registry() as registry:
        reported = len(check(registry))
        for number in range(ROUNDS):
            action = ("push", "promote", "pull")[number % 3]
            if action == "push":
                what = chance.choice(["file.bin", "folder", "big.bin"])
                changing = folder / "0" if what == "folder" else Path(what)
                with changing.open("r+b") as stream:
                    stream.write(os.urandom(16))
                code = killed(["push", what, "-n", "m"], chance.uniform(0, 1.2) * seconds[what])
                reported += code == 0
            elif action == "promote":
                version = chance.randint(1, reported)
                code = killed(
                    ["promote", f"m@{version}", "--to", "production"], chance.uniform(0, 1.2) * seconds["promote"]
                )
            else:
                version = chance.randint(1, reported)
                # A name for each kind: a file pulled to an existing folder would go into it.
                kind = registry.version(f"m@{version}").artifact.kind.value
                destination = out / f"{kind}-{number % 7}"
                code = killed(
                    ["pull", f"m@{version}", str(destination), "--force"], chance.uniform(0, 1.2) * seconds["big.bin"]
                )
                if destination.exists():
                    there = (
                        registry.pull(candidate.reference, destination).unchanged
                        if candidate.artifact.size_bytes == _size(destination)
                        and _same(registry, candidate, destination)
                        else False
                        for candidate in check(registry)
                    )
                    assert any(there), "something half done is at a destination"
            died[action] += code != 0
            found = len(check(registry))
            # What was reported done is there; what was killed may have been done before it could say so.
            assert found >= reported
            reported = found
        assert all(count > 0 for count in died.values()), died
        leftovers = [path for path in out.iterdir() if path.name.startswith(".")]
        for leftover in leftovers:  # the next pull to the same destination removes it
            name = leftover.name[1:].split(".mreg-")[0]
            wanted = next(version for version in check(registry) if name.startswith(version.artifact.kind.value))
            registry.pull(wanted.reference, out / name, force=True)
        assert [path for path in out.iterdir() if path.name.startswith(".")] == [], leftovers


def _size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def _same(registry: mreg.Registry, version: ModelVersion, destination: Path) -> bool:
    try:
        return registry.pull(version.reference, destination).unchanged
    except mreg.AlreadyExists:
        return False


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_killed_export_leaves_the_file_whole_and_a_killed_import_all_versions_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # a killed import can't clean up there
    chance = random.Random(SEED + 1)
    folder = Path("folder")
    folder.mkdir()
    for number in range(200):
        (folder / str(number)).write_bytes(os.urandom(2000))
    (folder / "big.bin").write_bytes(os.urandom(24 << 20))
    for _ in range(3):
        (folder / "0").write_bytes(os.urandom(100))
        subprocess.run([forked_mreg(), "push", "folder", "-n", "m"], check=True, capture_output=True)
    out = tmp_path / "out"
    out.mkdir()
    exporting = ["export", "m", "--force", "-o", str(out / "m.mreg")]
    seconds = duration(exporting)
    whole = (out / "m.mreg").read_bytes()
    importing = duration(["import", str(out / "m.mreg"), "-n", "timed"])
    died = 0
    with local_registry() as registry:
        for number in range(ROUNDS // 2):
            died += killed(exporting, chance.uniform(0, 1.2) * seconds) != 0
            assert (out / "m.mreg").read_bytes() == whole
            name = f"copy-{number}"
            died += killed(["import", str(out / "m.mreg"), "-n", name], chance.uniform(0, 1.2) * importing) != 0
            check(registry)
            versions = registry.search(f"model = '{name}'")
            assert len(versions) in (0, 3)
            for version in versions:
                registry.pull(version.reference, "pulled", force=True)
    assert died
    subprocess.run([forked_mreg(), *exporting], check=True, capture_output=True)
    assert os.listdir(out) == ["m.mreg"]
