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
    """The versions in each stage at a time in the past.

    Attributes:
        at: The time in its one text form (ISO 8601, UTC).
        stages: Version numbers by stage, only stages that held any.
    """

    model: str
    at: str
    stages: Mapping[ModelStage, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """An audit trail without a fault.

    Attributes:
        events: The number of events.
        last_hash: The hash of the last event, empty if there is none; a copy of it kept elsewhere shows later whether
            events were cut off the end.
    """

    events: int
    last_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a version is in its stage.

    Attributes:
        entered: The event by which it entered its stage, with the outcome of the policy then; None if it never moved.
        decisions: The decisions on it that stand.
        before: The version that it replaced in Staging or Production, or else the last one that left the stage before
            it entered; None if there is none.
        metrics: Its metrics against those of ``before``; empty if there is none.
    """

    version: ModelVersion
    entered: Event | None
    decisions: tuple[Decision, ...]
    before: VersionRef | None
    metrics: tuple[MetricDifference, ...]
