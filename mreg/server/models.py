"""Routes of models: registered, listed, changed, compared."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg.errors import AlreadyExists
from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.parameters import (
    PAGE_ITEMS,
    PAGE_LIMIT,
    Limit,
    Model,
    Offset,
    Override,
    RegistryOf,
    answer,
    decoded,
    model_versions,
    needs,
    other_version,
    own_version,
    paged,
    whole_model,
)
from mreg.server.problems import Answer, problem
from mreg.server.schemas import responses
from mreg.wire.models import encode_production

router = APIRouter(tags=["models"])


class Body(BaseModel):
    """A request's body; a key that is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class NewModel(Body):
    """What a model is registered with."""

    name: str = Field(examples=["classifier"])
    description: str = Field("", examples=["spam or not"])
    tags: dict[str, str] = Field({}, examples=[{"team": "mail"}])
    directions: dict[str, str] = Field({}, description="higher or lower by metric")
    primary_metric: str = ""


class ModelChanges(Body):
    """What is to be changed of a model; what is left out stays."""

    description: str | None = None
    directions: dict[str, str] | None = Field(None, description="higher or lower by metric; empty takes one away")
    primary_metric: str | None = None


class NewName(Body):
    """A model's new name."""

    name: str = Field(examples=["mail/classifier"])
    override: str = Field("", description="why the policy is overridden, if it allows overrides (audited)")


class TagValue(Body):
    """A tag's value."""

    value: str = Field(examples=["mail"])


class AliasTarget(Body):
    """The version that an alias is to mean."""

    version: StrictStr | StrictInt = Field(examples=[3])
    override: str = Field("", description="why the policy is overridden, if it allows overrides (audited)")


class RollbackRequest(Body):
    """Which stage is to be rolled back, and to what; by itself to the version that was there before."""

    stage: str = "Production"
    to: StrictStr | StrictInt | None = Field(None, description="a version that was in the stage")
    reason: str = ""


@router.post("/models", responses=responses(schemas.Model))
def register(body: NewModel, registry: RegistryOf) -> Any:
    """Register a model. 400 if it exists."""
    try:
        return answer(
            registry.register(
                body.name,
                description=body.description,
                tags=body.tags,
                directions=dict(body.directions),
                primary_metric=body.primary_metric,
            )
        )
    except AlreadyExists as error:
        return problem(400, error.code, error.message, hint=error.hint)  # the status that clients of this route know


@router.get("/models", responses=responses(list[schemas.ModelSummary]))
def list_models(registry: RegistryOf, request: Request, limit: Limit = PAGE_LIMIT, offset: Offset = 0) -> JSONResponse:
    """Every model with its latest and production versions, the one that changed last first."""
    return paged(request, registry.models(limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}", responses=responses(schemas.ModelVersions))
def show_model(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_LIMIT, offset: Offset = 0
) -> JSONResponse:
    """A model and its versions, newest first."""
    return paged(request, model_versions(registry, model, limit=limit, offset=offset), limit, offset)


@router.patch("/models/{model}", responses=responses(schemas.Model))
def edit_model(model: Model, body: ModelChanges, registry: RegistryOf) -> JSONResponse:
    """Change what is said of a model."""
    return answer(
        registry.edit(
            whole_model(model),
            description=body.description,
            directions=dict(body.directions) if body.directions is not None else None,
            primary_metric=body.primary_metric,
        )
    )


@router.post("/models/{model}/rename", responses=responses(schemas.Model), dependencies=[needs(Role.ADMIN)])
def rename_model(model: Model, body: NewName, registry: RegistryOf) -> JSONResponse:
    """Give a model another name; its versions, history and numbers stay."""
    return answer(registry.rename(model, body.name, override=body.override))


@router.delete("/models/{model}", responses=responses(schemas.Deletion), dependencies=[needs(Role.ADMIN)])
def delete_model(
    model: Model,
    registry: RegistryOf,
    force: Annotated[bool, Query(description="Also what is in Staging or Production or has an alias.")] = False,
    dry_run: Annotated[bool, Query(description="Say what would go, and delete nothing.")] = False,
    override: Override = "",
) -> JSONResponse:
    """Delete a model with all its versions; the history stays and no number is given again."""
    return answer(registry.delete(whole_model(model), force=force, dry_run=dry_run, override=override))


@router.put("/models/{model}/tags/{key}", responses=responses(schemas.Model))
def tag_model(model: Model, key: str, body: TagValue, registry: RegistryOf) -> JSONResponse:
    """Set a tag of a model."""
    return answer(registry.tag(whole_model(model), add={decoded(key): body.value}))


@router.delete("/models/{model}/tags/{key}", responses=responses(schemas.Model))
def untag_model(model: Model, key: str, registry: RegistryOf) -> JSONResponse:
    """Take a tag of a model away."""
    return answer(registry.tag(whole_model(model), remove=[decoded(key)]))


@router.put("/models/{model}/aliases/{alias}", responses=responses(schemas.ModelVersion))
def set_alias(model: Model, alias: str, body: AliasTarget, registry: RegistryOf) -> JSONResponse:
    """Make an alias mean a version, whatever it meant before."""
    found = registry.set_alias(own_version(model, body.version), decoded(alias), override=body.override)
    return answer(found)


@router.delete("/models/{model}/aliases/{alias}", responses=responses(schemas.Model))
def remove_alias(model: Model, alias: str, registry: RegistryOf, override: Override = "") -> JSONResponse:
    """Take an alias away."""
    return answer(registry.remove_alias(model, decoded(alias), override=override))


@router.get("/models/{model}/production", responses=responses(schemas.ProductionVersion))
def production(model: Model, registry: RegistryOf) -> JSONResponse:
    """The version in Production, with the place of its bytes. 404 where there is none."""
    version = registry.version(other_version(model, "production"))
    return Answer(encode_production(version))


@router.get("/models/{model}/compare", responses=responses(schemas.Comparison))
def compare(
    model: Model,
    registry: RegistryOf,
    version_a: Annotated[str, Query(description="A version of this model, or other@3.", examples=["1"])],
    version_b: Annotated[str, Query(description="What it is held against.", examples=["2"])],
) -> JSONResponse:
    """The difference of two versions; ``metric_diff`` is the second less the first."""
    return answer(registry.compare(other_version(model, version_a), other_version(model, version_b)))


@router.post("/models/{model}/rollback", responses=responses(schemas.StageChange))
def rollback(model: Model, body: RollbackRequest, registry: RegistryOf) -> JSONResponse:
    """Bring back what was in a stage before; its bytes are verified first."""
    to = own_version(model, body.to) if body.to is not None else None
    return answer(registry.rollback(model, stage=body.stage, to=to, reason=body.reason))


@router.get("/models/{model}/history", responses=responses(list[schemas.Event]))
def history(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """What happened to a model and its versions, newest first."""
    return paged(request, registry.history(whole_model(model), limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}/stages", responses=responses(schemas.StagesAt))
def stages_at(
    model: Model,
    registry: RegistryOf,
    at: Annotated[str, Query(description="ISO 8601; UTC where it names no zone.", examples=["2026-03-01T12:00"])],
) -> JSONResponse:
    """Which versions were in which stage at a time."""
    return answer(registry.stages_at(model, at))


@router.get("/models/{model}/deployments", responses=responses(list[schemas.Deployment]))
def deployments(
    model: Model, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """What changes of a model set off, newest first."""
    return paged(request, registry.deployments(model, limit=limit, offset=offset), limit, offset)
