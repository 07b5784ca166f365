"""The audit trail: the stages at a time, the reasons of a stage, and the check of the hash chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.policy import Decision
    from mreg.results.comparison import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesAt:
    """Which versions were in which stage at a time in the past.

    Attributes:
        at: The time in its one text form (ISO 8601, UTC).
        stages: Version numbers by stage, only stages that held any.
    """

    model: str
    at: str
    stages: Mapping[ModelStage, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """A trail that is whole.

    Attributes:
        last_hash: Of the last event; who keeps it elsewhere sees later whether events were cut off the end.
    """

    events: int
    last_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a version is where it is.

    Attributes:
        entered: The event by which it entered its stage, with what the policy said then; None where it never moved.
        decisions: What people decided on it, as it stands.
        before: The version that it replaced in Staging or Production, or else the last one that left the stage before
            it entered; None where there is none.
        comparison: Its metrics, parameters, data and source against that one's; their files are not read.
    """

    version: ModelVersion
    entered: Event | None
    decisions: tuple[Decision, ...]
    before: ModelVersion | None
    comparison: Comparison | None
