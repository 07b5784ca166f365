"""Routes of many small blobs in one request: a folder of thousands of small files takes a few requests."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg.domain.digest import Digest
from mreg.domain.names import VersionRef
from mreg.errors import BadInput
from mreg.registry.local import LocalRegistry
from mreg.results.files import StoredFile
from mreg.server.concurrency import run_transfer
from mreg.server.download import BYTES, begin
from mreg.server.envelopes import EnvelopeRoute, ResultResponse
from mreg.server.listings import Listings
from mreg.server.parameters import Model, RegistryOf, Version
from mreg.server.receiving import BYTES_BODY, feed_body, refuse_compression, upload_slot
from mreg.server.schemas import PROBLEMS, texts
from mreg.wire.batches import BATCH_LIMIT, decode_batch, decode_digests

router = APIRouter(route_class=EnvelopeRoute, tags=["blobs"], responses=PROBLEMS)


@router.post(
    "/models/{model}/blobs",
    responses=texts("The digests of the blobs.", [f"sha256:{'0' * 64}"]),
    openapi_extra=BYTES_BODY,
)
async def put_blobs(model: Model, registry: RegistryOf, request: Request) -> JSONResponse:
    """Upload up to 1,000 small blobs in one request of at most 8 MiB; return their digests.

    The body has a line for each blob, with its SHA-256 in hexadecimal digits and its size, then an empty line, then the
    bytes of all blobs. If one has another digest, no blob of the request is kept.
    """
    refuse_compression(request)
    parts: list[bytes] = []
    size = 0

    def add(part: bytes) -> None:
        nonlocal size
        size += len(part)
        if size > BATCH_LIMIT:
            raise BadInput(f"too many bytes in one request: the maximum is {BATCH_LIMIT >> 20} MiB")
        parts.append(part)

    with upload_slot(request):
        await feed_body(request, add)
        stored = await run_transfer(request.scope, _store, registry, model, parts)
    return ResultResponse(stored, stored)


def _store(registry: LocalRegistry, model: Model, parts: list[bytes]) -> list[str]:
    blobs = decode_batch(b"".join(parts))
    registry.store_blobs(model, blobs)
    return [str(digest) for digest in blobs]


@router.get("/models/{model}/versions/{version}/blobs", responses=BYTES)
async def get_blobs(
    version: Version,
    registry: RegistryOf,
    request: Request,
    digests: Annotated[
        str,
        Query(
            description="SHA-256 of each blob in hexadecimal digits, separated by commas.",
            examples=["0" * 64],
        ),
    ],
) -> Response:
    """Download many small blobs of a version in one request: the bytes of all blobs, in the order of the request."""
    listings: Listings = request.app.state.listings
    files = await run_sync(_files, registry, listings, version, decode_digests(digests))
    headers = {"Content-Length": str(sum(file.size_bytes for file in files)), "Cache-Control": "private, no-cache"}
    return await begin(_chunks(registry, files), 200, headers)


def _files(
    registry: LocalRegistry, listings: Listings, version: VersionRef, digests: Sequence[Digest]
) -> list[StoredFile]:
    found = registry.version(version)
    files = [listings.blob(registry, found, digest) for digest in digests]
    if sum(file.size_bytes for file in files) > BATCH_LIMIT:
        raise BadInput(f"the blobs have too many bytes: the maximum is {BATCH_LIMIT >> 20} MiB")
    return files


def _chunks(registry: LocalRegistry, files: Sequence[StoredFile]) -> Generator[bytes]:
    """Yield the verified bytes of files; many small ones in one chunk."""
    for start in range(0, len(files), 16):
        yield b"".join(b"".join(registry.read_file(file)) for file in files[start : start + 16])
