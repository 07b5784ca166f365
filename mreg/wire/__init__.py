"""Wire: the one JSON form of every result, for ``--json``, the server, hooks, and clients of the server.

A module for each subject of `mreg.results` has the shapes (typed dicts) with a function that encodes to each and one
that decodes from it. The key tables of ``docs/reference/json.md`` and the OpenAPI schemas are generated from them.

Keys are stable: new ones can be added; none is removed or changes its meaning. Times are ISO 8601 in UTC, references
and digests are texts. An absent value is null; an absent list or mapping is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar

from mreg.domain.events import parse_time, time_text
from mreg.errors import BadInput
from mreg.results import subject_of

R = TypeVar("R")
S = TypeVar("S")

Number = int | float
Stage = Literal["None", "Staging", "Production", "Archived"]
Direction = Literal["higher", "lower"]


class Form(Generic[R, S]):
    """The JSON form of a type.

    Attributes:
        kind: The type.
        shape: The typed dict that ``encode`` returns and ``decode`` takes.
        encode_rest: Returns the fields that are not part of the JSON form, for the envelope of `mreg.wire.envelope`;
            None if there are none.
        add_rest: Returns a decoded result with the fields that ``encode_rest`` returned.
    """

    def __init__(
        self,
        kind: type[R],
        shape: type[S],
        encode: Callable[[R], S],
        decode: Callable[[S], R],
        encode_rest: Callable[[R], dict[str, Any]] | None = None,
        add_rest: Callable[[R, Any], R] | None = None,
    ) -> None:
        self.kind, self.shape, self.encode, self.decode = kind, shape, encode, decode
        self.encode_rest, self.add_rest = encode_rest, add_rest


_FORMS: dict[type, Form[Any, Any]] = {}
"""The forms of the subjects that were imported, by type."""


def form_of(kind: type[R]) -> Form[R, Any]:
    """Return the JSON form of a type of results; imports only the shapes of its subject.

    Raises:
        LookupError: The type has no JSON form.
    """
    if kind not in _FORMS:
        _FORMS.update((form.kind, form) for form in import_module(f"mreg.wire.{subject_of(kind)}").FORMS)
    if kind not in _FORMS:
        raise LookupError(f"{kind.__name__} has no JSON form")
    return _FORMS[kind]


def encode(value: object) -> Any:
    """Return the JSON form of a result; of a tuple or list of results, a list."""
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return form_of(type(value)).encode(value)


def decode(kind: type[R], shape: Any) -> R:
    """Return the result of a type that `encode` made a JSON form of.

    Fields that the JSON form lacks have their defaults, and keys that this release does not know are ignored.

    Raises:
        BadInput: A key is missing, or a value has another type or is invalid.
    """
    from mreg.wire.checking import check_shape

    form = form_of(kind)
    try:
        check_shape(form.shape, shape)
        return form.decode(shape)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BadInput(f"invalid JSON of {kind.__name__}: {type(error).__name__}: {error}") from error


_EMPTY: dict[Any, str] = {dict: "{}", list: "[]", tuple: "[]"}


def json_text(document: Any) -> str:
    """Return the text that `json.dumps` writes for a document with an indent of 2, all characters unescaped and no NaN.

    It takes half the time: given an indent, `json.dumps` uses an encoder that is written in Python.

    Raises:
        ValueError: A number is not finite.
    """
    from json import dumps
    from json.encoder import encode_basestring as string
    from math import isfinite

    def member(value: Any, line: str) -> str:
        kind, inner = type(value), f"{line}  "
        if kind is dict and value:
            parts = []
            for name, item in value.items():  # without a call for what most values are
                kind = type(item)
                if kind is str:
                    parts.append(f"{string(name)}: {string(item)}")
                elif item is None:
                    parts.append(f"{string(name)}: null")
                elif kind is int:
                    parts.append(f"{string(name)}: {item}")
                else:
                    parts.append(f"{string(name)}: {member(item, inner)}")
            return f"{{{inner}{f',{inner}'.join(parts)}{line}}}"
        if kind in (list, tuple) and value:
            return f"[{inner}{f',{inner}'.join([member(item, inner) for item in value])}{line}]"
        if kind in _EMPTY:
            return _EMPTY[kind]
        if kind is float and isfinite(value):
            return repr(value)
        return dumps(value, ensure_ascii=False, allow_nan=False)

    return member(document, "\n")


def encode_time(at: datetime | None) -> str | None:
    """Return the text of a time, None for none."""
    return None if at is None else time_text(at)


def decode_time(text: str) -> datetime:
    """Return the time of a text, aware UTC.

    Raises:
        BadInput: The text is not a valid time.
    """
    return datetime.fromisoformat(parse_time(text)).astimezone(UTC)


def decode_optional_time(text: str | None) -> datetime | None:
    """Return the time of a text, None for none."""
    return None if text is None else decode_time(text)
