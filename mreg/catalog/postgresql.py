"""A catalog on a PostgreSQL server, in the PostgreSQL schema ``mreg``.

A table lock that does not block readers serializes the writers: the audit trail is one chain, so concurrent writers
would only abort each other. Transactions are SERIALIZABLE nevertheless, since other programs could write there.
No state outlives a transaction except the connection, so a connection pooler works.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar, cast

import psycopg
from psycopg import conninfo, rows

from mreg import __version__
from mreg.catalog.database import Connection, Database, Examination, UpgradeCheck, write_id
from mreg.catalog.embedded import SqliteConnection, columns, empty_catalog, migrate, temporary_catalog, within
from mreg.catalog.guard import GuardedConnection
from mreg.catalog.postgresql_connection import (
    LONG_SILENCE_SECONDS,
    SILENCE_SECONDS,
    STATEMENT_SECONDS,
    PostgresqlConnection,
    Watched,
    WithoutKeys,
)
from mreg.catalog.postgresql_failures import BEGIN_AGAIN, translated, unreachable, worth_waiting
from mreg.catalog.postgresql_schema import (
    MIGRATION_LOCK,
    NAMESPACE,
    make_tables,
    may_read_keys,
    older_clients,
    schema_of,
    upgrade_schema,
)
from mreg.catalog.schema import SCHEMA, check_copy_size, missing_columns, refuse_older
from mreg.domain.password import Password
from mreg.errors import Conflict, Unavailable
from mreg.waiting import Watch

T = TypeVar("T")

CONNECT_SECONDS = 10
LOCK_SECONDS = 60
"""Maximum wait of a writer for the lock."""

FIRST_SECONDS = 3.0
"""Time for retries with a server that never responded; its address can be wrong."""

SECONDS = 60.0
"""Time for retries with a server that responded before; it can be restarting."""

READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN ISOLATION LEVEL SERIALIZABLE"
SETTINGS = (
    f"SET LOCAL search_path = {NAMESPACE}, pg_temp; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; "
    f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'; "
    # The order of the joins is the fast one; CROSS JOIN preserves it in SQLite.
    "SET LOCAL join_collapse_limit = 1"
)
TURN = (
    # Bound the time for which an unresponsive client blocks others.
    f"SET LOCAL idle_in_transaction_session_timeout = '{SECONDS:g}s'; "
    f"LOCK TABLE {NAMESPACE}.catalog IN SHARE ROW EXCLUSIVE MODE"
)
"""The first statement of a writer, so that its snapshot is taken after it has the lock."""

MAKE_SCHEMA = (
    "GRANT CREATE ON DATABASE to the role of the first write, which makes it: "
    "see the page on PostgreSQL in the documentation"
)

APPLICATION = f"mreg {__version__} schema {SCHEMA}"
"""The name of this client on the server, by which an upgrade detects older clients."""

KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}


class PostgresqlDatabase(Database):
    """A catalog in the schema ``mreg`` of a PostgreSQL database, which the first write creates.

    Args:
        url: ``postgresql://user@host/database`` with libpq's parameters, without a password.
        notice: Called with messages for the user: waiting for the server, the catalog was created.
        password: Password of the user (default: from PGPASSWORD, pgpass or a service file).
    """

    def __init__(
        self, url: str, notice: Callable[[str], None] = lambda _text: None, *, password: Password | None = None
    ) -> None:
        self._url = url
        self._password = password
        self._place = url.partition("?")[0]
        self._notice = notice
        self._lock = threading.RLock()
        self._raw: Watched | None = None
        self._watch = Watch(self._say_waiting)
        self._in_turn = True  # not waiting for other writers
        self._answered = False
        self._schema = 0  # last known schema; 0 without a catalog

    def read(self, fn: Callable[[Connection], T]) -> T:
        def once() -> T:
            raw = self._ready(write=False)
            if not self._schema:
                with contextlib.closing(empty_catalog()) as empty:
                    return fn(SqliteConnection(empty))
            with self._within(raw, f"{READ}; {SETTINGS}"):
                if self._schema == SCHEMA:
                    return fn(PostgresqlConnection(raw))
                keys = may_read_keys(raw)
                with contextlib.closing(self._upgraded_copy(raw, keys=keys)) as copy:
                    return fn(SqliteConnection(copy) if keys else WithoutKeys(copy))

        with self._lock:
            return self._retry(once)

    def write(self, fn: Callable[[Connection], T]) -> T:
        commit_id = write_id()
        results: list[T] = []  # of an attempt with unknown outcome

        def once() -> T:
            raw = self._ready(write=True)
            with self._within(raw, f"{WRITE}; {SETTINGS}; {TURN}", turn=True):
                connection = PostgresqlConnection(raw)
                if results:
                    # The response to the commit was lost. Since this attempt has the lock, the commit is decided.
                    if connection.one("writes.find", id=commit_id):
                        return results[0]
                    results.clear()
                result = fn(connection)
                number = connection.insert("writes.insert", id=commit_id)
                if number % 100 == 0:
                    connection.run("writes.forget", number=number)
                results.append(result)
            results.clear()
            return result

        with self._lock:
            try:
                return self._retry(once)
            except Unavailable as error:
                if results:
                    error.message += "; it is unknown whether the change was made"
                    error.hint = f"once it is available, check whether the change was made: mreg history; {error.hint}"
                raise

    def begin(self) -> None:
        refuse_older(self.schema(), self._place)

    def schema(self) -> int:
        def once() -> int:
            self._ready(write=False)
            return self._schema or SCHEMA

        with self._lock:
            return self._retry(once)

    def check_upgrade(self) -> UpgradeCheck:
        schema = self.schema()

        def once() -> UpgradeCheck:
            return UpgradeCheck(schema=schema, others=older_clients(self._connected()) if schema < SCHEMA else ())

        with self._lock:
            return self._retry(once)

    def upgrade(self) -> str:
        def once() -> str:
            raw = self._ready(write=False)
            if self._schema in (0, SCHEMA):
                return ""
            with self._within(raw, f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'", turn=True):
                raw.seconds = LONG_SILENCE_SECONDS
                backup = upgrade_schema(raw, self._place)
            self._schema = SCHEMA
            return f"{self._place}, schema {backup}" if backup else ""

        with self._lock:
            return self._retry(once)

    def try_writing(self) -> None:
        def once() -> bool:
            raw = self._ready(write=False)
            sql = "SELECT has_database_privilege(current_database(), 'CREATE') AS may"
            row = raw.execute(sql).fetchone()
            if not self._schema and not (row and row["may"]):
                raise unreachable(
                    self._place, "the schema mreg does not exist, and this role cannot create it", MAKE_SCHEMA
                )
            refuse_older(self._schema or SCHEMA, self._place)
            return bool(self._schema)

        with self._lock:
            if self._retry(once):
                super().try_writing()

    def examine(self) -> Examination:
        def once() -> Examination:
            raw = self._ready(write=False)
            row = raw.execute("SELECT now() AS now").fetchone()
            clock = cast("datetime", row["now"]) if row else None
            sql = (
                "SELECT conrelid::regclass::text AS name FROM pg_constraint WHERE NOT convalidated AND connamespace = "
                "to_regnamespace(%(space)s)"
            )
            unchecked = raw.execute(sql, {"space": NAMESPACE}).fetchall()
            damage = tuple(f"a constraint of {row['name']} is not enforced" for row in unchecked)
            if self._schema:
                damage += _missing_parts(raw, self._schema)
            return Examination(schema=self._schema or SCHEMA, damage=damage, clock=clock)

        with self._lock:
            return self._retry(once)

    def set_aside(self) -> str:
        aside = f"{NAMESPACE}_damaged_{time.strftime('%Y%m%dt%H%M%S', time.gmtime())}"
        with self._lock, translated(self._place):
            raw = self._connected()
            raw.execute(f"ALTER SCHEMA {NAMESPACE} RENAME TO {aside}")
            self._schema = 0
        return f"{self._place}, schema {aside}"

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _retry(self, once: Callable[[], T]) -> T:
        """Return the result of ``once``, repeated after a serialization failure or a lost connection."""
        began = time.monotonic()
        noticed, pause = False, 0.05
        while True:
            try:
                with translated(self._place):
                    return once()
            except Exception as error:
                cause = error.__cause__ or error
                again = isinstance(cause, BEGIN_AGAIN)
                left = began + (SECONDS if self._answered or again else FIRST_SECONDS) - time.monotonic()
                lost = self._raw is None or self._raw.closed
                if lost:
                    self._drop()
                if not again and not (lost and worth_waiting(cause)):
                    raise
                if left <= 0:
                    if again:
                        raise Conflict(
                            f"the catalog {self._place} is busy: other processes were writing for {SECONDS:g} s",
                            hint="nothing was changed; try again",
                        ) from error
                    raise
                if not again and not noticed and left >= 1 and time.monotonic() - began > 2:
                    noticed = True
                    self._notice(f"{self._place} does not respond; retrying for {left:.0f} s more")
            time.sleep(min(pause * random.uniform(0.5, 1.5), max(left, 0)))  # noqa: S311  spreads out the clients
            pause = min(2 * pause, 2.0)

    @contextlib.contextmanager
    def _within(self, raw: Watched, begin: str, *, turn: bool = False) -> Iterator[None]:
        raw.seconds = SILENCE_SECONDS
        self._in_turn = not turn
        try:
            raw.execute(begin)
        finally:
            self._in_turn = True
        try:
            yield
            raw.execute("COMMIT")
        except BaseException:
            try:
                raw.rollback()
            except psycopg.Error:
                raw.close()
            raise

    def _say_waiting(self, waited: float) -> None:
        what = "for" if self._in_turn else "to write to"
        self._notice(f"waiting {what} {self._place} ({waited:.0f} s so far)")

    def _connected(self) -> Watched:
        if self._raw is None or self._raw.closed:
            given = conninfo.conninfo_to_dict(self._url)
            own: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": APPLICATION, **KEEPALIVE}
            if self._password:
                own["password"] = self._password.reveal()
            with self._watch.over():
                self._raw = Watched.connect(
                    self._url,
                    autocommit=True,
                    prepare_threshold=None,
                    row_factory=rows.dict_row,
                    **{key: value for key, value in own.items() if key not in given},
                )
            self._raw.watch = self._watch
            self._answered = True
        return self._raw

    def _ready(self, *, write: bool) -> Watched:
        """Return a connection to the catalog, and read the schema; a write creates a catalog that does not exist.

        Raises:
            Unavailable: The schema is newer, or it is older and ``write`` is set.
        """
        raw = self._connected()
        if self._schema < SCHEMA:
            self._schema = schema_of(raw, self._place)
            if write and not self._schema:
                self._create(raw)
            if write:
                refuse_older(self._schema, self._place)
        return raw

    def _create(self, raw: Watched) -> None:
        """Create the catalog in one transaction; a lock makes concurrent clients wait."""
        with self._within(raw, f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"):
            raw.execute("SELECT pg_advisory_xact_lock(%(key)s)", {"key": MIGRATION_LOCK})
            schema = schema_of(raw, self._place)
            if not schema:
                raw.execute(f"CREATE SCHEMA IF NOT EXISTS {NAMESPACE}")
                make_tables(raw, NAMESPACE, SCHEMA)
        self._schema = schema or SCHEMA
        if not schema:
            self._notice(f"created the registry {self._place}")

    def _upgraded_copy(self, raw: Watched, *, keys: bool) -> GuardedConnection:
        """Return a copy of an older catalog, in the state of this transaction, with this release's schema.

        Args:
            keys: Whether to copy the last keys of the tables, which a read-only role can lack permission for.
        """
        from mreg.catalog.copying import fill_older

        sql = (
            "SELECT COALESCE(sum(pg_relation_size(c.oid)), 0)::bigint AS size FROM pg_catalog.pg_class c "
            "WHERE c.relkind = 'r' AND c.relnamespace = to_regnamespace(%(space)s)"
        )
        row = raw.execute(sql, {"space": NAMESPACE}).fetchone()
        size = int(row["size"]) if row else 0
        check_copy_size(size, self._schema, self._place)
        copy = temporary_catalog(self._place, size)
        try:
            migrate(copy, to=self._schema)
            within(copy, "BEGIN", lambda new: fill_older(PostgresqlConnection(raw), new, self._schema, keys=keys))
            migrate(copy, self._schema)
        except BaseException:
            copy.close()
            raise
        return copy


def _missing_parts(raw: Watched, schema: int) -> tuple[str, ...]:
    """Return the missing tables and columns of a schema."""
    sql = (
        "SELECT c.relname AS table, a.attname AS column FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c "
        "ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %(space)s "
        "AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    )
    have = {(row["table"], row["column"]) for row in raw.execute(sql, {"space": NAMESPACE}).fetchall()}
    with contextlib.closing(temporary_catalog("in memory", 0)) as whole:
        migrate(whole, to=schema)
        return missing_columns(have, columns(whole))
