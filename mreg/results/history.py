"""The audit trail: the stages at a time, the reasons of a stage, and the check of the hash chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef
    from mreg.domain.policy import Decision
    from mreg.results.comparison import MetricDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesAt:
    """The versions of a model by their stage at a time.

    Attributes:
        at: The time in its stored form (ISO 8601, UTC).
        stages: Version numbers by stage, without empty stages.
    """

    model: str
    at: str
    stages: Mapping[ModelStage, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """The result of verifying an intact audit trail.

    Attributes:
        events: Number of events.
        last_hash: Hash of the last event, empty if there is none. A copy of it kept elsewhere reveals later whether
            events at the end were cut.
    """

    events: int
    last_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
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
