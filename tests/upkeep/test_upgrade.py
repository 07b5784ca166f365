"""`mreg upgrade`: the catalog of a past release in every kind of place; nothing else upgrades it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import mreg
from mreg.catalog import embedded
from mreg.catalog.copying import fill_older
from mreg.catalog.database import Database
from mreg.catalog.embedded import SqliteConnection
from mreg.catalog.guard import connect
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.catalog.postgresql_connection import PostgresqlConnection, Watched
from mreg.catalog.postgresql_schema import NAMESPACE, make_tables
from mreg.catalog.schema import BRINGS, SCHEMA, migration_statements
from mreg.catalog.sqlite import SqliteDatabase
from mreg.testing.database import add_event, count
from tests.conftest import Mreg
from tests.hostile import snapshot
from tests.places import KINDS, catalogs_of
from tests.servers import PostgresqlServer, RedisServer, bucket_of

COMPAT = Path(__file__).parent.parent / "compat"
PAST = range(1, SCHEMA)
MODEL = b"\x80\x04K\x01."


class Older:
    """The catalog of a past release in a place of some kind."""

    def __init__(self, kind: str, place: str, schema: int, state: Callable[[], object]) -> None:
        self.kind, self.place, self.schema = kind, place, schema
        self.state = state


@pytest.fixture(params=[(kind, schema) for kind in KINDS for schema in PAST], ids=lambda one: f"{one[0]}-{one[1]}")
def older(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Older:
    """Each past release's catalog in each kind of place, which the environment names."""
    kind, schema = request.param
    place = catalogs_of(kind, request, monkeypatch, tmp_path)()
    shutil.copytree(COMPAT / f"schema-{schema}", tmp_path / "store")
    file = tmp_path / "store" / "catalog.db"
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "store" / "artifacts"))
    state = _planted(kind, place, schema, file, request)
    monkeypatch.setenv("MREG_CATALOG", place)
    return Older(kind, place, schema, state)


def _planted(kind: str, place: str, schema: int, file: Path, request: pytest.FixtureRequest) -> Callable[[], object]:
    """Put a catalog there; gives what is there, by which a change is seen."""
    if kind == "file":
        shutil.copy(file, place)
        return lambda: {one.name: _rows(one) for one in Path(place).parent.iterdir()}
    if kind == "bucket":
        url, _, key = place.rpartition("/")
        client = request.getfixturevalue("s3_server").client()
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=file.read_bytes())

        def objects() -> object:
            found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
            return {one["Key"]: one["ETag"] for one in found}

        return objects
    if kind == "redis":
        redis: RedisServer = request.getfixturevalue("redis_server")
        key, data = place.rpartition("/")[2], file.read_bytes()
        redis.run("SET", key, hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        return lambda: {one.decode(): redis.run("GET", one) for one in sorted(redis.run("KEYS", f"{key}*"))}
    _plant_in_postgresql(place, schema, file)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return lambda: _tables(server, place)


def _rows(file: Path) -> list[str]:
    """The schema's number and every statement that makes the content of a SQLite file."""
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as raw:
        return [str(raw.execute("PRAGMA user_version").fetchone()), *raw.iterdump()]


def _plant_in_postgresql(url: str, schema: int, file: Path) -> None:
    raw = connect(str(file), str(file), lambda: file.stat().st_size)
    with contextlib.closing(raw), Watched.connect(url, row_factory=psycopg.rows.dict_row) as server:
        server.execute(f"CREATE SCHEMA {NAMESPACE}")
        make_tables(server, NAMESPACE, schema)
        fill_older(SqliteConnection(raw), PostgresqlConnection(server), schema, keys=True)


def _tables(server: PostgresqlServer, url: str) -> object:
    name = url.partition("@/")[2].partition("?")[0]
    sql = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'mreg%' ORDER BY 1, 2"
    tables = server.sql(sql, database=name)
    return [(one, server.sql(f"SELECT * FROM {one[0]}.{one[1]} ORDER BY 1", database=name)) for one in tables]


def test_an_older_catalog_is_read_everywhere_and_stays_as_it_is(older: Older, command: Mreg) -> None:
    before = older.state()
    assert command("show", "classifier@champ", "-q").out == "classifier@2\n"
    assert command("pull", "classifier@2", "out").code == 0
    assert command("history", "classifier", "-q").code == 0
    assert command("verify").code == 0
    assert command("audit", "verify").code == 0
    doctor = command("doctor")
    assert doctor.code == 0, doctor.err
    assert f"schema {older.schema} is older than schema {SCHEMA} of this mreg" in doctor.out
    check = command("profile", "check")
    assert (check.code, f"it has schema {older.schema}" in check.out) == (8, True)
    assert older.state() == before


def test_writing_to_an_older_catalog_is_refused_and_changes_nothing(older: Older, command: Mreg) -> None:
    before, artifacts = older.state(), snapshot(os.environ["MREG_ARTIFACTS"])
    Path("model.pkl").write_bytes(MODEL)
    for words in (
        ["push", "model.pkl", "-n", "classifier"],
        ["register", "new"],
        ["tag", "classifier", "a=b"],
        ["archive", "classifier@1"],
    ):
        done = command(*words)
        assert done.code == 8, done
        shown = older.place.partition("?")[0]
        assert done.err.removesuffix("  the catalog is set by MREG_CATALOG\n") == (
            f"error: cannot write to the catalog {shown}: it has schema {older.schema}, and this mreg writes schema "
            f"{SCHEMA}\n  show the changes: mreg upgrade --check; make them, with a backup: mreg upgrade\n"
        )
    assert older.state() == before
    assert snapshot(os.environ["MREG_ARTIFACTS"]) == artifacts


def test_an_upgrade_says_what_changes_and_leaves_a_backup(older: Older, command: Mreg) -> None:
    before = older.state()
    rows = command("history", "--json").out
    checked = command("upgrade", "--check", "--json")
    assert checked.code == 0, checked.err
    assert f'"schema": {older.schema},\n  "target": {SCHEMA},' in checked.out
    assert all(BRINGS[number] in checked.out for number in range(older.schema + 1, SCHEMA + 1))
    refused = command("upgrade")
    assert (refused.code, "--yes" in refused.err, BRINGS[SCHEMA] in refused.err) == (2, True, True)
    assert older.state() == before
    done = command("upgrade", "--yes")
    assert done.code == 0, done.err
    assert f"schema_{older.schema}_" in done.out.replace("schema-", "schema_").replace("-2", "_2")
    assert command("history", "--json").out == rows
    Path("model.pkl").write_bytes(MODEL)
    assert command("push", "model.pkl", "-n", "classifier", "-q").out == "classifier@4\n"
    assert command("audit", "verify").code == 0
    after = older.state()
    again = command("upgrade", "--json")
    assert (again.code, '"migrations": []' in again.out, '"backup": null' in again.out) == (0, True, True)
    assert older.state() == after


def test_the_backup_put_back_is_the_older_catalog(older: Older, command: Mreg, request: pytest.FixtureRequest) -> None:
    """As docs/how-to/upgrade.md describes it."""
    before = older.state()
    assert command("upgrade", "--yes").code == 0
    Path("model.pkl").write_bytes(MODEL)
    assert command("push", "model.pkl", "-n", "classifier").code == 0
    if older.kind == "file":
        folder, name = os.path.split(older.place)
        (backup,) = Path(folder).glob(f"{name}.schema-{older.schema}-*")
        os.rename(older.place, f"{older.place}.newer")
        os.rename(backup, older.place)
        os.unlink(f"{older.place}.newer")
    elif older.kind == "bucket":
        url, _, key = older.place.rpartition("/")
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        client = request.getfixturevalue("s3_server").client()
        (found,) = [one for one in older.state() if ".schema-" in one]  # type: ignore[attr-defined]
        client.copy_object(Bucket=bucket, Key=f"{prefix}/{key}", CopySource={"Bucket": bucket, "Key": found})
        client.delete_object(Bucket=bucket, Key=found)
    elif older.kind == "redis":
        (found,) = [one for one in older.state() if ".schema-" in one]  # type: ignore[attr-defined]
        request.getfixturevalue("redis_server").run("RENAME", found, older.place.rpartition("/")[2])
    else:
        server = request.getfixturevalue("postgresql")
        name = older.place.partition("@/")[2].partition("?")[0]
        spaces = server.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'mreg_schema_%'", database=name)
        server.sql(
            "ALTER SCHEMA mreg RENAME TO mreg_newer",
            f"ALTER SCHEMA {spaces[0][0]} RENAME TO mreg",
            "DROP SCHEMA mreg_newer CASCADE",
            database=name,
        )
    assert older.state() == before
    assert command("show", "classifier@champ", "-q").out == "classifier@2\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the store before this release's, which the environment names."""
    shutil.copytree(COMPAT / f"schema-{SCHEMA - 1}", tmp_path / "store")
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "store/catalog.db"))
    return tmp_path / "store"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same in the default place of the user's home."""
    folder = Path(os.environ["HOME"], ".local/share/mreg")
    shutil.copytree(COMPAT / f"schema-{SCHEMA - 1}", folder)
    (folder / "catalog.db").chmod(0o600)
    return folder


def test_the_users_own_catalog_is_upgraded_by_the_first_write(own: Path, command: Mreg) -> None:
    before = {one.name: one.read_bytes() for one in own.glob("catalog*")}
    rows = _rows(own / "catalog.db")
    assert command("list").code == 0
    assert command("profile", "check").code == 0
    assert {one.name: one.read_bytes() for one in own.glob("catalog*")} == before
    done = command("tag", "classifier", "a=b")
    assert done.code == 0
    (backup,) = own.glob(f"catalog.db.schema-{SCHEMA - 1}-*")
    said = f"upgraded the catalog {own}/catalog.db from schema {SCHEMA - 1} to {SCHEMA}; backup: {backup}\n"
    assert done.err == said
    assert (stat.S_IMODE(backup.stat().st_mode), _rows(backup)) == (0o600, rows)
    assert command("tag", "classifier", "b=c").err == ""


def test_a_backup_has_the_mode_of_the_catalog(store: Path, command: Mreg) -> None:
    (store / "catalog.db").chmod(0o660)
    assert command("upgrade", "--yes").code == 0
    (backup,) = store.glob("catalog.db.schema-*")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o660


@pytest.mark.parametrize("words", [["upgrade", "--yes"], ["upgrade", "--check"]], ids=" ".join)
def test_a_catalog_that_another_process_has_open_is_not_upgraded(store: Path, command: Mreg, words: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(store / "catalog.db")) as client:
        assert client.execute("SELECT count(*) FROM models").fetchone() == (1,)  # it is idle then, as a server is
        done = command(*words)
    if "--check" in words:
        assert (done.code, "another process has the file open" in done.out) == (0, True)
    else:
        assert done.code == 7
        assert "another process has it open, perhaps an older mreg" in done.err
    assert not list(store.glob("*.schema-*"))
    assert SqliteDatabase(store / "catalog.db").schema() == SCHEMA - 1


def test_the_first_write_does_not_upgrade_what_another_process_has_open(own: Path, command: Mreg) -> None:
    with contextlib.closing(sqlite3.connect(own / "catalog.db")) as client:
        client.execute("SELECT count(*) FROM models").fetchone()
        assert command("tag", "classifier", "a=b").code == 7
    assert not list(own.glob("*.schema-*"))


@contextlib.contextmanager
def connected(url: str, name: str) -> Iterator[None]:
    with psycopg.connect(url, application_name=name):
        yield


@pytest.mark.parametrize("name", ["mreg", f"mreg 0.1.0 schema {SCHEMA - 1}"])
def test_a_catalog_with_an_older_client_on_postgresql_is_not_upgraded(
    name: str, postgresql: PostgresqlServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.new_catalog()
    _plant_in_postgresql(url, SCHEMA - 1, COMPAT / f"schema-{SCHEMA - 1}" / "catalog.db")
    monkeypatch.setenv("MREG_CATALOG", url)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    before = _tables(postgresql, url)
    with connected(url, name):
        done = command("upgrade", "--yes")
        assert (done.code, f"an older mreg is connected: {name} (process" in done.err) == (7, True), done
        assert f"{name} (process" in command("upgrade", "--check").out
    assert _tables(postgresql, url) == before
    with connected(url, "psql"), connected(url, f"mreg 9.9 schema {SCHEMA}"):
        assert command("upgrade", "--yes").code == 0


def test_a_role_that_only_reads_reads_an_older_catalog(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_catalog()
    _plant_in_postgresql(url, SCHEMA - 1, COMPAT / f"schema-{SCHEMA - 1}" / "catalog.db")
    name = url.partition("@/")[2].partition("?")[0]
    role = f"reader_{name}"
    postgresql.sql(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT USAGE ON SCHEMA mreg TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA mreg TO {role}",
        database=name,
    )
    database = PostgresqlDatabase(postgresql.url(name, role))
    with contextlib.closing(database):
        assert database.read(count) > 1
        with pytest.raises(mreg.Unavailable, match="cannot read the last key of models"):
            database.read(lambda connection: connection.last_key("models"))


def test_an_upgrade_of_a_bucket_that_another_client_changed_is_refused(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.catalog.bucket import BucketDatabase

    place = request.getfixturevalue("place")
    data = (COMPAT / f"schema-{SCHEMA - 1}" / "catalog.db").read_bytes()
    place.write("catalog.db", data)
    database = BucketDatabase(bucket_of(place), "catalog.db", str(tmp_path / "copies"))
    put = database._put

    def overtaken(new: bytes, etag: str) -> str:
        place.write("catalog.db", data + b"\0")
        return put(new, etag)

    monkeypatch.setattr(database, "_put", overtaken)
    with contextlib.closing(database), pytest.raises(mreg.Conflict, match="another client changed it meanwhile"):
        database.upgrade()
    assert (place.read("catalog.db"), place.keys()) == (data + b"\0", ["catalog.db"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("statement", range(8))
def test_a_killed_upgrade_leaves_the_older_schema_or_this_one(tmp_path: Path, statement: int) -> None:
    shutil.copy(COMPAT / "schema-1" / "catalog.db", tmp_path)
    path = tmp_path / "catalog.db"
    child = os.fork()
    if not child:
        done = iter(range(100))

        def killed(number: int) -> Iterator[str]:
            for sql in migration_statements(number):
                if next(done) == statement:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield sql

        pytest.MonkeyPatch().setattr(embedded, "migration_statements", killed)
        SqliteDatabase(path).upgrade()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    database: Database = SqliteDatabase(path)
    with contextlib.closing(database):
        expected = 1 if os.WIFSIGNALED(status) else SCHEMA
        assert database.schema() == expected
        before = database.read(count)
        assert database.upgrade() != "" or expected == SCHEMA
        assert database.write(add_event) == before + 1
        assert database.examine().damage == ()


def test_an_older_catalog_that_is_too_large_to_copy_is_not_read(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.catalog import schema

    monkeypatch.setattr(schema, "LARGEST_COPY", 100_000)
    database = SqliteDatabase(store / "catalog.db")
    with contextlib.closing(database):
        with pytest.raises(
            mreg.Unavailable, match=r"a catalog of a schema older than \d is read through a copy"
        ) as error:
            database.read(count)
        assert error.value.hint == "mreg upgrade"
        database.upgrade()
        assert database.read(count) > 1
