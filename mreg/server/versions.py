"""Routes of versions."""

from __future__ import annotations

from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg.documents.metrics import metrics_of
from mreg.domain.model import ModelVersion
from mreg.domain.names import ModelName, VersionRef
from mreg.registry.idempotency import IdempotentRequest
from mreg.registry.local import LocalRegistry
from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.download import BYTES, download
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.models import Body, TagChanges, TagValue
from mreg.server.new_version import NewVersion, read_new_version
from mreg.server.parameters import (
    PAGE_ITEMS,
    Limit,
    Model,
    Offset,
    Override,
    PastTime,
    RegistryOf,
    Seen,
    Version,
    add_warnings,
    decoded,
    delete_seen,
    json_response,
    page_response,
    reference_of,
    requires_role,
)
from mreg.server.receiving import is_json
from mreg.server.schemas import PROBLEMS, responses
from mreg.server.upload import REQUEST, receive_upload

router = APIRouter(route_class=EnvelopeRoute, tags=["versions"], responses=PROBLEMS)


class VersionChanges(Body):
    """Changes to a version; omitted keys keep their values, and empty values remove them."""

    description: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None
    parent: str | None = Field(None, examples=["base@1"])

    @property
    def parent_reference(self) -> VersionRef | str | None:
        """The parent; empty to remove it, None to keep it."""
        return reference_of(self.parent) if self.parent else self.parent


class NewEvaluation(Body):
    """Metrics to add to a version."""

    metrics: dict[str, Any] = Field(
        description="numbers by name; keys of nested objects are joined by dots", examples=[{"auc": 0.97}]
    )
    dataset: str = Field("", description="name of the data set", examples=["holdout-2026-03"])
    replace: bool = Field(False, description="replace existing values; needs a reason and voids approvals")
    reason: str = Field("", description="reason, for the audit trail")


@router.post("/models/{model}/versions", responses=responses(schemas.ModelVersion), openapi_extra=REQUEST)
async def upload(model: Model, registry: RegistryOf, request: Request) -> JSONResponse:
    """Upload a file or folder as the next version of a registered model.

    A file is the part ``model_file`` of a form. A folder is sent as one part ``folder_file`` per file, whose filename
    is the path in the folder; as one part ``folder_tar`` with an uncompressed tar; or as a body of type
    ``application/x-tar``. All other values are form fields or query parameters. If the header ``X-Checksum-Sha256`` or
    the field ``checksum`` is set, the digest of the artifact is verified. The upload is atomic: it creates a complete
    version or none. A folder becomes the same version as a push of it. It has at most 100,000 files; links, special
    files, and names that an artifact cannot have are refused. Metrics that are not finite numbers are skipped, and a
    ``Warning`` header names them.

    A body of type ``application/json`` creates a version of blobs that were uploaded before
    (``PUT /models/{model}/blobs/{digest}``), and registers the model if it does not exist. The blob of a folder is its
    manifest. If blobs are missing, the answer is 409 with the code ``blobs_missing`` and their digests. With the header
    ``Idempotency-Key``, a request that is repeated returns the version that the first one made.
    """
    if is_json(request.headers.get("content-type", "")):
        body, fingerprint = await read_new_version(request, model)
        key = request.headers.get("idempotency-key")
        made = IdempotentRequest(key=key, caller=registry.caller, fingerprint=fingerprint) if key is not None else None
        version, notes = await run_sync(_commit, registry, model, body, made)
    else:
        version, notes = await receive_upload(request, registry, model)
    return add_warnings(json_response(version), notes)


def _commit(
    registry: LocalRegistry, model: ModelName, body: NewVersion, request: IdempotentRequest | None
) -> tuple[ModelVersion, tuple[str, ...]]:
    metadata, notes = body.version_metadata()
    version = registry.push_uploaded(
        model,
        body.uploaded(),
        metadata,
        stage=body.stage,
        parent=reference_of(body.parent) if body.parent else None,
        source=body.recorded_source(),
        existing=body.existing,
        request=request,
    )
    return version, notes


@router.get("/models/{model}/versions/{version}", responses=responses(schemas.ModelVersion))
def show_version(
    version: Version,
    registry: RegistryOf,
    resolve: Annotated[bool, Query(description="Add a notice with the number of the version.")] = False,
) -> JSONResponse:
    """Return a version."""
    if resolve:
        return json_response(registry.resolve(version))
    return json_response(registry.version(version) if version.selector is None else registry.show(version))


@router.patch("/models/{model}/versions/{version}", responses=responses(schemas.ModelVersion))
def edit_version(version: Version, body: VersionChanges, registry: RegistryOf) -> JSONResponse:
    """Edit the metadata of a version; its artifact never changes."""
    return json_response(
        registry.edit(
            version,
            description=body.description,
            run_id=body.run_id,
            experiment_id=body.experiment_id,
            parent=body.parent_reference,
        )
    )


@router.post("/models/{model}/versions/{version}/evaluations", responses=responses(schemas.Evaluation))
def evaluate(version: Version, body: NewEvaluation, registry: RegistryOf) -> JSONResponse:
    """Add metrics to a version; 409 if it has another value of a metric, unless ``replace`` is set.

    Replacing a value voids all approvals of the version. Metrics that are not finite numbers are skipped, and a
    ``Warning`` header names them.
    """
    measured = metrics_of(body.metrics)
    evaluation = registry.evaluate(
        version, measured.metrics, dataset=body.dataset, replace=body.replace, reason=body.reason
    )
    return add_warnings(json_response(evaluation), measured.notes)


@router.delete(
    "/models/{model}/versions/{version}",
    responses=responses(schemas.Deletion),
    dependencies=[requires_role(Role.ADMIN)],
)
def delete_version(
    version: Version,
    registry: RegistryOf,
    force: Annotated[bool, Query(description="Delete a version in use, too.")] = False,
    dry_run: Annotated[bool, Query(description="Return the result, and delete nothing.")] = False,
    override: Override = "",
    seen: Seen = None,
) -> JSONResponse:
    """Delete a version; the history stays, and its number is never reused."""
    return json_response(delete_seen(registry, version, force=force, dry_run=dry_run, override=override, seen=seen))


@router.patch("/models/{model}/versions/{version}/tags", responses=responses(schemas.ModelVersion))
def change_tags_of_version(version: Version, body: TagChanges, registry: RegistryOf) -> JSONResponse:
    """Set and remove tags of a version."""
    return json_response(registry.tag(version, add=body.set, remove=body.remove))


@router.put("/models/{model}/versions/{version}/tags/{key}", responses=responses(schemas.ModelVersion))
def tag_version(version: Version, key: str, body: TagValue, registry: RegistryOf) -> JSONResponse:
    """Set a tag of a version."""
    return json_response(registry.tag(version, add={decoded(key): body.value}))


@router.delete("/models/{model}/versions/{version}/tags/{key}", responses=responses(schemas.ModelVersion))
def untag_version(version: Version, key: str, registry: RegistryOf) -> JSONResponse:
    """Remove a tag from a version."""
    return json_response(registry.tag(version, remove=[decoded(key)]))


@router.get("/models/{model}/versions/{version}/artifact", responses=BYTES)
async def download_artifact(version: Version, registry: RegistryOf, request: Request) -> Response:
    """Download the file of a version; supports ranges and entity tags."""
    return await download(request, registry, version, None)


@router.get("/models/{model}/versions/{version}/files", responses=responses(list[schemas.StoredFile]))
def list_files(version: Version, registry: RegistryOf) -> JSONResponse:
    """List the files of a version."""
    return json_response(registry.files(version))


@router.get("/models/{model}/versions/{version}/files/{path:path}", responses=BYTES)
async def download_file(version: Version, path: str, registry: RegistryOf, request: Request) -> Response:
    """Download one file of a version; supports ranges and entity tags."""
    return await download(request, registry, version, decoded(path))


@router.get("/models/{model}/versions/{version}/history", responses=responses(list[schemas.Event]))
def version_history(
    version: Version, registry: RegistryOf, request: Request, limit: Limit = PAGE_ITEMS, offset: Offset = 0
) -> JSONResponse:
    """List the events of a version, newest first; a deleted version is found by its number."""
    return page_response(request, registry.history(version, limit=limit, offset=offset), limit, offset)


@router.get("/models/{model}/versions/{version}/lineage", responses=responses(schemas.Lineage))
def lineage(version: Version, registry: RegistryOf) -> JSONResponse:
    """Return the ancestors and descendants of a version in all models."""
    return json_response(registry.lineage(version))


@router.get("/models/{model}/versions/{version}/at", responses=responses(schemas.ModelVersion))
def version_at(version: Version, registry: RegistryOf, at: PastTime) -> JSONResponse:
    """Return the version that a stage or alias named at a point in time, in its current state."""
    return json_response(registry.version_at(version, at))


@router.get("/models/{model}/versions/{version}/why", responses=responses(schemas.Why))
def why(version: Version, registry: RegistryOf) -> JSONResponse:
    """Explain the stage of a version: the event, gates and approvals, and a comparison with the version before it."""
    return json_response(registry.why(version))
