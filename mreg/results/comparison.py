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
        first: Value of the first version, None where it has none; second likewise.
        delta: ``second - first``, None where a side is missing or no float holds it.
        percent: The delta in percent of the first's size, None also where the first is 0.
        direction: Which way is better, None where unknown.
        verdict: What the second is, seen from the first.
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
    """Something other than a metric that the two versions do not share.

    Attributes:
        group: parameters, data, files, source or environment.
        first: Its text in the first version, None where it is absent; second likewise. They differ.
    """

    group: str
    name: str
    first: str | None
    second: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two versions and what differs; metrics are all there, of the rest only what differs.

    Attributes:
        same_artifact: Whether both are the very same bytes.
    """

    first: ModelVersion
    second: ModelVersion
    metrics: tuple[MetricDifference, ...]
    changes: tuple[Change, ...]
    same_artifact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A metric that became worse than its tolerance allows, or that can't be judged."""

    metric: MetricDifference
    reason: str
