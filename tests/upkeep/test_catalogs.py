"""What holds for a catalog wherever it is kept: the main job, backup and restore, copies, the doctor."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.catalog.copying import KEYS, NUMBERED, OF_A_PLACE
from mreg.catalog.embedded import empty_catalog
from mreg.registry.local import LocalRegistry
from mreg.registry.open import open_local
from mreg.results.profiles import Profile
from tests.conftest import Mreg, local_registry
from tests.places import KINDS, NewCatalog, catalogs_of, new_catalog  # noqa: F401  a fixture
from tests.servers import Place, PostgresqlServer, S3Server

PAIRS = [(one, other) for one in KINDS for other in KINDS]


@pytest.fixture
def catalog(new_catalog: NewCatalog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:  # noqa: F811
    place = new_catalog()
    monkeypatch.setenv("MREG_CATALOG", place)
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "artifacts"))
    return place


def fill(registry: LocalRegistry) -> None:
    """Something of everything."""
    for number in (1, 2, 3):
        Path("m.pkl").write_text(f"{number}")
        registry.push(
            "m.pkl",
            name="m",
            metrics={"accuracy": number / 10},
            parameters={"a": "1"},
            tags={"t": "ü"},
            data={"train": "s3://x@1"},
            parent=f"m@{number - 1}" if number > 1 else None,
        )
    registry.set_alias("m@2", "champ")
    registry.promote("m@1", to="production")
    registry.approve("m@2", comment="fine")
    registry.register("n", description="d", tags={"a": "b"}, directions={"cost": "lower"})
    registry.rename("n", "team/n")
    registry.delete("m@3")
    registry.push("m.pkl", name="gone")
    registry.delete("gone")


def alter(registry: LocalRegistry, statement: str) -> None:
    """Run a statement that no operation runs, on the connection of the driver."""

    def run(connection: Any) -> None:
        connection._raw.execute(statement)

    registry._session.catalog._database.write(run)


def whole(registry: LocalRegistry) -> object:
    """Everything that can be asked for."""
    return (
        registry.models(),
        registry.show("m"),
        registry.search("stage = 'None' or stage = 'Production'"),
        registry.history(),
        registry.lineage("m@2"),
        registry.verify_audit(),
    )


@pytest.mark.usefixtures("catalog")
def test_the_main_job_runs_on_each(command: Mreg) -> None:
    for number in (1, 2):
        Path("model.pkl").write_text(str(number))
        assert command("push", "model.pkl", "--name", "m", "--accuracy", f"0.{number}").code == 0
    assert command("promote", "m", "2", "--to", "production").code == 0
    assert command("show", "m@production", "-q").out == "m@2\n"
    assert command("compare", "m", "1", "2").code == 0
    assert command("rollback", "m").code == 4
    assert command("promote", "m@1", "--to", "production", "-q").code == 0
    assert command("rollback", "m", "-q").out == "m@2\n"
    assert command("pull", "m@production", "out").code == 0
    assert Path("out").read_text() == "2"
    assert command("search", "metrics.accuracy > 0.15", "-q").out == "m@2\n"
    assert command("verify").code == 0
    assert command("doctor", "-q").out == ""
    assert command("profile", "check").code == 0
    assert command("audit", "verify").code == 0


def test_the_check_of_a_profile_writes_nothing_to_the_catalog(catalog: str, command: Mreg) -> None:
    assert command("profile", "check").code == 0
    assert command("list", "-q").out == ""
    with local_registry() as registry:
        fill(registry)
        before = whole(registry)
        rows = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM writes", {}))
        done = command("profile", "check")
        assert (done.code, "write to the catalog\t" in done.out) == (0, True)
        after = registry._session.catalog.read(lambda reader: reader.connection.query("SELECT * FROM writes", {}))
        assert (whole(registry), [dict(row) for row in after]) == (before, [dict(row) for row in rows])


def test_the_check_of_a_profile_tells_of_a_folder_that_can_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_words, **_named: False)  # root may write everywhere
    with local_registry(catalog=str(tmp_path / "catalog.db"), artifacts=str(tmp_path / "a")) as registry:
        errors = [one.error for one in registry.check() if one.error]
    assert errors == [
        f"cannot use the catalog {tmp_path}/catalog.db: it does not exist, and {tmp_path} is not writable"
    ]
    assert not (tmp_path / "new").exists()


def test_a_backup_is_the_catalog_and_restores_it_in_each(catalog: str, command: Mreg) -> None:
    with local_registry() as registry:
        fill(registry)
        before = whole(registry)
        copied = registry.backup("backup.db")
        assert (copied.target, copied.events) == (os.path.abspath("backup.db"), registry.verify_audit().events)
        with local_registry(catalog=os.path.abspath("backup.db"), artifacts=registry.profile.artifacts) as backup:
            assert whole(backup) == before
        with pytest.raises(mreg.AlreadyExists):
            registry.backup("backup.db")
        registry.push("m.pkl", name="later")
        registry.archive("m@1")
        assert command("restore", "backup.db").code == 2  # nobody can be asked
        assert registry.model("later").name.value == "later"
        registry.restore("backup.db")
        assert [str(one.model.name) for one in registry.models()] == [str(one.model.name) for one in before[0]]  # type: ignore[index]
        restored = registry.history()
        assert (restored[0].action, restored[1:]) == ("catalog.restored", before[3])  # type: ignore[index]
        registry.verify_audit()
        # What is made from then on is new: no id and no number comes twice.
        Path("m.pkl").write_text("after")
        assert registry.push("m.pkl", name="m").version == 4
    assert sorted(os.listdir()) == ["backup.db", "m.pkl"]


@pytest.mark.usefixtures("catalog")
def test_a_backup_that_is_damaged_restores_nothing() -> None:
    with local_registry() as registry:
        fill(registry)
        registry.backup("backup.db")
        before = whole(registry)
        raw = sqlite3.connect("backup.db")
        raw.execute("UPDATE events SET actor = 'another' WHERE seq = 3")
        raw.commit()
        raw.close()
        with pytest.raises(mreg.Corrupt, match="audit event 3"):
            registry.restore("backup.db")
        Path("backup.db").write_bytes(b"SQLite format 3\0 and no more")
        with pytest.raises(mreg.Corrupt, match=r"backup\.db"):
            registry.restore("backup.db")
        with pytest.raises(mreg.NotFound):
            registry.restore("nothing.db")
        assert whole(registry) == before


@pytest.mark.usefixtures("catalog")
def test_the_doctor_finds_an_edited_event_and_a_clock_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_registry() as registry:
        fill(registry)
        session = registry._session
        assert {one.state for one in registry.examine()} == {"fine"}
        now = session.now
        object.__setattr__(session, "now", lambda: now() - timedelta(hours=3))
        (clock,) = [one for one in registry.examine() if one.state != "fine"]
        assert (clock.name, clock.state) == ("clock", "note")
        assert "3:00:00" in clock.message or "2:59:5" in clock.message
        object.__setattr__(session, "now", now)
        alter(registry, "UPDATE events SET actor = 'another' WHERE seq = 3")
        (audit,) = [one for one in registry.examine() if one.state != "fine"]
        assert (audit.name, audit.state) == ("audit trail", "damaged")
        assert "3" in audit.message


UNREADABLE = {
    "an event's time": ("UPDATE events SET at = 'x' WHERE seq = 3", "row 3 of the table events", ["history"]),
    "an event's details": ("UPDATE events SET details = '{' WHERE seq = 3", "row 3 of the table events", ["history"]),
    "details of a kind": ("UPDATE events SET details = '5' WHERE seq = 3", "row 3 of the table events", ["history"]),
    "a version's time": ("UPDATE versions SET created_at = '1'", "of the table versions", ["show", "m"]),
    "its environment": ("UPDATE versions SET environment = '['", "of the table versions", ["show", "m@1"]),
    "its stage": ("UPDATE versions SET stage = 'weird'", "of the table versions", ["show", "m@1"]),
    "a metric": ("UPDATE metrics SET exact = 'high'", "of the table", ["show", "m@1"]),
    "an artifact's kind": ("UPDATE artifacts SET kind = 'weird'", "of the table artifacts", ["verify"]),
    "its digest": ("UPDATE artifacts SET digest = 'abc' || artifact_id", "of the table artifacts", ["show", "m@1"]),
    "a model's name": ("UPDATE models SET name = '../x' WHERE model_id = 1", "row 1 of the table models", ["list"]),
    "a decision": ("UPDATE decisions SET at = 'then'", "of the table decisions", ["approvals"]),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_row_that_can_not_be_read_is_damage_and_is_named(what: str, catalog: str, command: Mreg) -> None:
    edit, named, words = UNREADABLE[what]
    with local_registry() as registry:
        fill(registry)
        registry.push("m.pkl", name="m", tags={"waits": "yes"})
        registry.approve("m@4", comment="fine")
        alter(registry, edit)
    done = command(*words)
    if words != ["approvals"]:
        assert (done.code, named in done.err) == (6, True), done
        assert "mreg restore" in done.err
    done = command("doctor")
    assert done.code in ((0, 6) if what == "a decision" else (6,)), done
    assert {"catalog", "tables", "rows", "audit trail", "clock", "leftovers", "removals", "store"} <= {
        line.split("\t")[0] for line in done.out.splitlines()
    }
    for one in (["audit", "verify"], ["backup", "b.db"], ["verify"], ["show", "m"], ["list"], ["gc"], ["history"]):
        done = command(*one)
        assert done.code in (0, 4, 6), (one, done)
        assert "unexpected" not in done.err


@pytest.mark.parametrize("loss", ["removed", "a file in its place", "emptied", "another's"])
def test_the_doctor_sees_that_a_store_is_lost(loss: str, catalog: str, command: Mreg, tmp_path: Path) -> None:
    store = tmp_path / "artifacts"
    assert command("doctor").code == 0  # nothing is there yet, and nothing lost
    with local_registry() as registry:
        fill(registry)
    shutil.rmtree(store)
    if loss == "a file in its place":
        store.write_text("no folder")
    elif loss == "emptied":
        store.mkdir()
    elif loss == "another's":
        (store / "blobs/sha256/ab").mkdir(parents=True)
        (store / "blobs/sha256/ab" / ("c" * 62)).write_text("other bytes")
    done = command("doctor")
    assert (done.code, "newest artifacts are missing" in done.err) == (6, True), done


@pytest.mark.parametrize(("kind", "other"), PAIRS)
def test_a_catalog_is_copied_from_each_kind_to_each_other(
    kind: str,
    other: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: Mreg,
) -> None:
    places = {name: catalogs_of(place, request, monkeypatch, tmp_path)() for name, place in (("a", kind), ("b", other))}
    lines = [f"  {name}: {{catalog: '{place}', artifacts: '{tmp_path}/artifacts'}}" for name, place in places.items()]
    Path("config.yaml").write_text("profiles:\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv("MREG_CONFIG", os.path.abspath("config.yaml"))
    with local_registry("a") as registry:
        fill(registry)
        before = whole(registry)
    done = command("catalog", "copy", "--from-profile", "a", "--to-profile", "b")
    assert done.code == 0, done.err
    with local_registry("b") as registry:
        assert whole(registry) == before
        Path("m.pkl").write_text("after")
        assert registry.push("m.pkl", name="m").version == 4
    assert command("catalog", "copy", "--from-profile", "a", "--to-profile", "b").code == 7
    assert command("catalog", "copy", "--from-profile", "a", "--to-profile", "a").code == 2


def test_a_catalog_is_not_copied_to_a_store_that_lacks_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        local_registry(catalog=str(tmp_path / "a/catalog.db")) as registry,
        local_registry(catalog=str(tmp_path / "b/catalog.db")) as other,
    ):
        fill(registry)
        with pytest.raises(mreg.NotFound, match="2 of the 2 blobs that this catalog needs are missing"):
            registry.copy_catalog(other)
        assert other.models() == ()
        shutil.copytree(registry.profile.artifacts, other.profile.artifacts)
        registry.copy_catalog(other)
        other.pull("m@1", "out")


def test_the_remedy_for_bytes_that_lack_works(tmp_path: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "b").mkdir()
    with (
        local_registry(catalog=str(tmp_path / "a b/catalog.db")) as registry,
        local_registry(catalog=str(tmp_path / "b/catalog.db")) as other,
    ):
        fill(registry)
        with pytest.raises(mreg.NotFound) as caught:
            registry.copy_catalog(other)
        subprocess.run(caught.value.hint.partition("first: ")[2], shell=True, check=True)
        registry.copy_catalog(other)
        other.pull("m@1", "out")


def opened(catalog: str, artifacts: str, endpoint: str = "") -> LocalRegistry:
    return open_local(Profile(name="p", catalog=catalog, artifacts=artifacts, endpoint_url=endpoint))


def test_the_same_url_at_two_addresses_is_two_stores(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = S3Server()
    empty.start()
    try:
        with (
            opened(os.path.abspath("a.db"), bucket.url, bucket.endpoint) as registry,
            opened(os.path.abspath("b.db"), bucket.url, empty.endpoint) as other,
            opened(f"{bucket.url}/c.db", bucket.url, bucket.endpoint) as there,
            opened(f"{bucket.url}/c.db", bucket.url, empty.endpoint) as elsewhere,
        ):
            fill(registry)
            with pytest.raises(mreg.NotFound, match="2 of the 2 blobs that this catalog needs are missing") as caught:
                registry.copy_catalog(other)
            assert caught.value.hint.count("--endpoint-url") == 2
            assert other.models() == ()
            registry.copy_catalog(there)
            with pytest.raises(mreg.NotFound, match="2 of the 2 blobs that this catalog needs are missing"):
                there.copy_catalog(elsewhere)
            elsewhere_client = empty.client()
            for key in bucket.keys("blobs/"):
                elsewhere_client.put_object(Bucket="models", Key=f"{bucket.prefix}/{key}", Body=bucket.read(key))
            there.copy_catalog(elsewhere)
            assert elsewhere.verify().problems == ()
            with pytest.raises(mreg.BadInput, match="the same catalog"):
                there.copy_catalog(there)
    finally:
        empty.stop()


def test_two_services_of_one_url_are_two_catalogs(
    postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = tmp_path / "services"
    lines = []
    for name in ("old", "new"):
        database, _, host = postgresql.new_catalog().partition("@/")[2].partition("?host=")
        lines.append(f"[{name}]\nhost={host}\ndbname={database}\nuser=postgres\n")
    service.write_text("\n".join(lines))
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    store = str(tmp_path / "artifacts")
    with (
        opened("postgresql:///?service=old", store) as registry,
        opened("postgresql:///?service=new", store) as other,
        opened("postgresql:///?service=old&connect_timeout=5", store) as same,
    ):
        fill(registry)
        with pytest.raises(mreg.AlreadyExists):
            registry.copy_catalog(same)
        registry.copy_catalog(other)
        assert whole(other) == whole(registry)


def test_a_copy_has_every_table_but_what_belongs_to_a_place() -> None:
    raw = empty_catalog()
    tables = {str(row[0]) for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    numbered = {
        name
        for name in tables
        if "AUTOINCREMENT" in raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
    }
    raw.close()
    assert tables - {"sqlite_sequence", *OF_A_PLACE} == set(KEYS)
    assert numbered - {"writes"} == set(NUMBERED)


def test_a_damaged_catalog_file_is_set_aside_by_a_restore(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with local_registry(catalog=str(path)) as registry:
        fill(registry)
        registry.backup("backup.db")
        before = registry.models()
    path.write_bytes(path.read_bytes()[:3000])
    with local_registry(catalog=str(path)) as registry:
        with pytest.raises(mreg.Corrupt, match="damaged"):
            registry.models()
        assert {one.state for one in registry.examine()} >= {"damaged"}
        done = registry.restore("backup.db")
        assert registry.models() == before
    assert Path(done.set_aside).stat().st_size == 3000


def test_a_catalog_that_is_set_aside_replaces_no_earlier_one(tmp_path: Path) -> None:
    with local_registry(catalog=str(tmp_path / "catalog.db")) as registry:
        fill(registry)
        registry.backup("backup.db")
    for number in range(4):  # within a second
        (tmp_path / "catalog.db").write_bytes(b"damaged" * (number + 1))
        with local_registry(catalog=str(tmp_path / "catalog.db")) as registry:
            registry.restore("backup.db")
    kept = [path.stat().st_size for path in tmp_path.glob("catalog.db.damaged-*") if path.suffix != ".db-wal"]
    assert sorted(kept) == [7, 14, 21, 28]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("DELETE FROM models", "refers to a missing row of models"),
        ("DROP TABLE removals", "the table removals is missing"),
        ("ALTER TABLE deployments DROP COLUMN output", "the 'table' 'deployments' has an unexpected definition"),
    ],
)
def test_a_damage_of_a_file_is_seen_and_its_remedy_works(
    damage: str, named: str, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("catalog.db"))
    with local_registry() as registry:
        fill(registry)
        registry.backup("b.db")
    raw = sqlite3.connect("catalog.db")
    raw.execute(damage)
    raw.commit()
    raw.close()
    done = command("doctor")
    assert (done.code, named in done.out, "mreg restore FILE" in done.out) == (6, True, True), done
    assert command("restore", "b.db", "--yes").code == 0
    assert command("doctor").code == 0


def test_leftovers_beside_a_catalog_file_are_found(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    with local_registry(catalog=str(path)) as registry:
        fill(registry)
        (tmp_path / ".catalog.db.123456789abc.tmp").write_text("of a killed process")
        (left,) = [one for one in registry.examine() if one.state != "fine"]
    assert (left.name, left.state) == ("leftovers", "note")
    assert "123456789abc" in left.message
