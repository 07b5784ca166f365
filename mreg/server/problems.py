"""Errors as RFC 9457 problem documents, from the same tree as the exit codes."""

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
from mreg.server.hints import for_http

if TYPE_CHECKING:
    from starlette.requests import Request

STATUSES: tuple[tuple[type[errors.MregError], int], ...] = (
    (errors.BadInput, 400),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.NotAllowed, 409),
    (errors.GateFailed, 409),
    (errors.ApprovalMissing, 409),
    (errors.Corrupt, 500),
    (errors.Unavailable, 503),
    (errors.MregError, 500),
)
"""What HTTP calls each; ``code`` tells apart what has one status."""

CODES = {400: "bad_request", 404: "no_such_route", 405: "method_not_allowed", 422: "bad_request"}


class Refused(HTTPException):
    """A request that is refused for what HTTP alone knows: its host, its size, who sent it."""

    def __init__(
        self, status: int, code: str, message: str, *, hint: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code
        self.hint = hint


class Answer(JSONResponse):
    """A JSON document as a client gets it; a terminal on which curl prints it receives text alone."""

    allow_nan = False

    def render(self, content: object) -> bytes:
        """The document, with every character that is not printable escaped as JSON does."""
        document = json.dumps(content, ensure_ascii=False, allow_nan=self.allow_nan, separators=(",", ":"))
        return printable_json(document).encode()


class Problem(Answer):
    """An error as a client gets it."""

    media_type = "application/problem+json"
    allow_nan = True


def problem(
    status: int,
    code: str,
    message: str,
    *,
    hint: str = "",
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> Problem:
    """The answer that says what went wrong and what to do next.

    Args:
        code: Stable, for programs; see `mreg.errors`.
        hint: As the command line has it; the client gets `mreg.server.hints.for_http` of it.
        details: Structured fields of the one case.
    """
    document = {
        "type": f"urn:mreg:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
        "hint": for_http(hint) or None,
        "details": details or {},
    }
    return Problem(document, status_code=status, headers=headers)


def of_error(_request: Request, error: Exception) -> Response:
    """The answer for an error of the registry."""
    if not isinstance(error, errors.MregError):
        raise error
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    details = {key: value for key, value in error.details.items() if _is_plain(value)}
    return problem(status, error.code, error.message, hint=error.hint, details=details)


def of_http(request: Request, error: Exception) -> Response:
    """The answer for what HTTP alone knows."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else {}
    if isinstance(error, Refused):
        return problem(error.status_code, error.code, error.detail, hint=error.hint, headers=headers)
    code = CODES.get(error.status_code, "refused")
    message = str(error.detail)
    if error.status_code == 404:
        message = "there is nothing at this path"
    if error.status_code == 405:
        allowed = _methods_of_path(request)
        message = f"{request.method} is not for this path, which has {', '.join(allowed)}"
        headers["Allow"] = ", ".join(allowed)
    return problem(error.status_code, code, message, hint="GET /openapi.json lists what there is", headers=headers)


def _methods_of_path(request: Request) -> list[str]:
    """Of every route of the path; Starlette names those of one alone."""
    found = {"GET", "HEAD"} if request.scope["path"].startswith("/ui") else set()
    for path, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", path.replace("{path}", ".+"))
        if re.fullmatch(pattern, request.scope["path"]):
            found.update(method.upper() for method in operations)
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def of_validation(_request: Request, error: Exception) -> Response:
    """The answer for a body, path or query of another form than the route takes."""
    if not isinstance(error, RequestValidationError):
        raise error
    found = [
        {"where": ".".join(str(part) for part in one["loc"]), "what": str(one["msg"])} for one in error.errors()[:20]
    ]
    message = "; ".join(f"{quoted(one['where'])}: {one['what']}" for one in found[:3])
    return problem(422, "bad_request", message, hint="GET /openapi.json shows what is taken", details={"errors": found})


def of_unknown(_request: Request, _error: Exception) -> Response:
    """The answer for a failure that nobody thought of; what it was is in the server's log alone."""
    return problem(500, "unexpected", "the server failed unexpectedly", hint="its log says more; report it as a bug")


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, (str, int, float, bool))
