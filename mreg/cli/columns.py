"""Choice and order of the columns of a list: ``--columns`` and ``--sort``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Generic, TypeVar

from mreg.cli.table import Cell, Table, Toned
from mreg.domain.text import quoted
from mreg.errors import BadInput

T = TypeVar("T")

NAMES = ("model", "reference", "parent")
"""Columns of names, which a narrow terminal shortens in the middle."""

NAMED = 60
"""Number of columns that an error names."""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a list of results.

    Attributes:
        name: Name; begins with ``>`` if the column is aligned to the right.
        cell: Returns the cell of a result.
    """

    name: str
    cell: Callable[[T], Cell | Toned]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(Generic[T]):
    """The columns that a list of results can have.

    Attributes:
        usual: The columns without ``--columns``.
        more: Further columns that can be chosen.
        optional: Names of the usual columns that a narrow terminal leaves out, in this order.
        essential: Names of the optional columns that stay as long as shortened names leave room for them.
        synonyms: Other names for columns.
        empty: Text on a terminal if the list is empty.
    """

    usual: tuple[Column[T], ...]
    more: tuple[Column[T], ...] = ()
    optional: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()
    synonyms: Mapping[str, str]
    empty: str

    def table(self, values: Sequence[T], chosen: str | None = None, title: str = "") -> Table:
        """Return the table of results.

        Args:
            chosen: Names of columns, separated by commas (default: the usual columns).

        Raises:
            BadInput: A name is unknown.
        """
        columns = self.usual if chosen is None else tuple(self.find(name) for name in chosen.split(","))
        return Table(
            title=title,
            columns=tuple(column.name for column in columns),
            rows=tuple(tuple(column.cell(value) for column in columns) for value in values),
            optional=self.optional if chosen is None else (),
            essential=self.essential,
            shortened=NAMES,
            choosable=True,
            complete=chosen is not None,
            empty=self.empty,
        )

    def sort(self, values: Sequence[T], order: str) -> list[T]:
        """Return results in the order of a column, results without a value last.

        Args:
            order: Name of the column, after a ``-`` for descending order.

        Raises:
            BadInput: The name is unknown.
        """
        cell = self.find(order.removeprefix("-")).cell
        keys = [_value(cell(value)) for value in values]
        filled = [place for place, key in enumerate(keys) if key is not None]
        filled.sort(key=lambda place: (isinstance(keys[place], str), keys[place]), reverse=order.startswith("-"))
        return [values[place] for place in (*filled, *(place for place, key in enumerate(keys) if key is None))]

    def find(self, name: str) -> Column[T]:
        """Return the column with a name; ``_`` and ``-`` in it can stand for spaces.

        Raises:
            BadInput: The name is unknown.
        """
        known = {column.name.removeprefix(">"): column for column in (*self.usual, *self.more)}
        wanted = name.strip()
        for spelling in (wanted, wanted.casefold().replace("_", " ").replace("-", " ")):
            if self.synonyms.get(spelling, spelling) in known:
                return known[self.synonyms.get(spelling, spelling)]
        more = ", ..." if len(known) > NAMED else ""
        raise BadInput(
            f"unknown column {quoted(wanted)}", hint=f"the columns are {', '.join(list(known)[:NAMED])}{more}"
        )


def _value(cell: Cell | Toned) -> Cell:
    """Return the value that a cell is sorted by, None for an empty cell."""
    value = cell.value if isinstance(cell, Toned) else cell
    return None if value in ("", ()) or (isinstance(value, float) and isnan(value)) else value
