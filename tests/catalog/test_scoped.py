"""The SQL of statements for a limited scope."""

from __future__ import annotations

import sqlite3

import pytest

from mreg.catalog.scoped import name_test, scope_values, scoped_sql
from mreg.catalog.statements import statement
from mreg.domain.scope import EVERYTHING, ModelScope


def names(scope: ModelScope, *given: str) -> list[str]:
    """Return the names that the condition of a scope matches."""
    with sqlite3.connect(":memory:") as raw:
        raw.execute("CREATE TABLE models (name TEXT)")
        raw.executemany("INSERT INTO models VALUES (?)", [(name,) for name in given])
        condition = name_test("name", len(scope.patterns))
        rows = raw.execute(f"SELECT name FROM models WHERE {condition} ORDER BY name", scope_values(scope))
        found = [str(row[0]) for row in rows]
    raw.close()
    return found


@pytest.mark.parametrize(
    "patterns", [("a",), ("a", "b"), ("a*",), ("*a", "b?"), ("a*c",), ("A",), ("team-a/*", "?"), ("??/*",)]
)
def test_the_condition_matches_the_names_that_the_scope_allows(patterns: tuple[str, ...]) -> None:
    given = ("a", "b", "ab", "ba", "abc", "ac", "A", "team-a", "team-a/x", "team-a/x/y", "team-b/x", "bb/c")
    scope = ModelScope(patterns)
    assert names(scope, *given) == sorted(name for name in given if scope.allows(name))


@pytest.mark.parametrize("scope", [EVERYTHING, ModelScope(("a", "*"))])
def test_a_statement_for_an_unlimited_scope_is_unchanged(scope: ModelScope) -> None:
    assert scoped_sql("events.after", scope) == (statement("events.after"), {})


def test_a_statement_without_a_mark_cannot_be_limited() -> None:
    with pytest.raises(ValueError, match=r"the statement events\.after has no mark of a scope"):
        scoped_sql("events.after", ModelScope(("a",)))


def test_a_marked_statement_has_a_condition_for_each_pattern() -> None:
    sql, values = scoped_sql("versions.artifacts_in_use", ModelScope(("a*", "b")))
    assert values == {"scope0": "a*", "scope1": "b"}
    assert "GLOB :scope0 OR " in sql
    assert " GLOB :scope1)" in sql
    assert ":scope2" not in sql
    assert " within */" not in sql
    assert " within */" in statement("versions.artifacts_in_use")
