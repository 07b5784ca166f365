"""Tables of results, and their text in plain, CSV and Markdown; `mreg.cli.terminal` draws them on a terminal."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage

STAGE_TONES = {"Production": "good", "Staging": "next", "Archived": "dim"}

FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""First characters of a text that a spreadsheet reads as a formula, with the full-width forms."""

HEADINGS = {"bytes": "size"}
"""Names of columns and facts on a terminal and in Markdown, where they differ from those for programs."""


class Size(int):
    """A number of bytes, exact for programs and with a unit for people."""


class Items(tuple[str, ...]):
    """A list in a cell. A terminal shows as many items as fit on one line."""


class Link(str):
    """An address in a cell: a link in Markdown if it is an http or https address, and text elsewhere."""

    __slots__ = ()


class Phrase(tuple[str | datetime, ...]):
    """A text with times in it, which are written as in a cell of their own."""


Cell = str | int | float | bool | datetime | Size | Items | Phrase | None


@dataclass(frozen=True, slots=True)
class Toned:
    """A cell with a tone (``good``, ``bad``, ``next``, ``dim``, ``strong``); the text has the same meaning without it.

    Attributes:
        mark: Text after the value on a terminal and in Markdown.
    """

    value: Cell
    tone: str
    mark: str = ""


Row = tuple[Cell | Toned, ...]


def stage_cell(stage: ModelStage) -> Toned:
    """Return the name of a stage in its tone."""
    return Toned(stage.value, STAGE_TONES.get(stage.value, ""))


def data_cell(address: str) -> Link | str:
    """Return the address of data as a link, unless a digest follows it."""
    return address if "@sha256:" in address else Link(address)


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
        essential: Optional columns that are left out only if the names are as short as possible already; the last ones.
        shortened: Columns of names that a narrow terminal shortens in the middle.
        wide: Columns that a narrow terminal wraps before it leaves other columns out.
        choosable: The command has the option ``--columns``.
        complete: Columns without a value in any row are shown on a terminal, too.
        empty: Text on a terminal if there are no rows.
    """

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    facts: bool = False
    optional: tuple[str, ...] = ()
    essential: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    choosable: bool = False
    complete: bool = False
    empty: str = "nothing"

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, without the sign of alignment."""
        return tuple(column.removeprefix(">") for column in self.columns)

    @property
    def headings(self) -> tuple[str, ...]:
        """The column names on a terminal and in Markdown."""
        return tuple(HEADINGS.get(name, name) for name in self.names)

    def for_people(self) -> tuple[Row, ...]:
        """Return the rows on a terminal and in Markdown."""
        if not self.facts:
            return self.rows
        return tuple((HEADINGS.get(str(row[0]), row[0]), *row[1:]) for row in self.rows)


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


def short_digest(text: str) -> str:
    """Return a digest with 12 of its digits, other texts unchanged."""
    return text[:19] if text.startswith("sha256:") else text


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
    if isinstance(value, Items):
        return ", ".join(value)
    if isinstance(value, Phrase):
        return "".join(map(exact, value))
    return value if isinstance(value, str) else repr(value)


def short(cell: Cell | Toned, zone: tzinfo | None = None, *, seconds: bool = False) -> str:
    """Return the text of a cell for people: up to six significant digits, sizes with a unit, times with their zone.

    Args:
        zone: The zone of times (default: the local zone).
        seconds: Times to the second (default: to the minute).
    """
    value = cell.value if isinstance(cell, Toned) else cell
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, Size):
        from mreg.domain.text import size_text

        text = size_text(value)
    elif isinstance(value, datetime):
        text = _zoned(value, zone, seconds=seconds)
    elif isinstance(value, Phrase):
        text = "".join(short(part, zone, seconds=seconds) for part in value)
    else:
        text = exact(value)
    return f"{text} {cell.mark}".strip() if isinstance(cell, Toned) and cell.mark else text


def _zoned(at: datetime, zone: tzinfo | None, *, seconds: bool) -> str:
    """Return a time such as ``2026-03-01 12:00 CET``, which ``--at`` and search read as well."""
    with contextlib.suppress(ValueError, OverflowError, OSError):  # years outside of the local zone's range stay in UTC
        at = at.astimezone(zone)
    text = at.replace(tzinfo=None).isoformat(" ", "seconds" if seconds else "minutes")
    return f"{text} {zone_name(at)}"


def zone_name(at: datetime) -> str:
    """Return the abbreviation of the zone of a time, or the offset if the system has no abbreviation for it."""
    name = at.tzname() or ""
    return name if name.isascii() and name.isalnum() and len(name) <= 5 else at.isoformat()[-6:]


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
    return f"'{text}" if isinstance(value, (str, Items, Phrase)) and text[:1] in FORMULA_SIGNS else text


def markdown(rendering: Rendering) -> str:
    """Return Markdown for GitHub, with times in UTC; cells are escaped, so that stored text is never markup."""
    from mreg.domain.text import printable

    lines = [f"<!-- {printable(rendering.marker).replace('>', '&gt;')} -->"] if rendering.marker else []
    for table in rendering.tables:
        if table.title:
            lines += [f"### {markdown_cell(table.title)}", ""]
        names = table.headings if not table.facts else ("", "")
        lines.append("| " + " | ".join(markdown_cell(name) for name in names) + " |")
        lines.append("|" + "|".join("---:" if column.startswith(">") else "---" for column in table.columns) + "|")
        lines += [
            "| " + " | ".join(_markdown(cell, seconds=table.facts) for cell in row) + " |" for row in table.for_people()
        ]
        lines.append("")
    if rendering.summary:
        lines += [markdown_cell(rendering.summary), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


_MARKDOWN = str.maketrans(
    {char: f"\\{char}" for char in "\\`*_{}[]|~#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}
)


_ADDRESS = re.compile(r"https?://[a-z0-9][a-z0-9.-]{0,252}(?::[0-9]{1,5})?(?=[/?#]|\Z)", re.IGNORECASE)
"""Scheme and host of an address that becomes a link; a user before the host would hide the host."""

_KEPT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/?#%=+,:;&")
"""Characters of the rest of an address that a link keeps; the others are percent-encoded."""


def _markdown(cell: Cell | Toned, *, seconds: bool) -> str:
    return markdown_link(cell) if isinstance(cell, Link) else markdown_cell(short(cell, UTC, seconds=seconds))


def markdown_link(address: str) -> str:
    """Return a Markdown link to an http or https address, otherwise the text of `markdown_cell`.

    The target cannot end the link or begin other markup: it is in angle brackets, and has only characters that are
    neither markup nor special in a table.
    """
    match = _ADDRESS.match(address)
    if not match:
        return markdown_cell(address)
    rest = "".join(
        char if char in _KEPT else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
        for char in address[match.end() :]
    )
    return f"[{markdown_cell(address)}](<{match[0]}{rest.replace('&', '&amp;')}>)"


def markdown_cell(text: str) -> str:
    """Return the text escaped for Markdown: without markup, HTML, mentions, links and line breaks."""
    from mreg.domain.text import printable

    escaped = printable(text).translate(_MARKDOWN)
    # A bare address would become a link.
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
