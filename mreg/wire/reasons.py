"""The JSON of the reasons of a stage."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.domain.names import VersionRef
from mreg.results import reasons as results
from mreg.wire import Form
from mreg.wire.comparison import MetricDifference, decode_difference, encode_difference
from mreg.wire.history import Event, decode_event, encode_event
from mreg.wire.models import ModelVersion, decode_version, encode_version
from mreg.wire.policies import Decision, decode_decision, encode_decision


class Why(TypedDict):
    """Why a version is in its stage."""

    version: Annotated[ModelVersion, "version: see ModelVersion"]
    entered: Annotated[
        Event | None, "event by which it entered its stage, with the outcome of the policy then: see Event; or null"
    ]
    decisions: Annotated[list[Decision], "decisions on it that stand: see Decision"]
    before: Annotated[str | None, "reference of the version that was in the stage before, or null"]
    metrics: Annotated[list[MetricDifference], "its metrics against those of `before`: see MetricDifference"]


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
        entered=decode_event(shape["entered"]) if shape["entered"] else None,
        decisions=tuple(map(decode_decision, shape["decisions"])),
        before=VersionRef.parse(shape["before"]) if shape["before"] else None,
        metrics=tuple(map(decode_difference, shape["metrics"])),
    )


FORMS = (Form(results.Why, Why, _encode_why, _decode_why),)
