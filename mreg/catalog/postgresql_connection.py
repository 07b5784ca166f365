"""A connection to PostgreSQL that is not waited for without end, and the catalog's statements on it."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg import errors

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.embedded import SqliteConnection
from mreg.catalog.postgresql_schema import NAMESPACE
from mreg.catalog.statements import statement
from mreg.errors import Unavailable
from mreg.waiting import Watch

STATEMENT_SECONDS = 60
"""After which the server itself ends a statement."""

SILENCE_SECONDS = STATEMENT_SECONDS + 10
"""How long an answer is waited for: a server that is there ends a statement itself before that."""

LONG_SILENCE_SECONDS = 1800
"""The same where many rows are sent by one statement, which the server is told not to end."""


class Watched(psycopg.Connection[dict[str, Any]]):
    """A connection whose server may fall silent: then waiting for it fails, and the connection is closed.

    Attributes:
        watch: Looks after each wait; None where nobody does.
        seconds: How long one may last.
    """

    watch: Watch | None = None
    seconds: float = SILENCE_SECONDS

    def wait(self, *words: Any, **named: Any) -> Any:
        """As psycopg's, with an end.

        Raises:
            errors.ConnectionTimeout: The server is silent.
        """
        if self.watch is None:
            return super().wait(*words, **named)
        with self.watch.over(self.seconds, self._hang_up) as call:
            try:
                return super().wait(*words, **named)
            except psycopg.OperationalError as error:
                if call.ended:
                    raise errors.ConnectionTimeout(f"it has been silent for {self.seconds:g} s") from error
                raise

    def _hang_up(self) -> None:
        # What waits finds that the connection has ended; nothing of libpq is touched from this thread.
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


class PostgresqlConnection(Connection):
    """Statements in one transaction of a server."""

    def __init__(self, raw: Watched) -> None:
        self._raw = raw

    def _execute(self, sql: str, values: Mapping[str, Value] | None = None) -> psycopg.Cursor[dict[str, Any]]:
        return self._raw.execute(sql, values)

    def all(self, statement_name: str, **values: Value) -> Sequence[Row]:
        return self._execute(in_postgresql(statement(statement_name)), values).fetchall()

    def one(self, statement_name: str, **values: Value) -> Row | None:
        return self._execute(in_postgresql(statement(statement_name)), values).fetchone()

    def run(self, statement_name: str, **values: Value) -> int:
        return self._execute(in_postgresql(statement(statement_name)), values).rowcount

    def insert(self, statement_name: str, **values: Value) -> int:
        row = self._execute(f"{in_postgresql(statement(statement_name))} RETURNING *", values).fetchone()
        return int(next(iter(row.values()))) if row else 0  # a table's key is its first column

    def run_many(self, statement_name: str, rows: Iterable[Mapping[str, Value]]) -> None:
        with self._raw.cursor() as cursor:
            cursor.executemany(in_postgresql(statement(statement_name)), rows)

    def query(self, sql: str, values: Mapping[str, Value]) -> Sequence[Row]:
        return self._execute(in_postgresql(sql), values).fetchall()

    def stream(self, sql: str) -> Iterator[Row]:
        with self._raw.cursor(name="rows") as cursor:
            cursor.itersize = 5_000
            yield from cursor.execute(in_postgresql(sql))

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
        self._execute("SET LOCAL statement_timeout = 0")  # one statement, however many rows
        self._raw.seconds = LONG_SILENCE_SECONDS
        with self._raw.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def clear(self, table: str) -> None:
        self._execute(f"DELETE FROM {table}")

    def last_key(self, table: str) -> int:
        # Of a sequence that was never used the last value is 1, too.
        sql = "SELECT last_value, is_called FROM " + self._sequence(table)
        row = self._execute(sql).fetchone()
        return int(row["last_value"]) if row and row["is_called"] else 0

    def set_last_key(self, table: str, key: int) -> None:
        sql = "SELECT setval(%(sequence)s, %(key)s, %(called)s)"
        self._execute(sql, {"sequence": self._sequence(table), "key": max(key, 1), "called": key > 0})

    def _sequence(self, table: str) -> str:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = %(space)s"
        sql = f"{columns} AND table_name = %(table)s AND is_identity = 'YES'"
        row = self._execute(sql, {"space": NAMESPACE, "table": table}).fetchone()
        return f"{NAMESPACE}.{table}_{row['column_name']}_seq" if row else ""


class WithoutKeys(SqliteConnection):
    """A copy without the last keys, which nothing but a backup needs."""

    def last_key(self, table: str) -> int:
        raise Unavailable(
            f"the last key of {table} cannot be read: permission denied",
            hint="GRANT SELECT ON ALL SEQUENCES IN SCHEMA mreg to the role",
        )


@cache
def in_postgresql(sql: str) -> str:
    """A statement in PostgreSQL's words: ``:name`` is ``%(name)s``, and the few words that differ."""
    sql = sql.replace("%", "%%").replace("CROSS JOIN", "JOIN")
    sql = re.sub(r"LIKE :(\w+)", r"LIKE :\1 ESCAPE ''", sql)  # a backslash means itself
    return re.sub(r"(?<![:\w]):([a-z_]\w*)", r"%(\1)s", sql)
