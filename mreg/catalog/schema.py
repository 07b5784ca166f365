"""The schema and its number, one for all engines."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator

from mreg.errors import Unavailable

SCHEMA = 4
"""The schema that this release writes; the number of the last migration."""


def migration_statements(number: int) -> Iterator[str]:
    """The statements of one migration, in order, as SQLite has them."""
    folder = os.path.join(os.path.dirname(__file__), "migrations")
    file = next(name for name in sorted(os.listdir(folder)) if name.startswith(f"{number:04d}_"))
    with open(os.path.join(folder, file), encoding="utf-8") as stream:
        pending = ""
        for line in stream:
            pending += line
            if sqlite3.complete_statement(pending):
                yield pending
                pending = ""


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
