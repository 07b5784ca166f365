"""Tables of results, and their text in plain, CSV and Markdown; `mreg.cli.terminal` draws them on a terminal."""

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
"""First characters of a text that a spreadsheet reads as a formula, with the full-width forms."""

Cell = str | int | float | bool | datetime | None


@dataclass(frozen=True, slots=True)
class Toned:
    """A cell with a tone (``good``, ``bad``, ``dim``, ``strong``). The text has the same meaning without colour."""

    value: Cell
    tone: str


Row = tuple[Cell | Toned, ...]


def stage_cell(stage: ModelStage) -> Toned:
    """Return the name of a stage in its tone."""
    return Toned(stage.value, STAGE_TONES.get(stage.value, ""))


def verdict_cell(*, passed: bool) -> Toned:
    """Return ``passed`` or ``failed`` in its tone."""
    return Toned("passed", "good") if passed else Toned("failed", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under column names.

    Attributes:
        title: Heading above the table; empty for none.
        columns: Names. A column whose name begins with ``>``, which is not shown, is aligned to the right.
        facts: The table has two columns, name and value, and a terminal shows no header.
        optional: Columns that a narrow terminal leaves out, in this order; the other formats have all columns.
    """

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: bool = False
    optional: tuple[str, ...] = ()

    def without(self, column: str) -> Table:
        """Return the table without a column."""
        index = self.columns.index(column)
        return replace(
            self,
            columns=self.columns[:index] + self.columns[index + 1 :],
            rows=tuple(row[:index] + row[index + 1 :] for row in self.rows),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, without the sign of alignment."""
        return tuple(column.removeprefix(">") for column in self.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The tables of a result.

    Attributes:
        tables: The tables on a terminal and in Markdown, in order.
        flat: The table in plain text and CSV, which programs read.
        summary: A line under the tables on a terminal and in Markdown.
        marker: Text of a hidden first line in Markdown, by which a bot finds its earlier comment.
    """

    tables: tuple[Table, ...]
    flat: Table
    summary: str = ""
    marker: str = ""


def rendering_of(table: Table) -> Rendering:
    """Return a rendering with the same table in every format."""
    return Rendering(tables=(table,), flat=table)


def one_line(columns: tuple[str, ...], row: Row, sentence: str) -> Rendering:
    """Return a rendering with a sentence on a terminal and in Markdown, and a row in plain text and CSV."""
    return Rendering(tables=(), flat=Table(columns=columns, rows=(row,)), summary=sentence)


def exact(cell: Cell | Toned) -> str:
    """Return the text of a cell for programs: all digits, times to the microsecond, empty for None."""
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
    """Return the text of a cell for people: up to six significant digits, times to the second with their zone.

    Args:
        zone: The zone of times (default: the local zone).
    """
    value = cell.value if isinstance(cell, Toned) else cell
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return _zoned(value, zone)
    return exact(cell)


def _zoned(at: datetime, zone: tzinfo | None) -> str:
    """Return a time such as ``2026-03-01 12:00:34+01:00``, which ``--at`` and search read as well."""
    with contextlib.suppress(ValueError, OverflowError, OSError):  # years outside of the local zone's range stay in UTC
        at = at.astimezone(zone)
    return at.isoformat(" ", "seconds").replace("+00:00", "Z")


def plain_lines(table: Table) -> Sequence[str]:
    """Return tab-separated lines with a header; no cell is cut or contains a line break."""
    from mreg.domain.text import printable

    rows = [table.names, *(tuple(exact(cell) for cell in row) for row in table.rows)]
    return ["\t".join(printable(text) for text in row) for row in rows]


def csv_text(table: Table) -> str:
    """Return CSV (RFC 4180) with a header; a text that a spreadsheet would read as a formula gets a quote before it."""
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
    """Return Markdown for GitHub, with times in UTC; cells are escaped, so that stored text is never markup."""
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
    """Return the text escaped for Markdown: without markup, HTML, mentions, links and line breaks."""
    from mreg.domain.text import printable

    escaped = printable(text).translate(_MARKDOWN)
    # A bare address would become a link.
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
