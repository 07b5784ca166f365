"""CSV files with one row per step of a training: the last value of each column."""

from __future__ import annotations

import csv
import io

from mreg.documents.node import Node, Scalar, location
from mreg.domain.text import ENTRIES_LIMIT, quoted
from mreg.errors import BadInput


def last_values(text: str, place: str) -> dict[str, Node]:
    """Return the last value of each column that is not empty, by the name in the first row.

    A column without a name, which pandas writes for the index, is left out, and so is a column without values.

    Args:
        text: Rows in the dialect of RFC 4180.
        place: Name of the file in messages.

    Raises:
        BadInput: The text is not CSV, a column name is given twice, a row has more values than there are columns, or
            there are more than `ENTRIES_LIMIT` columns.
    """
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    values: dict[str, Node] = {}
    try:
        names = [name.strip() for name in next(rows, [])]
        _check_names(names, place)
        for row in rows:
            if len(row) > len(names):
                raise BadInput(
                    f"{location(place, rows.line_num)}: expected at most {len(names)} values, got {len(row)}"
                )
            for name, value in zip(names, row, strict=False):
                if name and value.strip():
                    values[name] = Node(Scalar(value.strip(), "number"), rows.line_num)
    except csv.Error as error:
        raise BadInput(f"{location(place, rows.line_num)}: invalid CSV: {error}") from None
    return {name: values[name] for name in names if name in values}


def _check_names(names: list[str], place: str) -> None:
    if len(names) > ENTRIES_LIMIT + 1:
        raise BadInput(f"{location(place, 1)}: too many columns: {len(names):,}; the limit is {ENTRIES_LIMIT:,}")
    seen: set[str] = set()
    for name in names:
        if name in seen and name:
            raise BadInput(f"{location(place, 1)}: duplicate column {quoted(name)}")
        seen.add(name)
