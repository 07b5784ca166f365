"""The audit trail: the stages at a time, and the check of the hash chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesAt(Result):
    """The versions of a model by their stage at a time.

    Attributes:
        at: The time in its stored form (ISO 8601, UTC).
        stages: Version numbers by stage, without empty stages.
    """

    model: str
    at: str
    stages: Mapping[ModelStage, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport(Result):
    """The result of verifying an intact audit trail.

    Attributes:
        events: Number of events.
        last_hash: Hash of the last event, empty if there is none. A copy of it kept elsewhere reveals later whether
            events at the end were cut.
    """

    events: int
    last_hash: str
