"""A connection to PostgreSQL with a timeout, and the catalog's statements on it."""

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
"""The server's own timeout for statements."""

SILENCE_SECONDS = STATEMENT_SECONDS + 10
"""Timeout for a response; longer than the server's own timeout for statements."""

LONG_SILENCE_SECONDS = 1800
"""Timeout for a response to a bulk statement, for which the server has no timeout."""


class Watched(psycopg.Connection[dict[str, Any]]):
    """A connection that closes itself and raises if the server does not respond in time.

    Attributes:
        watch: Watches each wait; None to wait without a timeout.
        seconds: Timeout of a wait.
    """

    watch: Watch | None = None
    seconds: float = SILENCE_SECONDS

    def wait(self, *args: Any, **kwargs: Any) -> Any:
        """Override psycopg's method with a timeout.

        Raises:
            errors.ConnectionTimeout: The server does not respond.
        """
        if self.watch is None:
            return super().wait(*args, **kwargs)
        with self.watch.over(self.seconds, self._hang_up) as call:
            try:
                return super().wait(*args, **kwargs)
            except psycopg.OperationalError as error:
                if call.ended:
                    raise errors.ConnectionTimeout(f"no response for {self.seconds:g} s") from error
                raise

    def _hang_up(self) -> None:
        # The waiting thread sees the end of the connection; libpq must not be used from this thread.
        with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)


class PostgresqlConnection(Connection):
    """Statements in a transaction on a server."""

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
        return int(next(iter(row.values()))) if row else 0  # the key is the first column

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
        self._execute("SET LOCAL statement_timeout = 0")  # one statement for all rows
        self._raw.seconds = LONG_SILENCE_SECONDS
        with self._raw.cursor() as cursor, cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def clear(self, table: str) -> None:
        self._execute(f"DELETE FROM {table}")

    def last_key(self, table: str) -> int:
        # The last value is 1 for an unused sequence too.
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
    """A copy without the last keys, which only a backup needs."""

    def last_key(self, table: str) -> int:
        raise Unavailable(
            f"cannot read the last key of {table}: permission denied",
            hint="GRANT SELECT ON ALL SEQUENCES IN SCHEMA mreg to the role",
        )


@cache
def in_postgresql(sql: str) -> str:
    """Return a statement in PostgreSQL's dialect: ``%(name)s`` for ``:name``, and a few other changes."""
    sql = sql.replace("%", "%%").replace("CROSS JOIN", "JOIN")
    # A pattern of model names has no other special characters than these; see `mreg.domain.scope.check_pattern`.
    sql = re.sub(r"GLOB :(\w+)", r"LIKE translate(replace(:\1, '_', '!_'), '*?', '%%_') ESCAPE '!'", sql)
    sql = re.sub(r"LIKE :(\w+)", r"LIKE :\1 ESCAPE ''", sql)  # as in SQLite, a backslash is an ordinary character
    return re.sub(r"(?<![:\w]):([a-z_]\w*)", r"%(\1)s", sql)
