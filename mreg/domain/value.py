"""What all values that operations return have in common: read-only mappings, and forms for Python users.

The forms are made by `mreg.wire` and `mreg.notebook`, which are imported by the call: this is the only module that
imports from a higher layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from mreg.domain.text import printable

if TYPE_CHECKING:
    from pandas import DataFrame

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(dict[K, V]):
    """A mapping that cannot be changed; a dict in all other respects.

    It is hashable if its values are. Two mappings with the same entries are equal and have the same hash, in any order.
    ``dict(mapping)`` returns a copy that can be changed.
    """

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type, tuple[dict[K, V]]]:
        return FrozenMapping, (dict(self),)  # pickle would set each item otherwise

    def _refuse(self, *_args: object, **_named: object) -> NoReturn:
        raise TypeError("this mapping is read-only; dict(mapping) returns a copy that can be changed")

    if not TYPE_CHECKING:
        __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def short_repr(value: object, *words: object) -> str:
    """Return a short representation, such as ``<ModelVersion churn@3 Production accuracy=0.95>``; always printable.

    Args:
        words: What follows the name of the type; empty texts are left out.
    """
    return printable(f"<{' '.join([type(value).__name__, *filter(None, map(str, words))])}>")


@cache
def _mappings(kind: type) -> tuple[str, ...]:
    """Return the names of the fields of a dataclass that are mappings."""
    return tuple(field.name for field in fields(kind) if str(field.type).startswith("Mapping["))


class Value:
    """A frozen value: it can be compared, hashed, copied and pickled."""

    __slots__ = ()

    def __post_init__(self) -> None:
        kind: type = type(self)
        for name in _mappings(kind):
            entries: Mapping[Any, Any] = getattr(self, name)
            if type(entries) is not FrozenMapping:
                object.__setattr__(self, name, FrozenMapping(entries))


class Shown:
    """A value that a notebook shows as HTML."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from mreg.notebook.html import html

        return html(self)


class Result(Value, Shown):
    """A value with a JSON form."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with the keys that ``--json`` prints: texts, numbers, lists and dicts."""
        from mreg.wire import encode

        document: dict[str, Any] = encode(self)
        return document


class Tabular(Shown):
    """A result that is a table."""

    __slots__ = ()

    def to_pandas(self) -> DataFrame:
        """Return a pandas data frame; its columns are the keys of the JSON form.

        Entries of nested objects are separate columns, such as ``metrics.accuracy`` and ``tags.team``; a value that
        a row lacks is missing. Times are time-zone-aware (UTC).

        Raises:
            ImportError: pandas is not installed.
        """
        from mreg.notebook.frames import frame

        return frame(self)
