"""The reasons why a version is in its stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.model import ModelVersion
    from mreg.domain.names import VersionRef
    from mreg.domain.policy import Decision
    from mreg.results.comparison import MetricDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class Why(Result):
    """The reasons why a version is in its stage.

    Attributes:
        entered: The event of its last stage change, with the policy's answer then; None if the version never moved.
        decisions: The decisions on the version that are in force.
        before: The version that it replaced in Staging or Production, otherwise the last one that left the stage before
            it entered; None if there is none.
        metrics: Comparison of the metrics of ``before`` with those of the version; empty if there is no ``before``.
    """

    version: ModelVersion
    entered: Event | None
    decisions: tuple[Decision, ...]
    before: VersionRef | None
    metrics: tuple[MetricDifference, ...]
