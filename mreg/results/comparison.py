"""The difference of two versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.metrics import Direction, MetricValue, Verdict
    from mreg.domain.model import ModelVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """One metric of two versions.

    Attributes:
        first: Value in the first version, None if it lacks the metric; the same for ``second``.
        delta: ``second - first``; None if a value is missing or the result does not fit a float.
        percent: The delta in percent of the absolute first value; None also if the first value is 0.
        direction: Whether higher or lower is better, None if unknown.
        verdict: The second value judged against the first.
    """

    name: str
    first: MetricValue | None
    second: MetricValue | None
    delta: MetricValue | None
    percent: float | None
    direction: Direction | None
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A difference of two versions that is not a metric.

    Attributes:
        group: parameters, data, files, source or environment.
        first: Text in the first version, None if it is absent there; the same for ``second``, which differs.
    """

    group: str
    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions with all their metrics and their other differences.

    Attributes:
        same_artifact: Whether both versions have the same bytes.
    """

    first: ModelVersion
    second: ModelVersion
    metrics: tuple[MetricDifference, ...]
    changes: tuple[Change, ...]
    same_artifact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A metric that became worse than its tolerance allows, or that cannot be compared."""

    metric: MetricDifference
    reason: str
