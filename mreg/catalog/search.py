"""Search for versions, at a cost that does not grow with the catalog if an index or the limit helps.

There are two strategies. If an indexed condition that all rows must meet matches at most `FEW` rows, only those rows
are tested and sorted. Otherwise matches are frequent enough that a scan in the wanted order finds a page of them soon.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.rows import number
from mreg.catalog.scoped import name_test, scope_values
from mreg.domain.expression import And, Compare, Expression, Field, FieldKind, Literal, Missing, Not, Or, Relative, Sort
from mreg.domain.scope import ModelScope

FEW = 2_000
"""Number of rows up to which testing and sorting is cheaper than a scan."""

_COLUMNS = "v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count"
_JOINS = "CROSS JOIN models m ON m.model_id = v.model_id CROSS JOIN artifacts a ON a.artifact_id = v.artifact_id"
_TABLES = {"metrics": "metrics", "params": "parameters", "tags": "version_tags"}
_PLACES = {"name": "m.name", "size_bytes": "a.size_bytes", "checksum": "a.digest"}


def find_versions(
    connection: Connection, scope: ModelScope, where: Expression | None, sort: Sort | None, limit: int
) -> Sequence[Row]:
    """Return at most ``limit`` rows of matching versions, joined with model and artifact, in order."""
    values: dict[str, Value] = {"row_limit": limit}
    condition = _condition(where, values) if where is not None else "1 = 1"
    if scope.limited:
        condition = f"{name_test('m.name', len(scope.patterns))} AND {condition}"
        values.update(scope_values(scope))
    few = _fewest(connection, scope, where)
    if few is not None:
        source, more = few
        values.update(more)
        first = f"({source}) few CROSS JOIN versions v ON v.version_id = few.version_id {_JOINS}"
        return _sorted(connection, first, condition, values, sort)
    if sort is not None and sort.field.group == "metrics":
        return _walk_metric(connection, where, condition, values, sort, limit)
    return _sorted(connection, f"versions v {_JOINS}", condition, values, sort)


def _sorted(
    connection: Connection, source: str, condition: str, values: dict[str, Value], sort: Sort | None
) -> Sequence[Row]:
    order = "v.version_id DESC"
    if sort is not None:
        down = " DESC" if sort.descending else ""
        if sort.field.group:
            column = "number" if sort.field.group == "params" else "value"
            values["sort_key"] = sort.field.key
            table = _TABLES[sort.field.group]
            source += f" LEFT JOIN {table} s ON s.version_id = v.version_id AND s.name = :sort_key"
            order = f"s.value IS NULL, s.{column} IS NULL, s.{column}{down}, s.value{down}, {order}"
        elif sort.field.key == "alias":
            first = "(SELECT min(alias) FROM aliases WHERE aliases.version_id = v.version_id)"
            order = f"{first} IS NULL, {first}{down}, {order}"
        else:
            place = _PLACES.get(sort.field.key, f"v.{sort.field.key}")
            absent = f"{place} IS NULL" if sort.field.kind is not FieldKind.TEXT else f"{place} = ''"
            order = f"{absent}, {place}{down}, {order}"
    sql = f"SELECT {_COLUMNS} FROM {source} WHERE {condition} ORDER BY {order} LIMIT :row_limit"
    return connection.query(sql, values)


def _walk_metric(
    connection: Connection,
    where: Expression | None,
    condition: str,
    values: dict[str, Value],
    sort: Sort,
    limit: int,
) -> Sequence[Row]:
    down = " DESC" if sort.descending else ""
    values["sort_key"] = sort.field.key
    sql = (
        f"SELECT {_COLUMNS} FROM metrics s CROSS JOIN versions v ON v.version_id = s.version_id {_JOINS} "
        f"WHERE s.name = :sort_key AND {condition} ORDER BY s.value{down}, s.version_id{down} LIMIT :row_limit"
    )
    rows = list(connection.query(sql, values))
    needed = any(isinstance(term, Compare) and term.field == sort.field for term in _terms(where))
    if len(rows) < limit and not needed:
        values["row_limit"] = limit - len(rows)
        lacking = "NOT EXISTS (SELECT 1 FROM metrics s WHERE s.version_id = v.version_id AND s.name = :sort_key)"
        rows += _sorted(connection, f"versions v {_JOINS}", f"{condition} AND {lacking}", values, None)
    return rows


def _terms(where: Expression | None) -> Sequence[Expression]:
    """Return the conditions that every row must meet."""
    if where is None:
        return ()
    return where.operands if isinstance(where, And) else (where,)


def _fewest(
    connection: Connection, scope: ModelScope, where: Expression | None
) -> tuple[str, Mapping[str, Value]] | None:
    """Return the SQL and values for the ids that meet the rarest condition; None if none has at most `FEW` matches."""
    best: tuple[int, str, Mapping[str, Value]] | None = None
    for source, values in _indexed(scope, where):
        most = FEW + 1 if best is None else best[0]
        row = connection.query(f"SELECT count(*) AS many FROM ({source} LIMIT {most}) counted", values)[0]
        many = number(row, "many")
        if many <= FEW and (best is None or many < best[0]):
            best = (many, source, values)
    return (best[1], best[2]) if best else None


def _indexed(scope: ModelScope, where: Expression | None) -> Iterator[tuple[str, Mapping[str, Value]]]:
    """Yield the SQL and values for the ids that meet a condition of all rows, if it has an index."""
    if scope.limited:
        models = f"SELECT model_id FROM models WHERE {name_test('name', len(scope.patterns))}"
        yield f"SELECT version_id FROM versions WHERE model_id IN ({models})", scope_values(scope)
    for term in _terms(where):
        if isinstance(term, Compare) and term.operator not in ("!=", "like"):
            values: dict[str, Value] = {}
            source = _ids(term, values)
            if source is not None:
                yield source, values


def _ids(term: Compare, values: dict[str, Value]) -> str | None:
    """Return the SQL for the ids of versions that meet a condition; None without an index for it."""
    field = term.field
    if field.group:
        column, test = _attribute_test(term, values, "few")
        values["few_key"] = field.key
        return f"SELECT version_id FROM {_TABLES[field.group]} WHERE name = :few_key AND {column} {test}"
    test = _test(term.operator, term.values, values, "few", field)
    if field.key == "name":
        models = f"SELECT model_id FROM models WHERE name {test}"
        return f"SELECT version_id FROM versions WHERE model_id IN ({models})"
    if field.key == "alias":
        return f"SELECT version_id FROM aliases WHERE lower(alias) {test}" if term.operator == "=" else None
    if field.key == "checksum":
        artifacts = f"SELECT artifact_id FROM artifacts WHERE digest {test}"
        return f"SELECT version_id FROM versions WHERE artifact_id IN ({artifacts})"
    if field.key in ("run_id", "git_commit") and term.operator == "=" and term.values[0] != "":
        return f"SELECT version_id FROM versions WHERE {field.key} {test} AND {field.key} <> ''"
    if field.key in ("stage", "created_at"):
        return f"SELECT version_id FROM versions WHERE {field.key} {test}"
    return None


def _condition(where: Expression, values: dict[str, Value]) -> str:
    if isinstance(where, And):
        return "(" + " AND ".join(_condition(operand, values) for operand in where.operands) + ")"
    if isinstance(where, Or):
        return "(" + " OR ".join(_condition(operand, values) for operand in where.operands) + ")"
    if isinstance(where, Not):
        return f"NOT {_condition(where.operand, values)}"
    if isinstance(where, Missing):
        return f"NOT {_present(where.field, values)}"
    return _comparison(where, values)


def _present(field: Field, values: dict[str, Value]) -> str:
    if field.group:
        key = _bind(values, field.key, "k")
        table = _TABLES[field.group]
        return f"EXISTS (SELECT 1 FROM {table} b WHERE b.version_id = v.version_id AND b.name = {key})"
    if field.key == "alias":
        return "EXISTS (SELECT 1 FROM aliases b WHERE b.version_id = v.version_id)"
    place = _PLACES.get(field.key, f"v.{field.key}")
    return f"({place} IS NOT NULL AND {place} <> '')" if field.kind is FieldKind.TEXT else f"({place} IS NOT NULL)"


def _comparison(term: Compare, values: dict[str, Value]) -> str:
    field = term.field
    if field.group:
        key = _bind(values, field.key, "k")
        column, test = _attribute_test(term, values, f"p{len(values)}_")
        return (
            f"EXISTS (SELECT 1 FROM {_TABLES[field.group]} b WHERE b.version_id = v.version_id AND b.name = {key} "
            f"AND b.{column} {test})".replace("b.lower(value)", "lower(b.value)")
        )
    test = _test(term.operator, term.values, values, f"p{len(values)}_", field)
    if field.key == "alias":
        return f"EXISTS (SELECT 1 FROM aliases b WHERE b.version_id = v.version_id AND lower(b.alias) {test})"
    if field.key == "stage" and term.operator == "=":
        return f"v.stage {test}"
    place = _PLACES.get(field.key, f"v.{field.key}")
    if term.operator == "like":
        return f"(coalesce({place}, '') <> '' AND lower({place}) {test})"
    if field.kind is FieldKind.TEXT:
        # An empty text is a missing value. coalesce prevents the scan of an index in another order.
        return f"(coalesce({place}, '') <> '' AND coalesce({place}, '') {test})"
    # coalesce as above; the time of a version that was never deployed is NULL.
    return f"({place} IS NOT NULL AND coalesce({place}, {place}) {test})"


def _attribute_test(term: Compare, values: dict[str, Value], prefix: str) -> tuple[str, str]:
    """Return the column and the SQL test of a comparison with a metric, parameter or tag."""
    column = "value"
    if term.field.group == "params" and not isinstance(term.values[0], str):
        column = "number"
    if term.operator == "like":
        column = "lower(value)"
    return column, _test(term.operator, term.values, values, prefix, term.field)


def _test(operator: str, wanted: Sequence[Literal], values: dict[str, Value], prefix: str, field: Field) -> str:
    names = []
    for place, value in enumerate(wanted):
        if isinstance(value, Relative):
            raise TypeError("only gates compare with other versions")
        text = value.removeprefix("sha256:") if field.key == "checksum" and isinstance(value, str) else value
        # SQLite's integers have 64 bits only, and metrics are compared as floats.
        stored: Value = float(text) if isinstance(text, int) else text
        name = f"{prefix}{place}"
        fold = operator == "like" or (not field.group and field.key == "alias")
        values[name] = stored.lower() if fold and isinstance(stored, str) else stored
        names.append(f":{name}")
    if operator == "in":
        return f"IN ({', '.join(names)})"
    return f"{'<>' if operator == '!=' else operator.upper()} {names[0]}"


def _bind(values: dict[str, Value], value: Value, prefix: str) -> str:
    name = f"{prefix}{len(values)}"
    values[name] = value
    return f":{name}"
