"""The JSON of comparisons."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from mreg.domain import metrics as domain
from mreg.results import comparison as results
from mreg.wire import Direction, Form, Number
from mreg.wire.models import ModelVersion, decode_version, encode_version

Verdict = Literal["better", "worse", "same", "unknown", "missing"]


class MetricDifference(TypedDict):
    """A metric of two versions."""

    name: Annotated[str, "metric"]
    version_a: Annotated[Number | None, "value of the first version, or null"]
    version_b: Annotated[Number | None, "value of the second version, or null"]
    delta: Annotated[Number | None, "`version_b - version_a`, or null"]
    percent: Annotated[Number | None, "delta in percent of the absolute first value, or null"]
    direction: Annotated[Direction | None, "better direction, or null if unknown"]
    verdict: Annotated[Verdict, "the second value is `better`, `worse`, `same`, `unknown` or `missing`"]


class Change(TypedDict):
    """A difference of two versions other than a metric."""

    group: Annotated[str, "`parameters`, `data`, `files`, `source` or `environment`"]
    name: Annotated[str, "name within the group"]
    version_a: Annotated[str | None, "text of the first version, or null"]
    version_b: Annotated[str | None, "text of the second version, or null"]


class Comparison(TypedDict):
    """The difference of two versions."""

    version_a: Annotated[ModelVersion, "first version: see ModelVersion"]
    version_b: Annotated[ModelVersion, "second version"]
    metric_diff: Annotated[dict[str, Number | None], "`version_b - version_a` by metric; null if a version lacks it"]
    metrics: Annotated[list[MetricDifference], "all metrics of both: see MetricDifference"]
    changes: Annotated[list[Change], "other differences: see Change"]
    same_artifact: Annotated[bool, "whether both have the same bytes"]


class Regression(MetricDifference):
    """A metric that became worse than its tolerance allows."""

    reason: Annotated[str, "reason why it counts"]


def encode_difference(row: results.MetricDifference) -> MetricDifference:
    """Return the JSON of a metric of two versions."""
    return {
        "name": row.name,
        "version_a": row.first,
        "version_b": row.second,
        "delta": row.delta,
        "percent": row.percent,
        "direction": row.direction.value if row.direction else None,
        "verdict": row.verdict.value,
    }


def decode_difference(shape: MetricDifference) -> results.MetricDifference:
    """Return the metric of a JSON form."""
    return results.MetricDifference(
        name=shape["name"],
        first=shape["version_a"],
        second=shape["version_b"],
        delta=shape["delta"],
        percent=shape["percent"],
        direction=domain.Direction(shape["direction"]) if shape["direction"] else None,
        verdict=domain.Verdict(shape["verdict"]),
    )


def _encode_change(change: results.Change) -> Change:
    return {"group": change.group, "name": change.name, "version_a": change.first, "version_b": change.second}


def _decode_change(shape: Change) -> results.Change:
    return results.Change(group=shape["group"], name=shape["name"], first=shape["version_a"], second=shape["version_b"])


def _encode_comparison(comparison: results.Comparison) -> Comparison:
    return {
        "version_a": encode_version(comparison.first),
        "version_b": encode_version(comparison.second),
        "metric_diff": {row.name: row.delta for row in comparison.metrics},
        "metrics": [encode_difference(row) for row in comparison.metrics],
        "changes": [_encode_change(change) for change in comparison.changes],
        "same_artifact": comparison.same_artifact,
    }


def _decode_comparison(shape: Comparison) -> results.Comparison:
    return results.Comparison(
        first=decode_version(shape["version_a"]),
        second=decode_version(shape["version_b"]),
        metrics=tuple(map(decode_difference, shape["metrics"])),
        changes=tuple(map(_decode_change, shape["changes"])),
        same_artifact=shape["same_artifact"],
    )


def _encode_regression(regression: results.Regression) -> Regression:
    return {**encode_difference(regression.metric), "reason": regression.reason}


def _decode_regression(shape: Regression) -> results.Regression:
    return results.Regression(metric=decode_difference(shape), reason=shape["reason"])


FORMS = (
    Form(results.MetricDifference, MetricDifference, encode_difference, decode_difference),
    Form(results.Comparison, Comparison, _encode_comparison, _decode_comparison),
    Form(results.Regression, Regression, _encode_regression, _decode_regression),
)
