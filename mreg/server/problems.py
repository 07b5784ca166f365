"""Errors as problem documents (RFC 9457), by the same classes as the exit codes."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mreg import errors
from mreg.domain.text import printable_json, quoted
from mreg.server.hints import command_hint, http_hint
from mreg.server.places import SEE_LOG, Places, sees_places
from mreg.wire.envelope import encode_notices
from mreg.wire.errors import encode_error, plain_details
from mreg.wire.protocol import MEDIA_TYPE

if TYPE_CHECKING:
    from starlette.requests import Request

STATUSES: tuple[tuple[type[errors.MregError], int], ...] = (
    (errors.BadInput, 400),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.OutsideScope, 403),
    (errors.NotAllowed, 409),
    (errors.GateFailed, 409),
    (errors.ApprovalMissing, 409),
    (errors.DamagedBundle, 400),
    (errors.Corrupt, 500),
    (errors.Unavailable, 503),
    (errors.MregError, 500),
)
"""The HTTP status of each error class; ``code`` distinguishes errors with the same status."""

UNAVAILABLE = 503

CODES = {400: "bad_request", 404: "no_such_route", 405: "method_not_allowed", 422: "bad_request"}


class Refused(HTTPException):
    """A request that the HTTP layer refuses: for its host, size, speed or caller."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.hint = hint


def too_large(limit: int) -> Refused:
    """Return the error for a body of more bytes than the limit."""
    return Refused(
        413, "too_large", f"the body is too large: the maximum is {limit} bytes", headers={"Connection": "close"}
    )


class PrintableJSONResponse(JSONResponse):
    """A JSON response without control characters, so that curl prints it safely on a terminal."""

    allow_nan = False

    def render(self, content: object) -> bytes:
        """Return the document with all nonprintable characters as JSON escapes."""
        document = json.dumps(content, ensure_ascii=False, allow_nan=self.allow_nan, separators=(",", ":"))
        return printable_json(document).encode()


class Problem(PrintableJSONResponse):
    """An error response."""

    media_type = "application/problem+json"
    allow_nan = True


def accepts_envelope(request: Request) -> bool:
    """Return whether a request is one of mreg's own client, which repeats hints and notices to its user."""
    return MEDIA_TYPE in request.headers.get("accept", "")


def problem(
    status: int,
    code: str,
    message: str,
    *,
    hint: str = "",
    server_failed: bool = False,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    prefix: str = "",
) -> Problem:
    """Return an error response.

    Args:
        code: Stable error code for programs; see `mreg.errors`.
        hint: Hint of the command line; `mreg.server.hints.http_hint` translates it.
        server_failed: Whether only the operator of the server can fix the error.
        details: Structured fields of the error.
        prefix: Prefix of the paths in the hint: the ``root_path`` of the request.
    """
    document = {
        "type": f"urn:mreg:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "hint": http_hint(hint, server_failed=server_failed, prefix=prefix) or None,
        "details": details or {},
    }
    return Problem(document, status_code=status, headers=headers)


def status_of(error: errors.MregError) -> int:
    """Return the HTTP status of an error of the registry."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def for_client(request: Request, error: errors.MregError) -> errors.MregError:
    """Return an error of the registry as the client of a request may read it; see `mreg.server.places`."""
    if sees_places(request.scope):
        return error
    places: Places = request.app.state.places
    return places.error(error, failed=status_of(error) >= 500)


def error_response(request: Request, error: Exception) -> Response:
    """Return the response for an error of the registry."""
    if not isinstance(error, errors.MregError):
        raise error
    error, status = for_client(request, error), status_of(error)
    details = plain_details(error)
    if accepts_envelope(request):
        said = request.scope.get("mreg.collected")
        return Problem(
            {
                "type": f"urn:mreg:problem:{error.code}",
                "title": HTTPStatus(status).phrase,
                "status": status,
                "detail": error.message,
                **encode_error(error),
                "hint": command_hint(error.hint, server_failed=status == UNAVAILABLE) or None,
                "notices": encode_notices(said.notices if said else ()),
            },
            status_code=status,
        )
    return problem(
        status,
        error.code,
        error.message,
        hint=error.hint,
        server_failed=status >= 500,
        details=details,
        prefix=request.scope["root_path"],
    )


def http_error_response(request: Request, error: Exception) -> Response:
    """Return the response for an error of the HTTP layer."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else {}
    prefix = request.scope.get("root_path", "")
    if isinstance(error, Refused):
        return problem(error.status_code, error.code, error.detail, hint=error.hint, headers=headers, prefix=prefix)
    code = CODES.get(error.status_code, "refused")
    message = str(error.detail)
    if error.status_code == 404:
        message = "path not found"
    if error.status_code == 405:
        allowed = _methods_of_path(request)
        message = f"{request.method} is not allowed for this path: use {', '.join(allowed)}"
        headers["Allow"] = ", ".join(allowed)
    hint = "GET /openapi.json lists the routes"
    return problem(error.status_code, code, message, hint=hint, headers=headers, prefix=prefix)


def interrupted() -> Refused:
    """Return the refusal of a request whose client closed the connection before the end of its body."""
    return Refused(400, "cut", "the upload was interrupted")


def interrupted_response(request: Request, _error: Exception) -> Response:
    """Return the response for a body that ended too early; its client is gone, but the log has a line for it."""
    return http_error_response(request, interrupted())


def _methods_of_path(request: Request) -> list[str]:
    """Return the methods of all routes of the path; Starlette names those of one route."""
    route_path = request.scope["path"][len(request.scope["root_path"]) :]
    methods = {"GET", "HEAD"} if route_path.startswith("/ui") else set()
    for path, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", path.replace("{path}", ".+").replace("{repo}", "[^/]+(?:/[^/]+)?"))
        if re.fullmatch(pattern, route_path):
            methods.update(method.upper() for method in operations)
    return sorted(methods | ({"HEAD"} if "GET" in methods else set()))


def validation_response(request: Request, error: Exception) -> Response:
    """Return the response for an invalid body, path or query."""
    if not isinstance(error, RequestValidationError):
        raise error
    invalid = [
        {"where": ".".join(str(part) for part in item["loc"]), "what": str(item["msg"])} for item in error.errors()[:20]
    ]
    message = "; ".join(f"{quoted(item['where'])}: {item['what']}" for item in invalid[:3])
    return problem(
        422,
        "bad_request",
        message,
        hint="GET /openapi.json has the schema of the request",
        details={"errors": invalid},
        prefix=request.scope["root_path"],
    )


def unexpected_response(_request: Request, _error: Exception) -> Response:
    """Return the response for an unexpected failure; only the log has the cause."""
    return problem(500, "unexpected", "unexpected error in the server", hint=f"{SEE_LOG}; report this error as a bug")
