"""Routes of bundles and backups: export, import, backup, and the files that were prepared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from mreg.domain.names import ModelName, VersionRef
from mreg.registry.backup import path_in_errors
from mreg.registry.prepared import PreparedFile, receiving
from mreg.results.bundles import Imported
from mreg.results.tokens import Role
from mreg.server import schemas
from mreg.server.concurrency import run_transfer
from mreg.server.download import BYTES
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.guard import Caller
from mreg.server.operations import Operation, answer
from mreg.server.parameters import Model, Version, registry_of, requires_role, whole_model
from mreg.server.prepared import PreparedFiles, offered, sent_at_once
from mreg.server.problems import Refused
from mreg.server.receiving import BYTES_BODY, feed_body, on_threads, upload_slot
from mreg.server.schemas import EVENTS, PROBLEMS, long_responses

router = APIRouter(route_class=EnvelopeRoute, tags=["bundles and backups"], responses=PROBLEMS)

FILE: dict[int | str, dict[str, Any]] = {
    **BYTES,
    200: {"description": "The file, or events of its preparation.", "content": {**BYTES[200]["content"], **EVENTS}},
}
"""The responses of a route that prepares a file."""


@router.get("/models/{model}/export", responses=FILE)
async def export_model(model: Model, request: Request) -> Response:
    """Export a model with all its versions as a bundle, which is verified before its first byte is sent.

    A client that accepts ``text/event-stream`` gets the progress, and then an event ``file`` with the ``path`` of the
    bundle, from which it can be downloaded with ranges for an hour.
    """
    return await _export(request, whole_model(model))


@router.get("/models/{model}/versions/{version}/export", responses=FILE)
async def export_version(version: Version, request: Request) -> Response:
    """Export a version as a bundle, like a model."""
    return await _export(request, version)


async def _export(request: Request, reference: VersionRef) -> Response:
    return await _prepare(request, lambda run: run.registry.prepare_export(reference, run.progress))


@router.get("/backup", responses=FILE, dependencies=[requires_role(Role.ADMIN)])
async def backup(request: Request) -> Response:
    """Download a consistent copy of the catalog, a SQLite file, prepared like an export."""
    return await _prepare(request, lambda run: run.registry.prepare_backup(run.progress))


async def _prepare(
    request: Request, work: Callable[[Operation[tuple[Any, PreparedFile]]], tuple[Any, PreparedFile]]
) -> Response:
    return await answer(
        request,
        work,
        plain=lambda made: sent_at_once(request, made[1]),
        events=lambda made: offered(request, *made),
        drop=lambda made: made[1].close(),
    )


@router.get("/prepared/{file}", responses=BYTES)
async def download_prepared(file: str, request: Request) -> Response:
    """Download a file that was prepared for the same token; supports ranges."""
    prepared: PreparedFiles = request.app.state.prepared
    return await prepared.send(request, file)


@router.post("/import", responses=long_responses(schemas.Imported), openapi_extra=BYTES_BODY)
async def import_bundle(
    request: Request,
    name: Annotated[str | None, Query(description="Name of the model (default: the name in the bundle).")] = None,
    aliases: Annotated[bool, Query(description="Set the aliases of the bundle, if the policy permits it.")] = False,
) -> Response:
    """Add the versions of a bundle to its model, all of them or none; a new model is registered.

    The body is the bundle, with its ``Content-Length``. The bundle is verified first. Versions that exist already are
    not added again, so that an import can be repeated.
    """
    target = ModelName(name) if name is not None else None
    bundle = _Upload(request)

    def work(run: Operation[Imported]) -> Imported:
        with path_in_errors(bundle.path, "bundle"):
            return run.registry.import_bundle(bundle.path, target, aliases=aliases, progress=run.progress)

    return await answer(request, work, body=bundle)


class _Upload:
    """The body of a request in a temporary file; an asynchronous context manager that receives and removes it.

    Raises:
        Refused: The body has no length, or was interrupted; too many uploads are in progress.
        Unavailable: There is not enough space.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._open = AsyncExitStack()
        self.path = ""

    async def __aenter__(self) -> None:
        length = self._request.headers.get("content-length", "")
        if not length.isdecimal() or len(length) > 19:
            raise Refused(411, "no_length", "the length of the bundle is missing", hint="send it with Content-Length")
        if self._request.headers.get("content-encoding", "identity").lower() != "identity":
            raise Refused(
                415, "compressed", "a compressed body is not accepted", hint="send it without Content-Encoding"
            )
        caller: Caller = self._request.scope["mreg.caller"]
        async with AsyncExitStack() as stack:
            stack.enter_context(upload_slot(self._request))
            client = "" if caller.token is None else registry_of(self._request).counts_as
            file = await stack.enter_async_context(on_threads(self._request, receiving(int(length), client)))
            await feed_body(self._request, file.write)
            await run_transfer(self._request.scope, file.complete)
            self.path = file.path
            self._open = stack.pop_all()

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()
