"""The schema and its number, one for all engines."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator

from mreg.domain.text import quoted
from mreg.errors import Unavailable

SCHEMA = 4
"""The schema that this release writes; the number of the last migration."""

LARGEST_COPY = 512 << 20
"""Bytes of the largest catalog of an older schema that is read: it is copied for each transaction."""

BRINGS = {
    1: "models, versions, stages, aliases and the audit trail",
    2: "policies, and the decisions of approvers",
    3: "deployments by hooks, and the data that versions were made from",
    4: "ids of writes, and the blobs that gc removes",
}
"""What each migration adds to the catalog."""

UPGRADE = "mreg upgrade"

Definition = tuple[object, object, object, object]
"""Kind, name, table and SQL of a table or index; of a file that another person prepared these can be anything."""


def migration_statements(number: int) -> Iterator[str]:
    """The statements of one migration, in order, as SQLite has them."""
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
    """What SQLite has in its own table of the schema for a catalog of a schema.

    SQLite keeps the text of a statement as it is, comments included, and released migrations never change.
    """
    found: list[Definition] = [
        ("table", "sqlite_sequence", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)")
    ]
    for number in range(1, schema + 1):
        # Faster than `migration_statements`, at every start; a test holds the one against the other.
        for piece in _migration(number).split(";\n")[:-1]:
            sql = piece[piece.index("CREATE ") :]
            words = sql.split(maxsplit=5)  # CREATE TABLE name (..., CREATE INDEX name ON table ...
            kind, name = words[1].lower(), words[2]
            found.append((kind, name, words[4] if kind == "index" else name, sql))
    return found


def difference(have: Collection[Definition], expected: Collection[Definition]) -> str:
    """What one schema has other than the other, for a message; empty where they are the same.

    Indexes that SQLite makes for a constraint have no SQL; SQLite itself refuses one whose table lacks the constraint.
    """
    written = [one for one in have if one[3] is not None or not _is_automatic(*one[:3])]
    if len(written) == len(expected) and frozenset(written) == frozenset(expected):
        return ""
    names = {one[:2] for one in have}
    for one in expected:
        if one[:2] not in names:
            return f"the {one[0]} {one[1]} is missing"
    for one in sorted(written, key=str):
        if one not in expected:
            known = any(one[:2] == other[:2] for other in expected)
            what = f"{quoted(str(one[0]), 20)} {quoted(str(one[1]), 60)}"
            return f"the {what} is not that of mreg" if known else f"it has an unknown {what}"
    return "an object is there twice"


def _is_automatic(kind: object, name: object, table: object) -> bool:
    """Whether it is an index that SQLite makes for a constraint."""
    stem, _, number = str(name).rpartition("_")
    return kind == "index" and stem == f"sqlite_autoindex_{table}" and number.isdecimal()


def missing_columns(have: Collection[tuple[str, str]], expected: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """What of the schema is not there, a line for each table or column.

    Args:
        have: Pairs of a table and a column.
        expected: The same of an empty catalog.
    """
    tables = {table for table, _ in have}
    lines = {
        f"the column {column} of {table} is missing" if table in tables else f"the table {table} is missing"
        for table, column in set(expected) - set(have)
    }
    return tuple(sorted(lines))


def check_schema(schema: int, place: str) -> int:
    """The schema's number, if this release understands it.

    Raises:
        Unavailable: It is a newer release's.
    """
    if schema > SCHEMA:
        raise Unavailable(
            f"the catalog {place} has schema {schema}, newer than this mreg understands ({SCHEMA})",
            hint="pip install --upgrade mreg",
        )
    return schema


def older_note(schema: int) -> str:
    """What to know about a catalog of an older schema; empty for one of this release's."""
    if schema >= SCHEMA:
        return ""
    return f"schema {schema}, older than this mreg's ({SCHEMA}): it can be read, and written after mreg upgrade"


def refuse_older(schema: int, place: str) -> None:
    """Refuse to write to a catalog of an older schema.

    Raises:
        Unavailable: It has one.
    """
    if schema < SCHEMA:
        raise Unavailable(
            f"cannot write to the catalog {place}: it has schema {schema}, and this mreg writes schema {SCHEMA}",
            hint=f"{UPGRADE} --check shows the changes; {UPGRADE} makes them, with a backup",
        )


def check_copy_size(size: int, schema: int, place: str) -> None:
    """Refuse to read an older catalog that is too large to be copied for each transaction.

    Raises:
        Unavailable: It is.
    """
    if size > LARGEST_COPY:
        raise Unavailable(
            f"cannot read the catalog {place}: it has schema {schema}, and {size:,} bytes; a catalog of a schema older "
            f"than {SCHEMA} is read through a copy of at most {LARGEST_COPY:,} bytes",
            hint=UPGRADE,
        )
