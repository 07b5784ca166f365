"""Routes of all models: search, comparison, history and audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg import __version__
from mreg.server import schemas
from mreg.server.envelopes import EnvelopeRoute, ResultResponse
from mreg.server.operations import answer
from mreg.server.parameters import PAGE_ITEMS, Limit, Offset, RegistryOf, json_response, page_response, reference_of
from mreg.server.schemas import PROBLEMS, long_responses, responses, texts
from mreg.wire.protocol import API, OLDEST_API, ServerVersion

Prefix = Annotated[str, Query(description="Beginning of the texts.", examples=["cl"])]

SERVER_VERSION: ServerVersion = {"version": __version__, "api": API, "oldest_api": OLDEST_API}

router = APIRouter(route_class=EnvelopeRoute, tags=["all models"], responses=PROBLEMS)


@router.get("/version", responses=responses(schemas.ServerVersion))
def version() -> JSONResponse:
    """Return the release of the server and its API version; the header ``Mreg-Api`` of every response has it, too."""
    return ResultResponse(SERVER_VERSION, SERVER_VERSION)


@router.get("/search", responses=responses(list[schemas.ModelVersion]))
def search(
    registry: RegistryOf,
    request: Request,
    q: Annotated[
        str,
        Query(
            description="Search expression (default: all versions). Times without a zone are UTC.",
            examples=["metrics.accuracy > 0.9 and stage = 'Staging'"],
        ),
    ] = "",
    sort: Annotated[
        str | None,
        Query(
            description="Sort field, with - for descending order (default: newest first).",
            examples=["-metrics.accuracy"],
        ),
    ] = None,
    limit: Limit = PAGE_ITEMS,
    offset: Offset = 0,
) -> JSONResponse:
    """Search the versions of all models (default order: newest first)."""
    return page_response(request, registry.search(q, sort=sort, limit=limit, offset=offset), limit, offset)


@router.get("/compare", responses=responses(schemas.Comparison))
def compare(
    registry: RegistryOf,
    version_a: Annotated[str, Query(description="Reference of the baseline.", examples=["classifier@3"])],
    version_b: Annotated[
        str | None,
        Query(
            description="Reference of the other version (default: compare the first with Production).",
            examples=["other@7"],
        ),
    ] = None,
) -> JSONResponse:
    """Compare two versions of any models."""
    other = reference_of(version_b) if version_b is not None else None
    return json_response(registry.compare(reference_of(version_a), other))


@router.get("/completions", responses=texts("Model names, or references.", ["classifier", "classifier-large"]))
def completions(registry: RegistryOf, prefix: Prefix = "") -> JSONResponse:
    """List the model names that begin with a text; after an ``@``, the references of that model."""
    found = registry.completions(prefix)
    return ResultResponse(found, list(found))


@router.get("/metric-names", responses=texts("Names of metrics, sorted.", ["accuracy", "auc"]))
def metric_names(registry: RegistryOf, prefix: Prefix = "") -> JSONResponse:
    """List the names of all metrics that begin with a text."""
    found = registry.metric_names(prefix)
    return ResultResponse(found, list(found))


@router.get("/history", responses=responses(list[schemas.Event]))
def history(registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0) -> JSONResponse:
    """List the events of all models, newest first."""
    return page_response(request, registry.history(limit=limit, offset=offset), limit, offset)


@router.get("/audit", responses=long_responses(schemas.AuditReport))
async def audit(request: Request) -> Response:
    """Verify the audit trail; 500 with the code ``corrupt`` names the first event that was changed."""
    return await answer(request, lambda operation: operation.registry.verify_audit())
