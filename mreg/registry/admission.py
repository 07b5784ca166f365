"""Whether a version is let into a stage or may take an alias: the policy, held against what the catalog has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.catalog.decisions import decisions_on, policy_for
from mreg.domain.gates import Holder
from mreg.domain.metrics import MetricValue
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector, VersionRef, folded, spelled
from mreg.domain.policy import Assessment, Policy, assess, was_rejected
from mreg.domain.text import counted, printable
from mreg.errors import ApprovalMissing, BadInput, GateFailed, MregError, NotAllowed, NotFound
from mreg.registry.references import find_model

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer

DECISIONS = ("version.approved", "version.rejected", "version.decision_withdrawn")
"""The events of decisions on versions."""


def occupants(reader: Reader, model: RegisteredModel, target: str) -> tuple[ModelVersion, ...]:
    """The versions that are in a stage, or the one under an alias."""
    stages = [stage for stage in ModelStage if stage.value == target]
    if stages:
        return reader.in_stage(model, stages[0])
    found = reader.find(model, Selector.parse(target)) if spelled(target, model.aliases) else None
    return (found,) if found is not None else ()


def holder(reader: Reader, model: RegisteredModel, place: str, version: ModelVersion, policy: Policy) -> Holder | None:
    """The version that a gate on a version compares with: the last other one in a stage or under an alias.

    That is the one that entered last of those that are there; if no other one is there, the one that was there last,
    whose metrics the audit trail keeps if it was deleted. None only if no other version ever was there: who empties a
    place does not open it.

    A rollback does not lower the bar either (``docs/decisions/0041``): the gate also compares with the last version
    that the rule let in, unless that one was rejected for the place.
    """
    selector = Selector.parse(place)
    now = {one.version for one in occupants(reader, model, place)}
    there = next((number for number in reader.last_holders(model, selector) if number != version.version), None)
    entered = [number for number in reader.entries(model, selector) if number != version.version]
    first = _held(reader, model, there, now) if there is not None else None
    counting = (number for number in dict.fromkeys(entered) if not _rejected(reader, model, number, place, policy))
    last = next(counting, None)
    if last is None or last == there:
        return first
    second = replace(_held(reader, model, last, now), unrejected=True)
    if not second.deleted:
        approvers = ", ".join(policy.rule(place).approvers)
        command = f"mreg reject {second.reference}{_to(place)} --reason REASON"
        ask = f"ask {approvers} to reject it" if approvers else "reject it"
        second = replace(second, way_on=f"to compare no longer with {second.reference}, {ask}: {command}")
    return second if first is None else replace(first, also=second)


def _to(place: str) -> str:
    return "" if place == ModelStage.PRODUCTION.value else f" --to {place}"


def _held(reader: Reader, model: RegisteredModel, number: int, now: set[int]) -> Holder:
    found = reader.version(model, number)
    return Holder(
        reference=VersionRef(model.name, Selector.number(number)),
        metrics=found.metrics if found is not None else _recorded_metrics(reader, model, number),
        left=number not in now,
        deleted=found is None,
    )


def _rejected(reader: Reader, model: RegisteredModel, number: int, place: str, policy: Policy) -> bool:
    """Whether a version was rejected for a place by a person who is entitled to it; also of a deleted version."""
    found = reader.version(model, number)
    if found is not None:
        return was_rejected(policy, place, found, decisions_on(reader, found))
    standing: dict[str, bool] = {}
    for event in reader.events(model=model, version=number, newest_first=False):
        if event.action in DECISIONS and folded(str(event.details.get("target"))) == folded(place):
            standing[event.actor] = event.action == "version.rejected"
    return any(rejected and policy.rule(place).entitles(person) for person, rejected in standing.items())


def _recorded_metrics(reader: Reader, model: RegisteredModel, number: int) -> Mapping[str, MetricValue]:
    """The metrics with which a version was pushed, by the audit trail; they never change."""
    for event in reader.events(model=model, version=number, newest_first=False):
        metrics = event.details.get("metrics")
        if event.action == "version.pushed" and isinstance(metrics, dict):
            return {str(name): value for name, value in metrics.items() if type(value) in (int, float)}
    return {}


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

    found = assess(
        held, target, version, decisions_on(reader, version), lambda place: holder(reader, model, place, version, held)
    )
    return replace(found, wrong_stage=None) if entered else found


def set_alias_checked(writer: Writer, version: ModelVersion, alias: str, *, override: str = "") -> ModelVersion:
    """Point an alias to a version within a transaction; the policy is enforced if it has a rule for the alias.

    The version that the alias leaves is replaced, so that leaving is not checked apart.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: The version may not take it.
    """
    model = find_model(writer, version.model_name)
    there = occupants(writer, model, alias)
    if [one.version for one in there] != [version.version]:
        enforce_policy(writer, version, alias, override=override)
    elif override:
        raise nothing_to_override(f"mreg alias {version.reference} {alias}")
    return writer.set_alias(version, alias)


def nothing_to_override(command: str) -> BadInput:
    """The error for an override that is not needed."""
    return BadInput("there is nothing to override: the policy allows this", hint=command)


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
    count = counted(assessment.needed, "approval")
    raise ApprovalMissing(
        f"{refused}{target} needs {count}, which a new version does not have",
        hint=f"{later}; then: mreg approve {name}@latest{_to(target)}",
        **details,
    )


def no_such_target(target: str, model: RegisteredModel) -> NotFound:
    """The error for a target that is neither a stage nor an alias that a policy protects."""
    return NotFound(
        f"{target!r} is no stage, and no alias that the policy of {model.name} protects",
        hint=f"mreg policy show --model {model.name}",
    )


def enforce_policy(
    writer: Writer,
    version: ModelVersion,
    target: str,
    *,
    returned: bool = False,
    entered: bool = False,
    override: str = "",
    overridden: bool = False,
) -> dict[str, object]:
    """What the policy says to a version that enters a stage or takes an alias, for the audit trail.

    Args:
        returned: It comes back by a rollback, and must only not be rejected.
        entered: It is in the target already, so that the stage it came from is not asked for.
        override: Why it is to enter whatever the policy says.
        overridden: The override was needed already for the place that the version leaves.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: It may not.
        BadInput: There is nothing to override.
    """
    assessment = assessment_of(writer, version, target, entered=entered)
    if returned:
        assessment = Assessment(target=target, rejected_by=assessment.rejected_by, override=assessment.override)
    said = assessment_details(assessment)
    if assessment.passed:
        if override and not overridden:
            raise nothing_to_override(_command_to_enter(version, target))
        return {**said, "overridden": override} if override else said
    if not override:
        raise refusal(version, assessment)
    if not assessment.override:
        raise no_override(version.model_name, target)
    details = {"target": target, "reason": override, "policy": said}
    writer.record("policy.overridden", find_model(writer, version.model_name), details, version.version)
    return {**said, "overridden": override}


def no_override(model: ModelName, place: str) -> NotAllowed:
    """The error for an override that the rule of a place does not allow."""
    return NotAllowed(
        f"the policy for {place} of {model} does not allow overrides", hint=f"mreg policy show --model {model}"
    )


def _command_to_enter(version: ModelVersion, target: str) -> str:
    if folded(target) in {folded(stage.value) for stage in ModelStage}:
        return f"mreg promote {version.reference} --to {target.lower()}"
    return f"mreg alias {version.reference} {target}"


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
        hint=f"{who}: mreg approve {reference}{_to(target)}",
        **details,
    )


def _gates(assessment: Assessment) -> str:
    return "a gate" if len(assessment.failed) == 1 else f"{len(assessment.failed)} gates"


def _failures(assessment: Assessment) -> str:
    lines = [f"{one.gate}: {one.found}" + (f", and {one.bound}" if one.bound else "") for one in assessment.failed]
    lines += dict.fromkeys(way for one in assessment.failed for way in one.ways_on)
    return "\n".join(map(printable, lines))  # a newline in a gate must not begin a line of the hint
