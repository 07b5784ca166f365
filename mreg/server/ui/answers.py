"""What the routes of the page give: pages, errors as pages, assets."""

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
from mreg.server.ui.rendering import ASSETS, asset, asset_link, templates

ELSEWHERE = "the list of models leads everywhere"
"""What to do where a page is not there; the API's own hint names its document."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def page(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    """The page that a template makes of these values."""
    caller: Caller = request.scope["mreg.caller"]
    state = request.app.state
    # A browser sends the token that it was given for the page to no other path, so that links there would be refused.
    around = {"profile": state.registry.profile.name, "reader": caller.name, "api_open": not state.settings.needs_token}
    return HTMLResponse(templates().get_template(template).render(around, **values), status_code=status)


class PageRoute(APIRoute):
    """A route whose errors are pages, with the statuses, messages and hints that the API gives as problems."""

    def get_route_handler(self) -> Handler:
        """The handler that shows what the route's own one raises."""
        handle = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handle(request)
            except MregError as error:
                return error_page(request, problems.of_error(request, error))
            except RequestValidationError as error:
                return error_page(request, problems.of_validation(request, error), hint=ELSEWHERE)
            except problems.Refused as error:
                return error_page(request, problems.of_http(request, error))
            except HTTPException as error:
                return error_page(request, problems.of_http(request, error), hint=ELSEWHERE)

        return shown


def error_page(request: Request, problem: Response, *, hint: str | None = None) -> Response:
    """A problem as a page.

    Args:
        hint: Said in place of the problem's own, which is for who uses the API.
    """
    said = json.loads(bytes(problem.body))
    return page(
        request,
        "error.html",
        status=problem.status_code,
        title=said["title"],
        message=said["detail"],
        hint=said["hint"] if hint is None else hint,
        code=said["code"],
    )


def asset_answer(request: Request, name: str) -> Response:
    """The bytes of an asset; a browser may keep those whose address names them.

    Raises:
        NotFound: There is no such asset.
    """
    if name not in ASSETS:
        raise NotFound("there is nothing at this path", hint=ELSEWHERE)
    kept = asset_link(name).endswith(f"?{request.url.query}")
    caching = "private, max-age=31536000, immutable" if kept else "no-cache"
    return Response(asset(name), media_type=ASSETS[name], headers={"Cache-Control": caching})
