"""Data frames of pandas, which is imported by the first call."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from mreg.notebook.rows import rows_of

if TYPE_CHECKING:
    from pandas import DataFrame, Series

EXACT = 2**53
"""Largest integer up to which a float represents every integer."""


def frame(value: object) -> DataFrame:
    """Return the data frame of a result; see `mreg.domain.value.Tabular.to_pandas`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ImportError("pandas is not installed: pip install 'mreg[pandas]'", name="pandas") from error
    table = rows_of(value)
    columns = {name: _series(name, [row.get(name) for row in table.rows]) for name in table.columns}
    return DataFrame(columns)


def is_time(column: str) -> bool:
    """Return whether a column has times, by its key: ``at``, ``created_at``."""
    return column == "at" or (column.endswith("_at") and "." not in column)


def _series(name: str, values: list[Any]) -> Series:
    from pandas import Series

    if is_time(name):
        # Microseconds, since the usual nanoseconds end in the year 2262.
        times = [None if value is None else datetime.fromisoformat(value) for value in values]
        return Series(times, dtype="datetime64[us, UTC]")
    numbers = [value for value in values if value is not None]
    mixed = len(numbers) < len(values) or any(isinstance(value, float) for value in numbers)
    if mixed and any(type(value) is int and abs(value) > EXACT for value in numbers):
        return Series(values, dtype=object)  # floats would change these integers
    return Series(values) if numbers else Series(values, dtype=object)
