"""What is written beside a new version's row: metrics, parameters, tags, data."""

from __future__ import annotations

from collections.abc import Mapping

from mreg.catalog.database import Connection
from mreg.catalog.rows import metric_values, parameter_number
from mreg.domain.metrics import MetricValue


def add_belongings(
    connection: Connection,
    model_id: int,
    version_id: int,
    *,
    metrics: Mapping[str, MetricValue],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    data: Mapping[str, str],
) -> None:
    """Write what belongs to a version that was just added; its event has told of it."""
    connection.run_many(
        "versions.insert_metric",
        [
            {"version_id": version_id, "model_id": model_id, **metric_values(name, value)}
            for name, value in metrics.items()
        ],
    )
    connection.run_many(
        "versions.insert_parameter",
        [
            {"version_id": version_id, "name": name, "value": value, "number": parameter_number(value)}
            for name, value in parameters.items()
        ],
    )
    for key, value in tags.items():
        connection.run("versions.set_tag", version_id=version_id, name=key, value=value)
    for key, value in data.items():
        connection.run("versions.set_data", version_id=version_id, name=key, value=value)
