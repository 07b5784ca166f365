"""The JSON of errors, and the class of an error by its codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict

from mreg import errors


class Error(TypedDict):
    """An error of the registry."""

    code: Annotated[str, "code of the error class"]
    subcode: Annotated[str, "code of a subclass with the same `code`, or empty"]
    message: Annotated[str, "what failed and why"]
    hint: Annotated[str, "next step, or empty"]
    details: Annotated[dict[str, Any], "structured fields"]


_CLASSES: dict[tuple[str, str], type[errors.MregError]] = {
    (kind.code, kind.subcode): kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.MregError) and {"code", "subcode"} & vars(kind).keys()
}


def encode_error(error: errors.MregError) -> Error:
    """Return the JSON of an error; fields that JSON cannot hold are left out."""
    return {
        "code": error.code,
        "subcode": error.subcode,
        "message": error.message,
        "hint": error.hint,
        "details": plain_details(error),
    }


def decode_error(shape: Error) -> errors.MregError:
    """Return the error of a JSON form; a code that this release does not know gives a plain `MregError`."""
    kind = error_class(shape["code"], shape["subcode"]) or errors.MregError
    return make_error(kind, shape["message"], shape["hint"], shape["details"])


def error_class(code: str, subcode: str = "") -> type[errors.MregError] | None:
    """Return the class with these codes, that of the code alone if the subcode is unknown, otherwise None."""
    return _CLASSES.get((code, subcode)) or _CLASSES.get((code, ""))


def make_error(
    kind: type[errors.MregError], message: str, hint: str, details: Mapping[str, object]
) -> errors.MregError:
    """Return an error with details under any names, also those of the parameters of `MregError`."""
    error = kind(message, hint=hint)
    error.details = dict(details)
    return error


def plain_details(error: errors.MregError) -> dict[str, Any]:
    """Return the details of an error that JSON can hold."""
    return {key: value for key, value in error.details.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (str, int, float, bool))


FOR_CLIENTS = ("try again", "ask for")
"""Prefixes of hints that a client can follow although the server failed."""

OPERATOR = "operator of the server: "
"""Prefix of hints that a client cannot follow."""


def operator_hint(hint: str) -> str:
    """Return the hint of an error that only the operator of the server can fix; most name places of the server."""
    return f"{OPERATOR}{hint}" if hint and not hint.startswith((OPERATOR, *FOR_CLIENTS)) else hint
