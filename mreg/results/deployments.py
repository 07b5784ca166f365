"""Runs of hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.domain.hook import DeploymentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentReport(Result):
    """The state of a run of a hook; see `mreg.domain.hook.Deployment`.

    Attributes:
        deployment_id: Id in the catalog.
        key: Idempotency key; the same for each attempt.
        hook: Name of the hook.
        reference: The version or model of the event, by its name at that time; empty for a catalog-wide event.
        action: Action of the event.
        stage: The stage that the version entered; empty if the event is not a stage change.
        attempts: Number of starts.
        outcome: Exit status of the command or HTTP status of the webhook; None if there is none.
        output: The end of the output.
        event_seq: Sequence number of the event.
    """

    deployment_id: int
    key: str
    hook: str
    reference: str
    action: str
    stage: str
    status: DeploymentStatus
    attempts: int
    outcome: int | None
    output: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    event_seq: int
