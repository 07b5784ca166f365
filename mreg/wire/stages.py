"""The JSON of stage changes."""

from __future__ import annotations

from typing import Annotated

from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.results import stages as results
from mreg.wire.form import Form, Stage
from mreg.wire.models import ModelVersion, decode_version, encode_version
from mreg.wire.policies import (
    Assessment,
    Departure,
    decode_assessment,
    decode_departure,
    encode_assessment,
    encode_departure,
)


class StageChange(ModelVersion):
    """A version after a stage change and its hooks."""

    previous_stage: Annotated[Stage, "stage before the change"]
    changed: Annotated[
        bool, "whether anything had to be done; also true if a hook failed and the change was rolled back"
    ]
    archived: Annotated[list[str], "references that had to leave the stage and are still archived"]


class Plan(Assessment):
    """The outcome that a stage change would have."""

    reference: Annotated[str, "version"]
    stage: Annotated[Stage, "its present stage"]
    allowed: Annotated[bool, "whether promote would succeed"]
    stays: Annotated[bool, "whether it is in the target already"]
    archived: Annotated[list[str], "references that would have to leave the stage"]
    hooks: Annotated[list[str], "names of the hooks that the change would trigger"]
    leaving: Annotated[
        Departure | None,
        "whether the policy lets you take the version out of its stage: see Departure; null if nothing guards that",
    ]


def encode_change(change: results.StageChange) -> StageChange:
    """Return the JSON of a stage change."""
    return {
        **encode_version(change.version),
        "previous_stage": change.before.value,
        "changed": change.changed,
        "archived": [str(reference) for reference in change.archived],
    }


def decode_change(shape: StageChange) -> results.StageChange:
    """Return the stage change of a JSON form."""
    version, before = decode_version(shape), ModelStage(shape["previous_stage"])
    archived = tuple(map(VersionRef.parse, shape["archived"]))
    rolled_back = shape["changed"] and version.stage is before and not archived
    return results.StageChange(version=version, before=before, archived=archived, rolled_back=rolled_back)


def encode_plan(plan: results.Plan) -> Plan:
    """Return the JSON of a plan."""
    return {
        "reference": str(plan.reference),
        "stage": plan.stage.value,
        "allowed": plan.allowed,
        "stays": plan.stays,
        "archived": [str(reference) for reference in plan.archived],
        "hooks": list(plan.hooks),
        "leaving": encode_departure(plan.leaving),
        **encode_assessment(plan.assessment),
    }


def decode_plan(shape: Plan) -> results.Plan:
    """Return the plan of a JSON form."""
    return results.Plan(
        reference=VersionRef.parse(shape["reference"]),
        stage=ModelStage(shape["stage"]),
        assessment=decode_assessment(shape),
        leaving=decode_departure(shape["leaving"]),
        archived=tuple(map(VersionRef.parse, shape["archived"])),
        stays=shape["stays"],
        hooks=tuple(shape["hooks"]),
    )


FORMS = (
    Form(results.StageChange, StageChange, encode_change, decode_change),
    Form(results.Plan, Plan, encode_plan, decode_plan),
)
