"""Tables on a terminal, drawn by rich."""

from __future__ import annotations

import os

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mreg import streams
from mreg.cli.table import Cell, Rendering, Table, Toned, short
from mreg.domain.text import printable

GAP = 3
"""Characters between two columns."""

TONES = {"good": "green", "bad": "red", "dim": "dim", "strong": "bold"}


def console() -> Console:
    """Return the terminal of standard output; it honours NO_COLOR and CLICOLOR_FORCE, and never interprets markup."""
    forced = os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0") and not os.environ.get("NO_COLOR")
    width = None if streams.is_terminal("stdout") else 200
    return Console(
        file=streams.screen(),
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=True if forced else None,
        safe_box=not streams.is_utf8("stdout"),
        width=_columns() or width,
        legacy_windows=False,
    )


def _columns() -> int | None:
    columns = os.environ.get("COLUMNS", "")
    return max(int(columns), 20) if columns.isdecimal() and len(columns) < 6 else None


def print_rendering(rendering: Rendering) -> None:
    """Draw the tables one below the other, then the summary."""
    out = console()
    ascii_only = not streams.is_utf8("stdout")
    for index, table in enumerate(rendering.tables):
        if index and rendering.tables[index - 1].facts:
            out.print()
        if table.title:
            out.print(_text(table.title, "bold", ascii_only=ascii_only))
        if table.rows:
            fitting, left_out = _fitting(table, out.width)
            out.print(_drawn(fitting, ascii_only=ascii_only))
            if left_out:
                note = f"{', '.join(left_out)}: not shown in {out.width} columns; --format plain has all"
                out.print(_text(note, "dim", ascii_only=ascii_only))
        elif not table.facts:
            out.print(Text("nothing", style="dim"))
    if rendering.summary:
        out.print(_text(rendering.summary, "", ascii_only=ascii_only))


def _fitting(table: Table, width: int) -> tuple[Table, list[str]]:
    """Return the table without the optional columns that do not fit, and the names of these columns."""
    left_out: list[str] = []
    for column in table.optional:
        cells = zip(table.names, *([printable(short(cell)) for cell in row] for row in table.rows), strict=True)
        if sum(max(map(len, texts)) + GAP for texts in cells) <= width:
            break
        table = table.without(column)
        left_out.append(column.removeprefix(">"))
    return table, left_out[::-1]


def _drawn(table: Table, *, ascii_only: bool) -> RichTable:
    drawn = RichTable(
        box=box.ASCII if ascii_only and not table.facts else (None if table.facts else box.SIMPLE_HEAD),
        show_header=not table.facts,
        pad_edge=False,
        header_style="bold",
    )
    for index, column in enumerate(table.columns):
        drawn.add_column(
            _text(column.removeprefix(">"), "", ascii_only=ascii_only),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            style="dim" if table.facts and index == 0 else "",
        )
    for row in table.rows:
        drawn.add_row(*(_cell(cell, ascii_only=ascii_only) for cell in row))
    return drawn


def _cell(cell: Cell | Toned, *, ascii_only: bool) -> Text:
    tone = TONES.get(cell.tone, "") if isinstance(cell, Toned) else ""
    return _text(short(cell), tone, ascii_only=ascii_only)


def _text(text: str, style: str, *, ascii_only: bool) -> Text:
    safe = printable(text)
    if ascii_only:
        encoding = streams.output().encoding or "ascii"
        safe = safe.encode(encoding, "backslashreplace").decode(encoding)
    return Text(safe, style=style)
