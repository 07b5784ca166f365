"""The command ``mreg help``: the help of a command, or a topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mreg.cli.completion import complete_help

if TYPE_CHECKING:
    from mreg.cli.pages import Page


def show_help(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND|TOPIC",
            help="Command, command with subcommand, or topic (default: the list of commands).",
            autocompletion=complete_help,
        ),
    ] = None,
) -> None:
    """Show the help of a command or a topic.

    Topics are references, expressions, environment and exit-codes.

    Examples:
      mreg help
      mreg help push
      mreg help policy apply
      mreg help references
    """
    from mreg.cli.pages import show

    show(find_page(ctx.find_root().command, words or []))


def find_page(root: Any, words: list[str]) -> Page:
    """Return the page of a command or topic.

    Raises:
        BadInput: No command and no topic has this name.
    """
    from mreg.cli.pages import page_of
    from mreg.cli.topics import TOPICS, topic

    if len(words) == 1 and words[0] in TOPICS:
        return topic(words[0])
    command, rest = walk(root, words)
    name = " ".join(("mreg", *words[: len(words) - len(rest)]))
    if rest:
        from mreg.cli.suggestions import no_such_command

        known = list(getattr(command, "table", ()))
        raise no_such_command(name, rest[0], known, topics=TOPICS if command is root else ())
    return page_of(command, name)


def walk(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the first of these words name, and the words after them."""
    for place, word in enumerate(words):
        if word not in getattr(command, "table", ()):
            return command, words[place:]
        command = command.get_command(None, word)
    return command, []
