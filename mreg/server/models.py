"""Routes of models."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg.errors import AlreadyExists
from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.envelopes import EnvelopeRoute, ResultResponse
from mreg.server.parameters import (
    PAGE_ITEMS,
    PAGE_LIMIT,
    Limit,
    Model,
    Offset,
    Override,
    PastTime,
    RegistryOf,
    Seen,
    decoded,
    delete_seen,
    json_response,
    model_versions,
    other_version,
    own_version,
    page_response,
    requires_role,
    seen_stage,
    whole_model,
)
from mreg.server.problems import accepts_envelope, for_client, problem
from mreg.server.schemas import PROBLEMS, responses
from mreg.wire.models import encode_production

router = APIRouter(route_class=EnvelopeRoute, tags=["models"], responses=PROBLEMS)


class Body(BaseModel):
    """A request body; unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid")


SEEN: Any = Field(None, description="Stage of the version at your decision; 409 if it is in another stage now.")


class NewModel(Body):
    """A new model."""

    name: str = Field(examples=["classifier"])
    description: str = Field("", examples=["spam or not"])
    tags: dict[str, str] = Field({}, examples=[{"team": "mail"}])
    directions: dict[str, str] = Field({}, description="Directions by metric: higher or lower.")
    primary_metric: str = Field("", description="Metric that ranks the versions.")


class ModelChanges(Body):
    """Changes to a model; omitted keys keep their values."""

    description: str | None = None
    directions: dict[str, str] | None = Field(
        None, description="Directions by metric: higher, lower, or empty to remove it."
    )
    primary_metric: str | None = None


class NewName(Body):
    """The new name of a model."""

    name: str = Field(examples=["mail/classifier"])
    override: str = Field("", description="Reason for overriding the policy, if it allows overrides (audited).")


class TagValue(Body):
    """The value of a tag."""

    value: str = Field(examples=["mail"])


class TagChanges(Body):
    """Tags to set and to remove, in one transaction."""

    set: dict[str, str] = Field({}, examples=[{"team": "mail"}])
    remove: list[str] = Field([], examples=[["draft"]])


class AliasTarget(Body):
    """The version that an alias will point to."""

    version: StrictStr | StrictInt = Field(examples=[3])
    override: str = Field("", description="Reason for overriding the policy, if it allows overrides (audited).")


class RollbackRequest(Body):
    """The stage to roll back, and the version to restore (default: the previous version of the stage)."""

    stage: str = "Production"
    to: StrictStr | StrictInt | None = Field(None, description="A version that was in the stage.")
    reason: str = Field("", description="Reason for the audit trail.")
    leave_production: bool = Field(False, description="Allow a rollback of another stage to leave Production empty.")
    seen: str | None = SEEN


@router.post("/models", responses=responses(schemas.Model))
def register(body: NewModel, registry: RegistryOf, request: Request) -> Any:
    """Register a model; 400 if it exists."""
    try:
        return json_response(
            registry.register(
                body.name,
                description=body.description,
                tags=body.tags,
                directions=dict(body.directions),
                primary_metric=body.primary_metric,
            )
        )
    except AlreadyExists as error:
        if accepts_envelope(request):
            raise
        prefix, shown = request.scope["root_path"], for_client(request, error)
        return problem(400, shown.code, shown.message, hint=shown.hint, prefix=prefix)  # clients expect 400 here


@router.get("/models", responses=responses(list[schemas.ModelSummary]))
def list_models(registry: RegistryOf, request: Request, limit: Limit = PAGE_LIMIT, offset: Offset = 0) -> JSONResponse:
    """List all models with their latest and production versions, most recently changed first."""
    return page_response(request, registry.models(limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}", responses=responses(schemas.ModelVersions))
def show_model(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_LIMIT, offset: Offset = 0
) -> JSONResponse:
    """Return a model and its versions, newest first."""
    return page_response(request, model_versions(registry, model, limit=limit, offset=offset), limit, offset)


@router.patch("/models/{model}", responses=responses(schemas.Model))
def edit_model(model: Model, body: ModelChanges, registry: RegistryOf) -> JSONResponse:
    """Edit the description, metric directions or primary metric of a model."""
    return json_response(
        registry.edit(
            whole_model(model),
            description=body.description,
            directions=dict(body.directions) if body.directions is not None else None,
            primary_metric=body.primary_metric,
        )
    )


@router.post("/models/{model}/rename", responses=responses(schemas.Model), dependencies=[requires_role(Role.ADMIN)])
def rename_model(model: Model, body: NewName, registry: RegistryOf) -> JSONResponse:
    """Rename a model; it keeps its versions and history."""
    return json_response(registry.rename(model, body.name, override=body.override))


@router.delete("/models/{model}", responses=responses(schemas.Deletion), dependencies=[requires_role(Role.ADMIN)])
def delete_model(
    model: Model,
    registry: RegistryOf,
    force: Annotated[bool, Query(description="Delete versions in use, too.")] = False,
    dry_run: Annotated[bool, Query(description="Return the versions that would be deleted, and delete none.")] = False,
    override: Override = "",
    seen: Seen = None,
) -> JSONResponse:
    """Delete a model with all its versions; the history stays, and version numbers are never reused."""
    return json_response(
        delete_seen(registry, whole_model(model), force=force, dry_run=dry_run, override=override, seen=seen)
    )


@router.patch("/models/{model}/tags", responses=responses(schemas.Model))
def change_tags_of_model(model: Model, body: TagChanges, registry: RegistryOf) -> JSONResponse:
    """Set and remove tags of a model."""
    return json_response(registry.tag(whole_model(model), add=body.set, remove=body.remove))


@router.put("/models/{model}/tags/{key}", responses=responses(schemas.Model))
def tag_model(model: Model, key: str, body: TagValue, registry: RegistryOf) -> JSONResponse:
    """Set a tag of a model."""
    return json_response(registry.tag(whole_model(model), add={decoded(key): body.value}))


@router.delete("/models/{model}/tags/{key}", responses=responses(schemas.Model))
def untag_model(model: Model, key: str, registry: RegistryOf) -> JSONResponse:
    """Remove a tag from a model."""
    return json_response(registry.tag(whole_model(model), remove=[decoded(key)]))


@router.put("/models/{model}/aliases/{alias}", responses=responses(schemas.ModelVersion))
def set_alias(model: Model, alias: str, body: AliasTarget, registry: RegistryOf) -> JSONResponse:
    """Set an alias to a version, or move it there."""
    return json_response(registry.set_alias(own_version(model, body.version), decoded(alias), override=body.override))


@router.delete("/models/{model}/aliases/{alias}", responses=responses(schemas.Model))
def remove_alias(model: Model, alias: str, registry: RegistryOf, override: Override = "") -> JSONResponse:
    """Remove an alias."""
    return json_response(registry.remove_alias(model, decoded(alias), override=override))


@router.get("/models/{model}/production", responses=responses(schemas.ProductionVersion))
def production(model: Model, registry: RegistryOf) -> JSONResponse:
    """Return the version in Production with the path of its artifact; 404 if there is none."""
    version = registry.version(other_version(model, "production"))
    return ResultResponse(version, encode_production(version))


@router.get("/models/{model}/compare", responses=responses(schemas.Comparison))
def compare(
    model: Model,
    registry: RegistryOf,
    version_a: Annotated[
        str,
        Query(description="Baseline: a selector, or a reference.", examples=["1"]),
    ],
    version_b: Annotated[str, Query(description="Other version: a selector, or a reference.", examples=["2"])],
) -> JSONResponse:
    """Compare two versions; ``metric_diff`` is the second value minus the first."""
    return json_response(registry.compare(other_version(model, version_a), other_version(model, version_b)))


@router.post("/models/{model}/rollback", responses=responses(schemas.StageChange))
def rollback(model: Model, body: RollbackRequest, registry: RegistryOf) -> JSONResponse:
    """Restore the previous version of a stage, after verifying its artifact."""
    to = other_version(model, str(body.to)) if body.to is not None else None
    return json_response(
        registry.rollback(
            model,
            stage=body.stage,
            to=to,
            reason=body.reason,
            leave_production=body.leave_production,
            seen=seen_stage(body.seen),
        )
    )


@router.get("/models/{model}/history", responses=responses(list[schemas.Event]))
def history(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """List the events of a model and its versions, newest first."""
    return page_response(request, registry.history(whole_model(model), limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}/stages", responses=responses(schemas.StagesAt))
def stages_at(
    model: Model,
    registry: RegistryOf,
    at: PastTime,
) -> JSONResponse:
    """Return the versions of each stage at a point in time."""
    return json_response(registry.stages_at(model, at))


@router.get("/models/{model}/deployments", responses=responses(list[schemas.Deployment]))
def deployments(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """List the deployments of a model, newest first."""
    return page_response(request, registry.deployments(model, limit=limit, offset=offset), limit, offset)
