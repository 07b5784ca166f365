"""Routes of stage changes and of what they need: plans, approvals, policies, deployments."""

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
from mreg.server.models import Body
from mreg.server.parameters import Model, RegistryOf, Version, answer, needs
from mreg.server.schemas import responses

router = APIRouter(tags=["stages and policies"])

Target = Annotated[str, Query(description="A stage, or an alias that the policy has a rule for.")]
PolicyDocument = Annotated[
    dict[str, Any],
    InBody(
        examples=[
            {"Production": {"from": "Staging", "gates": ["accuracy >= 0.9"], "approvals": 1, "own_approval": False}}
        ]
    ),
]


class Transition(Body):
    """The stage that a version is to enter."""

    stage: str = Field(examples=["Production"])
    archive_existing: bool = Field(True, description="archive the version that is there")
    reason: str = Field("", description="for the audit trail")
    override: str = Field("", description="why the policy is overridden, if it allows overrides (audited)")


class Approval(Body):
    """An approval."""

    stage: str = "Production"
    comment: str = ""


class Rejection(Body):
    """A rejection and its reason."""

    stage: str = "Production"
    reason: str = Field(min_length=1, examples=["biased"])


@router.post("/models/{model}/versions/{version}/transition", responses=responses(schemas.StageChange))
def transition(version: Version, body: Transition, registry: RegistryOf) -> JSONResponse:
    """Move a version to a stage; by itself the version that was there is archived. 400 on a bad stage.

    The policy is enforced: 409 with the code ``gate_failed`` or ``approval_missing``. Hooks have been run when this
    answers: ``status`` says how that ended, and ``stage`` is the stage after a hook rolled the change back.
    """
    return answer(
        registry.promote(
            version, body.stage, keep_existing=not body.archive_existing, reason=body.reason, override=body.override
        )
    )


@router.get("/models/{model}/versions/{version}/plan", responses=responses(schemas.Plan))
def plan(
    version: Version,
    registry: RegistryOf,
    stage: Annotated[str | None, Query(description="The stage; else the next one of the road.")] = None,
    archive_existing: bool = True,
) -> JSONResponse:
    """What a transition would do, and what stands in its way; changes nothing."""
    return answer(registry.plan(version, stage, keep_existing=not archive_existing))


@router.post(
    "/models/{model}/versions/{version}/approve",
    responses=responses(schemas.DecisionResult),
    dependencies=[needs(Role.APPROVER)],
)
def approve(version: Version, registry: RegistryOf, body: Approval | None = None) -> JSONResponse:
    """Approve a version for a stage, Production unless said."""
    said = body or Approval()
    return answer(registry.approve(version, to=said.stage, comment=said.comment))


@router.post(
    "/models/{model}/versions/{version}/reject",
    responses=responses(schemas.DecisionResult),
    dependencies=[needs(Role.APPROVER)],
)
def reject(version: Version, body: Rejection, registry: RegistryOf) -> JSONResponse:
    """Reject a version for a stage; one that is in Production goes back to Staging."""
    return answer(registry.reject(version, to=body.stage, reason=body.reason))


@router.delete(
    "/models/{model}/versions/{version}/decision",
    responses=responses(schemas.DecisionResult),
    dependencies=[needs(Role.APPROVER)],
)
def withdraw_decision(version: Version, registry: RegistryOf, stage: Target = "Production") -> JSONResponse:
    """Take one's own decision back."""
    return answer(registry.withdraw_decision(version, to=stage))


@router.get("/approvals", responses=responses(list[schemas.PendingApproval]))
def approvals(registry: RegistryOf) -> JSONResponse:
    """The versions that wait for somebody's decision, over all models."""
    return answer(registry.approvals())


@router.post("/models/{model}/versions/{version}/deploy", responses=responses(list[schemas.Deployment]))
def deploy(version: Version, registry: RegistryOf) -> JSONResponse:
    """Run the hooks of a version's stage again."""
    return answer(registry.deploy(version))


@router.get("/policy", responses=responses(schemas.ModelPolicy))
def default_policy(registry: RegistryOf) -> JSONResponse:
    """The policy of all models that have none of their own."""
    return answer(registry.policy())


@router.put("/policy", responses=responses(schemas.ModelPolicy), dependencies=[needs(Role.ADMIN)])
def set_default_policy(body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """Make a policy that of all models that have none of their own."""
    return answer(registry.apply_policy(_policy(body)))


@router.delete("/policy", responses=responses(schemas.ModelPolicy), dependencies=[needs(Role.ADMIN)])
def remove_default_policy(registry: RegistryOf) -> JSONResponse:
    """Take that policy away."""
    return answer(registry.apply_policy(None))


@router.post("/policy/check", responses=responses(list[schemas.PolicyCheck]))
def check_default_policy(body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """How the versions in use would stand to a policy; applies nothing."""
    return answer(registry.check_policy(_policy(body)))


@router.get("/models/{model}/policy", responses=responses(schemas.ModelPolicy))
def model_policy(model: Model, registry: RegistryOf) -> JSONResponse:
    """The policy that holds for a model, its own or the default."""
    return answer(registry.policy(model))


@router.put("/models/{model}/policy", responses=responses(schemas.ModelPolicy), dependencies=[needs(Role.ADMIN)])
def set_model_policy(model: Model, body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """Make a policy a model's own."""
    return answer(registry.apply_policy(_policy(body), model))


@router.delete("/models/{model}/policy", responses=responses(schemas.ModelPolicy), dependencies=[needs(Role.ADMIN)])
def remove_model_policy(model: Model, registry: RegistryOf) -> JSONResponse:
    """Take a model's own policy away, so that the default holds."""
    return answer(registry.apply_policy(None, model))


@router.post("/models/{model}/policy/check", responses=responses(list[schemas.PolicyCheck]))
def check_model_policy(model: Model, body: PolicyDocument, registry: RegistryOf) -> JSONResponse:
    """How the versions of a model that are in use would stand to a policy; applies nothing."""
    return answer(registry.check_policy(_policy(body), model))


def _policy(document: dict[str, Any]) -> Policy:
    try:
        return parse_policy(document)
    except BadInput as error:
        path = error.details.get("path")
        where = ".".join(str(part) for part in path) if isinstance(path, list) else ""
        message = f"{quoted(where)}: {error.message}" if where else error.message
        raise BadInput(message, hint=error.hint) from error
