"""A server that takes what it is asked and never answers: a person hears of it soon, and it ends."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import mreg
from mreg import waiting
from mreg.catalog import postgresql, postgresql_connection
from mreg.catalog.database import Connection
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.catalog.sqlite import SqliteDatabase
from mreg.stores import client as client_module
from mreg.stores import retry
from mreg.testing.database import add_event, count
from tests.conftest import Mreg
from tests.proxy import Proxy
from tests.servers import Place, PostgresqlLine, PostgresqlServer


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "NOTICE_AFTER_SECONDS", 0.5)
    monkeypatch.setattr(client_module, "READ_SECONDS", 2)
    monkeypatch.setattr(retry, "SECONDS", 2)
    monkeypatch.setattr(retry, "FIRST_SECONDS", 1)
    monkeypatch.setattr(postgresql, "SILENCE_SECONDS", 2)
    monkeypatch.setattr(postgresql_connection.Watched, "seconds", 2)


@pytest.mark.parametrize("words", [["list"], ["push", "model.pkl", "--name", "m"], ["doctor"]], ids=" ".join)
def test_a_store_that_never_answers_is_told_and_given_up(
    bucket: Place, proxy: Proxy, command: Mreg, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    Path("model.pkl").write_text("x")
    proxy.silent = True
    proxy.requests.clear()
    done = command(*words)
    assert done.code == 8
    assert len(proxy.requests) <= (2 if words == ["doctor"] else 1), proxy.requests  # a silence, not several
    assert f"waiting for {proxy.endpoint}" in done.err
    assert "does not respond" in done.err


def test_a_store_that_falls_silent_is_told_and_given_up(bucket: Place, proxy: Proxy) -> None:
    said: list[str] = []
    with mreg.open_registry(notice=said.append) as registry:
        Path("m").write_text("x" * 100)
        registry.push("m", name="m")
        proxy.silent = True
        proxy.requests.clear()
        with pytest.raises(mreg.Unavailable, match="does not respond"):
            registry.pull("m@1", "out")
        assert len(proxy.requests) == 1, proxy.requests
    assert any("waiting for" in one for one in said)


def test_a_store_that_is_slow_to_answer_is_waited_for(
    bucket: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    proxy.latency = 1.2
    monkeypatch.setattr(
        retry, "SECONDS", 60
    )  # two notices are that far apart, and all requests can take longer than 2 s
    with mreg.open_registry(notice=said.append) as registry:
        Path("m").write_text("x" * 100)
        registry.push("m", name="m")
    assert sum("waiting for" in one for one in said) == 1


@pytest.fixture
def line(postgresql: PostgresqlServer) -> Iterator[PostgresqlLine]:
    line = PostgresqlLine(postgresql.new_catalog())
    yield line
    line.stop()


def test_postgresql_that_falls_silent_is_told_and_given_up(line: PostgresqlLine) -> None:
    said: list[str] = []
    database = PostgresqlDatabase(line.url, said.append)
    database.write(add_event)
    line.silent = True
    works: tuple[Callable[[], object], ...] = (lambda: database.read(count), lambda: database.write(add_event))
    for work in works:
        line.opened = 0
        with pytest.raises(mreg.Unavailable, match=r"no response|does not respond"):
            line.silent = True
            work()
        assert line.opened <= 1, "it was tried again after the first silence"
        assert any("waiting" in one for one in said)
        said.clear()
        line.silent = False
        assert database.read(count) == 1
    database.close()


def test_a_commit_whose_answer_never_comes_is_told_as_not_known(
    line: PostgresqlLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = PostgresqlDatabase(line.url)
    database.write(add_event)
    real = psycopg.Connection.execute

    def execute(connection: psycopg.Connection[Any], query: Any, *words: Any, **options: Any) -> psycopg.Cursor[Any]:
        line.silent = query == "COMMIT"
        return real(connection, query, *words, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    with pytest.raises(mreg.Unavailable, match="it is unknown whether the change was made"):
        database.write(add_event)
    database.close()


def test_who_waits_for_others_that_write_hears_so(postgresql: PostgresqlServer) -> None:
    url = postgresql.new_catalog()
    said: list[str] = []
    database, other = PostgresqlDatabase(url, said.append), PostgresqlDatabase(url)
    database.write(add_event)
    held = threading.Event()

    def hold(connection: Connection) -> None:
        add_event(connection)
        held.set()
        time.sleep(1.5)

    holder = threading.Thread(target=lambda: other.write(hold))
    holder.start()
    held.wait(10)
    assert database.write(add_event) == 3
    holder.join()
    assert [one.partition(" postgresql")[0] for one in said] == ["created the registry", "waiting to write to"]
    database.close()
    other.close()


def test_a_writer_that_waits_for_another_one_of_a_file_hears_so_once(tmp_path: Path) -> None:
    path, said = tmp_path / "catalog.db", list[str]()
    other = SqliteDatabase(path)
    other.write(add_event)
    held, told = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        add_event(connection)
        held.set()
        told.wait(60)

    def hear(text: str) -> None:
        said.append(text)
        told.set()

    database = SqliteDatabase(path, notice=hear)
    holder = threading.Thread(target=lambda: other.write(hold))
    holder.start()
    held.wait(10)
    assert database.write(add_event) == 3
    holder.join()
    assert [one.rpartition(" (")[0] for one in said] == [f"waiting for another process that writes to {path}"]
    database.close()
    other.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_that_waits_for_another_writer(
    mreg_registry_path: Path, number: signal.Signals, code: int
) -> None:
    blocker = sqlite3.connect(mreg_registry_path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    lines = "from mreg import waiting; waiting.NOTICE_AFTER_SECONDS = 0.1; from mreg.cli.start import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", lines, "push", "m", "--name", "m"], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stderr
    try:
        first = child.stderr.readline()
        assert b"waiting for another process that writes to" in first
        child.send_signal(number)
        child.communicate(timeout=20)  # the command itself would wait for 60 s
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == code
    blocker.execute("ROLLBACK")
    assert blocker.execute("SELECT count(*) FROM versions").fetchone() == (1,)
    blocker.close()


@pytest.fixture
def mreg_registry_path(registry: mreg.Registry) -> Path:
    """A catalog with one version of the file ``m``, which has changed since."""
    Path("m").write_text("1")
    registry.push("m", name="m")
    registry.close()
    Path("m").write_text("2")
    return Path(registry.profile.catalog)


def test_a_watch_ends_with_what_it_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TICK", 0.02)
    said: list[float] = []
    ended: list[int] = []
    watch = waiting.Watch(said.append)
    with watch.over(0.1, lambda: ended.append(1)) as call:
        thread = watch._thread
        assert thread is not None
        while not said:
            time.sleep(0.01)
        time.sleep(10 * waiting.TICK)  # it could be told again
    assert (len(said), ended, call.ended) == (1, [1], True)
    thread.join(60)
    assert watch._thread is None
    with watch.over():
        assert watch._thread is not None
