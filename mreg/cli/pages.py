"""Help pages: what a command does, its usage, examples, arguments and options, read from its own definition."""

from __future__ import annotations

import inspect
import os
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mreg import streams

if TYPE_CHECKING:
    import typer

WIDEST = 120
"""Maximum width of a help text; longer lines are hard to read."""

TERM_LIMIT = 30
"""Maximum width of the column of options and commands."""

NARROW = 60
"""Below this width each description is on the line after its term."""


@dataclass(frozen=True, slots=True)
class Section:
    """A list of terms and their descriptions, such as the options of one group."""

    heading: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The help of one command or topic.

    Attributes:
        name: The command line up to the command: ``mreg policy apply``.
        usage: Synopsis; empty for a topic.
        examples: Lines of the examples.
        description: Paragraphs.
    """

    name: str
    summary: str
    usage: str = ""
    examples: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()


def page_of(command: Any, name: str) -> Page:
    """Return the page of a command or group of commands.

    Args:
        name: The command line up to the command, such as ``mreg policy apply``.
    """
    summary, description, examples = read_docstring(command.help or "")
    table = getattr(command, "headings", None)
    arguments = [param for param in command.params if param.param_type_name == "argument" and not param.hidden]
    words = ["COMMAND"] if table else [argument_term(param) for param in arguments]
    sections = [Section(heading, _summaries(entries)) for heading, entries in (table or {}).items()]
    if name == "mreg":
        from mreg.cli.topics import TOPICS

        sections.append(Section("Topics", tuple((f"mreg help {topic}", summary) for topic, summary in TOPICS.items())))
    if arguments:
        sections.append(Section("Arguments", tuple((argument_term(param), describe(param)) for param in arguments)))
    return Page(
        name=name,
        summary=summary,
        usage=" ".join([name, "[OPTIONS]", *words]),
        examples=examples,
        description=description,
        sections=(*sections, *_option_sections(command)),
    )


def read_docstring(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the summary, the paragraphs and the lines under ``Examples:`` of a docstring."""
    prose, _, examples = inspect.cleandoc(text).partition("\nExamples:\n")
    summary, *paragraphs = prose.strip().split("\n\n")
    lines = textwrap.dedent(examples).strip("\n").split("\n") if examples else []
    return " ".join(summary.split()), tuple(" ".join(part.split()) for part in paragraphs), tuple(lines)


def _summaries(entries: dict[str, tuple[str, str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, summary) for name, (_, _, summary) in entries.items())


def _option_sections(command: Any) -> Iterator[Section]:
    """Yield the options by their groups; those without a group come first."""
    groups: dict[str, list[tuple[str, str]]] = {"Options": []}
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            group = groups.setdefault(param.rich_help_panel or "Options", [])
            group.append((option_term(param), describe(param)))
    for heading, rows in groups.items():
        if rows:
            yield Section(heading, tuple(rows))


def argument_term(argument: Any) -> str:
    """Return the placeholder of an argument, in brackets if it can be left out."""
    word = argument.metavar or argument.name.upper()
    return word if argument.required or word.startswith("[") else f"[{word}]"


def option_term(option: Any) -> str:
    """Return the names of an option with the placeholder of its value: ``-n, --name NAME``."""
    names = sorted(option.opts, key=len)
    term = ", ".join(names) if len(names) > 1 else f"    {names[0]}"
    return term if option.is_flag else f"{term} {option.metavar}"


def describe(parameter: Any) -> str:
    """Return the description of a parameter, with its obligation, repetition and default."""
    notes = []
    if parameter.param_type_name == "option":
        notes += ["required"] if parameter.required else []
        notes += ["repeatable"] if parameter.multiple else []
    if isinstance(parameter.default, str) and parameter.default:
        notes.append(f"default: {parameter.default}")
    text = (parameter.help or "").removesuffix(".")
    if not notes:
        return parameter.help or ""
    begun = f"{text[:-1]}; " if text.endswith(")") else f"{text} ("
    return f"{begun}{'; '.join(notes)})."


def text_of(page: Page, width: int, *, bold: bool = False) -> str:
    """Return a page as text.

    Args:
        bold: Make the headings bold, for a terminal.
    """
    on, off = ("\x1b[1m", "\x1b[0m") if bold else ("", "")
    blocks = [_filled(page.summary, width)]
    if page.usage:
        blocks.append(textwrap.fill(f"Usage: {page.usage}", width, subsequent_indent=" " * 8, break_on_hyphens=False))
        blocks[-1] = f"{on}Usage:{off}{blocks[-1].removeprefix('Usage:')}"
    if page.examples:
        blocks.append("\n".join([f"{on}Examples:{off}", *(f"  {line}".rstrip() for line in page.examples)]))
    blocks += [_filled(paragraph, width) for paragraph in page.description]
    terms = [len(term) for section in page.sections for term, _ in section.rows]
    column = min(max(terms, default=0), TERM_LIMIT)
    for section in page.sections:
        lines = [f"{on}{section.heading}:{off}"]
        for term, description in section.rows:
            lines += _row(term, description, column, width)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _filled(paragraph: str, width: int) -> str:
    return textwrap.fill(paragraph, width, break_on_hyphens=False, break_long_words=False)


def _row(term: str, description: str, column: int, width: int) -> list[str]:
    start = f"  {term:{column}}  "
    indent = " " * (column + 4)
    if width < NARROW:
        indent = " " * 10
    wrapped = textwrap.wrap(
        description,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    if width < NARROW or len(term) > column:
        return [f"  {term}", *wrapped]
    return [(start + "".join(wrapped[:1]).lstrip()).rstrip(), *wrapped[1:]]


def show(page: Page) -> None:
    """Print a page to standard output, as wide as the terminal, with bold headings on a terminal."""
    bold = _is_coloured()
    streams.screen().write(text_of(page, _width(), bold=bold))


def help_of(ctx: typer.Context) -> str:
    """Return the help of the command of a context, as plain text without the last newline."""
    return text_of(page_of(ctx.command, ctx.command_path), _width()).rstrip("\n")


def _width() -> int:
    return max(min(shutil.get_terminal_size().columns, WIDEST), 20)


def _is_coloured() -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or os.name == "nt":
        return False
    return streams.is_terminal("stdout") or os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")
