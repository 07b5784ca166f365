"""The JSON of deployments."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from mreg.domain.events import time_text
from mreg.domain.hook import DeploymentStatus
from mreg.results import deployments as results
from mreg.wire import Form, decode_optional_time, decode_time, encode_time

Status = Literal["pending", "deploying", "deployed", "failed"]


class Deployment(TypedDict):
    """A hook that a change triggered."""

    deployment_id: Annotated[int, "number in the catalog"]
    key: Annotated[str, "the same for every attempt: `webhook-id`, `MREG_DEPLOYMENT`"]
    hook: Annotated[str, "name of the hook"]
    reference: Annotated[str | None, "version or model of the event, or null"]
    action: Annotated[str, "action of the event"]
    stage: Annotated[str | None, "stage that the version entered, or null"]
    status: Annotated[
        Status,
        "`pending`, `deploying`, `deployed` or `failed`; a failed one with 0 `attempts` was not run, and `output` has "
        "the reason",
    ]
    attempts: Annotated[int, "number of times it was started"]
    outcome: Annotated[int | None, "exit status or HTTP status, or null"]
    output: Annotated[str, "end of the output; only admins for all models see the paths of a server in it"]
    created_at: Annotated[str, "time of the change"]
    started_at: Annotated[str | None, "time of the last start, or null"]
    ended_at: Annotated[str | None, "time of the end, or null"]
    event_seq: Annotated[int, "`seq` of the event"]


def _encode_deployment(report: results.DeploymentReport) -> Deployment:
    return {
        "deployment_id": report.deployment_id,
        "key": report.key,
        "hook": report.hook,
        "reference": report.reference or None,
        "action": report.action,
        "stage": report.stage or None,
        "status": report.status.value,
        "attempts": report.attempts,
        "outcome": report.outcome,
        "output": report.output,
        "created_at": time_text(report.created_at),
        "started_at": encode_time(report.started_at),
        "ended_at": encode_time(report.ended_at),
        "event_seq": report.event_seq,
    }


def _decode_deployment(shape: Deployment) -> results.DeploymentReport:
    return results.DeploymentReport(
        deployment_id=shape["deployment_id"],
        key=shape["key"],
        hook=shape["hook"],
        reference=shape["reference"] or "",
        action=shape["action"],
        stage=shape["stage"] or "",
        status=DeploymentStatus(shape["status"]),
        attempts=shape["attempts"],
        outcome=shape["outcome"],
        output=shape["output"],
        created_at=decode_time(shape["created_at"]),
        started_at=decode_optional_time(shape["started_at"]),
        ended_at=decode_optional_time(shape["ended_at"]),
        event_seq=shape["event_seq"],
    )


FORMS = (Form(results.DeploymentReport, Deployment, _encode_deployment, _decode_deployment),)
