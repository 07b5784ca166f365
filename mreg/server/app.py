"""The application: routes, guards and errors put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from mreg import __version__
from mreg.errors import MregError
from mreg.server import global_routes, models, monitoring, problems, stages, ui, versions
from mreg.server.guard import Guard
from mreg.server.monitoring import Meters, Observed
from mreg.server.schemas import PROBLEMS

if TYPE_CHECKING:
    from mreg.registry.local import LocalRegistry
    from mreg.server.settings import ServerSettings

ABOUT = """\
Models, their versions and their bytes. A version is `/models/{model}/versions/{version}`, where the version is a
number, `latest`, `best`, a stage, an alias or `sha256:DIGEST`, with `~N` for N back in its history. A slash in a
model's name is written `%2F`. Errors are RFC 9457 problems with the codes of the command line; where
that names a command, the hint names the request that does the same.
"""


def build_app(registry: LocalRegistry, settings: ServerSettings) -> FastAPI:
    """The application that serves a registry; it closes nothing that it was given."""
    app = FastAPI(
        title="mreg",
        version=__version__,
        description=ABOUT,
        # The pages of FastAPI load from elsewhere, which mreg's do not.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEMS,
    )
    app.state.registry = registry
    app.state.settings = settings
    app.state.meters = Meters()
    for part in (models.router, versions.router, stages.router, global_routes.router, monitoring.router):
        app.include_router(part)
    app.include_router(ui.router, include_in_schema=False)
    app.add_exception_handler(MregError, problems.of_error)
    app.add_exception_handler(HTTPException, problems.of_http)
    app.add_exception_handler(RequestValidationError, problems.of_validation)
    app.add_exception_handler(Exception, problems.of_unknown)
    app.add_middleware(Guard, settings=settings, everybody=registry.actor)
    app.add_middleware(Observed, meters=app.state.meters, json_log=settings.json_log)
    document = app.openapi()  # kept by the application from here on
    if settings.needs_token:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return app
