"""Contract tests of databases."""

from __future__ import annotations

import abc
import threading

import pytest

from mreg.catalog.database import Connection, Database
from mreg.errors import BadInput

EVENT = {
    "at": "2026-03-01T00:00:00.000000Z", "actor": "me", "action": "did", "model_id": 0, "model": "", "version": None,
    "details": "{}", "previous": "", "hash": "",
}  # fmt: skip


def add_event(connection: Connection) -> int:
    """Insert the next event after reading the last one, which is correct only if writers are serialized."""
    last = connection.one("events.last")
    seq = int(str(last["seq"])) + 1 if last else 1
    connection.run("events.insert", seq=seq, **EVENT)  # type: ignore[arg-type]
    return seq


def count(connection: Connection) -> int:
    """Return the number of events."""
    return len(connection.all("events.all", row_limit=10_000))


class DatabaseContract(abc.ABC):
    """Contract of `Database`."""

    @abc.abstractmethod
    def open(self) -> Database:
        """Return a new client of the same place."""

    def test_a_new_place_is_an_empty_catalog(self) -> None:
        assert self.open().read(count) == 0

    def test_other_clients_read_a_write(self) -> None:
        first, second = self.open(), self.open()
        assert second.read(count) == 0
        assert first.write(add_event) == 1
        assert second.read(count) == 1

    def test_a_write_that_raises_changes_nothing(self) -> None:
        database = self.open()
        database.write(add_event)

        def fail(connection: Connection) -> None:
            add_event(connection)
            raise BadInput("no")

        with pytest.raises(BadInput):
            database.write(fail)
        assert database.read(count) == 1
        assert database.write(add_event) == 2

    def test_an_interrupted_write_changes_nothing(self) -> None:
        database = self.open()

        def interrupt(connection: Connection) -> None:
            add_event(connection)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            database.write(interrupt)
        assert database.read(count) == 0

    def test_a_read_sees_one_state(self) -> None:
        first, second = self.open(), self.open()
        first.write(add_event)

        def twice(connection: Connection) -> tuple[int, int]:
            before = count(connection)
            thread = threading.Thread(target=lambda: first.write(add_event))
            thread.start()
            thread.join(20)
            return before, count(connection)

        assert second.read(twice) == (1, 1)
        assert second.read(count) == 2

    def test_concurrent_writers_are_serialized(self) -> None:
        seen: list[int] = []

        def work() -> None:
            database = self.open()
            seen.extend(database.write(add_event) for _ in range(10))
            database.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == list(range(1, 61))
        assert self.open().read(count) == 60

    def test_close_is_idempotent_and_a_closed_database_can_be_used(self) -> None:
        database = self.open()
        database.write(add_event)
        database.close()
        database.close()
        assert database.read(count) == 1
        database.close()
