"""Routes of maintenance: verification of stored bytes, garbage collection, diagnosis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mreg.domain.names import VersionRef
from mreg.errors import BadInput
from mreg.results.tokens import Role
from mreg.results.upkeep import Garbage, Verification
from mreg.server import schemas
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.models import Body
from mreg.server.operations import Operation, answer
from mreg.server.parameters import Model, Version, requires_role, whole_model
from mreg.server.places import Places, sees_places
from mreg.server.problems import Refused
from mreg.server.schemas import PROBLEMS, body_schema, long_responses
from mreg.server.settings import ServerSettings

router = APIRouter(route_class=EnvelopeRoute, tags=["maintenance"], responses=PROBLEMS)

Sample = Annotated[float, Query(description="Share of the artifacts to verify, chosen at random.", examples=[0.05])]


class SeenGarbage(Body):
    """Garbage of a listing."""

    kind: str
    name: str


class Collection(Body):
    """A garbage collection."""

    grace_seconds: float | None = Field(
        None, ge=-(10**9), le=10**9, description="Age below which garbage is kept (default: one day)."
    )
    remove: bool = Field(False, description="Remove the garbage; without it, it is only listed.")
    seen: list[SeenGarbage] | None = Field(
        None, description="Garbage of an earlier listing; nothing else is removed (default: all that is found now)."
    )


@router.post("/verify", responses=long_responses(schemas.Verification))
async def verify(request: Request, sample: Sample = 1.0) -> Response:
    """Verify the stored bytes of all models by SHA-256; damage is in the result, with status 200."""
    return await _verify(request, None, sample)


@router.post("/models/{model}/verify", responses=long_responses(schemas.Verification))
async def verify_model(model: Model, request: Request, sample: Sample = 1.0) -> Response:
    """Verify the stored bytes of a model by SHA-256; damage is in the result, with status 200."""
    return await _verify(request, whole_model(model), sample)


@router.post("/models/{model}/versions/{version}/verify", responses=long_responses(schemas.Verification))
async def verify_version(version: Version, request: Request, sample: Sample = 1.0) -> Response:
    """Verify the stored bytes of a version by SHA-256; damage is in the result, with status 200."""
    return await _verify(request, version, sample)


async def _verify(request: Request, wanted: VersionRef | None, sample: float) -> Response:
    places: Places = request.app.state.places

    def work(run: Operation[Verification]) -> Verification:
        found = run.registry.verify(wanted, sample=sample, progress=run.progress)
        return found if sees_places(request.scope) else places.verification(found)

    return await answer(request, work)


@router.post(
    "/gc",
    responses=long_responses(list[schemas.Garbage]),
    dependencies=[requires_role(Role.ADMIN)],
    openapi_extra={
        "requestBody": {"content": {"application/json": {"schema": body_schema(Collection)}}, "required": False}
    },
)
async def collect(request: Request) -> Response:
    """List or remove blobs that no version needs; with ``remove``, the body is a JSON object.

    No version and no running push loses bytes. A request that is interrupted leaves the rest for the next one.
    """
    wanted = _collection(await request.body())
    grace = None if wanted.grace_seconds is None else timedelta(seconds=wanted.grace_seconds)
    seen = None if wanted.seen is None else [_garbage(one) for one in wanted.seen]
    return await answer(
        request,
        lambda run: run.registry.gc(grace=grace, remove=wanted.remove, seen=seen, progress=run.progress),
    )


@router.get("/doctor", responses=long_responses(list[schemas.Finding]), dependencies=[requires_role(Role.ADMIN)])
async def doctor(request: Request) -> Response:
    """Examine the catalog, audit trail, store, clocks and leftovers; changes nothing."""
    return await answer(request, lambda run: run.registry.examine())


@router.get("/check", responses=long_responses(list[schemas.Check]), dependencies=[requires_role(Role.ADMIN)])
async def check(request: Request) -> Response:
    """Check that the catalog and the store can be read and written, and how fast; writes only probes."""
    settings: ServerSettings = request.app.state.settings
    if settings.read_only:
        raise Refused(403, "read_only", "this server is read-only, and the check writes probes")
    return await answer(request, lambda run: run.registry.check())


def _collection(body: bytes) -> Collection:
    """Return the request in a body; an empty body lists the garbage.

    Raises:
        BadInput: The body is invalid.
    """
    if not body.strip():
        body = b"{}"
    try:
        return Collection.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadInput(f"invalid body: {place}: {first['msg']}", hint="GET /openapi.json has its schema") from error


def _garbage(seen: SeenGarbage) -> Garbage:
    """Return garbage of a listing; gc compares its kind and name."""
    return Garbage(
        kind=seen.kind, place="", name=seen.name, size_bytes=0, modified=datetime.fromtimestamp(0, UTC), removed=False
    )
