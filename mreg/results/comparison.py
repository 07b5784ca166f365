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
        first: The value of the first version, None if it has none; second likewise.
        delta: ``second - first``; None if a value is missing or the difference is not a finite float.
        percent: The delta in percent of the absolute first value; None also if that is 0.
        direction: The better direction; None if unknown.
        verdict: The second value compared with the first.
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
    """A difference other than a metric.

    Attributes:
        group: parameters, data, files, source or environment.
        first: The text of the first version, None if it is absent; second likewise. They differ.
    """

    group: str
    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions with all their metrics, and their other differences.

    Attributes:
        same_artifact: Whether both have the same bytes.
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
