"""The reference of the command line, from the pages of the help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docs.generate.cells import cell, prose
from mreg.cli.app import HEADINGS, root_command, shared_options
from mreg.cli.pages import Section, describe, option_term, page_of

INDEX = """\
# Command line

`mreg COMMAND --help` shows the same pages in a terminal, and `mreg help TOPIC` explains
[references](../references.md), [expressions](../expressions.md), the [environment](../configuration.md) and
[exit codes](../exit-codes.md).

"""
SHARED = {option_term(option).strip() for option in shared_options()} | {"-h, --help"}
"""Options of every command, which only the index lists."""


def pages() -> dict[str, str]:
    """Return the index, and one page for each command with its subcommands."""
    root = root_command()
    written = {"reference/cli/index.md": INDEX + "".join(_index())}
    for name in root.table:
        written[f"reference/cli/{name}.md"] = "".join(_command(root.get_command(None, name), f"mreg {name}", 1))  # type: ignore[arg-type]
    return written


def _index() -> Iterator[str]:
    for heading, commands in HEADINGS.items():
        rows = [f"| [`mreg {name}`]({name}.md) | {cell(summary)} |\n" for name, (*_, summary) in commands.items()]
        yield f"## {heading}\n\n| command | purpose |\n|---|---|\n{''.join(rows)}\n"
    options = tuple((option_term(option), describe(option)) for option in shared_options())
    yield f"## Options of every command\n\n{_table(Section('Options', options))}"


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    page = page_of(command, name)
    yield f"{'#' * level} {name}\n\n{prose(page.summary)}\n\n"
    if page.examples:
        yield "\n".join(["```sh", *page.examples, "```\n\n"])
    yield from (f"{prose(paragraph)}\n\n" for paragraph in page.description)
    yield f"Usage: `{page.usage}`\n\n"
    for section in page.sections:
        rows = tuple(row for row in section.rows if row[0].strip() not in SHARED)
        if rows:
            yield f"**{section.heading}**\n\n{_table(Section(section.heading, rows))}\n"
    for subcommand in getattr(command, "table", ()):
        yield from _command(command.get_command(None, subcommand), f"{name} {subcommand}", level + 1)


def _table(section: Section) -> str:
    kind = {"Arguments": "argument", "Commands": "command"}.get(section.heading, "option")
    rows = [f"| `{term.strip()}` | {cell(description)} |\n" for term, description in section.rows]
    return "".join([f"| {kind} | meaning |\n", "|---|---|\n", *rows])
