"""Routes over all models: search, comparisons, history, the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg.server import schemas
from mreg.server.parameters import PAGE_ITEMS, Limit, Offset, RegistryOf, answer, paged
from mreg.server.schemas import responses

router = APIRouter(tags=["over all models"])


@router.get("/search", responses=responses(list[schemas.ModelVersion]))
def search(
    registry: RegistryOf,
    request: Request,
    q: Annotated[
        str,
        Query(
            description="Condition in the language of mreg search (default: none). A time without a zone is UTC.",
            examples=["metrics.accuracy > 0.9 and stage = 'Staging'"],
        ),
    ] = "",
    sort: Annotated[
        str | None,
        Query(description="A field, with - before it for the largest first.", examples=["-metrics.accuracy"]),
    ] = None,
    limit: Limit = PAGE_ITEMS,
    offset: Offset = 0,
) -> JSONResponse:
    """Versions over all models for which an expression holds, newest first unless sorted."""
    return paged(request, registry.search(q, sort=sort, limit=limit, offset=offset), limit, offset)


@router.get("/compare", responses=responses(schemas.Comparison))
def compare(
    registry: RegistryOf,
    version_a: Annotated[str, Query(examples=["classifier@3"])],
    version_b: Annotated[str, Query(examples=["other@7"])],
) -> JSONResponse:
    """The difference of two versions of any models, by reference."""
    return answer(registry.compare(version_a, version_b))


@router.get("/history", responses=responses(list[schemas.Event]))
def history(registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0) -> JSONResponse:
    """What happened to anything, newest first."""
    return paged(request, registry.history(limit=limit, offset=offset), limit, offset)


@router.get("/audit", responses=responses(schemas.AuditReport))
def audit(registry: RegistryOf) -> JSONResponse:
    """Walk the hash chain of the audit trail; 500 with the code ``corrupt`` names the first event that was changed."""
    return answer(registry.verify_audit())
