"""The catalog's schema and its number, the same for all engines."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator

from mreg.domain.text import quoted
from mreg.errors import Unavailable

SCHEMA = 5
"""The schema that this release writes; the number of the last migration."""

LARGEST_COPY = 512 << 20
"""Maximum size in bytes for reading a catalog with an older schema, which is copied for each transaction."""

BRINGS = {
    1: "models, versions, stages, aliases and the audit trail",
    2: "policies, and the decisions of approvers",
    3: "deployments by hooks, and the data that versions were made from",
    4: "ids of writes, and the blobs that gc removes",
    5: "tokens of clients of the server, and the idempotency keys of their requests",
}
"""What each migration adds to the catalog."""

UPGRADE = "mreg upgrade"

Definition = tuple[object, object, object, object]
"""Kind, name, table and SQL of a table or index; from an untrusted file, these can be anything."""


def migration_statements(number: int) -> Iterator[str]:
    """Yield the statements of a migration in SQLite's dialect."""
    pending = ""
    for line in _migration(number).splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _migration(number: int) -> str:
    folder = os.path.join(os.path.dirname(__file__), "migrations")
    file = next(name for name in os.listdir(folder) if name.startswith(f"{number:04d}_"))
    with open(os.path.join(folder, file), encoding="utf-8") as stream:
        return stream.read()


def definitions(schema: int) -> list[Definition]:
    """Return the rows of ``sqlite_master`` of a catalog with a schema.

    SQLite stores the text of each statement, including comments, and released migrations never change.
    """
    found: list[Definition] = [
        ("table", "sqlite_sequence", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)")
    ]
    for number in range(1, schema + 1):
        # Every command runs this: faster than `migration_statements`. A test compares both.
        for piece in _migration(number).split(";\n")[:-1]:
            sql = piece[piece.index("CREATE ") :]
            words = sql.split(maxsplit=5)  # CREATE TABLE name (..., CREATE INDEX name ON table ...
            kind, name = words[1].lower(), words[2]
            found.append((kind, name, words[4] if kind == "index" else name, sql))
    return found


def difference(have: Collection[Definition], expected: Collection[Definition]) -> str:
    """Return a difference between two schemas, for a message; empty if they are equal.

    SQLite's indexes for constraints have no SQL and are ignored; SQLite refuses one without a matching constraint.
    """
    written = [item for item in have if item[3] is not None or not _is_automatic(*item[:3])]
    if len(written) == len(expected) and frozenset(written) == frozenset(expected):
        return ""
    names = {item[:2] for item in have}
    for item in expected:
        if item[:2] not in names:
            return f"the {item[0]} {item[1]} is missing"
    for item in sorted(written, key=str):
        if item not in expected:
            known = any(item[:2] == other[:2] for other in expected)
            what = f"{quoted(str(item[0]), 20)} {quoted(str(item[1]), 60)}"
            return f"the {what} has an unexpected definition" if known else f"it has an unexpected {what}"
    return "it has an object twice"


def _is_automatic(kind: object, name: object, table: object) -> bool:
    """Return whether a definition is an index that SQLite creates for a constraint."""
    stem, _, number = str(name).rpartition("_")
    return kind == "index" and stem == f"sqlite_autoindex_{table}" and number.isdecimal()


def missing_columns(have: Collection[tuple[str, str]], expected: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Return the missing tables and columns of a schema, one line each.

    Args:
        have: Pairs of table and column.
        expected: Pairs of table and column in an empty catalog.
    """
    tables = {table for table, _ in have}
    lines = {
        f"the column {column} of {table} is missing" if table in tables else f"the table {table} is missing"
        for table, column in set(expected) - set(have)
    }
    return tuple(sorted(lines))


def check_schema(schema: int, place: str) -> int:
    """Return the schema number if this release supports it.

    Raises:
        Unavailable: The schema is newer.
    """
    if schema > SCHEMA:
        from mreg.installation import upgrade_command

        raise Unavailable(
            f"the catalog {place} has schema {schema}, which is newer than this mreg supports ({SCHEMA})",
            hint=upgrade_command(),
            schema=schema,
        )
    return schema


def older_note(schema: int) -> str:
    """Return a remark about a catalog with an older schema; empty for this release's schema."""
    if schema >= SCHEMA:
        return ""
    return f"schema {schema} is older than schema {SCHEMA} of this mreg: readable, and writable after mreg upgrade"


def refuse_older(schema: int, place: str) -> None:
    """Check that a catalog can be written by this release.

    Raises:
        Unavailable: The schema is older.
    """
    if schema < SCHEMA:
        raise Unavailable(
            f"cannot write to the catalog {place}: it has schema {schema}, and this mreg writes schema {SCHEMA}",
            hint=f"show the changes: {UPGRADE} --check; make them, with a backup: {UPGRADE}",
        )


def check_copy_size(size: int, schema: int, place: str) -> None:
    """Check that a catalog with an older schema is small enough to be copied for each transaction.

    Raises:
        Unavailable: The catalog is too large.
    """
    if size > LARGEST_COPY:
        raise Unavailable(
            f"cannot read the catalog {place}: it has schema {schema}, and {size:,} bytes; a catalog of a schema older "
            f"than {SCHEMA} is read through a copy of at most {LARGEST_COPY:,} bytes",
            hint=UPGRADE,
        )
