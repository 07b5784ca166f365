"""The schema and its number, one for all engines."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

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
