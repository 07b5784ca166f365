"""A catalog file that is damaged, foreign, newer or out of reach: a clear error, and the file as it was."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from mreg.catalog import embedded
from mreg.catalog.access import check_access, is_writable
from mreg.catalog.catalog import Catalog
from mreg.catalog.schema import SCHEMA
from mreg.catalog.sqlite import SqliteDatabase
from mreg.domain.events import first_broken
from mreg.domain.names import ModelName
from mreg.errors import Conflict, Corrupt, MregError, Unavailable
from mreg.files import group_text, user_text
from tests.users import Person

AT = datetime(2026, 3, 1, tzinfo=UTC)


def opened(path: Path, **options: Any) -> Catalog:
    return Catalog(SqliteDatabase(path, **options), str)


def register(catalog: Catalog, name: str) -> None:
    catalog.write(lambda writer: writer.register(name=ModelName(name)), actor="me", at=AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.db"
    catalog = opened(path)
    for number in range(40):
        register(catalog, f"model{number}")
    catalog.close()
    return path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwrite_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 : page * 4096 + 200] = b"\xff" * 200
    path.write_bytes(data)


def foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    raw.close()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], type[MregError], str]] = {
    "not sqlite": (lambda path: path.write_text("x" * 5000), Corrupt, "the catalog {} is not a SQLite file"),
    "zero bytes": (lambda path: path.write_bytes(b""), Corrupt, "the catalog {} is damaged: the file is empty"),
    "cut": (cut, Corrupt, "the catalog {} is damaged: database disk image is malformed"),
    "pages overwritten": (overwrite_pages, Corrupt, "the catalog {} is damaged: database disk image is malformed"),
    "foreign": (foreign, Corrupt, "{} is a SQLite file, but not an mreg catalog"),
    "newer": (
        newer,
        Unavailable,
        f"the catalog {{}} has schema {SCHEMA + 1}, which is newer than this mreg supports ({SCHEMA})",
    ),
    "folder": (folder, Unavailable, "the catalog {} is a folder"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("action", ["read", "write"])
def test_a_damaged_catalog_is_told_and_left_as_it_is(path: Path, damage: str, action: str) -> None:
    do, error, message = DAMAGES[damage]
    do(path)
    before = None if path.is_dir() else path.read_bytes()
    catalog = opened(path)
    with pytest.raises(error) as caught:
        if action == "read":
            catalog.read(lambda reader: (reader.models(), reader.events()))
        else:
            register(catalog, "another")
    catalog.close()
    assert caught.value.message == message.format(path)
    assert caught.value.hint
    assert before is None or path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["catalog.db"]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE events SET actor = 'x' WHERE seq = 7",
        "DELETE FROM events WHERE seq = 7",
        "UPDATE events SET details = '{}' WHERE seq = 7",
        "UPDATE events SET seq = 1000 WHERE seq = 7",
    ],
)
def test_an_edited_audit_row_is_found(path: Path, edit: str) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute(edit)
    raw.close()
    catalog = opened(path)
    assert first_broken(catalog.read(lambda reader: reader.events(newest_first=False))) == 7
    catalog.close()


def test_a_link_to_nothing_and_a_file_in_the_way_are_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "file").write_text("x")
    for path, message in (
        (tmp_path / "link", "is a broken link"),
        (tmp_path / "file" / "catalog.db", "a part of its path is a file"),
    ):
        with pytest.raises(Unavailable, match=message):
            register(opened(path), "m")


def test_a_writer_that_waits_too_long_changes_nothing(path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    catalog = opened(path, busy_seconds=0.2)
    with pytest.raises(Conflict) as caught:
        register(catalog, "another")
    assert caught.value.message == f"the catalog {path} is busy: other processes were writing for 0.2 s"
    assert catalog.read(lambda reader: reader.model(ModelName("another"))) is None
    blocker.execute("ROLLBACK")
    blocker.close()
    register(catalog, "another")
    catalog.close()


READ_AND_WRITE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mreg.catalog.catalog import Catalog
from mreg.catalog.sqlite import SqliteDatabase
from mreg.domain.names import ModelName
from mreg.errors import Unavailable

catalog = Catalog(SqliteDatabase(Path(sys.argv[1])), str)
print(len(catalog.read(lambda reader: reader.models())))
try:
    catalog.write(lambda writer: writer.register(name=ModelName("another")), actor="me", at=datetime.now(UTC))
except Unavailable as error:
    print(error.message)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user, which only root can become")
@pytest.mark.parametrize("log", [True, False])
def test_a_catalog_that_may_not_be_written_can_be_read(path: Path, log: bool) -> None:
    for parent in path.parents:
        if parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    path.chmod(0o444)
    writer = opened(path)
    if log:  # a writer is there, and with it a log that a reader must not ignore
        register(writer, "pending")
    found = Person(name="nobody", uid=65534, gid=65534, place=path.parent).run(str(path), script=READ_AND_WRITE)
    writer.close()
    message = (
        f"cannot write catalog.db: it belongs to {user_text(0)} and {group_text(0)}, and you are not in that group"
    )
    assert (found.code, found.out, found.err) == (0, f"{41 if log else 40}\n{message}\n", "")


def test_a_log_that_another_process_removes_is_no_error(path: Path) -> None:
    stopped = threading.Event()
    log = Path(f"{path}-wal")

    def stay() -> None:
        for _ in range(50):
            path.stat()

    def come_and_go() -> None:
        while not stopped.is_set():
            log.touch()
            stay()
            log.unlink()
            stay()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(5000):
            check_access(str(path), write=True)
            assert is_writable(str(path))
    finally:
        stopped.set()
        other.join()


def _make(path: str, name: str, barrier: Barrier) -> None:
    barrier.wait()
    catalog = opened(Path(path))
    register(catalog, name)
    catalog.close()


def test_many_processes_make_one_catalog(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(8)
    path = tmp_path / "new" / "catalog.db"
    path.parent.mkdir()
    workers = [context.Process(target=_make, args=(str(path), f"m{number}", barrier)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 8
    catalog = opened(path)
    assert len(catalog.read(lambda reader: reader.models())) == 8
    assert first_broken(catalog.read(lambda reader: reader.events(newest_first=False))) is None
    catalog.close()
    assert [one.name for one in path.parent.iterdir()] == ["catalog.db"]


def test_it_is_made_on_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "not here")

    monkeypatch.setattr(os, "link", refuse)
    catalog = opened(tmp_path / "catalog.db")
    register(catalog, "m")
    catalog.close()
    assert [one.name for one in tmp_path.iterdir()] == ["catalog.db"]


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MregError):
        register(opened(tmp_path / "file" / "deep" / "catalog.db"), "m")
    assert (tmp_path / "file").read_text() == "x"


def test_the_number_of_the_schema_is_that_of_the_last_migration() -> None:
    files = sorted(path.name for path in (Path(embedded.__file__).parent / "migrations").glob("*.sql"))
    assert [int(name[:4]) for name in files] == list(range(1, SCHEMA + 1))
