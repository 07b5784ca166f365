"""The difference of two versions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result, Tabular, Value, short_repr

if TYPE_CHECKING:
    from mreg.domain.metrics import Direction, MetricValue, Verdict
    from mreg.domain.model import ModelVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference(Result):
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

    def __repr__(self) -> str:
        return short_repr(self, self.name, self.first, "->", self.second, self.verdict.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Value):
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
class Comparison(Result, Tabular):
    """Two versions with all their metrics and their other differences.

    Attributes:
        same_artifact: Whether both versions have the same bytes.
    """

    first: ModelVersion
    second: ModelVersion
    metrics: tuple[MetricDifference, ...]
    changes: tuple[Change, ...]
    same_artifact: bool

    def __repr__(self) -> str:
        counts = Counter(row.verdict.value for row in self.metrics)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        return short_repr(self, self.first.reference, self.second.reference, verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression(Result):
    """A metric that became worse than its tolerance allows, or that cannot be compared."""

    metric: MetricDifference
    reason: str
