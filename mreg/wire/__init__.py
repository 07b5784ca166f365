"""Wire: the one JSON form of every result, for ``--json``, the server, hooks, and clients of the server.

A module for each subject of `mreg.results` has the shapes (typed dicts) with a function that encodes to each and one
that decodes from it. The key tables of ``docs/json.md`` and the OpenAPI schemas are generated from the shapes.

Keys are stable: new ones can be added; none is removed or changes its meaning. Times are ISO 8601 in UTC, references
and digests are texts. An absent value is null; an absent list or mapping is empty.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.wire.form import Form

T = TypeVar("T")

SUBJECTS = ("models", "stages", "policies", "comparison", "history", "lineage", "deployments", "transfers", "upkeep",
            "profiles", "tokens")  # fmt: skip
"""The modules of shapes."""

_OF_DOMAIN = {"mreg.domain.model": "models", "mreg.domain.events": "history"}
"""The subjects of results that are domain values."""


def form_of(kind: type[T]) -> Form[T, Any]:
    """The JSON form of a type of results; imports only the shapes of its subject.

    Raises:
        LookupError: The type has no JSON form.
    """
    home = kind.__module__
    subject = _OF_DOMAIN.get(home) or home.rpartition(".")[2]
    if subject in SUBJECTS:
        for form in import_module(f"mreg.wire.{subject}").FORMS:
            if form.kind is kind:
                return form  # type: ignore[no-any-return]
    raise LookupError(f"{kind.__name__} has no JSON form")


def encode(value: object) -> Any:
    """Return the JSON form of a result; of a tuple or list of results, a list."""
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return form_of(type(value)).encode(value)


def decode(kind: type[T], shape: Any) -> T:
    """Return the result of a type that `encode` made a JSON form of.

    Fields that the JSON form lacks have their defaults.

    Raises:
        BadInput: The JSON has another shape, or a value in it is invalid.
    """
    try:
        return form_of(kind).decode(shape)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"invalid JSON of {kind.__name__}: {type(error).__name__}: {error}") from error
