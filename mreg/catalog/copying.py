"""Copying all rows of a catalog to another database of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from mreg.catalog.database import Connection, Database, Row
from mreg.catalog.schema import definitions
from mreg.errors import AlreadyExists, Corrupt

KEYS = {
    "models": "model_id",
    "model_tags": "model_id, name",
    "model_directions": "model_id, name",
    "given_up_names": "name",
    "artifacts": "artifact_id",
    "versions": "version_id",
    "version_tags": "version_id, name",
    "version_data": "version_id, name",
    "parameters": "version_id, name",
    "metrics": "version_id, name",
    "aliases": "model_id, alias",
    "deleted_versions": "version_id",
    "events": "seq",
    "stage_changes": "seq",
    "alias_changes": "seq",
    "policies": "model_id",
    "decisions": "version_id, target, person",
    "deployments": "deployment_id",
    "tokens": "digest",
}
"""Primary key by table, referenced tables first.

`OF_A_PLACE` has the remaining tables, which describe operations in progress at a place.
"""

OF_A_PLACE = {"writes": "number", "removals": "digest", "requests": "caller, key"}
"""Primary key by table, for tables that belong to a place; they are never copied to another place."""

NUMBERED = ("models", "artifacts", "versions", "deployments")
"""Tables whose keys the database assigns, each only once."""


def copy_rows(
    source: Database,
    target: Database,
    *,
    replace: bool = False,
    with_tokens: bool = True,
    finish: Callable[[Connection], object] | None = None,
) -> int:
    """Copy every row in one transaction of the target, compare every row before the commit, and return the row count.

    Args:
        replace: Whether to delete the rows of the target first; otherwise the target must be empty. The tokens of the
            target stay, since an older catalog has tokens that were revoked later.
        with_tokens: Whether to copy tokens too; with ``replace``, those that the target does not know.
        finish: Called last in the same transaction.

    Raises:
        AlreadyExists: The target is not empty.
        Corrupt: A row differs after the copy; nothing was changed.
    """

    def fill(old: Connection, new: Connection) -> int:
        tables = [table for table in KEYS if table != "tokens" or (with_tokens and not replace)]
        if replace:
            new.clear("requests")  # of versions that are replaced
            for table in reversed(tables):
                new.clear(table)
        elif any(new.query(f"SELECT 1 AS found FROM {table} LIMIT 1", {}) for table in ("models", "events")):
            raise AlreadyExists(
                "cannot copy the catalog: the destination already has a catalog", hint="name another place"
            )
        for table in tables:
            _fill(old, new, table)
        for table in NUMBERED:
            new.set_last_key(table, max(old.last_key(table), new.last_key(table)))
        count = sum(_compare(old, new, table) for table in tables)
        if replace and with_tokens:
            count += _add_tokens(old, new)
        if finish is not None:
            finish(new)
        return count

    target.permit_new()

    def reading(old: Connection) -> int:
        return target.write(lambda new: fill(old, new))

    return source.read(reading)


def tables_of(schema: int) -> tuple[str, ...]:
    """Return the tables of a schema, referenced tables first."""
    there = {name for kind, name, _, _ in definitions(schema) if kind == "table"}
    return tuple(table for table in (*KEYS, *OF_A_PLACE) if table in there)


def fill_older(old: Connection, new: Connection, schema: int, *, keys: bool) -> None:
    """Copy every row of a catalog into an empty one with the same, older schema.

    Args:
        keys: Whether to copy the next keys of the tables too.
    """
    for table in tables_of(schema):
        _fill(old, new, table)
    for table in NUMBERED:
        if keys and table in tables_of(schema):
            new.set_last_key(table, old.last_key(table))


def _fill(old: Connection, new: Connection, table: str) -> None:
    rows = _rows(old, table)
    first = next(rows, None)
    if first is None:
        return
    columns = tuple(first.keys())
    new.fill(table, columns, (tuple(row[column] for column in columns) for row in chain([first], rows)))


def _add_tokens(old: Connection, new: Connection) -> int:
    """Copy the tokens whose digest and name no token of the target has, and return their number."""
    there = list(_rows(new, "tokens"))
    digests = {row["digest"] for row in there}
    names = {row["name"] for row in there if row["revoked_at"] is None}
    rows = [
        row
        for row in _rows(old, "tokens")
        if row["digest"] not in digests and (row["revoked_at"] is not None or row["name"] not in names)
    ]
    if rows:
        columns = tuple(rows[0].keys())
        new.fill("tokens", columns, [tuple(row[column] for column in columns) for row in rows])
    return len(rows)


def _compare(old: Connection, new: Connection, table: str) -> int:
    count = 0
    left, right = _rows(old, table), _rows(new, table)
    for row in left:
        other = next(right, None)
        if other is None or dict(row) != dict(other):
            raise Corrupt(f"a row of {table} changed when it was copied: {KEYS[table]} of {_key(row, table)}")
        count += 1
    if next(right, None) is not None:
        raise Corrupt(f"unexpected row in the copy of {table}")
    return count


def _rows(connection: Connection, table: str) -> Iterator[Row]:
    return iter(connection.stream(f"SELECT * FROM {table} ORDER BY {KEYS.get(table) or OF_A_PLACE[table]}"))


def _key(row: Row, table: str) -> str:
    return ", ".join(str(row[column]) for column in KEYS[table].split(", "))
