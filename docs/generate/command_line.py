"""The reference of the command line, from the definitions of the commands."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import typer

from mreg.cli.app import root_command, shared_options

INDEX = """\
# Command line

`mreg COMMAND --help` shows the same in a terminal.

"""
EXAMPLES = re.compile(r"^Examples?:$")


def pages() -> dict[str, str]:
    """Return the index, and one page for each command with its subcommands."""
    root = root_command()
    context = typer.Context(root, info_name="mreg")  # type: ignore[arg-type]
    written = {"reference/cli/index.md": INDEX + "".join(_index(root, context)) + _common(root, context)}
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if not command.hidden:
            written[f"reference/cli/{name}.md"] = "".join(_page(command, context, name, 1))
    return written


def _index(root: Any, context: Any) -> Iterator[str]:
    """Yield a table of the commands for each group of the help."""
    groups: dict[str, list[str]] = {}
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if not command.hidden:
            row = f"| [`{name}`]({name}.md) | {_cell(_first(command))} |\n"
            groups.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append(row)
    for title, rows in groups.items():
        yield f"## {title}\n\n| command | purpose |\n|---|---|\n{''.join(rows)}\n"


def _common(root: Any, context: Any) -> str:
    own = {option.opts[0] for option in shared_options()}
    more = [option for option in root.get_params(context) if option.opts[0] not in own]
    return "## Options of every command\n\n" + _table([*shared_options(), *more])


def _page(command: Any, parent: Any, name: str, level: int) -> Iterator[str]:
    context = typer.Context(command, info_name=name, parent=parent)
    own = {option.opts[0] for option in shared_options()} | {"--help"}
    parameters = [
        parameter
        for parameter in command.get_params(context)
        if parameter.opts[0] not in own and not getattr(parameter, "hidden", False)
    ]
    yield f"{'#' * level} {context.command_path}\n\n"
    yield from _help(command.help or "")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n\n"
    groups: dict[str, list[Any]] = {}
    for parameter in parameters:
        title = "Arguments" if parameter.param_type_name == "argument" else "Options"
        groups.setdefault(getattr(parameter, "rich_help_panel", None) or title, []).append(parameter)
    for title, group in groups.items():
        yield f"**{title}**\n\n{_table(group)}\n"
    for subcommand in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _page(command.get_command(context, subcommand), context, subcommand, level + 1)


def _help(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; examples are shell lines."""
    for paragraph in inspect.cleandoc(text.replace("\b", "")).split("\n\n"):
        lines = paragraph.strip("\n")
        if lines.startswith("  "):
            yield f"```sh\n{textwrap.dedent(lines)}\n```\n\n"
        elif lines and not EXAMPLES.match(lines):
            yield f"{lines}\n\n"


def _table(parameters: list[Any]) -> str:
    rows = [f"| {_names(parameter)} | {_meaning(parameter)} |\n" for parameter in parameters]
    return "".join(["| | |\n", "|---|---|\n", *rows])


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name.upper()).strip('{}[]')}`"
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} `{parameter.metavar or 'TEXT'}`"


def _meaning(parameter: Any) -> str:
    notes = [parameter.help or ""]
    if parameter.param_type_name == "argument" and parameter.required and "(required)" not in notes[0]:
        notes.append("(required)")
    if getattr(parameter, "multiple", False) and "several times" not in notes[0]:
        notes.append("Can be given several times.")
    return _cell(" ".join(note for note in notes if note))


def _first(command: Any) -> str:
    return inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
