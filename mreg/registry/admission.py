"""Whether a version is let into a stage or may take an alias: the policy, held against what the catalog has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.catalog.decisions import decisions_on, policy_for
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import Selector, SelectorKind
from mreg.domain.policy import Assessment, Policy, assess
from mreg.domain.text import printable
from mreg.errors import ApprovalMissing, BadInput, GateFailed, MregError, NotAllowed, NotFound
from mreg.registry.references import find_model

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer


def occupants(reader: Reader, model: RegisteredModel, target: str) -> tuple[ModelVersion, ...]:
    """The versions that are in a stage, or the one under an alias."""
    stages = [stage for stage in ModelStage if stage.value == target]
    if stages:
        return reader.in_stage(model, stages[0])
    found = reader.find(model, Selector(SelectorKind.ALIAS, target)) if target in model.aliases else None
    return (found,) if found is not None else ()


def assessment_of(
    reader: Reader, version: ModelVersion, target: str, policy: Policy | None = None, *, entered: bool = False
) -> Assessment:
    """What the policy says to a version that is to enter a target; within the transaction that would let it in.

    Args:
        policy: In place of the one that holds.
        entered: It is there already, so that where it came from is not asked.
    """
    model = find_model(reader, version.model_name)
    held = policy if policy is not None else policy_for(reader, model)

    def occupant(place: str) -> ModelVersion | None:
        others = [one for one in occupants(reader, model, place) if one.version_id != version.version_id]
        return others[-1] if others else None

    found = assess(held, target, version, decisions_on(reader, version), occupant)
    return replace(found, wrong_stage=None) if entered else found


def take_alias(writer: Writer, version: ModelVersion, alias: str) -> ModelVersion:
    """Point an alias to a version within a transaction, heeding the policy where it protects the alias.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: The version may not take it.
    """
    if alias not in version.aliases:
        heed(writer, version, alias)
    return writer.set_alias(version, alias)


def admit_new(reader: Reader, version: ModelVersion, target: str) -> None:
    """Return if a version that is being pushed is allowed to enter a stage or to take an alias at once.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: It is not. The message names no version: the push is rolled back.
    """
    assessment = assessment_of(reader, version, target)
    if assessment.passed:
        return
    name = version.model_name
    refused = f"the push to {name} was refused and no version was added: "
    details = {"target": target, **assessment_details(assessment)}
    later = f"push without {target} first: mreg push PATH --name {name}"
    if assessment.wrong_stage is not None:
        came_from = assessment.wrong_stage.value
        raise NotAllowed(
            f"{refused}only versions from {came_from} are allowed to enter {target}",
            hint=f"{later} --stage {came_from.lower()}",
            **details,
        )
    if assessment.failed:
        raise GateFailed(
            f"{refused}the new version does not pass {_gates(assessment)} of {target}",
            hint=_failures(assessment),
            **details,
        )
    count = f"{assessment.needed} approval" + ("s" if assessment.needed > 1 else "")
    raise ApprovalMissing(
        f"{refused}{target} needs {count}, which a new version does not have",
        hint=f"{later}; then: mreg approve {name}@latest" + ("" if target == "Production" else f" --to {target}"),
        **details,
    )


def no_such_target(target: str, model: RegisteredModel) -> NotFound:
    """The error for a target that is neither a stage nor an alias that a policy protects."""
    return NotFound(
        f"{target!r} is no stage, and no alias that the policy of {model.name} protects",
        hint=f"mreg policy show --model {model.name}",
    )


def heed(
    writer: Writer, version: ModelVersion, target: str, *, returned: bool = False, override: str = ""
) -> dict[str, object]:
    """What the policy says to a version that enters a stage or takes an alias, for the audit trail.

    Args:
        returned: It comes back by a rollback, and must only not be rejected.
        override: Why it is to enter whatever the policy says.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: It may not.
        BadInput: There is nothing to override.
    """
    assessment = assessment_of(writer, version, target)
    if returned:
        assessment = Assessment(target=target, rejected_by=assessment.rejected_by, override=assessment.override)
    said = assessment_details(assessment)
    if assessment.passed:
        if override:
            raise BadInput(
                f"nothing stands in the way of {version.reference}, so there is nothing to override",
                hint=f"mreg promote {version.reference} --to {target}",
            )
        return said
    if not override:
        raise refusal(version, assessment)
    if not assessment.override:
        raise NotAllowed(
            f"the policy for {target} of {version.model_name} does not allow to be overridden",
            hint=f"mreg promote {version.reference} --to {target} --plan shows what it asks for",
        )
    details = {"target": target, "reason": override, "policy": said}
    writer.record("policy.overridden", find_model(writer, version.model_name), details, version.version)
    return {**said, "overridden": override}


def assessment_details(assessment: Assessment) -> dict[str, object]:
    """What a policy said, JSON-ready; empty where it asked for nothing."""
    found: dict[str, object] = {}
    if assessment.wrong_stage is not None:
        found["from"] = assessment.wrong_stage.value
    if assessment.gates:
        found["gates"] = [
            {"gate": one.gate, "passed": one.passed, "found": one.found, "bound": one.bound} for one in assessment.gates
        ]
    if assessment.needed:
        found["approvals"] = assessment.needed
    if assessment.approved_by:
        found["approved_by"] = list(assessment.approved_by)
    if assessment.rejected_by:
        found["rejected_by"] = [one.person for one in assessment.rejected_by]
    return found


def refusal(version: ModelVersion, assessment: Assessment) -> MregError:
    """The error for a version that may not enter a target: the first thing that stands in the way, all in the details.

    Rejections come first, since no number helps against them; then the stage it must come from, gates, approvals.
    """
    reference, target = version.reference, assessment.target
    details = {"target": target, **assessment_details(assessment)}
    if assessment.rejected_by:
        first = assessment.rejected_by[0]
        return ApprovalMissing(
            f"{reference} was rejected for {target} by {first.person}: {first.comment}",
            hint=f"{first.person} can take that back: mreg reject {reference} --withdraw",
            **details,
        )
    if assessment.wrong_stage is not None:
        return NotAllowed(
            f"{reference} is in {version.stage.value}, and the policy lets only versions from "
            f"{assessment.wrong_stage.value} into {target}",
            hint=f"mreg promote {reference} --to {assessment.wrong_stage.value}",
            **details,
        )
    if assessment.failed:
        return GateFailed(
            f"{reference} does not pass {_gates(assessment)} of {target}", hint=_failures(assessment), **details
        )
    who = f"{', '.join(assessment.may_approve)} may give it" if assessment.may_approve else "anybody else may give it"
    return ApprovalMissing(
        f"{reference} has {len(assessment.approved_by)} of {assessment.needed} approvals for {target}",
        hint=f"{who}: mreg approve {reference}" + ("" if target == "Production" else f" --to {target}"),
        **details,
    )


def _gates(assessment: Assessment) -> str:
    return "a gate" if len(assessment.failed) == 1 else f"{len(assessment.failed)} gates"


def _failures(assessment: Assessment) -> str:
    lines = [f"{one.gate}: {one.found}" + (f", and {one.bound}" if one.bound else "") for one in assessment.failed]
    return "\n".join(map(printable, lines))  # a newline in a gate must not begin a line of the hint
