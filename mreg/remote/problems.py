"""Error responses as errors: problems of `mreg serve`, and what a proxy or another server answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mreg import errors
from mreg.domain.address import Address
from mreg.domain.text import printable, quoted, shell_word
from mreg.remote.documents import InvalidDocument
from mreg.wire.envelope import decode_notices
from mreg.wire.errors import error_class, make_error, operator_hint

LOGIN = "mreg login {server}"

HTTP_CODES: dict[str, type[errors.MregError]] = {
    "bad_request": errors.BadInput,
    "cut": errors.Unavailable,
    "header_twice": errors.BadInput,
    "too_slow": errors.Unavailable,
    "too_large": errors.BadInput,
    "target_too_long": errors.BadInput,
    "no_form": errors.BadInput,
    "no_length": errors.BadInput,
    "no_such_range": errors.BadInput,
    "compressed": errors.BadInput,
    "client_too_old": errors.BadInput,
    "other_content": errors.Conflict,
    "busy": errors.Unavailable,
    "stopping": errors.Unavailable,
    "stopped": errors.Unavailable,
    "unexpected": errors.Unavailable,
    "foreign_host": errors.Unavailable,
    "foreign_origin": errors.NotAllowed,
}
"""The class of each code that only the HTTP layer has; other codes are those of `mreg.errors`."""

NOT_DONE = frozenset({"busy", "stopping"})
"""Codes of requests that the server has not begun: they can be repeated, whatever they change."""

NO_ROUTE = ("no_such_route", "method_not_allowed")
"""Codes of requests for a route that the server does not have."""

_ENDED = re.compile(r"the token '(?P<name>[^'\s]+)' (?:was revoked|expired at .*)")
"""The message for a token that can only be replaced."""

TEXT_SHOWN = 200

MESSAGE_CHARACTERS = 10_000
HINT_LINES = 10
"""Maximum size of the message and of the hint of a server, and maximum number of lines of the hint."""


def problem_error(
    status: int, document: Any, server: str, *, method: str = "", path: str = ""
) -> tuple[errors.MregError, tuple[str, ...]]:
    """Return the error of a problem document, and the notices with it.

    Args:
        status: Status of the response.
        document: The decoded document; of a server of mreg, but its content is not trusted.
        server: URL of the server, for messages.
    """
    if not isinstance(document, dict):
        return unexpected_answer(status, server), ()
    code, message = _text(document, "code"), _shown(_text(document, "detail"))
    kind = _class_of_code(code, _text(document, "subcode"), status)
    hint = _hint(_text(document, "hint"), code, kind)
    details = document.get("details")
    details = details if isinstance(details, dict) else {}
    try:
        notices = decode_notices(document.get("notices", []))
    except errors.BadInput:
        notices = ()
    if code == "no_token":
        return unknown_token(message, server), notices
    if code in ("role_too_low", "read_only"):
        role_hint = "ask an administrator of the server for a token with that role" if code == "role_too_low" else ""
        error = errors.NotAllowed(
            f"{server} refused the request: {message}", hint=role_hint, status=status, refused=code
        )
        return error, notices
    if code in NO_ROUTE:
        return errors.Unavailable(
            f"{server} does not have this operation ({method} {path}): it runs another release of mreg",
            hint="operator of the server: upgrade mreg",
            status=status,
            refused=code,
        ), notices
    if code == "client_too_old":
        return errors.Unavailable(f"{server}: {message}", hint=hint, status=status), notices
    if _is_code_of_registry(code):
        return make_error(kind, message, hint, details), notices
    return make_error(kind, f"{server}: {message or _shown(code)}", hint, {**details, "status": status}), notices


def unknown_token(message: str, server: str) -> errors.MregError:
    """Return the error for a request without a valid token."""
    hint = LOGIN.format(server=server)
    if (ended := _ENDED.fullmatch(message)) is not None:
        create = f"mreg token create {shell_word(ended['name'])} --role ROLE"
        hint = f"{hint}\nfor a new token, ask an administrator of the server: {create}"
    return errors.Unavailable(f"{server} did not accept the request: {message}", hint=hint, status=401)


def no_server(address: Address) -> errors.MregError:
    """Return the error for a URL whose path no server of mreg has, although one answered."""
    host = address.origin
    hint = f"check the path of the URL: it is {host}, or {host}/PATH if the server runs with --root-path /PATH"
    if address.root != str(address):
        hint = f"write {address.root}"
    return errors.Unavailable(
        f"no mreg server at {address}: there is one at this host, but not with this path", hint=hint, status=404
    )


def foreign_answer(status: int, reason: str, headers: Mapping[str, str], server: str) -> errors.MregError:
    """Return the error for an answer that did not come from mreg: of a proxy, or of another server."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    words = f"{status} {printable(reason[:TEXT_SHOWN])}".strip()
    what = {"": "an empty answer", "text/html": "an HTML page"}.get(kind, f"an answer of type {quoted(kind)}")
    if status in (502, 504):
        return errors.Unavailable(
            f"{server} cannot be reached: the proxy in front of it answered {words}",
            hint="try again in a minute, or ask the operator whether mreg serve runs",
            status=status,
        )
    if status == 503:
        return errors.Unavailable(
            f"{server} is not available: a proxy in front of it answered {words}",
            hint="try again in a minute",
            status=status,
        )
    if status == 407:
        return errors.Unavailable(
            f"cannot reach {server}: your HTTP proxy requires a login",
            hint="add it to the variable: export HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT",
            status=status,
        )
    if status in (401, 403):
        return errors.Unavailable(
            f"{server} refused the request, but the answer is not from mreg: {words}",
            hint="check the URL; if a proxy is in front of the server, check whether it needs a separate login",
            status=status,
        )
    if status == 413:
        return errors.BadInput(
            f"a proxy in front of {server} refused the request as too large: {words}",
            hint="operator of the server: raise the body limit of the proxy",
            status=status,
        )
    if status == 408 or status == 429:
        return errors.Unavailable(
            f"a proxy in front of {server} answered {words}", hint="try again in a minute", status=status
        )
    return errors.Unavailable(
        f"{server} is not a server of mreg: it answered {words} with {what}",
        hint="check the URL; a server behind a proxy can have a path: https://HOST/PATH",
        status=status,
    )


def unexpected_answer(status: int, server: str, why: str = "") -> errors.MregError:
    """Return the error for an answer of mreg that cannot be decoded."""
    reason = f": {why}" if why else ""
    return errors.Unavailable(
        f"invalid response from {server} (status {status}){reason}",
        hint="try again; if it happens again, compare the releases of mreg: mreg --version",
        status=status,
    )


def invalid_document(error: InvalidDocument, status: int, server: str) -> errors.MregError:
    """Return the error for a document of mreg that is not decoded."""
    found = unexpected_answer(status, server, error.why)
    if error.too_large:
        found.details["too_large"] = True
    return found


def redirect_error(status: int, location: str, server: str) -> errors.MregError:
    """Return the error for a redirect, which is not followed: it could ask for the token."""
    return errors.Unavailable(
        f"{server} redirects to {quoted(location, 200)}",
        hint="if you trust that address, use it as the URL of the server",
        status=status,
        location=location,
    )


def _is_code_of_registry(code: str) -> bool:
    return error_class(code) is not None and code != errors.MregError.code


def _class_of_code(code: str, subcode: str, status: int) -> type[errors.MregError]:
    known = error_class(code, subcode) if _is_code_of_registry(code) else HTTP_CODES.get(code)
    return known or _class_of_status(status)


def _shown(text: str) -> str:
    """Return a text of the server for a message, shortened if it is very long."""
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}..."


def _hint(hint: str, code: str, kind: type[errors.MregError]) -> str:
    """Return the hint of a server for its client, by the code of the problem, whatever its status is.

    The hint of a code that mreg knows is a hint of mreg, for the operator of the server if only the operator can fix
    the error. Any other one is attributed to the server.

    Further lines are indented and spaces between words collapsed, so that no part looks like a line of mreg itself.
    """
    words = (" ".join(line.split()) for line in hint[:MESSAGE_CHARACTERS].splitlines())
    hint = "\n  ".join([line for line in words if line][:HINT_LINES])
    if not _is_code_of_registry(code) and code not in HTTP_CODES:
        return f"the server says: {hint}" if hint else ""
    servers = issubclass(kind, errors.Corrupt | errors.Unavailable) and not issubclass(kind, errors.DamagedBundle)
    return operator_hint(hint) if servers else hint


def _class_of_status(status: int) -> type[errors.MregError]:
    if status in (404, 410):
        return errors.NotFound
    if status in (401, 403):
        return errors.NotAllowed
    if status in (409, 412):
        return errors.Conflict
    return errors.BadInput if 400 <= status < 500 else errors.Unavailable


def _text(document: dict[str, Any], key: str) -> str:
    found = document.get(key)
    return found if isinstance(found, str) else ""
