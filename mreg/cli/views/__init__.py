"""Views of results on the command line; each subject of `mreg.results` has a module of views here.

The module has a view for each type of its subject: the tables, and the references that ``-q`` prints.
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
    """The tables and the references of a type of results.

    Args:
        kind: The type.
        references: Returns the references of a result; ``-q`` prints each on a line.
        render: Returns the tables of a result (default: those of a list with this result).
        render_list: Returns the tables of a list of results (default: lists of the type have no view).
    """

    def __init__(
        self,
        kind: type[R],
        *,
        references: Callable[[R], Sequence[str]],
        render: Callable[[R], Rendering] | None = None,
        render_list: Callable[[Sequence[R]], Rendering] | None = None,
    ) -> None:
        self.kind, self.references, self._render, self._render_list = kind, references, render, render_list

    def render(self, value: R) -> Rendering:
        """Return the tables of a result."""
        return self._render(value) if self._render else self.render_list([value])

    def render_list(self, values: Sequence[R]) -> Rendering:
        """Return the tables of a list of results.

        Raises:
            LookupError: Lists of the type have no view.
        """
        if self._render_list is None:
            raise LookupError(f"lists of {self.kind.__name__} have no view")
        return self._render_list(values)


_VIEWS: dict[type, View[Any]] = {}
"""The views of the imported subjects, by type."""


def view_of(kind: type[R]) -> View[R]:
    """Return the view of a type of results; imports the views of its subject only.

    Raises:
        LookupError: The type has no view.
    """
    if kind not in _VIEWS:
        _VIEWS.update((view.kind, view) for view in import_module(f"mreg.cli.views.{subject_of(kind)}").VIEWS)
    if kind not in _VIEWS:
        raise LookupError(f"{kind.__name__} has no view")
    return _VIEWS[kind]


def render(value: Any) -> Rendering:
    """Return the tables of a result, or of a tuple or list of results of one type."""
    if not isinstance(value, (tuple, list)):
        return view_of(type(value)).render(value)
    if value:
        return view_of(type(value[0])).render_list(value)
    from mreg.cli.table import Table, rendering_of

    return rendering_of(Table(columns=("reference",), rows=()))


def references(value: Any) -> Sequence[str]:
    """Return the lines of ``-q`` for a result, or for a tuple or list of results."""
    if isinstance(value, (tuple, list)):
        return [reference for item in value for reference in references(item)]
    return view_of(type(value)).references(value)
