"""Routes of versions: uploaded, shown, changed, downloaded."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.download import download
from mreg.server.models import Body, TagValue
from mreg.server.parameters import (
    PAGE_ITEMS,
    Limit,
    Model,
    Offset,
    Override,
    RegistryOf,
    Version,
    answer,
    decoded,
    needs,
    paged,
)
from mreg.server.schemas import responses
from mreg.server.upload import REQUEST, receive_upload

router = APIRouter(tags=["versions"])

BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {"description": "A range of them."},
    304: {"description": "The client has them already."},
    416: {"description": "The range lies beyond them."},
}


class VersionChanges(Body):
    """What is to be changed of a version; what is left out stays, and empty takes away."""

    description: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None
    parent: str | None = Field(None, examples=["base@1"])


@router.post("/models/{model}/versions", responses=responses(schemas.ModelVersion), openapi_extra=REQUEST)
async def upload(model: Model, registry: RegistryOf, request: Request) -> JSONResponse:
    """Upload a file as the next version of a registered model.

    The file is the part ``model_file``; everything else may be form fields or query parameters. With
    ``X-Checksum-Sha256`` or the field ``checksum`` the bytes are held against it. A version is there when this answers,
    and nothing is where it does not. Metrics that are not finite numbers are skipped; a ``Warning`` header names them.
    """
    version, notes = await receive_upload(request, registry, model)
    response = answer(version)
    for note in notes:  # RFC 7234, 5.5
        text = note.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\").replace('"', '\\"')
        response.headers.append("Warning", f'299 - "{text}"')
    return response


@router.get("/models/{model}/versions/{version}", responses=responses(schemas.ModelVersion))
def show_version(version: Version, registry: RegistryOf) -> JSONResponse:
    """One version whole."""
    return answer(registry.version(version))


@router.patch("/models/{model}/versions/{version}", responses=responses(schemas.ModelVersion))
def edit_version(version: Version, body: VersionChanges, registry: RegistryOf) -> JSONResponse:
    """Change what is said of a version; its bytes never change."""
    return answer(
        registry.edit(
            version,
            description=body.description,
            run_id=body.run_id,
            experiment_id=body.experiment_id,
            parent=body.parent,
        )
    )


@router.delete(
    "/models/{model}/versions/{version}", responses=responses(schemas.Deletion), dependencies=[needs(Role.ADMIN)]
)
def delete_version(
    version: Version,
    registry: RegistryOf,
    force: Annotated[bool, Query(description="Also from Staging or Production, or with an alias.")] = False,
    dry_run: Annotated[bool, Query(description="Say what would go, and delete nothing.")] = False,
    override: Override = "",
) -> JSONResponse:
    """Delete a version; the history stays and its number is not given again."""
    return answer(registry.delete(version, force=force, dry_run=dry_run, override=override))


@router.put("/models/{model}/versions/{version}/tags/{key}", responses=responses(schemas.ModelVersion))
def tag_version(version: Version, key: str, body: TagValue, registry: RegistryOf) -> JSONResponse:
    """Set a tag of a version."""
    return answer(registry.tag(version, add={decoded(key): body.value}))


@router.delete("/models/{model}/versions/{version}/tags/{key}", responses=responses(schemas.ModelVersion))
def untag_version(version: Version, key: str, registry: RegistryOf) -> JSONResponse:
    """Take a tag of a version away."""
    return answer(registry.tag(version, remove=[decoded(key)]))


@router.get("/models/{model}/versions/{version}/artifact", responses=BYTES)
async def download_artifact(version: Version, registry: RegistryOf, request: Request) -> Response:
    """The bytes of a version that is one file; with ranges and an entity tag."""
    return await download(request, registry, version, None)


@router.get("/models/{model}/versions/{version}/files", responses=responses(list[schemas.StoredFile]))
def list_files(version: Version, registry: RegistryOf) -> JSONResponse:
    """The files of a version."""
    return answer(registry.files(version))


@router.get("/models/{model}/versions/{version}/files/{path:path}", responses=BYTES)
async def download_file(version: Version, path: str, registry: RegistryOf, request: Request) -> Response:
    """The bytes of one file of a version; with ranges and an entity tag."""
    return await download(request, registry, version, decoded(path))


@router.get("/models/{model}/versions/{version}/history", responses=responses(list[schemas.Event]))
def version_history(
    version: Version, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """What happened to a version, newest first; also to one that was deleted, by its number."""
    return paged(request, registry.history(version, limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}/versions/{version}/lineage", responses=responses(schemas.Lineage))
def lineage(version: Version, registry: RegistryOf) -> JSONResponse:
    """What a version was made from, and what was made from it, over all models."""
    return answer(registry.lineage(version))


@router.get("/models/{model}/versions/{version}/why", responses=responses(schemas.Why))
def why(version: Version, registry: RegistryOf) -> JSONResponse:
    """Why a version is where it is: who put it there, gates, approvals, against what it replaced."""
    return answer(registry.why(version))
