"""Summaries of many models with a constant number of statements, since each is a round trip to a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mreg.catalog.database import Connection, Row, Value
from mreg.catalog.models import read_models
from mreg.catalog.rows import number, read_metric, read_metric_name, row_of, text, version_number
from mreg.domain.metrics import MetricValue, primary_metric
from mreg.domain.model import RegisteredModel
from mreg.results.models import ModelSummary

CHUNK = 200
"""Number of models that one statement reads."""


def summaries(connection: Connection, rows: Sequence[Row]) -> tuple[ModelSummary, ...]:
    """Return the models of rows of ``models``, each with its primary metric and the values of that metric."""
    found: list[ModelSummary] = []
    for start in range(0, len(rows), CHUNK):
        found += _chunk(connection, rows[start : start + CHUNK])
    return tuple(found)


def _chunk(connection: Connection, rows: Sequence[Row]) -> Iterable[ModelSummary]:
    models = read_models(connection, rows)
    metrics = primary_metrics(connection, models)
    metric_values = _values(connection, models, metrics)
    return (
        ModelSummary(
            model=model,
            metric=metrics[model.model_id],
            latest_value=metric_values.get((model.model_id, model.latest_version)),
            production_value=metric_values.get((model.model_id, model.production_version)),
        )
        for model in models
    )


def primary_metrics(connection: Connection, models: Sequence[RegisteredModel]) -> dict[int, str]:
    """Return the primary metric of each model by its id, empty if it has none; see `mreg.domain.metrics`."""
    latest = {
        model.model_id: version
        for model in models
        if not model.primary_metric and (version := model.latest_version or model.newest_version)
    }
    present: dict[int, list[str]] = {}
    if latest:
        values: dict[str, Value] = {}
        for place, (model_id, version) in enumerate(latest.items()):
            values |= {f"m{place}": model_id, f"v{place}": version}
        pairs = " OR ".join(f"v.model_id = :m{place} AND v.version = :v{place}" for place in range(len(latest)))
        sql = (
            "SELECT v.model_id, x.name FROM versions v CROSS JOIN metrics x ON x.version_id = v.version_id "
            f"WHERE ({pairs}) ORDER BY x.name"
        )
        for row in connection.query(sql, values):
            present.setdefault(number(row, "model_id"), []).append(read_metric_name(row))
    return {
        model.model_id: primary_metric(model.primary_metric, present.get(model.model_id, ()), model.directions)
        for model in models
    }


@row_of("metrics", "name")
def _read_value(row: Row) -> MetricValue:
    return read_metric(read_metric_name(row), text(row, "exact"))


def _values(
    connection: Connection, models: Sequence[RegisteredModel], metrics: Mapping[int, str]
) -> dict[tuple[int, int | None], MetricValue]:
    """Return the values of each model's primary metric, by model id and version."""
    wanted = [
        (model.model_id, version)
        for model in models
        if metrics[model.model_id]
        for version in {model.latest_version, model.production_version}
        if version is not None
    ]
    if not wanted:
        return {}
    values: dict[str, Value] = {}
    for place, (model_id, version) in enumerate(wanted):
        values |= {f"m{place}": model_id, f"v{place}": version}
    names = {f"n{place}": name for place, name in enumerate(sorted({metrics[model_id] for model_id, _ in wanted}))}
    pairs = " OR ".join(f"v.model_id = :m{place} AND v.version = :v{place}" for place in range(len(wanted)))
    sql = (
        "SELECT v.model_id, v.version, x.name, x.exact "
        "FROM versions v CROSS JOIN metrics x ON x.version_id = v.version_id "
        f"WHERE ({pairs}) AND x.name IN ({', '.join(f':{name}' for name in names)})"
    )
    return {
        (number(row, "model_id"), version_number(row)): _read_value(row)
        for row in connection.query(sql, {**values, **names})
        if row["name"] == metrics[number(row, "model_id")]
    }
