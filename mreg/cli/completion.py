"""Completion: scripts for the shells, and the words that the scripts ask for while a person types.

Other people can have written the catalogs and project files from which the words come. Each word is therefore quoted
for the shell that inserts it, and a word that a shell or a terminal cannot hold as text is not offered. A completer
never fails and never prints: if the catalog cannot be read, there is nothing to offer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mreg import streams

if TYPE_CHECKING:
    from mreg.cli.invocation import Invocation

STAGES = ("None", "Staging", "Production", "Archived")

Completer = Callable[[typer.Context, list[str], str], list[str]]


def _quietly(offer: Callable[[typer.Context, str], Iterable[str]]) -> Completer:
    """Return the completer that offers these words, and nothing if the offer fails."""

    def complete(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:  # noqa: ARG001
        try:
            return [word for word in offer(ctx, incomplete) if _offered(word, incomplete)]
        except Exception:  # noqa: BLE001  an error in the middle of a person's prompt helps nobody
            return []

    return complete


def _offered(word: str, incomplete: str) -> bool:
    """Return whether a stored word continues what was typed and is text.

    mreg would read a word that begins with a dash as an option, so the person has to begin it.
    """
    dashed = word.startswith("-") and not incomplete.startswith("-")
    return word.startswith(incomplete) and word.isprintable() and not dashed


def _references(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.invocation import invocation_of

    words = ctx.params.get("words") or []
    registry = invocation_of(ctx).registry
    if words and "@" not in words[-1] and "@" not in incomplete:
        # `mreg show classifier <TAB>`: the selectors of that model.
        return [word.partition("@")[2] for word in registry.completions(f"{words[0]}@")]
    return registry.completions(incomplete)


def _models(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.invocation import invocation_of

    return [word for word in invocation_of(ctx).registry.completions(incomplete) if "@" not in word]


def _aliases(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    from mreg.cli.invocation import invocation_of

    name = next(iter(ctx.params.get("words") or ctx.args), "")
    return invocation_of(ctx).registry.model(str(name)).aliases


def _metrics(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.invocation import invocation_of

    return invocation_of(ctx).registry.metric_names(incomplete)


def _fields(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.domain.expression import FIELDS

    sign = "-" if incomplete.startswith("-") else ""
    metrics = _metrics(ctx, incomplete.removeprefix(sign).removeprefix("metrics."))
    return [f"{sign}{field}" for field in (*FIELDS, *(f"metrics.{name}" for name in metrics))]


def _stages(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    # In the case that the person began with.
    return [stage.lower() if incomplete.islower() else stage for stage in STAGES]


def _profiles(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    from mreg.cli.invocation import invocation_of
    from mreg.profile.load import list_profiles

    return [profile.name for profile in list_profiles(config=invocation_of(ctx).config)]


def _trusted(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    import os

    from mreg.profile.trust import trusted_folders

    # For --remove alone: a folder that is to be trusted is one that the shell completes.
    return [one.folder for one in trusted_folders(os.environ)] if ctx.params.get("remove") else []


def _roles(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    from mreg.results.tokens import Role

    return [str(role) for role in Role]


def _help_words(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    from mreg.cli.help import walk
    from mreg.cli.topics import TOPICS

    words = ctx.params.get("words") or []
    command, _ = walk(ctx.find_root().command, words)
    return [*getattr(command, "table", ()), *(() if words else TOPICS)]


complete_reference = _quietly(_references)
complete_model = _quietly(_models)
complete_alias = _quietly(_aliases)
complete_metric = _quietly(_metrics)
complete_field = _quietly(_fields)
complete_stage = _quietly(_stages)
complete_profile = _quietly(_profiles)
complete_role = _quietly(_roles)
complete_trusted = _quietly(_trusted)
complete_help = _quietly(_help_words)


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Shell.")],
) -> None:
    """Print the completion script for a shell.

    Examples:
      mreg completion bash > ~/.local/share/bash-completion/completions/mreg
      mreg completion zsh > ~/.zfunc/_mreg
      mreg completion fish > ~/.config/fish/completions/mreg.fish
    """
    from mreg.cli.shells import SHELLS, script
    from mreg.domain.text import nearest, quoted
    from mreg.errors import BadInput

    if shell not in SHELLS:
        near = nearest(shell, SHELLS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are scripts for {', '.join(SHELLS)}"
        raise BadInput(f"there is no completion for the shell {quoted(shell)}", hint=hint)
    streams.put(script(shell))


def answer(shell: str, typed: Sequence[str], invocation: Invocation) -> None:
    """Print the words that continue a command line, one a line.

    Args:
        shell: Which script asks. ``bash`` hands over the line up to the cursor as one text, and gets the rest of each
            word, quoted for that place in the line. ``zsh`` and ``fish`` hand over the words after the program's name,
            the last of them up to the cursor, and get whole words, which they quote. ``complete_bash`` is the scripts
            of earlier releases: they insert what they read, and get only words that need no quotes.
    """
    from mreg.cli.shells import completed_for_bash, needs_no_quotes

    words, quote = _typed(shell, typed)
    if not words or quote == "\\":
        return
    found = [word for word in _continued(words, invocation) if word.startswith(words[-1])]
    if shell in ("bash", "zsh"):
        found = _with_their_beginning(found)
    if shell == "bash":
        found = [completed_for_bash(word.removeprefix(words[-1]), quote) for word in found]
    elif shell == "complete_bash":
        found = [word for word in found if needs_no_quotes(word)]
    # A word that the encoding lacks would be escaped, and so be another word.
    streams.put_lines(word for word in found if streams.can_show("stdout", word))


def _with_their_beginning(words: list[str]) -> list[str]:
    """Return the words, and what all of them begin with if a quote could follow it.

    bash and zsh insert what the quoted words have in common. It could end within a quote: ``\\$`` and ``\\(`` have a
    backslash in common, which would join the next line to this one. The beginning as a word of its own prevents that.
    """
    from mreg.cli.shells import needs_no_quotes

    common = os.path.commonprefix(words)  # noqa: RUF071  of characters, and not of folders
    following = [word[len(common) :][:1] for word in words]
    return words if all(map(needs_no_quotes, following)) or common in words else [common, *words]


def _typed(shell: str, typed: Sequence[str]) -> tuple[list[str], str]:
    """Return the words after the program's name, the last one unfinished, and the quote that is open at its end."""
    from mreg.cli.shells import SHELLS, split

    if shell == "complete_bash":
        words, quote = split(os.environ.get("COMP_WORDS", ""))
        return words[1:], quote
    if shell == "bash" and typed:
        words, quote = split(typed[-1])
        return words[1:], quote
    if shell not in SHELLS or not typed:
        return [], ""
    if shell == "fish":  # the unfinished word comes as it was typed
        last, quote = split(typed[-1], fish=True)
        return [*typed[:-1], last[-1]], quote
    return list(typed), ""


def _continued(words: Sequence[str], invocation: Invocation) -> list[str]:
    from typer._completion_classes import BashComplete

    from mreg.cli.app import root_command

    *before, incomplete = words
    name, sign, _ = incomplete.partition("=")
    complete = BashComplete(root_command(), {"obj": invocation}, "mreg", "_MREG_COMPLETE")
    try:
        found = [str(item.value) for item in complete.get_completions(before, incomplete)]
    except Exception:  # noqa: BLE001  an error in the middle of a person's prompt helps nobody
        return []
    # Typer offers the values of --option=value without the option.
    return [f"{name}={word}" if sign and name.startswith("-") else word for word in found if word]
