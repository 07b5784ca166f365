"""Write the manual pages of all commands and topics: ``python docs/man.py``; a test compares them with the help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mreg.cli.app import HEADINGS, root_command
from mreg.cli.pages import Page, Section, page_of
from mreg.cli.topics import TOPICS, topic

FOLDER = Path(__file__).parent.parent / "man"

_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})


def pages() -> dict[str, str]:
    """Return the text of each manual page by its path in the folder ``man``."""
    found: dict[str, str] = {}
    commands = dict(_commands(root_command(), ("mreg",)))
    for words, command in commands.items():
        page = page_of(command, " ".join(words))
        near = [other for other in commands if other[:-1] in (words, words[:-1]) and other != words]
        found[f"man1/{'-'.join(words)}.1"] = _command_page(page, words, near)
    for name in TOPICS:
        found[f"man7/mreg-{name}.7"] = _topic_page(name)
    return found


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name in getattr(command, "table", ()):
        yield from _commands(command.get_command(None, name), (*words, name))


def escaped(text: str) -> str:
    """Return a text as roff shows it, also at the beginning of a line."""
    found = text.translate(_ESCAPES)
    return rf"\&{found}" if found.startswith(".") else found


def _command_page(page: Page, words: tuple[str, ...], near: list[tuple[str, ...]]) -> str:
    name = "-".join(words)
    lines = [*_head(name, 1, page.summary), ".SH SYNOPSIS", rf"\fB{escaped(page.name)}\fR" + _synopsis(page)]
    lines += _paragraphs("DESCRIPTION", page.description or (page.summary,))
    commands = [section for section in page.sections if section.heading in (*HEADINGS, "Commands")]
    for heading, sections in (
        ("COMMANDS", commands),
        ("ARGUMENTS", [section for section in page.sections if section.heading == "Arguments"]),
        ("OPTIONS", [section for section in page.sections if section.heading not in ("Arguments", "Topics")]),
    ):
        sections = [section for section in sections if heading == "COMMANDS" or section not in commands]
        lines += _lists(heading, sections)
    lines += _code("EXAMPLES", page.examples)
    if words == ("mreg",):
        lines += _lists("EXIT STATUS", topic("exit-codes").sections)
        lines += _lists("ENVIRONMENT", topic("environment").sections)
    others = [f"{'-'.join(other)}(1)" for other in near] + [f"mreg-{name}(7)" for name in TOPICS]
    if words != ("mreg",):
        others.insert(0, "mreg(1)")
    return _joined([*lines, *_see_also(others)])


def _topic_page(name: str) -> str:
    page = topic(name)
    lines = _head(f"mreg-{name}", 7, page.summary)
    lines += _paragraphs("DESCRIPTION", page.description)
    for section in page.sections:
        lines += _lists(section.heading.upper(), [section])
    lines += _code("EXAMPLES", page.examples)
    return _joined([*lines, *_see_also(["mreg(1)", *(f"mreg-{other}(7)" for other in TOPICS if other != name)])])


def _head(name: str, section: int, summary: str) -> list[str]:
    title = escaped(name.upper())
    brief = summary[:1].lower() + summary[1:].removesuffix(".")
    return [
        r".\" Written by docs/man.py.",
        f'.TH "{title}" "{section}" "" "mreg" "mreg manual"',
        ".nh",
        ".ad l",
        ".SH NAME",
        rf"{escaped(name)} \- {escaped(brief)}",
    ]


def _synopsis(page: Page) -> str:
    words = page.usage.removeprefix(page.name).split()
    return "".join(f" {escaped(word)}" if "[" in word else rf" \fI{escaped(word)}\fR" for word in words)


def _paragraphs(heading: str, paragraphs: tuple[str, ...]) -> list[str]:
    lines = [f".SH {heading}"]
    for place, paragraph in enumerate(paragraphs):
        lines += [".PP"] if place else []
        lines.append(escaped(paragraph))
    return lines


def _lists(heading: str, sections: list[Section] | tuple[Section, ...]) -> list[str]:
    """Return a section of the manual; several lists become subsections."""
    lines = [f".SH {heading}"] if sections else []
    for section in sections:
        if len(sections) > 1:
            lines.append(f".SS {escaped(section.heading)}")
        for term, description in section.rows:
            lines += [".TP", _term(term.strip()), escaped(description)]
    return lines


def _term(term: str) -> str:
    """Return an option with its names in bold, or any other term in bold."""
    if not term.startswith("-"):
        return rf"\fB{escaped(term)}\fR"
    return " ".join(
        rf"\fB{escaped(word)}\fR" if word.startswith("-") else rf"\fI{escaped(word)}\fR" for word in term.split(" ")
    )


def _code(heading: str, lines: tuple[str, ...]) -> list[str]:
    return [f".SH {heading}", ".nf", ".RS 4", *map(escaped, lines), ".RE", ".fi"] if lines else []


def _see_also(names: list[str]) -> list[str]:
    links = [rf"\fB{escaped(name.partition('(')[0])}\fR({name.partition('(')[2]}" for name in names]
    return [".SH SEE ALSO", *(f"{link}," for link in links[:-1]), links[-1]]


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write every page, and remove those of commands that no longer exist."""
    wanted = pages()
    for path in FOLDER.glob("man?/*"):
        if path.relative_to(FOLDER).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
