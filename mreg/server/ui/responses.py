"""Responses of the web page: pages, error pages and assets."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mreg.errors import MregError, NotFound
from mreg.server import problems
from mreg.server.guard import Caller
from mreg.server.ui.links import Links
from mreg.server.ui.rendering import ASSETS, asset, asset_version, templates

PAGE_HINT = "start from the list of models"
"""Hint of error pages, instead of the hint for clients of the API."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def links_of(request: Request) -> Links:
    """Return the URLs of this server, as the client of a request reaches it."""
    return Links(request.scope["root_path"])


def page(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """Return the page that a template renders with these values."""
    caller: Caller = request.scope["mreg.caller"]
    state = request.app.state
    links = links_of(request)
    # A browser sends the token of the page only to /ui, so links to the API would be refused.
    shared = {
        "profile": state.registry.profile.name,
        "reader": caller.name,
        "api_open": caller.token is None,
        "link": links.page,
        "api": links.api,
        "asset": lambda name: links.page("static", name, v=asset_version(name)),
    }
    return HTMLResponse(templates().get_template(template).render(shared, **values), status_code=status)


class PageRoute(APIRoute):
    """A route whose errors are pages, with the statuses, messages and hints of the API."""

    def get_route_handler(self) -> Handler:
        """Return a handler that turns the errors of the route into pages."""
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            try:
                return await handle(request)
            except MregError as error:
                hint = problems.for_client(request, error).hint
                return error_page(request, problems.error_response(request, error), hint=hint)
            except RequestValidationError as error:
                return error_page(request, problems.validation_response(request, error), hint=PAGE_HINT)
            except problems.Refused as error:
                return error_page(request, problems.http_error_response(request, error))
            except HTTPException as error:
                return error_page(request, problems.http_error_response(request, error), hint=PAGE_HINT)

        return handle_as_page


def error_page(request: Request, problem: Response, *, hint: str | None = None) -> Response:
    """Return a problem as a page.

    Args:
        hint: Hint of the page (default: the hint of the problem).
    """
    document = json.loads(bytes(problem.body))
    return page(
        request,
        "error.html",
        status=problem.status_code,
        title=document["title"],
        message=document["detail"],
        hint=document["hint"] if hint is None else hint,
        code=document["code"],
    )


def asset_response(request: Request, name: str) -> Response:
    """Return an asset; browsers cache it if its URL has the current digest.

    Raises:
        NotFound: The asset does not exist.
    """
    if name not in ASSETS:
        raise NotFound("path not found", hint=PAGE_HINT)
    current = request.query_params.get("v") == asset_version(name)
    caching = "private, max-age=31536000, immutable" if current else "no-cache"
    return Response(asset(name), media_type=ASSETS[name], headers={"Cache-Control": caching})
