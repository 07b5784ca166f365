"""Policy checks for versions that enter a stage or take an alias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.catalog.policies import Policies
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
"""Actions of events that record a decision on a version."""


def occupants(reader: Reader, model: RegisteredModel, target: str) -> tuple[ModelVersion, ...]:
    """Return the versions in a stage, or the version that has an alias."""
    stages = [stage for stage in ModelStage if stage.value == target]
    if stages:
        return reader.in_stage(model, stages[0])
    found = reader.find(model, Selector.parse(target)) if spelled(target, model.aliases) else None
    return (found,) if found is not None else ()


def holder(reader: Reader, model: RegisteredModel, place: str, version: ModelVersion, policy: Policy) -> Holder | None:
    """Return the version that a gate compares with: the latest other version in a stage or under an alias.

    This is the current version that entered last, otherwise the last former one; the metrics of a deleted version come
    from the audit trail. None only if no other version was ever there, so that emptying a place does not lift its
    gates.

    A rollback does not lower the gates either (``docs/decisions/0041``): they also compare with the last version that
    the rule let in, unless that version was rejected for the place.
    """
    selector = Selector.parse(place)
    current = {occupant.version for occupant in occupants(reader, model, place)}
    latest = next((number for number in reader.last_holders(model, selector) if number != version.version), None)
    entries = [number for number in reader.entries(model, selector) if number != version.version]
    first = _as_holder(reader, model, latest, current) if latest is not None else None
    unrejected = (number for number in dict.fromkeys(entries) if not _rejected(reader, model, number, place, policy))
    let_in = next(unrejected, None)
    if let_in is None or let_in == latest:
        return first
    second = replace(_as_holder(reader, model, let_in, current), unrejected=True)
    if not second.deleted:
        approvers = ", ".join(policy.rule(place).approvers)
        command = f"mreg reject {second.reference}{_to(place)} --reason REASON"
        ask = f"ask {approvers} to reject it" if approvers else "reject it"
        second = replace(second, remedy=f"to exclude {second.reference} from the comparison, {ask}: {command}")
    return second if first is None else replace(first, also=second)


def _to(place: str) -> str:
    return "" if place == ModelStage.PRODUCTION.value else f" --to {place}"


def _as_holder(reader: Reader, model: RegisteredModel, number: int, current: set[int]) -> Holder:
    found = reader.version(model, number)
    return Holder(
        reference=VersionRef(model.name, Selector.number(number)),
        metrics=found.metrics if found is not None else _recorded_metrics(reader, model, number),
        left=number not in current,
        deleted=found is None,
    )


def _rejected(reader: Reader, model: RegisteredModel, number: int, place: str, policy: Policy) -> bool:
    """Return whether an entitled person rejected a version, which can be deleted, for a place."""
    found = reader.version(model, number)
    if found is not None:
        return was_rejected(policy, place, found, Policies(reader).decisions_on(found))
    last_decisions: dict[str, bool] = {}
    for event in reader.events(model=model, version=number, newest_first=False):
        if event.action in DECISIONS and folded(str(event.details.get("target"))) == folded(place):
            last_decisions[event.actor] = event.action == "version.rejected"
    return any(rejected and policy.rule(place).entitles(person) for person, rejected in last_decisions.items())


def _recorded_metrics(reader: Reader, model: RegisteredModel, number: int) -> Mapping[str, MetricValue]:
    """Return the last metrics of a version from the audit events of its push and its evaluations."""
    found: dict[str, MetricValue] = {}
    for event in reader.events(model=model, version=number, newest_first=False):
        metrics = event.details.get("metrics")
        if event.action in ("version.pushed", "version.evaluated") and isinstance(metrics, dict):
            found |= {str(name): value for name, value in metrics.items() if type(value) in (int, float)}
    return found


def assessment_of(
    reader: Reader, version: ModelVersion, target: str, policy: Policy | None = None, *, entered: bool = False
) -> Assessment:
    """Return the policy's answer for a version that is to enter a target.

    Args:
        policy: Policy to check against (default: the policy in force).
        entered: The version is in the target already, so its previous stage is not checked.
    """
    model = find_model(reader, version.model_name)
    used = policy if policy is not None else Policies(reader).effective(model)

    assessment = assess(
        used,
        target,
        version,
        Policies(reader).decisions_on(version),
        lambda place: holder(reader, model, place, version, used),
    )
    return replace(assessment, right_stage=None, wrong_stage=None) if entered else assessment


def set_alias_checked(
    writer: Writer, version: ModelVersion, alias: str, *, override: str = "", new: bool = False
) -> ModelVersion:
    """Point an alias at a version within a transaction, and enforce the policy's rule for the alias.

    The version that loses the alias is replaced, so no departure is checked.

    Args:
        new: The version is being pushed.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: The version fails the rule.
        BadInput: Nothing needs an override.
    """
    model = find_model(writer, version.model_name)
    if [occupant.version for occupant in occupants(writer, model, alias)] != [version.version]:
        enforce_policy(writer, version, alias, override=override, new=new)
    elif override:
        raise nothing_to_override(f"mreg alias {version.reference} {alias}")
    return writer.set_alias(version, alias)


def nothing_to_override(command: str) -> BadInput:
    """Return the error for an override that is not needed."""
    return BadInput("nothing to override: the policy allows this", hint=command)


def no_such_target(target: str, model: RegisteredModel) -> NotFound:
    """Return the error for a target that is neither a stage nor an alias with a rule."""
    return NotFound(
        f"invalid target {target!r}: it is neither a stage nor an alias in the policy of {model.name}",
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
    new: bool = False,
) -> dict[str, object]:
    """Enforce the policy for a version that enters a stage or takes an alias; return details for the audit trail.

    Args:
        returned: The version returns by a rollback, which skips the gates but is blocked by a rejection.
        entered: The version is in the target already, so its previous stage is not checked.
        override: Reason to override the policy.
        overridden: The override was needed already for the place that the version leaves.
        new: It is being pushed, and the error names no version.

    Raises:
        GateFailed, ApprovalMissing, NotAllowed: The version fails the rule, or the rule allows no overrides.
        BadInput: Nothing needs an override.
    """
    assessment = assessment_of(writer, version, target, entered=entered)
    if returned:
        assessment = Assessment(target=target, rejected_by=assessment.rejected_by, override=assessment.override)
    policy_details = assessment_details(assessment)
    refused = entry_refusal(version, assessment, override=override, overridden=overridden, new=new)
    if refused is not None:
        raise refused
    if assessment.passed:
        return {**policy_details, "overridden": override} if override else policy_details
    details = {"target": target, "reason": override, "policy": policy_details}
    writer.record("policy.overridden", find_model(writer, version.model_name), details, version.version)
    return {**policy_details, "overridden": override}


def entry_refusal(
    version: ModelVersion, assessment: Assessment, *, override: str = "", overridden: bool = False, new: bool = False
) -> MregError | None:
    """Return the error for a version that cannot enter a target, also with an override; None if it can.

    See `enforce_policy` for the arguments.
    """
    if assessment.passed:
        needless = override and not overridden
        return nothing_to_override(_command_to_enter(version, assessment.target)) if needless else None
    if not override:
        return (_refusal_of_new if new else refusal)(version, assessment)
    return None if assessment.override else no_override(version.model_name, assessment.target)


def no_override(model: ModelName, place: str) -> NotAllowed:
    """Return the error for an override that the rule of a place does not allow."""
    return NotAllowed(
        f"the policy for {place} of {model} does not allow overrides", hint=f"mreg policy show --model {model}"
    )


def _command_to_enter(version: ModelVersion, target: str) -> str:
    if folded(target) in {folded(stage.value) for stage in ModelStage}:
        return f"mreg promote {version.reference} --to {target.lower()}"
    return f"mreg alias {version.reference} {target}"


def assessment_details(assessment: Assessment) -> dict[str, object]:
    """Return an assessment as JSON-ready details, empty if the policy has no rule for the target."""
    found: dict[str, object] = {}
    if assessment.wrong_stage is not None:
        found["from"] = assessment.wrong_stage.value
    if assessment.gates:
        found["gates"] = [
            {"gate": gate.gate, "passed": gate.passed, "found": gate.found, "bound": gate.bound}
            for gate in assessment.gates
        ]
    if assessment.needed:
        found["approvals"] = assessment.needed
    if assessment.approved_by:
        found["approved_by"] = list(assessment.approved_by)
    if assessment.rejected_by:
        found["rejected_by"] = [rejection.person for rejection in assessment.rejected_by]
    return found


def refusal(version: ModelVersion, assessment: Assessment) -> MregError:
    """Return the error for a version that fails a rule: the message has the first obstacle, the details have all.

    The order is rejections (no metric or approval outweighs them), required stage, gates, approvals.
    """
    reference, target = version.reference, assessment.target
    details = {"target": target, **assessment_details(assessment)}
    if assessment.rejected_by:
        first = assessment.rejected_by[0]
        return ApprovalMissing(
            f"{reference} was rejected for {target} by {first.person}: {first.comment}",
            hint=f"{first.person} can withdraw the rejection: mreg reject {reference} --withdraw",
            **details,
        )
    if assessment.wrong_stage is not None:
        return NotAllowed(
            f"{reference} is {version.stage.location}: the policy allows only versions from "
            f"{assessment.wrong_stage.value} to enter {target}",
            hint=f"mreg promote {reference} --to {assessment.wrong_stage.value}",
            **details,
        )
    if assessment.failed:
        return GateFailed(
            f"{reference} does not pass {_gates(assessment)} of {target}", hint=_failures(assessment), **details
        )
    people = ", ".join(assessment.may_approve) or "another user"
    return ApprovalMissing(
        f"{reference} has {len(assessment.approved_by)} of {assessment.needed} approvals for {target}",
        hint=f"{people} can approve it: mreg approve {reference}{_to(target)}",
        **details,
    )


def _refusal_of_new(version: ModelVersion, assessment: Assessment) -> MregError:
    """`refusal` for a version that is being pushed; it names no version, since the push is rolled back."""
    name, target = version.model_name, assessment.target
    refused = f"the push to {name} was refused and no version was added: "
    details = {"target": target, **assessment_details(assessment)}
    later = f"push without {target} first: mreg push PATH --name {name}"
    if assessment.wrong_stage is not None:
        came_from = assessment.wrong_stage.value
        return NotAllowed(
            f"{refused}only versions from {came_from} are allowed to enter {target}",
            hint=f"{later} --stage {came_from.lower()}",
            **details,
        )
    if assessment.failed:
        return GateFailed(
            f"{refused}the new version does not pass {_gates(assessment)} of {target}",
            hint=_failures(assessment),
            **details,
        )
    count = counted(assessment.needed, "approval")
    return ApprovalMissing(
        f"{refused}{target} needs {count}, which a new version does not have",
        hint=f"{later}; then: mreg approve {name}@latest{_to(target)}",
        **details,
    )


def _gates(assessment: Assessment) -> str:
    return "a gate" if len(assessment.failed) == 1 else f"{len(assessment.failed)} gates"


def _failures(assessment: Assessment) -> str:
    lines = [f"{gate.gate}: {gate.found}" + (f", and {gate.bound}" if gate.bound else "") for gate in assessment.failed]
    lines += dict.fromkeys(way for gate in assessment.failed for way in gate.remedies)
    return "\n".join(map(printable, lines))  # a newline in a gate must not begin a line of the hint
