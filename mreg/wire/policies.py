"""The JSON of policies and decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, TypedDict, cast

from mreg.domain import policy as domain
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.gates import GateResult
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.results import policies as results
from mreg.wire import Form, Stage, decode_time
from mreg.wire.errors import decode_error, encode_error


class Gate(TypedDict):
    """The result of a gate."""

    gate: Annotated[str, "text of the gate"]
    passed: Annotated[bool, "whether the version passes it"]
    found: Annotated[str, "value of the version"]
    bound: Annotated[str | None, "value of another version that it is compared with, or null"]


class Decision(TypedDict):
    """A decision of an approver."""

    target: Annotated[str, "stage or alias"]
    person: Annotated[str, "user who decided"]
    approved: Annotated[bool, "whether it is an approval, and not a rejection"]
    comment: Annotated[str, "text"]
    checksum: Annotated[str, "SHA-256 of the bytes that were decided on"]
    at: Annotated[str, "time"]


class Assessment(TypedDict):
    """How a version meets a policy for a stage or an alias."""

    target: Annotated[str, "stage or alias"]
    passed: Annotated[bool, "whether the policy lets the version in"]
    comes_from: Annotated[Stage | None, "stage that the version has to be in and is in, or null"]
    must_come_from: Annotated[Stage | None, "stage that the version would have to be in and is not, or null"]
    gates: Annotated[list[Gate], "gates: see Gate"]
    approvals_needed: Annotated[int, "number of approvals that the policy asks for"]
    approved_by: Annotated[list[str], "users whose approval counts"]
    may_approve: Annotated[list[str], "other users who can approve, if the policy names users"]
    rejected_by: Annotated[list[Decision], "rejections that stand: see Decision"]
    override_allowed: Annotated[bool, "whether a reason suffices to override the policy"]


class Departure(TypedDict):
    """Whether the policy lets the caller take a version out of a stage or from under an alias."""

    place: Annotated[str, "stage or alias that the version would leave"]
    allowed: Annotated[bool, "whether you can take it out without an override"]
    may_take_out: Annotated[list[str], "approvers that the rule names"]
    override_allowed: Annotated[bool, "whether a reason suffices to override the policy"]


class ModelPolicy(TypedDict):
    """The policy that holds for a model."""

    model: Annotated[str | None, "model; null for the default of all models"]
    own: Annotated[bool, "whether it is the model's own policy, and not the default"]
    policy: Annotated[
        dict[str, Any],
        "by stage, and under `aliases` by alias: `from`, `gates`, `approvals`, `approvers`, `own_approval`, `override`",
    ]


class PolicyCheck(Assessment):
    """How a version in a stage or under an alias meets a policy."""

    reference: Annotated[str, "version"]
    leaving: Annotated[
        Departure | None,
        "whether the policy lets you take the version out of the target: see Departure; null if nothing guards that",
    ]


class PendingApproval(Assessment):
    """A version that waits for decisions."""

    reference: Annotated[str, "version"]


class DecisionResult(Assessment):
    """The outcome of a decision."""

    reference: Annotated[str, "version"]
    stage: Annotated[Stage, "its present stage"]
    person: Annotated[str, "user who decided"]
    decision: Annotated[Literal["approved", "rejected", "withdrawn"], "`approved`, `rejected` or `withdrawn`"]


class Plan(Assessment):
    """The outcome that a stage change would have."""

    reference: Annotated[str, "version"]
    stage: Annotated[Stage, "its present stage"]
    allowed: Annotated[bool, "whether promote would succeed without an override"]
    stays: Annotated[bool, "whether it is in the target already"]
    archived: Annotated[list[str], "references that would have to leave the stage"]
    hooks: Annotated[list[str], "names of the hooks that the change would trigger"]
    leaving: Annotated[
        Departure | None,
        "whether the policy lets you take the version out of its stage: see Departure; null if nothing guards that",
    ]


def _encode_gate(gate: GateResult) -> Gate:
    return {"gate": gate.gate, "passed": gate.passed, "found": gate.found, "bound": gate.bound or None}


def _decode_gate(shape: Gate) -> GateResult:
    return GateResult(gate=shape["gate"], passed=shape["passed"], found=shape["found"], bound=shape["bound"] or "")


def encode_decision(decision: domain.Decision) -> Decision:
    """Return the JSON of a decision."""
    return {
        "target": decision.target,
        "person": decision.person,
        "approved": decision.approved,
        "comment": decision.comment,
        "checksum": str(decision.digest),
        "at": time_text(decision.at),
    }


def decode_decision(shape: Decision) -> domain.Decision:
    """Return the decision of a JSON form."""
    return domain.Decision(
        target=shape["target"],
        person=shape["person"],
        approved=shape["approved"],
        comment=shape["comment"],
        digest=Digest.parse(shape["checksum"]),
        at=decode_time(shape["at"]),
    )


def _encode_assessment(assessment: domain.Assessment) -> Assessment:
    return {
        "target": assessment.target,
        "passed": assessment.passed,
        "comes_from": assessment.right_stage.value if assessment.right_stage else None,
        "must_come_from": assessment.wrong_stage.value if assessment.wrong_stage else None,
        "gates": [_encode_gate(gate) for gate in assessment.gates],
        "approvals_needed": assessment.needed,
        "approved_by": list(assessment.approved_by),
        "may_approve": list(assessment.may_approve),
        "rejected_by": [encode_decision(decision) for decision in assessment.rejected_by],
        "override_allowed": assessment.override,
    }


def _decode_assessment(shape: Assessment) -> domain.Assessment:
    return domain.Assessment(
        target=shape["target"],
        right_stage=ModelStage(stage) if (stage := shape.get("comes_from")) else None,  # older servers do not send it
        wrong_stage=ModelStage(shape["must_come_from"]) if shape["must_come_from"] else None,
        gates=tuple(map(_decode_gate, shape["gates"])),
        needed=shape["approvals_needed"],
        approved_by=tuple(shape["approved_by"]),
        may_approve=tuple(shape["may_approve"]),
        rejected_by=tuple(map(decode_decision, shape["rejected_by"])),
        override=shape["override_allowed"],
    )


def _encode_departure(departure: domain.Departure | None) -> Departure | None:
    if departure is None:
        return None
    return {
        "place": departure.place,
        "allowed": departure.allowed,
        "may_take_out": list(departure.may_take_out),
        "override_allowed": departure.override,
    }


def _decode_departure(shape: Departure | None) -> domain.Departure | None:
    if shape is None:
        return None
    return domain.Departure(
        place=shape["place"],
        allowed=shape["allowed"],
        may_take_out=tuple(shape["may_take_out"]),
        override=shape["override_allowed"],
    )


def _encode_policy(result: results.ModelPolicy) -> ModelPolicy:
    return {"model": result.model or None, "own": result.own, "policy": domain.policy_document(result.policy)}


def _decode_policy(shape: ModelPolicy) -> results.ModelPolicy:
    return results.ModelPolicy(
        model=shape["model"] or "", own=shape["own"], policy=domain.parse_policy(shape["policy"], stored=True)
    )


def _encode_policy_check(check: results.PolicyCheck) -> PolicyCheck:
    return {
        "reference": str(check.reference),
        "leaving": _encode_departure(check.leaving),
        **_encode_assessment(check.assessment),
    }


def _decode_policy_check(shape: PolicyCheck) -> results.PolicyCheck:
    return results.PolicyCheck(
        reference=VersionRef.parse(shape["reference"]),
        assessment=_decode_assessment(shape),
        leaving=_decode_departure(shape["leaving"]),
    )


def _encode_pending(pending: results.PendingApproval) -> PendingApproval:
    return {"reference": str(pending.reference), **_encode_assessment(pending.assessment)}


def _decode_pending(shape: PendingApproval) -> results.PendingApproval:
    return results.PendingApproval(reference=VersionRef.parse(shape["reference"]), assessment=_decode_assessment(shape))


def _encode_decision_result(decision: results.DecisionResult) -> DecisionResult:
    return {
        "reference": str(decision.reference),
        "stage": decision.stage.value,
        "person": decision.person,
        "decision": cast("Literal['approved', 'rejected', 'withdrawn']", decision.decision),
        **_encode_assessment(decision.assessment),
    }


def _decode_decision_result(shape: DecisionResult) -> results.DecisionResult:
    return results.DecisionResult(
        reference=VersionRef.parse(shape["reference"]),
        stage=ModelStage(shape["stage"]),
        person=shape["person"],
        decision=shape["decision"],
        assessment=_decode_assessment(shape),
    )


def _encode_plan(plan: results.Plan) -> Plan:
    return {
        "reference": str(plan.reference),
        "stage": plan.stage.value,
        "allowed": plan.allowed,
        "stays": plan.stays,
        "archived": [str(reference) for reference in plan.archived],
        "hooks": list(plan.hooks),
        "leaving": _encode_departure(plan.leaving),
        **_encode_assessment(plan.assessment),
    }


def _decode_plan(shape: Plan) -> results.Plan:
    return results.Plan(
        reference=VersionRef.parse(shape["reference"]),
        stage=ModelStage(shape["stage"]),
        assessment=_decode_assessment(shape),
        leaving=_decode_departure(shape["leaving"]),
        archived=tuple(map(VersionRef.parse, shape["archived"])),
        stays=shape["stays"],
        hooks=tuple(shape["hooks"]),
    )


def _encode_rest_of_plan(plan: results.Plan) -> dict[str, Any]:
    return {
        "empties_production": plan.empties_production,
        "asks": plan.asks,
        "overridden": plan.overridden,
        "refusal": encode_error(plan.refusal) if plan.refusal else None,
    }


def _add_rest_of_plan(plan: results.Plan, rest: Any) -> results.Plan:
    return replace(
        plan,
        empties_production=bool(rest["empties_production"]),
        asks=bool(rest["asks"]),
        overridden=bool(rest["overridden"]),
        refusal=decode_error(rest["refusal"]) if rest["refusal"] else None,
    )


FORMS = (
    Form(results.ModelPolicy, ModelPolicy, _encode_policy, _decode_policy),
    Form(results.PolicyCheck, PolicyCheck, _encode_policy_check, _decode_policy_check),
    Form(results.PendingApproval, PendingApproval, _encode_pending, _decode_pending),
    Form(results.DecisionResult, DecisionResult, _encode_decision_result, _decode_decision_result),
    Form(results.Plan, Plan, _encode_plan, _decode_plan, _encode_rest_of_plan, _add_rest_of_plan),
)
