"""Tables between values and paper: what is shown, before it is known on what."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage

STAGE_TONES = {"Production": "good", "Staging": "strong", "Archived": "dim"}

FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters at which a spreadsheet takes a text for a formula, full-width ones included."""

Cell = str | int | float | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Toned:
    """A cell with a tone (``good``, ``bad``, ``dim``, ``strong``); colour only repeats what the text says."""

    value: Cell
    tone: str


Row = tuple[Cell | Toned, ...]


def stage_cell(stage: ModelStage) -> Toned:
    """The name of a stage in its tone."""
    return Toned(stage.value, STAGE_TONES.get(stage.value, ""))


def verdict_cell(*, passed: bool) -> Toned:
    """The word for a check that passed or failed."""
    return Toned("passed", "good") if passed else Toned("failed", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under column names.

    Attributes:
        title: What it is of; empty for none.
        columns: Names; right-aligned where they begin with ``>``, which is not shown.
        facts: Two columns, name and value, whose column names say nothing to a person.
        optional: Columns that a narrow terminal may leave out, the first to go first; programs get all.
    """

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: bool = False
    optional: tuple[str, ...] = ()

    def without(self, column: str) -> Table:
        """The table without one of its columns."""
        place = self.columns.index(column)
        return replace(
            self,
            columns=self.columns[:place] + self.columns[place + 1 :],
            rows=tuple(row[:place] + row[place + 1 :] for row in self.rows),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The column names as they are shown."""
        return tuple(column.removeprefix(">") for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """A value on its way to paper.

    Attributes:
        tables: What a person sees, in order.
        flat: The one table for programs that read lines (plain and csv).
        summary: A line under the tables, for people.
        marker: The text of a hidden first line in Markdown, by which a bot finds its comment again.
    """

    tables: tuple[Table, ...]
    flat: Table
    summary: str = ""
    marker: str = ""


def one(table: Table) -> Rendering:
    """The rendering that is one table for everybody."""
    return Rendering(tables=(table,), flat=table)


def one_line(columns: tuple[str, ...], row: Row, sentence: str) -> Rendering:
    """A row for programs, a sentence for people."""
    return Rendering(tables=(), flat=Table(columns=columns, rows=(row,)), summary=sentence)


def exact(cell: Cell | Toned) -> str:
    """The cell's text for programs: every digit, full times, empty for nothing."""
    value = cell.value if isinstance(cell, Toned) else cell
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        from mreg.domain.events import time_text

        return time_text(value)
    return value if isinstance(value, str) else repr(value)


def short(cell: Cell | Toned, zone: tzinfo | None = None) -> str:
    """Return the cell's text for people: up to six significant digits, times to the second with their zone.

    Args:
        zone: The zone of times; None for the local one.
    """
    value = cell.value if isinstance(cell, Toned) else cell
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return _zoned(value, zone)
    return exact(cell)


def _zoned(at: datetime, zone: tzinfo | None) -> str:
    """Return a time such as ``2026-03-01 12:00:34+01:00``, which ``--at`` and search read as well."""
    with contextlib.suppress(ValueError, OverflowError, OSError):  # years that the local zone cannot express stay UTC
        at = at.astimezone(zone)
    return at.isoformat(" ", "seconds").replace("+00:00", "Z")


def plain_lines(table: Table) -> Sequence[str]:
    """Tab-separated lines with a header; nothing is cut, and no cell breaks its line."""
    from mreg.domain.text import printable

    rows = [table.names, *(tuple(exact(cell) for cell in row) for row in table.rows)]
    return ["\t".join(printable(text) for text in row) for row in rows]


def csv_text(table: Table) -> str:
    """RFC 4180 with a header; a text that a spreadsheet would take for a formula gets a quote before it."""
    import csv
    import io

    from mreg.domain.text import printable

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_no_formula(name, printable(name)) for name in table.names])
    for row in table.rows:
        writer.writerow([_no_formula(cell, printable(exact(cell))) for cell in row])
    return stream.getvalue()


def _no_formula(cell: Cell | Toned, text: str) -> str:
    value = cell.value if isinstance(cell, Toned) else cell
    return f"'{text}" if isinstance(value, str) and text[:1] in FORMULA_SIGNS else text


def markdown(rendering: Rendering) -> str:
    """Return GitHub's Markdown, times in UTC; every cell is escaped, so that nothing stored becomes markup."""
    from mreg.domain.text import printable

    lines = [f"<!-- {printable(rendering.marker).replace('>', '&gt;')} -->"] if rendering.marker else []
    for table in rendering.tables:
        if table.title:
            lines += [f"### {markdown_cell(table.title)}", ""]
        names = table.names if not table.facts else ("", "")
        lines.append("| " + " | ".join(markdown_cell(name) for name in names) + " |")
        lines.append("|" + "|".join("---:" if column.startswith(">") else "---" for column in table.columns) + "|")
        lines += ["| " + " | ".join(markdown_cell(short(cell, UTC)) for cell in row) + " |" for row in table.rows]
        lines.append("")
    if rendering.summary:
        lines += [markdown_cell(rendering.summary), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


_MARKDOWN = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_{}[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}
)


def markdown_cell(text: str) -> str:
    """The text so that Markdown shows it as it is: no markup, no HTML, no mention, no line break."""
    from mreg.domain.text import printable

    escaped = printable(text).translate(_MARKDOWN)
    # A bare address would become a link.
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
