"""Views: how the command line presents results, by the subjects of `mreg.results`.

A module for each subject registers a view for each type: its renderers, and the references that ``-q`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mreg.results import subject_of

if TYPE_CHECKING:
    from mreg.cli.table import Rendering

R = TypeVar("R")


class View(Generic[R]):
    """How results of a type are presented.

    Args:
        kind: The type.
        references: Returns the references that ``-q`` prints for a result, one a line.
        one: Returns the tables of a result (default: those of a list of one).
        many: Returns the tables of a list of results (default: lists of them are not shown).
    """

    def __init__(
        self,
        kind: type[R],
        *,
        references: Callable[[R], Sequence[str]],
        one: Callable[[R], Rendering] | None = None,
        many: Callable[[Sequence[R]], Rendering] | None = None,
    ) -> None:
        self.kind, self.references, self._one, self._many = kind, references, one, many

    def one(self, value: R) -> Rendering:
        """Return the tables of a result."""
        return self._one(value) if self._one else self.many([value])

    def many(self, values: Sequence[R]) -> Rendering:
        """Return the tables of a list of results.

        Raises:
            LookupError: Lists of the type are not shown.
        """
        if self._many is None:
            raise LookupError(f"lists of {self.kind.__name__} have no view")
        return self._many(values)


_VIEWS: dict[type[Any], View[Any]] = {}
"""The views of the subjects that were imported: a list can have 100,000 results."""


def view_of(kind: type[R]) -> View[R]:
    """Return the view of a type of results; imports only the views of its subject.

    Raises:
        LookupError: The type has no view.
    """
    if kind not in _VIEWS:
        _VIEWS.update({view.kind: view for view in import_module(f"mreg.cli.views.{subject_of(kind)}").VIEWS})
    if kind not in _VIEWS:
        raise LookupError(f"{kind.__name__} has no view")
    return _VIEWS[kind]


def render(value: Any) -> Rendering:
    """Return the tables of a result, or of a tuple or list of results of one type."""
    if not isinstance(value, (tuple, list)):
        return view_of(type(value)).one(value)
    if value:
        return view_of(type(value[0])).many(value)
    from mreg.cli.table import Table, one

    return one(Table(columns=("reference",), rows=()))


def references(value: Any) -> Sequence[str]:
    """Return the references of a result, or of a tuple or list of results: the lines of ``-q``."""
    if isinstance(value, (tuple, list)):
        return [reference for item in value for reference in references(item)]
    return view_of(type(value)).references(value)
