"""Statements that see only the models of a scope.

A statement that reads rows of several models marks the places of the condition with a comment, such as
``/* where name within */`` or ``/* and m.name within */``. For an unlimited scope, the statement is unchanged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from mreg.catalog.statements import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mreg.catalog.database import Connection, Row, Value
    from mreg.domain.scope import ModelScope

_MARK = re.compile(r"/\* (where|and) ([a-z.]+) within \*/")


def scoped_rows(connection: Connection, scope: ModelScope, statement_name: str, **values: Value) -> Sequence[Row]:
    """Return the rows of a marked statement that belong to models of a scope."""
    if not scope.limited:
        return connection.all(statement_name, **values)
    sql, more = scoped_sql(statement_name, scope)
    return connection.query(sql, {**values, **more})


def scoped_sql(statement_name: str, scope: ModelScope) -> tuple[str, Mapping[str, Value]]:
    """Return the SQL of a marked statement for a scope, and the values of its condition."""
    if not scope.limited:
        return statement(statement_name), {}
    return _limited(statement_name, len(scope.patterns)), scope_values(scope)


@lru_cache(maxsize=256)
def _limited(statement_name: str, count: int) -> str:
    sql, marks = _MARK.subn(lambda mark: f"{mark[1].upper()} {_condition(mark[2], count)}", statement(statement_name))
    if not marks:
        raise ValueError(f"the statement {statement_name} has no mark of a scope")
    return sql


def _condition(what: str, count: int) -> str:
    """Return the condition for a mark: a column with the name of a model, an event, or an artifact in the table a."""
    if what == "event":
        # The events of a model that exists belong to its present name, those of a deleted one to the name in the event.
        here = f"SELECT model_id FROM models WHERE {name_test('models.name', count)}"
        gone = "NOT EXISTS (SELECT 1 FROM models m WHERE m.model_id = events.model_id)"
        return f"(model_id IN ({here}) OR {name_test('events.model', count)} AND {gone})"
    if what == "artifact":
        return (
            "EXISTS (SELECT 1 FROM versions v JOIN models m ON m.model_id = v.model_id "
            f"WHERE v.artifact_id = a.artifact_id AND {name_test('m.name', count)})"
        )
    return name_test(what, count)


def name_test(column: str, count: int) -> str:
    """Return the condition that the name in a column matches one of a number of patterns; see `scope_values`."""
    return "(" + " OR ".join(f"{column} GLOB :scope{place}" for place in range(count)) + ")"


def scope_values(scope: ModelScope) -> Mapping[str, Value]:
    """Return the values of `name_test` for a scope; GLOB of SQLite has the same ``*`` and ``?`` as patterns."""
    return {f"scope{place}": pattern for place, pattern in enumerate(scope.patterns)}
