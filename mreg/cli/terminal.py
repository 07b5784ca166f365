"""Tables on a terminal, drawn by rich."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from mreg import streams
from mreg.cli.table import Cell, Items, Rendering, Table, Toned, short
from mreg.domain.text import counted, printable

GAP = 2
"""Characters between two columns."""

NARROW = 24
"""Minimum width of a column of names or long texts; a narrow terminal leaves other columns out first."""

SHORTEST = 12
"""Minimum width of a column of names if no other column can be left out."""

MORE = ", ..."

CUT = "..."
"""The sign for the middle of a name that is left out."""

TONES = {"good": "green", "bad": "red", "next": "cyan", "dim": "dim", "strong": "bold"}
"""Colours that can be read on light and dark backgrounds."""


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
        if index:
            out.print()
        if table.title:
            out.print(_text(table.title, "bold", ascii_only=ascii_only))
        if table.rows:
            drawn, left_out = _drawn(table, out.width, ascii_only=ascii_only)
            out.print(drawn)
            if left_out:
                out.print(_text(_hidden(table, left_out, out.width), "dim", ascii_only=ascii_only))
        elif not table.facts:
            out.print(Text(table.empty, style="dim"))
    if rendering.summary:
        if rendering.tables:
            out.print()
        out.print(_text(rendering.summary, "", ascii_only=ascii_only))


def _hidden(table: Table, columns: Sequence[str], width: int) -> str:
    """Return the note on the columns that do not fit: their names, or their number if there are too many names."""
    remedy = "--columns NAME,... or --format plain" if table.choosable else "--format plain shows all"
    note = f"hidden: {', '.join(columns)} ({remedy})"
    if cell_len(note) > width and len(columns) > 1:
        note = f"hidden: {counted(len(columns), 'column')} ({remedy})"
    return note


def _drawn(table: Table, width: int, *, ascii_only: bool) -> tuple[RichTable, list[str]]:
    """Return the drawn table, and the headings of the columns that do not fit."""
    rows = table.for_people()
    texts = [[printable(short(row[place], seconds=table.facts)) for row in rows] for place in range(len(table.columns))]
    heads = [printable(heading) for heading in table.headings]
    natural = [
        max(map(cell_len, column), default=0) if table.facts else max(map(cell_len, (heads[place], *column)))
        for place, column in enumerate(texts)
    ]
    shown, left_out = _fitting(table, natural, width, [any(column) for column in texts])
    for place, length in _name_widths(table, natural, width, shown).items():
        natural[place] = length
        heads[place] = _shortened(heads[place], length)
        texts[place] = [_shortened(text, length) for text in texts[place]]
    room = width - sum(natural[place] + GAP for place in shown if table.columns[place] not in table.wide)
    drawn = RichTable(
        box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=not table.facts, header_style="bold"
    )
    for place in shown:
        column = table.columns[place]
        drawn.add_column(
            _text(heads[place], "", ascii_only=ascii_only),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=not table.facts and column not in table.wide and room >= NARROW,
            style="dim" if table.facts and place == 0 else "",
        )
    for index, row in enumerate(rows):
        drawn.add_row(*(_cell(row[place], texts[place][index], room, ascii_only=ascii_only) for place in shown))
    return drawn, [heads[place] for place in left_out]


def _fitting(table: Table, natural: Sequence[int], width: int, filled: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Return the places of the columns that are shown, and of those that do not fit."""
    places = [place for place in range(len(natural)) if filled[place] or table.facts or table.complete]
    left_out: list[int] = []
    for column in table.optional:
        flexible = (*table.wide, *table.shortened) if column in table.essential else table.wide
        needed = (min(natural[p], NARROW) if table.columns[p] in flexible else natural[p] for p in places)
        if sum(needed) + GAP * (len(places) - 1) <= width:
            break
        place = table.columns.index(column)
        if place in places:
            places.remove(place)
            left_out.append(place)
    return places, sorted(left_out)


def _name_widths(table: Table, natural: Sequence[int], width: int, shown: Sequence[int]) -> dict[int, int]:
    """Return the width of each column of names; names and long texts share the space that the other columns leave."""
    flexible = [place for place in shown if table.columns[place] in (*table.wide, *table.shortened)]
    room = width - GAP * (len(shown) - 1) - sum(natural[place] for place in shown if place not in flexible)
    widths = {}
    for left, place in zip(range(len(flexible), 0, -1), sorted(flexible, key=natural.__getitem__), strict=True):
        widths[place] = min(natural[place], max(room // left, SHORTEST))
        room -= widths[place]
    return {place: widths[place] for place in flexible if table.columns[place] in table.shortened}


def _shortened(text: str, length: int) -> str:
    """Return a text that fits into a number of terminal cells, without its middle if it is longer."""
    if cell_len(text) <= length:
        return text
    end = (length - len(CUT)) // 2
    return f"{set_cell_size(text, length - len(CUT) - end).rstrip()}{CUT}{_end(text, end)}"


def _end(text: str, length: int) -> str:
    """Return the longest end of a text that fits into a number of terminal cells."""
    end = text[-length:]
    while cell_len(end) > length:
        end = end[1:]
    return end


def _cell(cell: Cell | Toned, text: str, room: int, *, ascii_only: bool) -> Text:
    tone = TONES.get(cell.tone, "") if isinstance(cell, Toned) else ""
    value = cell.value if isinstance(cell, Toned) else cell
    if isinstance(value, Items) and cell_len(text) > room:
        text = _cut([printable(item) for item in value], room)
    return _text(text, tone, ascii_only=ascii_only)


def _cut(items: Sequence[str], room: int) -> str:
    """Return as many items as fit into one line, at least the first, and a sign that there are more."""
    text = items[0]
    for item in items[1:]:
        longer = f"{text}, {item}"
        if cell_len(longer) + len(MORE) > room:
            return text + MORE
        text = longer
    return text


def _text(text: str, style: str, *, ascii_only: bool) -> Text:
    safe = printable(text)
    if ascii_only:
        encoding = streams.output().encoding or "ascii"
        safe = safe.encode(encoding, "backslashreplace").decode(encoding)
    return Text(safe, style=style)
