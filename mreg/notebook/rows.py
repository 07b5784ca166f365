"""Results as rows: their JSON form with one value for each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints, is_typeddict

from mreg.domain.model import ModelVersion
from mreg.results import Page
from mreg.results.comparison import Comparison, MetricDifference
from mreg.results.models import ModelVersions
from mreg.wire import encode, form_of

_OPENED = "source.environment"
"""The mapping inside of another object whose entries are columns, too."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with their columns.

    Attributes:
        columns: Names of the columns, in the order of the JSON form. Each entry of a mapping is a column, such as
            ``metrics.accuracy``.
        rows: Value by column; a row can lack the entries of mappings.
    """

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


def rows_of(value: object) -> Rows:
    """Return the items of a page, the versions of a model, the metrics of a comparison, or one result as a row."""
    items: tuple[object, ...]
    kind: type | None
    if isinstance(value, Page):
        items, kind = tuple(value), value.kind
    elif isinstance(value, ModelVersions):
        items, kind = value.versions, ModelVersion
    elif isinstance(value, Comparison):
        items, kind = value.metrics, MetricDifference
    else:
        items, kind = (value,), type(value)
    rows = tuple(dict(_flat(encode(item))) for item in items)
    shape = form_of(kind).shape if kind is not None else None
    groups: dict[str, dict[str, None]] = {key: {} for key in get_type_hints(shape)} if shape else {}
    for names in (_fixed(shape) if shape else (), *rows):
        for name in names:
            groups.setdefault(name.partition(".")[0], {})[name] = None
    return Rows(tuple(name for group in groups.values() for name in group), rows)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the column and the value of each entry of a JSON form.

    Mappings inside of mappings are values, so that no two entries have the same column.
    """
    for key, value in document.items():
        name = prefix + key
        if isinstance(value, dict) and (not prefix or name == _OPENED):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _fixed(shape: Any, prefix: str = "") -> Iterator[str]:
    """Yield the columns that each row of a shape has."""
    for key, kind in get_type_hints(shape).items():
        if is_typeddict(kind):
            yield from _fixed(kind, f"{prefix}{key}.")
        elif getattr(kind, "__origin__", None) is not dict:
            yield prefix + key
