"""Routes of transitions, approvals, policies and deployments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Body as InBody
from pydantic import Field
from starlette.responses import JSONResponse

from mreg.domain.policy import Policy, parse_policy
from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.models import SEEN, Body
from mreg.server.parameters import (
    Model,
    Override,
    RegistryOf,
    Seen,
    Version,
    json_response,
    requires_role,
    seen_policy,
    seen_stage,
)
from mreg.server.schemas import PROBLEMS, responses

router = APIRouter(route_class=EnvelopeRoute, tags=["stages and policies"], responses=PROBLEMS)

NEXT = "next"
"""The target of a transition to the next of None, Staging, Production, Archived."""

Target = Annotated[str, Query(description="A stage, or an alias with a rule in the policy.")]
PolicyDocument = Annotated[
    dict[str, Any],
    InBody(
        examples=[
            {"Production": {"from": "Staging", "gates": ["accuracy >= 0.9"], "approvals": 1, "own_approval": False}}
        ]
    ),
]


class Transition(Body):
    """A transition to a stage."""

    stage: str = Field(description="Target stage, or `next` for the next stage.", examples=["Production"])
    archive_existing: bool = Field(True, description="Archive the version that is in the stage.")
    reason: str = Field("", description="Reason for the audit trail.")
    override: str = Field("", description="Reason for overriding the policy, if it allows overrides (audited).")
    leave_production: bool | None = Field(
        None, description="Allow the version to leave Production empty (default: only if a stage is given)."
    )
    seen: str | None = SEEN


class Approval(Body):
    """An approval."""

    stage: str = Field(default="Production", description="A stage, or an alias with a rule in the policy.")
    comment: str = Field(default="", description="Comment for the audit trail.")


class Rejection(Body):
    """A rejection with its reason."""

    stage: str = Field(default="Production", description="A stage, or an alias with a rule in the policy.")
    reason: str = Field(min_length=1, description="Reason for the audit trail.", examples=["biased"])
    leave_production: bool = Field(True, description="Allow the version to leave Production empty.")
    seen: str | None = SEEN


@router.post("/models/{model}/versions/{version}/transition", responses=responses(schemas.StageChange))
def transition(version: Version, body: Transition, registry: RegistryOf) -> JSONResponse:
    """Change the stage of a version; 400 for an invalid stage.

    By default, the version that was in the stage is archived. The policy is enforced: 409 with the code
    ``gate_failed`` or ``approval_missing``. Hooks run before the response: ``status`` has their result, and ``stage``
    is the stage after a possible rollback by a hook.
    """
    return json_response(
        registry.promote(
            version,
            None if body.stage == NEXT else body.stage,
            keep_existing=not body.archive_existing,
            reason=body.reason,
            override=body.override,
            leave_production=body.leave_production,
            seen=seen_stage(body.seen),
        )
    )


@router.get("/models/{model}/versions/{version}/plan", responses=responses(schemas.Plan))
def plan(
    version: Version,
    registry: RegistryOf,
    stage: Annotated[str | None, Query(description="Target stage (default: the next stage).")] = None,
    archive_existing: bool = True,
    override: Override = "",
) -> JSONResponse:
    """Preview a transition: its effects, and the gates and approvals that block it; changes nothing."""
    return json_response(registry.plan(version, stage, keep_existing=not archive_existing, override=override))


@router.post(
    "/models/{model}/versions/{version}/approve",
    responses=responses(schemas.DecisionResult),
    dependencies=[requires_role(Role.APPROVER)],
)
def approve(version: Version, registry: RegistryOf, body: Approval | None = None) -> JSONResponse:
    """Approve a version for a stage (default: Production)."""
    approval = body or Approval()
    return json_response(registry.approve(version, to=approval.stage, comment=approval.comment))


@router.post(
    "/models/{model}/versions/{version}/reject",
    responses=responses(schemas.DecisionResult),
    dependencies=[requires_role(Role.APPROVER)],
)
def reject(version: Version, body: Rejection, registry: RegistryOf) -> JSONResponse:
    """Reject a version for a stage; a version in Production goes back to Staging."""
    return json_response(
        registry.reject(
            version,
            to=body.stage,
            reason=body.reason,
            leave_production=body.leave_production,
            seen=seen_stage(body.seen),
        )
    )


@router.delete(
    "/models/{model}/versions/{version}/decision",
    responses=responses(schemas.DecisionResult),
    dependencies=[requires_role(Role.APPROVER)],
)
def withdraw_decision(version: Version, registry: RegistryOf, stage: Target = "Production") -> JSONResponse:
    """Withdraw your decision on a version."""
    return json_response(registry.withdraw_decision(version, to=stage))


@router.get("/approvals", responses=responses(list[schemas.PendingApproval]))
def approvals(registry: RegistryOf) -> JSONResponse:
    """List the pending approvals of all models."""
    return json_response(registry.approvals())


@router.post("/models/{model}/versions/{version}/deploy", responses=responses(list[schemas.Deployment]))
def deploy(version: Version, registry: RegistryOf) -> JSONResponse:
    """Run the hooks of the stage of a version again."""
    return json_response(registry.deploy(version))


@router.post("/deploy", responses=responses(list[schemas.Deployment]))
def deploy_pending(registry: RegistryOf) -> JSONResponse:
    """Run the hooks that are pending, such as those of a process that was killed."""
    return json_response(registry.deploy())


@router.get("/policy", responses=responses(schemas.ModelPolicy))
def default_policy(registry: RegistryOf) -> JSONResponse:
    """Return the default policy: of models without their own."""
    return json_response(registry.policy())


@router.put("/policy", responses=responses(schemas.ModelPolicy), dependencies=[requires_role(Role.ADMIN)])
def set_default_policy(body: PolicyDocument, registry: RegistryOf, seen: Seen = None) -> JSONResponse:
    """Set the default policy: of models without their own."""
    return json_response(registry.apply_policy(_policy(body), seen=seen_policy(registry, None, seen)))


@router.delete("/policy", responses=responses(schemas.ModelPolicy), dependencies=[requires_role(Role.ADMIN)])
def remove_default_policy(registry: RegistryOf, seen: Seen = None) -> JSONResponse:
    """Remove the default policy."""
    return json_response(registry.apply_policy(None, seen=seen_policy(registry, None, seen)))


@router.post("/policy/check", responses=responses(list[schemas.PolicyCheck]))
def check_default_policy(body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """Check the versions in use against a policy, without applying it."""
    return json_response(registry.check_policy(_policy(body)))


@router.get("/models/{model}/policy", responses=responses(schemas.ModelPolicy))
def model_policy(model: Model, registry: RegistryOf) -> JSONResponse:
    """Return the policy of a model: its own or the default."""
    return json_response(registry.policy(model))


@router.put(
    "/models/{model}/policy", responses=responses(schemas.ModelPolicy), dependencies=[requires_role(Role.ADMIN)]
)
def set_model_policy(model: Model, body: PolicyDocument, registry: RegistryOf, seen: Seen = None) -> JSONResponse:
    """Set the policy of a model."""
    return json_response(registry.apply_policy(_policy(body), model, seen=seen_policy(registry, model, seen)))


@router.delete(
    "/models/{model}/policy", responses=responses(schemas.ModelPolicy), dependencies=[requires_role(Role.ADMIN)]
)
def remove_model_policy(model: Model, registry: RegistryOf, seen: Seen = None) -> JSONResponse:
    """Remove the policy of a model, so that the default applies."""
    return json_response(registry.apply_policy(None, model, seen=seen_policy(registry, model, seen)))


@router.post("/models/{model}/policy/check", responses=responses(list[schemas.PolicyCheck]))
def check_model_policy(model: Model, body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """Check the versions of a model in use against a policy, without applying it."""
    return json_response(registry.check_policy(_policy(body), model))


def _policy(document: dict[str, Any]) -> Policy:
    try:
        return parse_policy(document)
    except BadInput as error:
        path = error.details.get("path")
        where = ".".join(str(part) for part in path) if isinstance(path, list) else ""
        message = f"{quoted(where)}: {error.message}" if where else error.message
        raise BadInput(message, hint=error.hint) from error
