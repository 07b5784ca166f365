"""gc: what nothing needs goes, and no byte that a version or a push under way needs."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mreg
from mreg.artifacts import parallel
from mreg.artifacts.store import ArtifactStore
from mreg.catalog.catalog import Catalog
from mreg.catalog.database import Value
from mreg.domain.events import time_text
from mreg.domain.model import ModelVersion
from mreg.registry import gc, storing
from mreg.registry.local import LocalRegistry
from mreg.registry.session import Session
from tests.conftest import FULL, Mreg, local_registry
from tests.forking import Process, start_function
from tests.places import KINDS, catalogs_of
from tests.servers import new_place
from tests.upkeep.collecting import collect, push_and_delete

NOW = timedelta(0)


def blobs(registry: LocalRegistry) -> set[str]:
    return {str(digest) for digest, _ in registry._session.artifacts().blobs()}


def push(registry: LocalRegistry, text: str, name: str = "m") -> ModelVersion:
    Path("file").write_text(text)
    return registry.push("file", name=name)


def test_the_bytes_of_deleted_versions_go_and_shared_ones_stay(registry: LocalRegistry, command: Mreg) -> None:
    for text in ("one", "two", "two"):
        push(registry, text)
    os.mkdir("d")
    for name in ("one", "three"):
        Path("d", name).write_text(name)
    registry.push("d", name="f")
    registry.delete("m@1")  # its bytes are a file's of f@1
    registry.delete("m@2")  # its bytes are m@3's
    assert registry.gc(grace=NOW) == ()
    registry.delete("f@1")
    found = registry.gc(grace=NOW)
    assert [(one.kind, one.removed) for one in found] == [("unreferenced", False)] * 3
    assert registry.gc() == ()  # younger than a day
    before = blobs(registry)
    assert command("gc", "--grace", "0s").code == 0
    assert command("gc", "--grace", "0s", "--remove").code == 2  # nobody can be asked
    assert blobs(registry) == before
    assert command("gc", "--grace", "0s", "--remove", "--yes").code == 0
    assert blobs(registry) == {str(registry.version("m@3").artifact.digest)}
    assert registry.verify().problems == ()
    assert command("gc", "--grace", "-1s").code == 2


def test_what_a_push_is_about_to_put_is_left_for_an_hour(registry: LocalRegistry) -> None:
    push(registry, "one")
    left = Path(registry.profile.artifacts, "tmp", "0" * 24)
    left.write_text("on its way")
    assert registry.gc(grace=NOW, remove=True) == ()
    os.utime(left, (time.time() - 3700,) * 2)
    assert [one.kind for one in registry.gc(grace=NOW, remove=True)] == ["unfinished"]
    assert not left.exists()


def test_foreign_files_are_left_alone(registry: LocalRegistry) -> None:
    push(registry, "one")
    registry.delete("m@1")
    root = Path(registry.profile.artifacts)
    for place in ("notes.txt", "blobs/notes.txt", "blobs/sha256/zz/x", "blobs/sha256/ab/short"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text("mine")
    registry.gc(grace=NOW, remove=True)
    left = [path.name for path in root.rglob("*") if path.is_file()]
    assert sorted(left) == ["notes.txt", "notes.txt", "short", "x"]


class Between:
    """Does something once, right before a step of another's work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, place: object, step: str, work: Callable[[], object]) -> None:
        real, done = getattr(place, step), list[int]()

        def first(*words: object, **options: object) -> object:
            if not done:
                done.append(1)
                work()
            return real(*words, **options)

        monkeypatch.setattr(place, step, first)


def test_a_push_that_saw_bytes_that_went_puts_them_again(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "the same")
    registry.delete("m@1")
    with local_registry() as other:
        Between(monkeypatch, Session, "write", lambda: other.gc(grace=NOW, remove=True))
        version = push(registry, "the same")  # finds the blob there; gc takes it; the transaction is next
    registry.pull(version.reference, "out")
    assert Path("out").read_text() == "the same"
    assert registry.verify().problems == ()
    rows = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM removals", {}))
    assert rows == []


def test_bytes_that_go_one_after_the_other_are_put_again_and_no_more(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir("d")
    Path("d/x").write_text("x")
    manifest = registry.push("d", name="m").artifact.digest
    (inner,) = (file.digest for file in registry.files("m@1"))
    puts: list[int] = []
    real = ArtifactStore.put

    def put(store: ArtifactStore, *words: Any, **options: Any) -> Any:
        puts.append(1)
        if len(puts) > 9:
            raise AssertionError("put again for ever")
        stored = real(store, *words, **options)
        gone = {1: inner, 2: manifest}.get(len(puts))
        if gone is not None:
            mine: dict[str, Value] = {
                "digest": gone.value,
                "removed": 1,
                "mark": str(gone),
                "at": time_text(datetime.now(UTC)),
            }
            registry._session.write_quietly(lambda writer: writer.connection.run("removals.set", **mine))
        return stored

    monkeypatch.setattr(ArtifactStore, "put", put)
    assert registry.push("d", name="m").version == 2
    assert len(puts) == 3


def test_a_version_that_is_made_while_gc_looks_keeps_its_bytes(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "the same")
    registry.delete("m@1")
    with local_registry() as other:
        Between(monkeypatch, Session, "write_quietly", lambda: push(other, "the same"))
        assert registry.gc(grace=NOW, remove=True) == ()
    assert registry.verify().problems == ()
    assert registry.version("m@2").version == 2


def test_a_folder_that_is_deleted_and_removed_while_gc_looks_does_not_stop_it(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir("d")
    for text in ("one", "two"):
        Path("d/x").write_text(text)
        registry.push("d", name="f")
    with local_registry() as other:

        def delete() -> None:
            other.delete("f@1")
            other.gc(grace=NOW, remove=True)

        Between(monkeypatch, parallel, "in_order", delete)
        registry.gc(grace=NOW, remove=True)
    assert len(blobs(registry)) == 2
    assert registry.verify().problems == ()


def test_a_push_waits_for_a_gc_that_lives_and_not_for_a_dead_one(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push(registry, "the same").artifact.digest
    registry.delete("m@1")

    def leave_behind(age: timedelta) -> None:
        at = datetime.now(UTC) - age
        mine: dict[str, Value] = {"digest": digest.value, "removed": 0, "mark": "dead", "at": time_text(at)}
        registry._session.write_quietly(lambda writer: writer.connection.run("removals.set", **mine))

    leave_behind(NOW)
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0.3)
    with pytest.raises(mreg.Conflict, match=str(digest)):
        push(registry, "the same")
    assert registry.gc(grace=NOW, remove=True) == ()  # the other one is at it
    leave_behind(timedelta(hours=1))
    (note,) = [one for one in registry.examine() if one.state != "fine"]
    assert (note.name, note.remedy) == ("removals", "finish it: mreg gc --remove")
    version = push(registry, "the same")
    registry.pull(version.reference, "out")


def test_gc_says_when_the_first_young_blob_can_be_removed(registry: LocalRegistry, tmp_path: Path) -> None:
    version = push(registry, "young")
    blob = version.artifact.path.removeprefix("file://")
    registry.delete("m@1")
    changed = datetime.now(UTC).replace(microsecond=250_000)
    os.utime(blob, (changed.timestamp(), changed.timestamp()))
    notes: list[str] = []
    with local_registry(notice=notes.append) as opened:
        assert opened.gc(grace=timedelta(hours=1)) == ()
    (note,) = [text for text in notes if "too young" in text]
    removable = changed.replace(microsecond=0) + timedelta(hours=1, seconds=1)
    assert f"{removable:%Y-%m-%dT%H:%M:%S}Z" in note


def test_a_negative_grace_period_is_rejected(registry: LocalRegistry) -> None:
    with pytest.raises(mreg.BadInput):
        registry.gc(grace=timedelta(microseconds=-1))


def test_a_push_looks_ten_times_a_second_whether_a_running_gc_has_ended(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push(registry, "the same").artifact.digest
    registry.delete("m@1")
    noted(registry, digest.value, NOW, removed=0)
    pauses: list[float] = []
    monkeypatch.setattr(storing, "time", SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append))
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0.2)
    with pytest.raises(mreg.Conflict, match=str(digest)):
        push(registry, "the same")
    assert pauses == [0.1] * 3


def test_a_push_that_waits_for_a_running_gc_puts_the_bytes_that_gc_removes(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "the same")
    registry.delete("m@1")
    removing, go = threading.Event(), threading.Event()
    real_put, real_remove, puts = ArtifactStore.put, ArtifactStore.remove, []

    def remove(store: ArtifactStore, *words: Any, **options: Any) -> Any:
        removing.set()
        assert go.wait(60)
        return real_remove(store, *words, **options)

    def collect() -> None:
        with local_registry() as other:
            other.gc(grace=NOW, remove=True)

    collector = threading.Thread(target=collect)

    def put(store: ArtifactStore, *words: Any, **options: Any) -> Any:
        stored = real_put(store, *words, **options)
        puts.append(1)
        if len(puts) == 2:  # this put found the bytes in the store; gc removes them before the transaction
            go.set()
            collector.join()
        return stored

    monkeypatch.setattr(ArtifactStore, "remove", remove)
    monkeypatch.setattr(ArtifactStore, "put", put)
    collector.start()
    try:
        assert removing.wait(60)
        version = push(registry, "the same")
    finally:
        go.set()
        collector.join()
    assert len(puts) == 3
    registry.pull(version.reference, "out")
    assert Path("out").read_text() == "the same"
    assert registry.verify().problems == ()


MINUTE = timedelta(minutes=1)


def aged(path: Path, age: timedelta) -> None:
    os.utime(path, (time.time() - age.total_seconds(),) * 2)


def test_the_default_grace_is_24_hours(registry: LocalRegistry, command: Mreg) -> None:
    digest = push(registry, "one").artifact.digest
    registry.delete("m@1")
    (blob,) = Path(registry.profile.artifacts).rglob(f"*{digest.value[4:]}")
    aged(blob, timedelta(hours=24) - MINUTE)
    assert registry.gc(remove=True) == ()
    assert command("gc", "--remove", "--yes").code == 0
    assert blobs(registry) == {str(digest)}
    aged(blob, timedelta(hours=24) + MINUTE)
    assert [one.name for one in registry.gc()] == [str(digest)]
    assert command("gc", "--remove", "--yes").code == 0
    assert blobs(registry) == set()


def test_an_unfinished_upload_is_left_for_the_hour_and_for_a_longer_grace(registry: LocalRegistry) -> None:
    push(registry, "one")
    left = Path(registry.profile.artifacts, "tmp", "0" * 24)
    left.write_text("on its way")
    aged(left, timedelta(hours=1) - MINUTE)
    assert registry.gc(grace=NOW) == ()
    aged(left, timedelta(hours=1) + MINUTE)
    assert registry.gc(grace=timedelta(hours=2)) == ()
    assert [one.kind for one in registry.gc(grace=NOW)] == ["unfinished"]


@pytest.mark.parametrize(
    ("grace", "shown"), [("2h", "2h"), ("90m", "90m"), ("7d", "168h"), ("25s", "25s"), ("3601s", "3601s")]
)
def test_gc_says_how_much_it_leaves_and_for_which_grace(
    registry: LocalRegistry, command: Mreg, grace: str, shown: str
) -> None:
    push(registry, "one")
    registry.delete("m@1")
    assert f"1 unreferenced blob, 3 bytes, within the grace period of {shown};" in command("gc", "--grace", grace).err


def test_a_push_and_an_import_store_no_bytes_if_the_catalog_cannot_be_written(
    registry: LocalRegistry, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(registry, "one")
    registry.export("m", "bundle.mreg")
    registry.delete("m@1")
    registry.gc(grace=NOW, remove=True)
    before = blobs(registry)
    assert before == set()

    def refuse(_catalog: Catalog) -> None:
        raise mreg.Unavailable("the catalog cannot be written")

    monkeypatch.setattr(Catalog, "begin", refuse)
    with pytest.raises(mreg.Unavailable):
        push(registry, "two")
    assert command("import", "bundle.mreg").code == 8
    assert blobs(registry) == before


def noted(registry: LocalRegistry, digest: str, age: timedelta, *, removed: int) -> None:
    mine: dict[str, Value] = {
        "digest": digest,
        "removed": removed,
        "mark": "other",
        "at": time_text(datetime.now(UTC) - age),
    }
    registry._session.write_quietly(lambda writer: writer.connection.run("removals.set", **mine))


def notes(registry: LocalRegistry) -> set[str]:
    rows = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT digest FROM removals", {}))
    return {str(row["digest"]) for row in rows}


def test_a_gc_counts_as_dead_ten_minutes_after_it_noted_a_removal(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push(registry, "the same").artifact.digest
    registry.delete("m@1")
    monkeypatch.setattr(storing, "WAIT_SECONDS", 0)
    noted(registry, digest.value, 9 * MINUTE, removed=0)
    with pytest.raises(mreg.Conflict):
        push(registry, "the same")
    assert registry.gc(grace=NOW, remove=True) == ()
    assert [one for one in registry.examine() if one.name == "removals" and one.state != "fine"] == []
    noted(registry, digest.value, 11 * MINUTE, removed=0)
    assert [one.state for one in registry.examine() if one.name == "removals"] != ["fine"]
    assert [one.name for one in registry.gc(grace=NOW, remove=True)] == [str(digest)]


def test_gc_forgets_removal_notes_after_seven_days(registry: LocalRegistry) -> None:
    young, old = "a" * 64, "b" * 64
    noted(registry, young, timedelta(days=7) - MINUTE, removed=1)
    noted(registry, old, timedelta(days=7) + MINUTE, removed=1)
    digest = push(registry, "one").artifact.digest
    registry.delete("m@1")
    assert len(registry.gc(grace=NOW, remove=True)) == 1
    assert notes(registry) == {young, digest.value}


AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("grace", "ages", "text"),
    [
        (24, [], ""),
        (24, [0], "1 blob, 1 kB, within the grace period of 24h; it can be removed from 2026-03-02T12:00:01Z"),
        (1, [2, 30, 10], "3 blobs, 3 kB, within the grace period of 1h; the first can be removed from 2026-03-01T12:30:01Z"),
        (1, [30, 2], "2 blobs, 2 kB, within the grace period of 1h; the first can be removed from 2026-03-01T12:30:01Z"),
    ],
)  # fmt: skip
def test_the_oldest_of_the_young_blobs_decides_when_the_first_can_be_removed(
    grace: int, ages: list[int], text: str
) -> None:
    younger = gc._Younger(timedelta(hours=grace))
    for age in ages:
        younger.add(1_000, AT - age * MINUTE)
    assert younger.notice("blob", "more") == (text and f"too young to remove: {text}; more")


SPANS = {
    0: "0s",
    1: "1s",
    59: "59s",
    60: "1m",
    61: "61s",
    120: "2m",
    3599: "3599s",
    3600: "1h",
    3660: "61m",
    86400: "24h",
}


def test_a_period_has_the_largest_unit_that_divides_it() -> None:
    assert {seconds: gc._span(timedelta(seconds=seconds)) for seconds in SPANS} == SPANS


@pytest.mark.parametrize("seen", ["nothing", "one", "another kind", "all"])
def test_gc_removes_what_was_seen_and_no_more(registry: LocalRegistry, seen: str) -> None:
    left = Path(registry.profile.artifacts, "tmp", "0" * 24)
    for text in ("one", "two"):
        push(registry, text)
    registry.delete("m", force=True)
    left.write_text("on its way")
    aged(left, timedelta(hours=2))
    found = registry.gc(grace=NOW)
    assert sorted(one.kind for one in found) == ["unfinished", "unreferenced", "unreferenced"]
    chosen = {
        "nothing": [],
        "one": found[1:2],
        "another kind": [replace(one, kind="unfinished") for one in found if one.kind == "unreferenced"],
        "all": list(found),
    }[seen]
    gone = registry.gc(grace=NOW, remove=True, seen=chosen)
    expected = [] if seen == "another kind" else [one.name for one in chosen]
    assert sorted(one.name for one in gone) == sorted(expected)
    assert all(one.removed for one in gone)
    assert len(registry.gc(grace=NOW)) == 3 - len(expected)


@pytest.mark.parametrize(("seconds", "removed"), [(300.0, 1), (300.1, 0)])
def test_a_gc_stops_before_others_consider_it_dead(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, seconds: float, removed: int
) -> None:
    push(registry, "one")
    registry.delete("m@1")
    clock = iter((1000.0, 1000.0 + seconds))
    with monkeypatch.context() as patched:
        patched.setattr(gc, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        assert len(registry.gc(grace=NOW, remove=True)) == removed
    rows = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT removed FROM removals", {}))
    assert [row["removed"] for row in rows] == [1] * removed
    with local_registry() as other:
        assert len(other.gc(grace=NOW, remove=True)) == 1 - removed


def test_a_damaged_manifest_stops_a_gc_only_if_there_is_something_to_remove(registry: LocalRegistry) -> None:
    os.mkdir("d")
    Path("d/x").write_text("x")
    manifest = Path(registry.push("d", name="f").artifact.path.removeprefix("file://"))
    manifest.chmod(0o644)
    manifest.write_text("damaged")
    assert registry.gc() == ()
    with pytest.raises(mreg.Corrupt, match=r"^cannot find the unreferenced blobs: "):
        registry.gc(grace=NOW)


@pytest.mark.timeout(600)
@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
def test_gc_races_pushes_of_deleted_content(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some push, pull and delete the same few contents; others collect without grace, and are killed."""
    monkeypatch.setenv("MREG_CATALOG", catalogs_of(kind, request, monkeypatch, tmp_path)())
    artifacts = new_place(request.getfixturevalue("s3_server")).url if kind == "bucket" else str(tmp_path / "artifacts")
    monkeypatch.setenv("MREG_ARTIFACTS", artifacts)
    rounds = 40 if FULL else 3

    def start_collector(number: int) -> Process:
        return start_function(collect, number, str(tmp_path), log=f"collector-{number}.log")

    collectors = [start_collector(number) for number in range(2)]
    pushers = [
        start_function(push_and_delete, number, rounds, str(tmp_path), log=f"pusher-{number}.log")
        for number in range(3)
    ]
    chance = random.Random(1)
    killed = len(collectors)
    try:
        while any(process.poll() is None for process in pushers):
            time.sleep(chance.uniform(0, 0.5))
            if (tmp_path / f"collecting-{killed - 1 if killed > len(collectors) else 0}").exists():
                collectors[0].kill()
                collectors[0].wait()
                collectors[0] = start_collector(killed)
                killed += 1
    finally:
        (tmp_path / "stop").touch()
        codes = [process.wait() for process in (*pushers, *collectors)]
    codes.pop(3)  # of the collector that was killed again and again
    assert codes == [0] * 4, [path.read_text() for path in sorted(Path().glob("*.log"))]
    with local_registry() as registry:
        assert registry.verify().problems == ()
        registry.verify_audit()


def test_the_progress_of_a_removal_counts_each_blob(registry: LocalRegistry) -> None:
    for text in ("1", "2"):
        Path("model").write_text(text)
        registry.push("model", name="m")
    registry.delete("m", force=True)
    seen: list[tuple[int, int]] = []
    assert len(registry.gc(grace=timedelta(0), remove=True, progress=lambda *counts: seen.append(counts))) == 2
    assert seen[-2:] == [(1, 2), (2, 2)]  # after those of the scan
    assert all(not done for done, _ in seen[:-2])
