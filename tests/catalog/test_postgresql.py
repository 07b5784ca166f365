"""What is PostgreSQL's own: roles, migrations at once, broken connections, messages."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mreg
from mreg.catalog import postgresql as module
from mreg.catalog.database import Connection, Database
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.catalog.postgresql_connection import in_postgresql
from mreg.catalog.postgresql_schema import migration_in_postgresql
from mreg.catalog.schema import SCHEMA
from mreg.domain.events import first_broken
from mreg.testing.database import add_event, count
from tests.conftest import Mreg, counted_pauses, local_registry
from tests.servers import PostgresqlServer


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    return postgresql.new_catalog()


@pytest.fixture
def opened(url: str) -> Iterator[Callable[..., Database]]:
    databases: list[Database] = []

    def one(place: str = url) -> Database:
        databases.append(PostgresqlDatabase(place))
        return databases[-1]

    yield one
    for database in databases:
        database.close()


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


Opened = Callable[..., Database]


def test_a_read_of_a_catalog_that_does_not_exist_leaves_no_connection_open(opened: Opened) -> None:
    kept: list[Connection] = []
    opened().read(kept.append)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        count(kept[0])


DAMAGES = {
    "a table is gone": ("DROP TABLE mreg.events CASCADE", "the table events is missing"),
    "a small table is gone": ("DROP TABLE mreg.removals", "the table removals is missing"),
    "a column is gone": ("ALTER TABLE mreg.versions DROP COLUMN run_id CASCADE", "the column run_id of versions"),
    "the schema's number is gone": ("DELETE FROM mreg.catalog", "has an empty table catalog"),
    "the table of the number is gone": ("DROP TABLE mreg.catalog", "has no table catalog"),
    "a row is in the way": (
        "ALTER TABLE mreg.models ADD CONSTRAINT none CHECK (name <> 'm') NOT VALID",
        "is not enforced",
    ),
    "only a writer meets it": (
        "CREATE FUNCTION mreg.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE no_data_found; END';"
        "CREATE TRIGGER no BEFORE INSERT ON mreg.models FOR EACH ROW EXECUTE FUNCTION mreg.no()",
        "",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_catalog_is_seen_and_a_restore_sets_it_aside(
    what: str, url: str, postgresql: PostgresqlServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", url)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    command("register", "m")
    assert command("backup", "b.db").code == 0
    damage, named = DAMAGES[what]
    postgresql.sql(damage, database=name_of(url))
    done = command("doctor")
    if named:
        assert (done.code, named in done.out + done.err, "mreg restore" in done.out + done.err) == (6, True, True), done
    assert command("list").code in (0, 6)
    done = command("restore", "b.db", "--yes")
    assert (done.code, "schema mreg_damaged_" in done.err) == (0, True), done
    assert command("list", "-q").out == "m\n"
    assert command("doctor").code == 0
    assert command("register", "n").code == 0


def test_a_role_with_the_grants_of_the_documentation_backs_up_and_restores(
    url: str, postgresql: PostgresqlServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_registry(catalog=url, artifacts="artifacts") as registry:
        registry.register("n")
    role = f"writer_{name_of(url)}"
    page = (Path(__file__).parent.parent.parent / "docs/how-to/postgresql.md").read_text()
    grants = [
        line.partition(";")[0] for line in page.splitlines() if line.startswith("GRANT") and "mreg_writer" in line
    ]
    assert len(grants) == 3
    postgresql.sql(
        f"CREATE ROLE {role} LOGIN",
        *(one.replace("mreg_writer", role) for one in grants),
        database=name_of(url),
    )
    monkeypatch.setenv("MREG_CATALOG", postgresql.url(name_of(url), role))
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    for words in (["register", "m"], ["backup", "b.db"], ["restore", "b.db", "--yes"], ["doctor"], ["register", "o"]):
        done = command(*words)
        assert done.code == 0, (words, done)


def test_a_person_may_ask_its_tables(url: str, postgresql: PostgresqlServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_registry(catalog=url, artifacts="artifacts") as registry:
        registry.register("m", tags={"a": "b"})
    sql = "SELECT m.name, t.value, m.created_at::timestamptz < now() FROM mreg.models m JOIN mreg.model_tags t USING (model_id)"
    assert postgresql.sql(sql, database=name_of(url)) == [("m", "b", True)]


def test_a_role_that_may_only_read_reads_and_is_refused_writing(
    url: str, postgresql: PostgresqlServer, opened: Opened, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_registry(catalog=url, artifacts="artifacts") as registry:
        registry.register("n")
    role = f"reader_{name_of(url)}"
    postgresql.sql(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT USAGE ON SCHEMA mreg TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA mreg TO {role}",
        f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA mreg TO {role}",
        database=name_of(url),
    )
    theirs = postgresql.url(name_of(url), role)
    assert opened(theirs).read(count) == 1
    with pytest.raises(mreg.Unavailable, match="permission denied"):
        opened(theirs).write(add_event)
    monkeypatch.setenv("MREG_CATALOG", theirs)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    for words in (["list"], ["history"], ["doctor"], ["search", "stage = 'None'"], ["backup", "b.db"], ["verify"]):
        assert command(*words).code == 0, words
    done = command("register", "m")
    assert (done.code, "INSERT" in done.err) == (8, True)


def test_a_role_that_may_make_no_schema_is_told_what_it_needs(
    url: str, postgresql: PostgresqlServer, opened: Opened
) -> None:
    role = f"nobody_{name_of(url)}"
    postgresql.sql(f"CREATE ROLE {role} LOGIN", database=name_of(url))
    theirs = postgresql.url(name_of(url), role)
    assert opened(theirs).read(count) == 0
    with pytest.raises(mreg.Unavailable, match="permission denied") as caught:
        opened(theirs).write(add_event)
    assert "schema mreg" in caught.value.hint


def test_a_newer_schema_is_refused_untouched(url: str, postgresql: PostgresqlServer, opened: Opened) -> None:
    opened().write(add_event)
    version = "SELECT schema FROM mreg.catalog"
    postgresql.sql(f"UPDATE mreg.catalog SET schema = {SCHEMA + 1}", database=name_of(url))
    for work in (lambda: opened().read(count), lambda: opened().write(add_event), lambda: opened().upgrade()):
        with pytest.raises(mreg.Unavailable, match=f"has schema {SCHEMA + 1}, which is newer than this mreg supports"):
            work()
    assert postgresql.sql(version, database=name_of(url)) == [(SCHEMA + 1,)]


def _make(url: str, name: str, barrier: Barrier) -> None:
    barrier.wait()
    with local_registry(catalog=url, artifacts="artifacts", user=name) as registry:
        registry.register(name)


def test_many_new_clients_make_one_catalog(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(6)
    workers = [context.Process(target=_make, args=(url, f"m{number}", barrier)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    with local_registry(catalog=url, artifacts="artifacts") as registry:
        assert len(registry.models()) == 6
        registry.verify_audit()


def break_connections(postgresql: PostgresqlServer, url: str) -> None:
    postgresql.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name_of(url)}'")


def test_a_connection_that_was_broken_while_idle_is_made_again(
    url: str, postgresql: PostgresqlServer, opened: Opened
) -> None:
    database = opened()
    database.write(add_event)
    break_connections(postgresql, url)
    assert database.read(count) == 1
    break_connections(postgresql, url)
    assert database.write(add_event) == 2


@pytest.mark.parametrize("times", [1, 3])
def test_a_connection_that_breaks_in_the_middle_makes_the_write_begin_again(
    url: str, postgresql: PostgresqlServer, opened: Opened, times: int
) -> None:
    database = opened()
    tries = []

    def fn(connection: Connection) -> int:
        tries.append(1)
        seq = add_event(connection)
        if len(tries) <= times:
            break_connections(postgresql, url)
        return seq + count(connection)

    assert database.write(fn) == 2
    assert len(tries) == times + 1
    assert database.read(count) == 1


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_known_by_its_id(
    url: str, opened: Opened, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    database = opened()
    database.write(add_event)
    real = psycopg.Connection.execute
    lost: list[int] = []

    def execute(connection: psycopg.Connection[Any], query: Any, *words: Any, **options: Any) -> psycopg.Cursor[Any]:
        if query == "COMMIT" and not lost:
            lost.append(1)
            if committed:
                real(connection, query)
            connection.close()
            raise psycopg.OperationalError("the connection is lost")
        return real(connection, query, *words, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    tries = []

    def fn(connection: Connection) -> int:
        tries.append(1)
        return add_event(connection)

    assert database.write(fn) == 2
    assert len(tries) == (1 if committed else 2)
    assert database.read(count) == 2
    assert lost


def test_a_write_that_the_server_undoes_is_done_again(opened: Opened) -> None:
    tries = []

    def fn(connection: Connection) -> int:
        tries.append(1)
        seq = add_event(connection)
        if len(tries) < 3:
            raise psycopg.errors.SerializationFailure("for another's sake")
        return seq

    assert opened().write(fn) == 1
    assert len(tries) == 3


def test_a_writer_whose_turn_does_not_come_is_told(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    opened().write(add_event)
    monkeypatch.setattr(module, "SETTINGS", module.SETTINGS.replace("lock_timeout = '60s'", "lock_timeout = '300ms'"))

    def meanwhile(connection: Connection) -> None:
        add_event(connection)
        with pytest.raises(mreg.Conflict, match="busy"):
            opened().write(add_event)
        assert opened().read(count) == 1  # readers wait for nobody

    opened().write(meanwhile)


def test_the_numbers_of_old_writes_are_forgotten(opened: Opened) -> None:
    database = opened()
    database.write(lambda connection: connection.run_many("writes.insert", ({"id": str(n)} for n in range(3000))))
    database.write(lambda connection: connection.set_last_key("writes", 3099))
    database.write(add_event)
    assert database.read(lambda connection: len(connection.query("SELECT * FROM writes", {}))) < 2100


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql://postgres@127.0.0.1:1/mreg", "cannot use the catalog"),
        ("postgresql://postgres@nowhere.invalid/mreg", "cannot use the catalog"),
        ("postgresql:///nothing?host=/nowhere", "cannot use the catalog"),
        ("postgresql://postgres@127.0.0.1:1/mreg", "Connection refused"),
        (
            "postgresql://postgres@127.0.0.1:1,127.0.0.2:2/mreg",
            '; connection to server at "127.0.0.1", port 1 failed: Connection refused',
        ),
        ("postgresql://postgres@nowhere.invalid/mreg", "nowhere.invalid"),
        ("postgresql:///nothing?host=/nowhere", "No such file or directory"),
        ("postgresql:///?service=nosuch", 'definition of service "nosuch" not found'),
    ],
)
def test_a_server_that_is_not_there_is_told_soon(
    place: str, said: str, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.5)
    monkeypatch.setenv("MREG_CATALOG", place)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    done = command("list")
    assert (done.code, said in done.err) == (8, True)
    assert "hunter2" not in done.err


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql:///x?bogus=1", "bogus"),
        ("postgresql:///x?connect_timeout=abc", "connect_timeout"),
        ("postgresql:///x?sslmode=bogus", "invalid sslmode value"),
        ("postgresql:///x?target_session_attrs=bogus", "invalid target_session_attrs value"),
        ("postgresql://host:port/x", "the URL of catalog has an invalid port"),
        ("postgresql://127.0.0.1:99999/x", "99999"),
        ("postgresql://[::1/x", "IPv6"),
        ("pg://u@h/x", "write postgresql://"),
    ],
)
def test_a_url_that_can_not_be_meant_is_a_mistake_and_told_at_once(
    place: str, said: str, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", place)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    with counted_pauses() as pauses:
        done = command("list")
    assert (done.code, said in done.err) == (2, True), done
    assert pauses == []  # no retry


def test_the_check_of_a_profile_tells_who_may_not_write(
    url: str, postgresql: PostgresqlServer, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    monkeypatch.setenv("MREG_CATALOG", url)
    assert command("profile", "check").code == 0
    assert postgresql.sql("SELECT to_regnamespace('mreg')", database=name_of(url)) == [(None,)]  # nothing is made
    role = f"looker_{name_of(url)}"
    postgresql.sql(f"CREATE ROLE {role} LOGIN", database=name_of(url))
    monkeypatch.setenv("MREG_CATALOG", postgresql.url(name_of(url), role))
    done = command("profile", "check")
    assert (done.code, "this role cannot create it" in done.err) == (8, True), done
    with local_registry(catalog=url, artifacts="artifacts") as registry:
        registry.register("n")
    postgresql.sql(
        f"GRANT USAGE ON SCHEMA mreg TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA mreg TO {role}",
        database=name_of(url),
    )
    done = command("profile", "check")
    assert (done.code, "permission denied" in done.err) == (8, True), done
    assert "read the catalog\t" in done.out


def test_a_database_or_role_that_there_is_not_is_told(url: str, postgresql: PostgresqlServer, opened: Opened) -> None:
    with pytest.raises(mreg.Unavailable, match="does not exist") as caught:
        opened(postgresql.url("nothing")).read(count)
    assert "createdb" in caught.value.hint
    with pytest.raises(mreg.Unavailable, match="does not exist") as caught:
        opened(postgresql.url("postgres", "nobody_at_all")).read(count)
    assert "createuser" in caught.value.hint


def test_without_its_package_it_says_what_to_install(
    url: str, interpreter: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("psycopg.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{os.getcwd()}{os.pathsep}{os.environ['PYTHONPATH']}")
    monkeypatch.setenv("MREG_CATALOG", url)
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    done = interpreter("list")
    assert done.code == 8
    assert "pip install 'mreg[postgres]'" in done.err


def test_a_backslash_and_a_percent_sign_mean_themselves() -> None:
    assert in_postgresql("x LIKE :p AND y = '5%'") == "x LIKE %(p)s ESCAPE '' AND y = '5%%'"
    assert in_postgresql("CAST(a AS text)::text = :b1_2") == "CAST(a AS text)::text = %(b1_2)s"
    assert "BIGINT GENERATED BY DEFAULT AS IDENTITY" in migration_in_postgresql("(a INTEGER PRIMARY KEY AUTOINCREMENT)")


def test_its_trail_is_one_chain_whoever_wrote(url: str) -> None:
    for person in ("ada", "lin"):
        with local_registry(catalog=url, artifacts="artifacts", user=person) as registry:
            registry.register(person)
            events = registry._session.catalog.read(lambda reader: reader.events(newest_first=False))
            assert first_broken(events) is None


def test_a_message_has_the_words_of_the_server(url: str, postgresql: PostgresqlServer, opened: Opened) -> None:
    opened(url).write(add_event)
    name = name_of(url)
    said = "read-only; the server says: cannot execute"
    with pytest.raises(mreg.Unavailable, match=said):
        opened(f"{url}{'&' if '?' in url else '?'}options=-c%20default_transaction_read_only%3Don").write(add_event)
    for raised, words in (
        ("USING ERRCODE = 'disk_full', DETAIL = 'quota of lab', HINT = 'Ask Ada.'", "the server's disk is full; the server says: no more; quota of lab; Ask Ada"),
        ("USING ERRCODE = 'insufficient_privilege'", "permission denied; the server says: no more"),
        ("USING ERRCODE = 'io_error'", "the server failed; the server says: no more"),
        ("USING ERRCODE = 'check_violation', DETAIL = E'\\x1b[2J\\npassword=hunter2 x'", r"says: no more; \x1b[2J password=*** x"),
    ):  # fmt: skip
        postgresql.sql(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION 'no more' {raised}; END $$",
            "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON mreg.events EXECUTE FUNCTION refuse()",
            database=name,
        )
        with pytest.raises(mreg.MregError) as caught:
            opened(url).write(add_event)
        assert words in caught.value.message
        assert caught.value.message.isprintable()


def test_a_refused_connection_names_the_server_as_the_speaker(postgresql: PostgresqlServer, opened: Opened) -> None:
    with pytest.raises(mreg.Unavailable) as caught:
        opened(postgresql.url("nothing")).read(count)
    assert ': the server says: database "nothing" does not exist' in caught.value.message


PASSWORD = "p@ss/wörd:%?#"
ENCODED = "p%40ss%2Fw%C3%B6rd%3A%25%3F%23"


@pytest.fixture(scope="module")
def secured(postgresql: PostgresqlServer) -> str:
    """A role that the server asks for a password."""
    role = f"secured_{os.urandom(4).hex()}"
    postgresql.sql(f"CREATE ROLE {role} LOGIN CREATEDB SUPERUSER PASSWORD '{PASSWORD}'")
    rules = postgresql.folder / "data/pg_hba.conf"
    rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
    postgresql.sql("SELECT pg_reload_conf()")
    for _ in range(200):
        try:
            psycopg.connect(postgresql.url("postgres", role)).close()
        except psycopg.OperationalError:
            return role
    raise AssertionError("the server has not read its rules")


def catalog_of(url: str, role: str, password: str, scheme: str = "postgres") -> str:
    """The URL of a catalog as platforms hand it out."""
    return url.replace("postgresql://postgres@", f"{scheme}://{role}:{password}@")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_url_of_a_platform_works_with_its_password(
    scheme: str, url: str, secured: str, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    Path("model.pkl").write_bytes(b"x")
    monkeypatch.setenv("DATABASE_URL", catalog_of(url, secured, ENCODED, scheme) + "&sslmode=prefer")
    if scheme == "postgres":
        monkeypatch.setenv("MREG_CATALOG", os.environ["DATABASE_URL"])
        monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("artifacts"))
    else:
        places = ("--catalog", "${DATABASE_URL}", "--artifacts", os.path.abspath("artifacts"))
        assert command("profile", "add", "p", *places).code == 0
        monkeypatch.setenv("MREG_PROFILE", "p")
    done = command("push", "model.pkl", "--name", "m")
    assert done.code == 0, done.err
    shown = url.partition("?")[0].replace("postgres@", f"{secured}@")
    assert f"created the registry {shown}" in done.err
    for words in (
        ("show", "m@1"), ("profile", "show"), ("profile", "show", "--json"), ("profile", "check"), ("doctor", "--json"),
        ("doctor",), ("backup", "copy.db"), ("restore", "copy.db"), ("restore", "copy.db", "--yes"), ("upgrade",),
        ("--debug", "show", "m@2"), ("history", "--json"),
    ):  # fmt: skip
        done = command(*words)
        text = done.out + done.err
        assert not any(secret in text for secret in (PASSWORD, ENCODED, "p@ss", "p%40ss"))
    with local_registry(catalog=os.environ["DATABASE_URL"], artifacts="artifacts") as registry:
        assert registry.version("m@1").version == 1
        assert "p@ss" not in repr(registry.profile)


def test_a_wrong_password_is_never_told(url: str, secured: str, monkeypatch: pytest.MonkeyPatch, command: Mreg) -> None:
    monkeypatch.setenv("MREG_ARTIFACTS", "artifacts")
    for password in ("hunter2", ""):
        monkeypatch.setenv("MREG_CATALOG", catalog_of(url, secured, password))
        for words in (["list"], ["list", "--json"], ["list", "--debug"], ["doctor"], ["profile", "check", "--json"]):
            done = command(*words)
            assert done.code == 8
            assert "hunter2" not in done.out + done.err
    assert "the catalog is set by MREG_CATALOG" in command("list").err
