"""Models with a constant number of statements, since each is a round trip to a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.rows import read_model, version_number
from mreg.domain.model import RegisteredModel

_IN_STAGE = (
    "(SELECT v.version FROM versions v WHERE v.model_id = m.model_id AND v.stage = '{}' "
    "ORDER BY v.stage_seq DESC, v.version DESC LIMIT 1)"
)
_VERSIONS = (
    "(SELECT v.version FROM versions v WHERE v.model_id = m.model_id AND v.stage <> 'Archived' "
    f"ORDER BY v.version DESC LIMIT 1) AS latest, "
    f"(SELECT MAX(v.version) FROM versions v WHERE v.model_id = m.model_id) AS newest, "
    f"{_IN_STAGE.format('Staging')} AS staging, "
    f"{_IN_STAGE.format('Production')} AS production"
)


def read_models(connection: Connection, rows: Sequence[Row]) -> list[RegisteredModel]:
    """Return the models of rows of ``models``, with two statements; at most some hundred rows."""
    values: dict[str, Value] = {f"m{place}": row["model_id"] for place, row in enumerate(rows)}
    marks = ", ".join(f":{name}" for name in values)
    more = {
        row["model_id"]: row
        for row in connection.query(
            f"SELECT m.model_id, {_VERSIONS} FROM models m WHERE m.model_id IN ({marks})", values
        )
    }
    attributes: dict[tuple[Value, str], list[Row]] = {}
    sql = (
        f"SELECT 't' AS kind, model_id, name, value, 0 AS version FROM model_tags WHERE model_id IN ({marks}) "
        f"UNION ALL SELECT 'd', model_id, name, value, 0 FROM model_directions WHERE model_id IN ({marks}) "
        "UNION ALL SELECT 'a', a.model_id, a.alias, '', v.version FROM aliases a "
        f"JOIN versions v ON v.version_id = a.version_id WHERE a.model_id IN ({marks}) ORDER BY 1, 2, 3"
    )
    for row in connection.query(sql, values):
        attributes.setdefault((row["model_id"], str(row["kind"])), []).append(row)
    return [_model(row, more[row["model_id"]], attributes) for row in rows]


def _model(row: Row, more: Row, attributes: Mapping[tuple[Value, str], list[Row]]) -> RegisteredModel:
    tags, directions, aliases = (attributes.get((row["model_id"], kind), []) for kind in "tda")
    return read_model(
        row,
        tags=tags,
        directions=directions,
        aliases=[{"alias": alias["name"], "version": alias["version"]} for alias in aliases],
        latest=_number(more, "latest"),
        newest=_number(more, "newest"),
        staging=_number(more, "staging"),
        production=_number(more, "production"),
    )


def _number(row: Row, column: str) -> int | None:
    return None if row[column] is None else version_number(row, column)
