"""The application: routes, checks and error handlers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from mreg import __version__
from mreg.errors import MregError
from mreg.results.tokens import Role
from mreg.server import (
    blob_batches,
    blobs,
    bundles,
    clients,
    global_routes,
    hub,
    models,
    monitoring,
    problems,
    staged_uploads,
    stages,
    ui,
    upkeep,
    versions,
)
from mreg.server.access import Access
from mreg.server.answers import Answers
from mreg.server.concurrency import THREADS, TransferThreads
from mreg.server.damage import DamagedFiles
from mreg.server.guard import Guard
from mreg.server.listings import Listings
from mreg.server.monitoring import RequestMonitor, ServerMetrics
from mreg.server.operations import Operations
from mreg.server.parameters import role_of
from mreg.server.places import Places
from mreg.server.prepared import PreparedFiles
from mreg.server.proxy import check_not_reserved
from mreg.server.schemas import add_problem

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry
    from mreg.server.settings import ServerSettings

ABOUT = """\
Models, their versions and artifacts. `/models/{model}/versions/{version}` names a version by a number, `latest`,
`best`, a stage, an alias or `sha256:DIGEST`; `~N` after a selector goes back N versions. Write a slash in a model name
as `%2F`. Errors are problem documents (RFC 9457) with the error codes of the command line; `hint` has the next request,
or a command for the operator of the server.
"""


def build_app(registry: LocalRegistry, settings: ServerSettings, *, threads: int = THREADS) -> FastAPI:
    """Return the application that serves a registry; the caller closes the registry.

    Args:
        threads: Number of threads that transfer bytes.
    """
    app = FastAPI(
        title="mreg",
        version=__version__,
        description=ABOUT,
        # FastAPI's documentation pages load scripts from other hosts; pages of mreg never do.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.registry = registry
    app.state.settings = settings
    app.state.metrics = ServerMetrics()
    app.state.places = Places(registry.profile)
    app.state.damaged = DamagedFiles()
    app.state.answers = Answers(registry.catalog_state)
    app.state.listings = Listings()
    app.state.operations = Operations()
    app.state.prepared = PreparedFiles()
    app.state.transfer_threads = TransferThreads(threads)
    parts = (
        models,
        versions,
        blobs,
        staged_uploads,
        blob_batches,
        stages,
        global_routes,
        clients,
        bundles,
        upkeep,
        monitoring,
    )
    roles: list[tuple[str, re.Pattern[str], Role]] = []
    for part in (part.router for part in parts):
        app.router.routes += part.routes  # `include_router` would compile each of them again
        for route in part.routes:
            if isinstance(route, APIRoute) and (role := role_of(route)) is not None:
                roles += [(method, route.path_regex, role) for method in route.methods or ()]
    # The paths of the Hub are last: they begin with names of models, and all other paths take precedence.
    app.router.routes += [*ui.router.routes, *hub.router.routes]
    app.add_exception_handler(MregError, problems.error_response)
    app.add_exception_handler(HTTPException, problems.http_error_response)
    app.add_exception_handler(ClientDisconnect, problems.interrupted_response)
    app.add_exception_handler(RequestValidationError, problems.validation_response)
    app.add_exception_handler(Exception, problems.unexpected_response)
    document = app.openapi()  # the application caches this document
    add_problem(document)
    reserved = frozenset(path.split("/")[1] for path in document["paths"]) | {"ui", "openapi.json"}
    check_not_reserved(settings.root_path or "", reserved)
    access = app.state.access = Access(settings, registry)
    app.add_middleware(
        Guard, settings=settings, anonymous=registry.actor, access=access, reserved=reserved, roles=roles
    )
    app.add_middleware(RequestMonitor, metrics=app.state.metrics, json_log=settings.json_log)
    if settings.needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return app
