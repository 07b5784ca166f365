"""Catalog files, journals and logs that another person prepared: refused before SQLite believes them."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.catalog.schema import SCHEMA, definitions, migration_statements
from mreg.errors import Corrupt
from mreg.files import user_text
from tests.attacks.sqlite_files import Files, killed_writer, make_catalog, share_a_subtree, with_super_journal
from tests.hostile import attack, environment, plant, printable_only, untouched

READERS = (
    ("list",),
    ("show", "one0"),
    ("doctor",),
    ("history",),
    ("verify",),
    ("pull", "one0@1", "out"),
    ("push", "model.pkl", "--name", "one0"),
    ("backup", "backup.db"),
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder that a person cloned, with a project file that names a catalog in it; the working folder."""
    folder = tmp_path / "cloned"
    make_catalog(folder / ".mreg" / "catalog.db")
    (folder / "mreg.yaml").write_text("catalog: .mreg/catalog.db\n")
    (folder / "model.pkl").write_bytes(b"\x80\x04K\x02.")
    plant(tmp_path / "person")
    os.chdir(folder)
    return folder


@pytest.fixture
def catalog(project: Path) -> Path:
    return project / ".mreg" / "catalog.db"


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    return tmp_path / "person" / "documents" / "thesis.txt"


@pytest.fixture(scope="module")
def hot(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return killed_writer(tmp_path_factory.mktemp("hot"), "DELETE")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return killed_writer(tmp_path_factory.mktemp("logged"), "WAL")


def beside(catalog: Path, ending: str) -> Path:
    return Path(f"{catalog}{ending}")


def refused(catalog: Path) -> str:
    """The message with which both reading and writing are refused."""
    with mreg.open_registry(catalog=str(catalog)) as registry:
        with pytest.raises(Corrupt) as reading:
            registry.models()
        with pytest.raises(Corrupt) as writing:
            registry.tag("one0", add={"a": "b"})
    assert reading.value.message == writing.value.message
    assert reading.value.hint
    return reading.value.message


# Journals


@pytest.mark.parametrize("words", READERS, ids=lambda words: words[0])
def test_a_journal_that_names_a_file_to_delete_is_refused(
    words: tuple[str, ...], catalog: Path, hot: Files, victim: Path, tmp_path: Path
) -> None:
    catalog.write_bytes(hot.catalog)
    beside(catalog, "-journal").write_bytes(with_super_journal(hot.beside, os.fsencode(victim)))
    with untouched(tmp_path):
        outcome = attack(*words)
    assert outcome.code == 6
    assert (
        "catalog.db-journal does not belong to it: it names a super-journal, a file that SQLite would delete"
        in outcome.text
    )
    assert "mv " in outcome.text


def test_completion_does_not_open_it(catalog: Path, hot: Files, victim: Path, tmp_path: Path) -> None:
    catalog.write_bytes(hot.catalog)
    beside(catalog, "-journal").write_bytes(with_super_journal(hot.beside, os.fsencode(victim)))
    with untouched(tmp_path):
        outcome = attack(env=environment(COMP_WORDS="mreg show ", COMP_CWORD="2", _MREG_COMPLETE="complete_bash"))
    assert (outcome.out.strip(), outcome.err) == (b"", b"")


def test_restoring_from_it_is_refused(catalog: Path, hot: Files, victim: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    backup.write_bytes(hot.catalog)
    beside(backup, "-journal").write_bytes(with_super_journal(hot.beside, os.fsencode(victim)))
    with untouched(tmp_path):
        outcome = attack("restore", str(backup), "--yes")
    assert outcome.code == 6
    assert "backup.db-journal does not belong to it" in outcome.text


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_cut_super_journal_deletes_nothing(cut: int, catalog: Path, hot: Files, victim: Path, tmp_path: Path) -> None:
    """SQLite reads the name only where the magic is whole; a journal of another kind is rolled back."""
    catalog.write_bytes(hot.catalog)
    beside(catalog, "-journal").write_bytes(with_super_journal(hot.beside, os.fsencode(victim))[:-cut])
    with untouched(tmp_path / "person"), mreg.open_registry(catalog=str(catalog)) as registry:
        assert len(registry.models()) == 3


def test_the_hot_journal_of_a_killed_writer_is_rolled_back(catalog: Path, hot: Files) -> None:
    assert b"changed" in hot.catalog
    catalog.write_bytes(hot.catalog)
    beside(catalog, "-journal").write_bytes(hot.beside)
    with mreg.open_registry(catalog=str(catalog)) as registry:
        assert registry.model("one0").description == ""
    assert not beside(catalog, "-journal").exists()


@pytest.mark.parametrize("content", [b"", bytes(12), bytes(600)])
@pytest.mark.parametrize("ending", ["-journal", "-wal"])
def test_what_a_writer_killed_before_the_first_header_left_is_let_through(
    ending: str, content: bytes, catalog: Path
) -> None:
    beside(catalog, ending).write_bytes(content)
    with mreg.open_registry(catalog=str(catalog)) as registry:
        assert len(registry.models()) == 3


def test_the_log_of_a_killed_writer_is_read(catalog: Path, logged: Files) -> None:
    catalog.write_bytes(logged.catalog)
    beside(catalog, "-wal").write_bytes(logged.beside)
    with mreg.open_registry(catalog=str(catalog)) as registry:
        assert registry.model("one0").description.startswith("changed")


def edit(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


FOREIGN: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "text": ("-journal", lambda _: b"hello, world; this is no journal at all", "the header of a rollback journal"),
    "short": ("-journal", lambda data: data[:20], "the header of a rollback journal"),
    "sector": ("-journal", lambda data: edit(data, 20, b"\0\0\2\1"), "sectors of 513 bytes"),
    "page size": (
        "-journal",
        lambda data: edit(data, 24, b"\0\0\x10\1"),
        "wrong page size: expected 4096 bytes, got 4097",
    ),
    "other page size": (
        "-journal",
        lambda data: edit(data, 24, b"\0\0\2\0"),
        "wrong page size: expected 4096 bytes, got 512",
    ),
    "many pages": (
        "-journal",
        lambda data: edit(data, 16, b"\x7f\xff\xff\xff"),
        "a catalog of 8,796,093,018,112 bytes",
    ),
    "too large": ("-journal", lambda data: data + bytes(4 << 20), "bytes, and the catalog"),
    "log text": ("-wal", lambda _: b"hello, world; this is no log, not at all", "the header of a write-ahead log"),
    "log cut": ("-wal", lambda data: data[:31], "the header of a write-ahead log"),
    "log version": ("-wal", lambda data: edit(data, 4, b"\0\0\0\1"), "the header of a write-ahead log"),
    "log checksum": ("-wal", lambda data: edit(data, 12, b"\1\2\3\4"), "the header of a write-ahead log"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_journal_or_log_of_something_else_is_refused(
    kind: str, catalog: Path, hot: Files, logged: Files, tmp_path: Path
) -> None:
    ending, change, message = FOREIGN[kind]
    files = hot if ending == "-journal" else logged
    catalog.write_bytes(files.catalog)
    beside(catalog, ending).write_bytes(change(files.beside))
    with untouched(tmp_path):
        assert message in refused(catalog)


def test_a_log_of_another_page_size_is_refused(catalog: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    raw = sqlite3.connect(other, isolation_level=None)
    raw.execute("PRAGMA page_size = 512")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE x (y)")
    beside(catalog, "-wal").write_bytes(beside(other, "-wal").read_bytes())
    raw.close()
    outcome = attack("list")
    assert (outcome.code, "wrong page size: expected 4096 bytes, got 512" in outcome.text) == (6, True)


def as_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def as_hard_link(path: Path, victim: Path) -> None:
    os.link(victim, path)


def as_folder(path: Path, victim: Path) -> None:
    path.mkdir()


def as_pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("make", [as_link, as_hard_link, as_folder, as_pipe])
def test_a_link_or_special_file_beside_the_catalog_is_refused(
    make: Callable[[Path, Path], None], ending: str, catalog: Path, victim: Path, tmp_path: Path
) -> None:
    victim.write_bytes(b"")  # which SQLite would take for a new log
    make(beside(catalog, ending), victim)
    with untouched(tmp_path):
        assert f"catalog.db{ending} does not belong to it: it" in refused(catalog)


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user, which only root can become")
def test_a_log_of_a_user_who_may_not_write_the_catalog_is_refused(catalog: Path, logged: Files) -> None:
    catalog.write_bytes(logged.catalog)
    log = beside(catalog, "-wal")
    log.write_bytes(logged.beside)
    os.chown(log, 65534, 65534)
    catalog.chmod(0o644)
    assert f"belongs to {user_text(65534)}, who cannot write the catalog" in attack("list").text
    catalog.chmod(0o664)  # a shared catalog
    assert attack("list").code == 0


@pytest.mark.parametrize("words", [READERS[0], READERS[6]], ids=lambda words: words[0])
def test_a_project_catalog_that_leads_elsewhere_is_refused(
    words: tuple[str, ...], catalog: Path, tmp_path: Path
) -> None:
    private = tmp_path / "person" / "private.db"
    catalog.rename(private)
    catalog.symlink_to(private)
    with untouched(tmp_path):
        outcome = attack(*words)
    assert outcome.code == 2
    assert "mreg.yaml" in outcome.text


def test_a_catalog_that_the_user_names_may_be_a_link(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(catalog)
    with mreg.open_registry(catalog=str(tmp_path / "link.db")) as registry:
        assert len(registry.models()) == 3


# Schemas

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"

SCHEMAS = {
    "view for a table": (
        f"PRAGMA foreign_keys = OFF; DROP TABLE models; CREATE VIEW models AS SELECT x AS model_id, x AS name, "
        f"x AS description FROM ({ENDLESS})",
        "the 'view' 'models' has an unexpected definition|the table models is missing",
    ),
    "view": (f"CREATE VIEW other AS {ENDLESS}", "it has an unexpected 'view' 'other'"),
    "trigger": (
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM versions; END",
        "it has an unexpected 'trigger' 't'",
    ),
    "table": ("CREATE TABLE more (x)", "it has an unexpected 'table' 'more'"),
    "virtual table": ("CREATE VIRTUAL TABLE more USING fts5(x)", "it has an unexpected 'table' 'more'"),
    "index on an expression": ("CREATE INDEX e ON models (abs(name))", "it has an unexpected 'index' 'e'"),
    "generated column": (
        "ALTER TABLE models ADD COLUMN g AS (name || name)",
        "the 'table' 'models' has an unexpected definition",
    ),
    "check": ("ALTER TABLE models ADD COLUMN c CHECK (c IS NULL)", "the 'table' 'models' has an unexpected definition"),
    "default": ("ALTER TABLE models ADD COLUMN d DEFAULT 7", "the 'table' 'models' has an unexpected definition"),
    "statistics": ("ANALYZE", "it has an unexpected 'table' 'sqlite_stat"),
    "missing index": ("DROP INDEX models_by_update", "the index models_by_update is missing"),
    "edited text": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'TEXT', 'BLOB') WHERE name = 'models'",
        "the 'table' 'models' has an unexpected definition",
    ),
    "renamed row": (
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = char(27) || '[2J' WHERE name = 'models'",
        "malformed database schema (\x1b[2J)",
    ),
    "number of a past schema": ("PRAGMA user_version = 2", "it has an unexpected"),
    "number 0": ("PRAGMA user_version = 0", "it has schema 0"),
    "negative number": ("PRAGMA user_version = -3", "it has schema -3"),
}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_that_is_not_that_of_mreg_is_refused(kind: str, catalog: Path, tmp_path: Path) -> None:
    script, messages = SCHEMAS[kind]
    raw = sqlite3.connect(catalog, isolation_level=None)
    raw.executescript(script)
    raw.close()
    with untouched(tmp_path):
        found = refused(catalog)
    assert any(message in found for message in messages.split("|")), found
    if kind == "view for a table":
        outcome = attack("list")
        assert outcome.code == 6
        assert printable_only(outcome.err)


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_the_definitions_are_what_sqlite_makes_of_the_migrations(schema: int) -> None:
    raw = sqlite3.connect(":memory:")
    for number in range(1, schema + 1):
        for sql in migration_statements(number):
            raw.execute(sql)
    made = raw.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    raw.close()
    assert sorted(made) == sorted(definitions(schema), key=str)


def test_text_in_utf_16_is_refused(project: Path, catalog: Path) -> None:
    catalog.unlink()
    raw = sqlite3.connect(catalog, isolation_level=None)
    raw.execute("PRAGMA encoding = 'UTF-16le'")
    for number in range(1, SCHEMA + 1):
        for sql in migration_statements(number):
            raw.execute(sql)
    raw.execute(f"PRAGMA user_version = {SCHEMA}")
    raw.execute(f"PRAGMA application_id = {0x6D726567}")
    raw.close()
    outcome = attack("list")
    assert (outcome.code, "its text is not UTF-8" in outcome.text) == (6, True)


def test_a_schema_of_many_objects_is_refused_in_time(catalog: Path) -> None:
    raw = sqlite3.connect(catalog, isolation_level=None)
    raw.execute("PRAGMA writable_schema = ON")  # newer releases of SQLite take minutes for so many CREATE statements
    raw.execute("BEGIN")
    raw.executemany(
        "INSERT INTO sqlite_schema VALUES ('view', ?1, ?1, 0, 'CREATE VIEW ' || ?1 || ' AS SELECT 1')",
        ((f"v{number}",) for number in range(20_000)),
    )
    raw.execute("COMMIT")
    raw.close()
    assert attack("list").code == 6


# Values and time


def test_a_huge_value_ends_in_an_error(catalog: Path) -> None:
    # In a process of its own, whose memory does not count as that of the processes that this one starts.
    program = (
        "import sqlite3, sys; raw = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "raw.execute('PRAGMA journal_mode = DELETE'); raw.execute('PRAGMA synchronous = OFF')\n"
        "raw.execute(\"UPDATE models SET description = CAST(zeroblob(900000000) AS TEXT) WHERE name = 'one0'\")\n"
    )
    subprocess.run([sys.executable, "-c", program, str(catalog)], check=True)
    for words in (*READERS[:4], READERS[7]):
        outcome = attack(*words)
        assert outcome.code == (0 if words[0] == "history" else 6), words  # the audit trail does not read it
        assert words[0] == "history" or "a value in it has more than 32 MiB" in outcome.text, words


@pytest.mark.parametrize(
    ("words", "table"),
    [(("list",), "models"), (("doctor",), "versions"), (("history",), "events"), (("backup", "b.db"), "events")],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_file_with_endless_rows_ends_in_an_error(words: tuple[str, ...], table: str, catalog: Path) -> None:
    share_a_subtree(catalog, table)
    outcome = attack(*words)
    assert outcome.code in (0, 1, 4, 6), outcome


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_long_statement_at_once(number: signal.Signals, code: int, catalog: Path) -> None:
    share_a_subtree(catalog, "models")
    program = (
        "import sys; from mreg.catalog import guard; guard.SECONDS = 600.0; guard.MEMORY = 1 << 40\n"
        "from mreg.catalog.sqlite import SqliteDatabase\n"
        "from mreg.cli import app, models\n"
        "from mreg.registry.registry import Registry\n"
        "import mreg.cli.failures\n"
        "real = SqliteDatabase.read\n"
        "def read(self, fn):\n"
        "    def slow(connection):\n"
        "        print('begun', flush=True)\n"
        "        return connection.query('SELECT count(*) FROM models NOT INDEXED WHERE length(description) < :x', {'x': 0})\n"
        "    return real(self, slow)\n"
        "SqliteDatabase.read = read\n"
        "sys.exit(app.run(['list']))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout
    assert child.stdout.readline() == b"begun\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=60)  # the limit of the check itself is ten times as long
    assert child.returncode == code, err
