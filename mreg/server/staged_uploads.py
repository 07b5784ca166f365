"""Routes of uploads whose digest the client names at the end, so that it reads a file once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg.domain.digest import Digest
from mreg.domain.stored import SIZE_LIMIT
from mreg.results.tokens import Role
from mreg.results.uploads import StagedUpload
from mreg.server import schemas
from mreg.server.blobs import (
    UploadLength,
    UploadOffset,
    check_upload_size,
    offset_response,
    receive_part,
    settled,
)
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.models import Body
from mreg.server.parameters import Model, RegistryOf, json_response, requires_role
from mreg.server.receiving import BYTES_BODY
from mreg.server.schemas import PROBLEMS, responses

if TYPE_CHECKING:
    from mreg.server.settings import ServerSettings

router = APIRouter(route_class=EnvelopeRoute, tags=["blobs"], responses=PROBLEMS)


class StagedFile(Body):
    """A file that is uploaded."""

    size: int = Field(ge=1, le=SIZE_LIMIT, description="size in bytes", examples=[93374])


class ArrivedFile(StagedFile):
    """A file of which all bytes have arrived."""

    digest: str = Field(examples=[f"sha256:{'0' * 64}"])


UploadId = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{32}$",
        description="32 hexadecimal digits, which the client chooses for this file.",
        examples=["0" * 32],
    ),
]


@router.post("/models/{model}/uploads/{upload}", responses=responses(schemas.StagedUpload))
async def begin_staged(
    model: Model, upload: UploadId, body: StagedFile, registry: RegistryOf, request: Request
) -> JSONResponse:
    """Begin or continue an upload whose digest is named at its end; return how many bytes have arrived.

    With ``hash_first``, hash the file and ask whether the blob is missing, instead of this upload: it can be sent
    directly to the bucket, or mreg's own client chose the id, and the caller could have the blob already.
    """
    check_upload_size(request, body.size)
    settings: ServerSettings = request.app.state.settings
    direct = settings.direct
    if await run_sync(lambda: registry.should_hash_first(model, upload, body.size, direct=direct)):
        return offset_response(StagedUpload(offset=0, hash_first=True))
    return offset_response(await settled(request, lambda: registry.look_at_staged(model, upload)))


@router.get(
    "/models/{model}/uploads/{upload}",
    responses=responses(schemas.StagedUpload),
    dependencies=[requires_role(Role.WRITER)],
)
async def show_staged(model: Model, upload: UploadId, registry: RegistryOf, request: Request) -> JSONResponse:
    """Return how much of an upload of the caller for the model has arrived, in the header ``Upload-Offset``, too."""
    return offset_response(await settled(request, lambda: registry.look_at_staged(model, upload)))


@router.patch("/models/{model}/uploads/{upload}", responses=responses(schemas.StagedUpload), openapi_extra=BYTES_BODY)
async def continue_staged(
    model: Model,
    upload: UploadId,
    registry: RegistryOf,
    request: Request,
    upload_offset: UploadOffset,
    upload_length: UploadLength,
) -> JSONResponse:
    """Upload the next bytes of a file, which stay for 24 hours.

    If another number of bytes has arrived, the answer is 409, and ``details`` has the ``offset``.
    """
    part = registry.continue_staged(model, upload, length=upload_length, start=upload_offset)
    return await receive_part(request, part, start=upload_offset, length=upload_length)


@router.post("/models/{model}/uploads/{upload}/finish", responses=responses(schemas.UploadState))
def finish_staged(model: Model, upload: UploadId, body: ArrivedFile, registry: RegistryOf) -> JSONResponse:
    """Name the digest of an upload of which all bytes have arrived; afterwards, it is a blob like any other.

    For 24 hours, the caller can create versions of the model that have the blob. Bytes with another digest are refused
    and removed. The request can be repeated.
    """
    return json_response(registry.finish_staged(model, upload, Digest.parse(body.digest), body.size))
