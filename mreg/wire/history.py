"""The JSON of the audit trail."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from mreg.domain import events as domain
from mreg.domain.model import ModelStage
from mreg.results import history as results
from mreg.wire import Form, decode_time


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
    previous: Annotated[str, "hash of the event before; zeros for a token that is limited to some models"]
    hash: Annotated[str, "hash of this event; for a token limited to models, hash of the fields that it sees"]


class StagesAt(TypedDict):
    """The versions in each stage at a time."""

    model: Annotated[str, "name"]
    at: Annotated[str, "time"]
    stages: Annotated[dict[str, list[int]], "version numbers by stage, without empty stages"]


class AuditReport(TypedDict):
    """An audit trail without a fault."""

    events: Annotated[int, "number of events"]
    last_hash: Annotated[str | None, "hash of the last event, or null"]


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


def decode_event(shape: Event) -> domain.Event:
    """Return the event of a JSON form."""
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


FORMS = (
    Form(domain.Event, Event, encode_event, decode_event),
    Form(results.StagesAt, StagesAt, _encode_stages_at, _decode_stages_at),
    Form(results.AuditReport, AuditReport, _encode_report, _decode_report),
)
