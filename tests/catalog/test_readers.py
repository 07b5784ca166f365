"""Threads of one process on one SQLite catalog: readers side by side, one writer."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mreg.catalog.database import Connection
from mreg.catalog.readers import CONNECTIONS
from mreg.catalog.sqlite import SqliteDatabase
from mreg.errors import Unavailable
from mreg.testing.database import add_event, count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A catalog with one event."""
    with closing(SqliteDatabase(tmp_path / "catalog.db")) as database:
        database.write(add_event)
    return tmp_path / "catalog.db"


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    with closing(SqliteDatabase(path)) as opened:
        yield opened


def open_files(path: Path) -> int:
    """How many descriptors of this process are on the catalog."""
    found = 0
    for one in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{one}").startswith(str(path))
        except OSError:
            continue
    return found


def test_readers_do_not_wait_for_a_writer_that_waits_for_another_process(path: Path) -> None:
    with closing(SqliteDatabase(path, busy_seconds=30)) as database, closing(sqlite3.connect(path)) as other:
        assert database.read(count) == 1
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=database.write, args=(add_event,))
        writer.start()
        for _ in range(50):
            assert database.read(count) == 1
        assert writer.is_alive()
        other.execute("ROLLBACK")
        writer.join()
        assert database.read(count) == 2


def test_so_many_threads_read_at_once_and_not_more(database: SqliteDatabase, path: Path) -> None:
    together = threading.Barrier(CONNECTIONS, timeout=30)
    lock, inside, most = threading.Lock(), 0, 0

    def look(connection: Connection) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait()
        with lock:
            inside -= 1
        return count(connection)

    with ThreadPoolExecutor(3 * CONNECTIONS) as pool:
        assert list(pool.map(lambda _: database.read(look), range(3 * CONNECTIONS))) == [1] * 3 * CONNECTIONS
    assert most == CONNECTIONS
    if os.path.isdir("/proc/self/fd"):
        assert 0 < open_files(path) <= 3 * CONNECTIONS  # the file, its log and its index
        database.close()
        assert open_files(path) == 0


def test_a_connection_in_use_is_closed_when_its_transaction_ends(database: SqliteDatabase, path: Path) -> None:
    def look(connection: Connection) -> int:
        database.close()
        return count(connection)

    assert database.read(look) == 1
    if os.path.isdir("/proc/self/fd"):
        assert open_files(path) == 0


def test_a_read_sees_one_state_while_another_thread_writes(database: SqliteDatabase) -> None:
    def look(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        writer = threading.Thread(target=database.write, args=(add_event,))
        writer.start()
        writer.join()
        return before, count(connection)

    assert database.read(look) == (1, 1)
    assert database.read(count) == 2


def _open_two(database: SqliteDatabase) -> None:
    together = threading.Barrier(2, timeout=30)

    def look(connection: Connection) -> None:
        count(connection)
        together.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: database.read(look), range(2)))


def _read_by_two(database: SqliteDatabase) -> list[object]:
    together = threading.Barrier(2, timeout=30)

    def work(_number: int) -> object:
        try:
            return database.read(lambda connection: (count(connection), together.wait())[0])
        except Unavailable as error:
            return error.message

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, range(2)))


def test_every_connection_follows_a_file_that_takes_the_place_of_the_catalog(
    database: SqliteDatabase, path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    with closing(SqliteDatabase(other)) as another:
        for _ in range(3):
            another.write(add_event)
    _open_two(database)
    os.replace(other, path)
    assert _read_by_two(database) == [3, 3]


def test_no_thread_takes_a_catalog_that_is_gone_for_an_empty_one(database: SqliteDatabase, path: Path) -> None:
    assert database.read(count) == 1  # one connection is open, a second thread would open another
    shutil.rmtree(path.parent)
    gone = f"the catalog {path} was removed after it was opened"
    assert _read_by_two(database) == [gone, gone]
    with pytest.raises(Unavailable, match="was removed after it was opened"):
        database.write(add_event)
    assert not path.exists()
