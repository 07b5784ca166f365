"""Results: every frozen type that an operation of the registry returns, by subject.

The registry returns them, `mreg.wire` converts them to JSON and back, and the command line and the server present them.
A result holds domain values and does no I/O. Each of its fields is part of its JSON form or has a default, so that a
client of a server can build every result from the JSON of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class Page(tuple[T, ...]):
    """A part of a list.

    Attributes:
        more: Whether the list has items after these. Not part of the JSON form; a server sends a ``Link`` header.
    """

    more: bool

    def __new__(cls, items: Iterable[T] = (), *, more: bool = False) -> Page[T]:
        """Return a page of these items."""
        page = super().__new__(cls, items)
        page.more = more
        return page


SUBJECTS = ("bundles", "changes", "comparison", "configuration", "deployments", "evaluations", "files", "history",
            "lineage", "models", "policies", "profiles", "reasons", "tokens", "upkeep")  # fmt: skip
"""The modules of results; `mreg.wire` and the command line have a module for each, imported if a result needs it."""

_OF_DOMAIN = {"mreg.domain.model": "models", "mreg.domain.events": "history"}
"""The subjects of the domain values that operations return."""


def subject_of(kind: type) -> str:
    """Return the subject of a type of results.

    Raises:
        LookupError: No operation returns that type.
    """
    home = kind.__module__
    subject = _OF_DOMAIN.get(home) or home.removeprefix("mreg.results.")
    if subject not in SUBJECTS:
        raise LookupError(f"{kind.__name__} is not a result")
    return subject
