"""Results: every frozen type that an operation of the registry returns, by subject.

The registry returns them, `mreg.wire` converts them to JSON and back, and the command line and the server present them.
A result holds domain values and does no I/O. Each of its fields is part of its JSON form or has a default, so that a
client of a server can build every result from the JSON of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex, TypeVar, overload

from mreg.domain.value import Tabular

T = TypeVar("T")

SHOWN = 10
"""Number of items in the representation of a page."""


class Page(tuple[T, ...], Tabular):
    """A part of a list: a tuple of its items. A slice is a page, too.

    Attributes:
        more: Whether the list has items after these. Not part of the JSON form; a server sends a ``Link`` header.
        kind: Type of the items, which an empty page has none of; None if unknown.
    """

    more: bool
    kind: type[T] | None

    def __new__(cls, items: Iterable[T] = (), *, more: bool = False, kind: type[T] | None = None) -> Page[T]:
        """Return a page of these items."""
        page = super().__new__(cls, items)
        page.more = more
        page.kind = kind or (type(page[0]) if page else None)
        return page

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> T: ...

    @overload
    def __getitem__(self, place: slice, /) -> Page[T]: ...

    def __getitem__(self, place: SupportsIndex | slice, /) -> T | Page[T]:
        if not isinstance(place, slice):
            return super().__getitem__(place)
        start, stop, step = place.indices(len(self))
        chosen = range(start, stop, step)
        end = max(chosen) + 1 if chosen else start
        return Page(super().__getitem__(place), more=self.more or end < len(self), kind=self.kind)

    def __repr__(self) -> str:
        shown = [repr(item) for item in tuple.__getitem__(self, slice(SHOWN))]
        items = ", ".join([*shown, "..."] if len(self) > SHOWN else shown)
        return f"<Page of {len(self):,}{' and more' if self.more else ''}: [{items}]>"

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the JSON form: a list of the items' `to_dict`."""
        return [item.to_dict() for item in self]  # type: ignore[attr-defined]


SUBJECTS = ("bundles", "changes", "comparison", "configuration", "deployments", "evaluations", "files", "history",
            "imports", "lineage", "models", "policies", "profiles", "reasons", "tokens", "upkeep",
            "uploads")  # fmt: skip
"""The modules of results; `mreg.wire` has a module for each, and so has the command line for what it prints."""

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
