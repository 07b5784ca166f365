"""Routes of blobs: which are missing, uploads, and downloads by digest."""

from __future__ import annotations

from asyncio import sleep
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, TypeVar

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg.domain.digest import Digest
from mreg.domain.stored import SIZE_LIMIT
from mreg.errors import BadInput
from mreg.results.tokens import Role
from mreg.results.uploads import StagedUpload, UploadState
from mreg.server import schemas
from mreg.server.concurrency import run_transfer, without_turn
from mreg.server.download import BYTES, download_blob
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.models import Body
from mreg.server.operations import answer
from mreg.server.parameters import Model, RegistryOf, Version, decoded, json_response, requires_role
from mreg.server.problems import too_large
from mreg.server.receiving import (
    BYTES_BODY,
    CHUNK_BYTES,
    announced_size,
    feed_body,
    on_threads,
    refuse_compression,
    upload_slot,
)
from mreg.server.schemas import PROBLEMS, long_responses, responses
from mreg.server.settings import DIRECT_SECONDS, DIRECT_UPLOADS

if TYPE_CHECKING:
    from mreg.registry.staged_uploads import StagedPart
    from mreg.registry.uploads import IncomingPart
    from mreg.server.settings import ServerSettings

State = TypeVar("State")

router = APIRouter(route_class=EnvelopeRoute, tags=["blobs"], responses=PROBLEMS)

BLOBS_LIMIT = 10_000
"""Maximum number of blobs in one question; a body of that many compact entries fits into the limit of bodies."""

WAITS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 0.64)
"""Seconds between looks at an upload whose last request was interrupted and holds it for a moment yet."""


class Blob(Body):
    """A blob of a new version."""

    digest: str = Field(examples=[f"sha256:{'0' * 64}"])
    size: int = Field(ge=0, le=SIZE_LIMIT, description="size in bytes", examples=[93374])


class DirectBlob(Body):
    """A blob that is sent to the bucket."""

    size: int = Field(ge=1, le=SIZE_LIMIT, description="size in bytes", examples=[93374])


class Blobs(Body):
    """The blobs of a new version."""

    blobs: list[Blob] = Field(max_length=BLOBS_LIMIT)


async def _digest(
    digest: Annotated[
        str, Path(description="sha256: and 64 hexadecimal digits in lower case.", examples=[f"sha256:{'0' * 64}"])
    ],
) -> Digest:
    return Digest.parse(decoded(digest))


BlobDigest = Annotated[Digest, Depends(_digest)]

UploadOffset = Annotated[int, Header(ge=0, le=SIZE_LIMIT, description="Number of bytes that have arrived.")]
UploadLength = Annotated[int, Header(ge=0, le=SIZE_LIMIT, description="Size of the complete blob in bytes.")]


@router.post("/models/{model}/blobs/missing", responses=responses(list[schemas.NeededBlob]))
def missing_blobs(model: Model, body: Blobs, registry: RegistryOf, request: Request) -> JSONResponse:
    """List the blobs that must be uploaded before a version of the model can have them.

    A blob is not listed if the caller has uploaded it for this model within 24 hours, if it is the artifact of a
    version that the caller may read, or a file of one of the last 10 versions of this model. The model need not exist.
    With ``direct``, a blob can be sent to the server or directly to the bucket.
    """
    blobs: dict[Digest, int] = {}
    for blob in body.blobs:
        digest = Digest.parse(blob.digest)
        if blobs.setdefault(digest, blob.size) != blob.size:
            raise BadInput(f"two sizes of the blob {digest}", hint="send each blob once")
    settings: ServerSettings = request.app.state.settings
    return json_response(registry.missing_blobs(model, blobs, direct=settings.direct))


@router.put("/models/{model}/blobs/{digest}", responses=responses(schemas.UploadState), openapi_extra=BYTES_BODY)
async def put_blob(model: Model, digest: BlobDigest, registry: RegistryOf, request: Request) -> JSONResponse:
    """Upload a blob in one request; its bytes are kept only if they have the digest.

    For 24 hours, the caller can create versions of the model that have the blob.
    """
    refuse_compression(request)
    size = announced_size(request)
    with upload_slot(request):
        if 0 < size <= CHUNK_BYTES:
            parts: list[bytes] = []
            await feed_body(request, parts.append)
            return json_response(await run_transfer(request.scope, registry.store_blob, model, digest, b"".join(parts)))
        async with on_threads(request, registry.open_blob(model, digest, size)) as blob:
            await feed_body(request, blob.write)
            return json_response(await run_transfer(request.scope, blob.finish))


@router.get(
    "/models/{model}/blobs/{digest}",
    responses=responses(schemas.UploadState),
    dependencies=[requires_role(Role.WRITER)],
)
async def show_upload(model: Model, digest: BlobDigest, registry: RegistryOf, request: Request) -> JSONResponse:
    """Return how much of a blob the caller has uploaded for the model; the header ``Upload-Offset`` has it, too."""
    return offset_response(await settled(request, lambda: registry.look_at_upload(model, digest)))


async def settled(request: Request, look: Callable[[], tuple[State, bool]]) -> State:
    """Return the state of an upload, once a request that was just interrupted no longer holds it.

    Args:
        look: Returns the state, and whether a request has more bytes.
    """
    state, busy = await run_sync(look)
    for seconds in WAITS:
        if not busy:
            break
        async with without_turn(request.scope):
            await sleep(seconds)
        state, busy = await run_sync(look)
    return state


@router.patch("/models/{model}/blobs/{digest}", responses=responses(schemas.UploadState), openapi_extra=BYTES_BODY)
async def continue_blob(
    model: Model,
    digest: BlobDigest,
    registry: RegistryOf,
    request: Request,
    upload_offset: UploadOffset,
    upload_length: UploadLength,
) -> JSONResponse:
    """Upload the next bytes of a blob; the upload is complete when all have arrived and have the digest.

    Bytes of an interrupted request stay for 24 hours: ``HEAD`` returns their number, from which the next request
    continues. If another number of bytes has arrived, the answer is 409, and ``details`` has the ``offset``.
    """
    part = registry.continue_blob(model, digest, length=upload_length, start=upload_offset)
    return await receive_part(request, part, start=upload_offset, length=upload_length)


async def receive_part(
    request: Request, opened: AbstractContextManager[IncomingPart | StagedPart], *, start: int, length: int
) -> JSONResponse:
    """Return the response to a request with the next bytes of an upload.

    Args:
        opened: Receives the bytes.
        start: Number of bytes that the client believes to have arrived.
        length: Size of the complete blob in bytes.
    """
    refuse_compression(request)
    check_upload_size(request, length)
    if announced_size(request) > length - start:
        raise BadInput(f"the upload is too long: expected {length:,} bytes")
    with upload_slot(request):
        async with on_threads(request, opened) as part:
            await feed_body(request, part.write)
            return offset_response(await run_transfer(request.scope, part.finish))


def check_upload_size(request: Request, size: int) -> None:
    """Raise `Refused` if a blob is larger than the server accepts."""
    settings: ServerSettings = request.app.state.settings
    if size > settings.upload_limit:
        raise too_large(settings.upload_limit)


@router.post("/models/{model}/blobs/{digest}/direct", responses=responses(schemas.DirectUpload))
def begin_direct(
    model: Model, digest: BlobDigest, body: DirectBlob, registry: RegistryOf, request: Request
) -> JSONResponse:
    """Begin or continue the upload of a blob to the bucket; return presigned URLs for the next missing parts.

    Send each part with ``PUT`` and its ``Content-Length``, without the token, and repeat this request until no part is
    missing. A URL is valid for 15 minutes. An upload is removed 24 hours after its last part arrived. A token can have
    100 unfinished uploads of together 4 times the maximum size of an upload; one more is refused with 409.
    """
    check_upload_size(request, body.size)
    settings: ServerSettings = request.app.state.settings
    found = registry.begin_direct(
        model,
        digest,
        body.size,
        seconds=DIRECT_SECONDS,
        total_limit=DIRECT_UPLOADS * settings.upload_limit,
        permitted=settings.direct,
    )
    return json_response(found)


@router.post("/models/{model}/blobs/{digest}/direct/finish", responses=long_responses(schemas.UploadState))
async def finish_direct(model: Model, digest: BlobDigest, body: DirectBlob, request: Request) -> Response:
    """Verify the bytes of an upload to the bucket; afterwards, the caller can create versions that have the blob.

    Bytes with another size or digest are refused and removed. The request can be repeated.
    """
    check_upload_size(request, body.size)
    settings: ServerSettings = request.app.state.settings
    return await answer(
        request,
        lambda run: run.registry.finish_direct(model, digest, body.size, run.progress, permitted=settings.direct),
    )


def offset_response(state: UploadState | StagedUpload) -> JSONResponse:
    """Return the state of an upload as a response, with its offset also in a header."""
    response = json_response(state)
    response.headers["Upload-Offset"] = str(state.offset)
    return response


@router.get(
    "/models/{model}/versions/{version}/blobs/{digest}",
    responses={**BYTES, 307: {"description": "The blob is at this presigned URL of the bucket."}},
)
async def get_blob(
    version: Version,
    digest: BlobDigest,
    registry: RegistryOf,
    request: Request,
    direct: Annotated[bool, Query(description="Redirect to a presigned URL of the bucket, if the server may.")] = False,
) -> Response:
    """Download a blob of a version: a file, or the manifest of a folder; supports ranges and entity tags."""
    return await download_blob(request, registry, version, digest, direct=direct)
