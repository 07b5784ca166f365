"""Completion: scripts for the shells, and the words that they ask for while a person types.

A completer never fails and never prints: where the catalog can't be read there is nothing to offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import typer

STAGES = ("None", "Staging", "Production", "Archived")
SHELLS = ("bash", "zsh", "fish")

Completer = Callable[[typer.Context, list[str], str], list[str]]


def _quietly(offer: Callable[[typer.Context, str], Iterable[str]]) -> Completer:
    """The completer that offers these words where it can, and nothing where it can't."""

    def complete(ctx: typer.Context, args: list[str], incomplete: str) -> list[str]:  # noqa: ARG001
        try:
            return [word for word in offer(ctx, incomplete) if word.startswith(incomplete)]
        except Exception:  # noqa: BLE001  an error in the middle of a person's prompt helps nobody
            return []

    return complete


def _references(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.app import invocation_of

    words = ctx.params.get("words") or []
    registry = invocation_of(ctx).registry
    if words and "@" not in words[-1] and "@" not in incomplete:
        # `mreg show classifier <TAB>`: the selectors of that model.
        return [word.partition("@")[2] for word in registry.completions(f"{words[0]}@")]
    return registry.completions(incomplete)


def _models(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.app import invocation_of

    return [word for word in invocation_of(ctx).registry.completions(incomplete) if "@" not in word]


def _aliases(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    from mreg.cli.app import invocation_of

    return invocation_of(ctx).registry.model(str(ctx.params["reference_text"])).aliases


def _metrics(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    from mreg.cli.app import invocation_of

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
    from mreg.cli.app import invocation_of
    from mreg.profile.load import list_profiles

    return [profile.name for profile in list_profiles(config=invocation_of(ctx).config)]


complete_reference = _quietly(_references)
complete_model = _quietly(_models)
complete_alias = _quietly(_aliases)
complete_metric = _quietly(_metrics)
complete_field = _quietly(_fields)
complete_stage = _quietly(_stages)
complete_profile = _quietly(_profiles)


def completion(
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="For which shell.")],
) -> None:
    """Print the completion script of a shell.

    Examples:

    \b
      mreg completion bash > ~/.local/share/bash-completion/completions/mreg
      mreg completion zsh > ~/.zfunc/_mreg
      mreg completion fish > ~/.config/fish/completions/mreg.fish
    """
    from mreg.domain.text import nearest, quoted
    from mreg.errors import BadInput

    if shell not in SHELLS:
        near = nearest(shell, SHELLS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are scripts for {', '.join(SHELLS)}"
        raise BadInput(f"there is no completion for the shell {quoted(shell)}", hint=hint)
    print(script(shell), end="")


def script(shell: str) -> str:
    """The completion script of a shell, as ``completions/`` holds it."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="mreg", complete_var="_MREG_COMPLETE", shell=shell) + "\n"
