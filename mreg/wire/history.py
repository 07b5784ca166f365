"""The JSON of the audit trail."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from mreg.domain import events as domain
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.results import history as results
from mreg.wire import Form, decode_time
from mreg.wire.comparison import MetricDifference, decode_difference, encode_difference
from mreg.wire.models import ModelVersion, decode_version, encode_version
from mreg.wire.policies import Decision, decode_decision, encode_decision


class Event(TypedDict):
    """An event of the audit trail."""

    seq: Annotated[int, "1, 2, 3 ... over the whole catalog"]
    at: Annotated[str, "time"]
    actor: Annotated[str, "user"]
    action: Annotated[
        str,
        "`model.registered`, `model.edited`, `model.renamed`, `model.deleted`, `version.pushed`, "
        "`version.stage_changed`, `version.edited`, `version.evaluated`, `version.deleted`, "
        "`alias.set`, `alias.removed` ...",
    ]
    model_id: Annotated[int, "number of the model in the catalog; 0 for a catalog-wide event"]
    model: Annotated[str, "name of the model at that time; empty for a catalog-wide event"]
    version: Annotated[int | None, "number or null"]
    details: Annotated[dict[str, Any], "values of the action"]
    previous: Annotated[str, "hash of the event before"]
    hash: Annotated[str, "hash of this event"]


class StagesAt(TypedDict):
    """The versions in each stage at a time."""

    model: Annotated[str, "name"]
    at: Annotated[str, "time"]
    stages: Annotated[dict[str, list[int]], "version numbers by stage, without empty stages"]


class AuditReport(TypedDict):
    """An audit trail without a fault."""

    events: Annotated[int, "number of events"]
    last_hash: Annotated[str | None, "hash of the last event, or null"]


class Why(TypedDict):
    """Why a version is in its stage."""

    version: Annotated[ModelVersion, "version: see ModelVersion"]
    entered: Annotated[
        Event | None, "event by which it entered its stage, with the outcome of the policy then: see Event; or null"
    ]
    decisions: Annotated[list[Decision], "decisions on it that stand: see Decision"]
    before: Annotated[str | None, "reference of the version that was in the stage before, or null"]
    metrics: Annotated[list[MetricDifference], "its metrics against those of `before`: see MetricDifference"]


def encode_event(event: domain.Event) -> Event:
    """Return the JSON of an event."""
    return {
        "seq": event.seq,
        "at": domain.time_text(event.at),
        "actor": event.actor,
        "action": event.action,
        "model_id": event.model_id,
        "model": event.model,
        "version": event.version,
        "details": dict(event.details),
        "previous": event.previous,
        "hash": event.hash,
    }


def _decode_event(shape: Event) -> domain.Event:
    return domain.Event(
        seq=shape["seq"],
        at=decode_time(shape["at"]),
        actor=shape["actor"],
        action=shape["action"],
        model_id=shape["model_id"],
        model=shape["model"],
        version=shape["version"],
        details=shape["details"],
        previous=shape["previous"],
        hash=shape["hash"],
    )


def _encode_stages_at(stages: results.StagesAt) -> StagesAt:
    return {
        "model": stages.model,
        "at": stages.at,
        "stages": {stage.value: list(versions) for stage, versions in stages.stages.items()},
    }


def _decode_stages_at(shape: StagesAt) -> results.StagesAt:
    return results.StagesAt(
        model=shape["model"],
        at=shape["at"],
        stages={ModelStage(stage): tuple(versions) for stage, versions in shape["stages"].items()},
    )


def _encode_report(report: results.AuditReport) -> AuditReport:
    return {"events": report.events, "last_hash": report.last_hash or None}


def _decode_report(shape: AuditReport) -> results.AuditReport:
    return results.AuditReport(events=shape["events"], last_hash=shape["last_hash"] or "")


def _encode_why(reasons: results.Why) -> Why:
    return {
        "version": encode_version(reasons.version),
        "entered": encode_event(reasons.entered) if reasons.entered else None,
        "decisions": [encode_decision(decision) for decision in reasons.decisions],
        "before": str(reasons.before) if reasons.before else None,
        "metrics": [encode_difference(row) for row in reasons.metrics],
    }


def _decode_why(shape: Why) -> results.Why:
    return results.Why(
        version=decode_version(shape["version"]),
        entered=_decode_event(shape["entered"]) if shape["entered"] else None,
        decisions=tuple(map(decode_decision, shape["decisions"])),
        before=VersionRef.parse(shape["before"]) if shape["before"] else None,
        metrics=tuple(map(decode_difference, shape["metrics"])),
    )


FORMS = (
    Form(domain.Event, Event, encode_event, _decode_event),
    Form(results.StagesAt, StagesAt, _encode_stages_at, _decode_stages_at),
    Form(results.AuditReport, AuditReport, _encode_report, _decode_report),
    Form(results.Why, Why, _encode_why, _decode_why),
)
