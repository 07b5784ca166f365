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
    from mreg.server.tokens import Role

    return [str(role) for role in Role]


complete_reference = _quietly(_references)
complete_model = _quietly(_models)
complete_alias = _quietly(_aliases)
complete_metric = _quietly(_metrics)
complete_field = _quietly(_fields)
complete_stage = _quietly(_stages)
complete_profile = _quietly(_profiles)
complete_role = _quietly(_roles)
complete_trusted = _quietly(_trusted)


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
    """The completion script of a shell, as ``completions/`` holds it; what fails in it stays silent."""
    return _SCRIPTS[shell]


# Every script hands the words up to the cursor to mreg itself, in the form that Typer understands from bash, and gets a
# word a line. Nothing that comes back is evaluated.

_BASH = r"""# Completion of mreg for bash. Made by `mreg completion bash`.
_mreg() {
    local line=${COMP_LINE:0:COMP_POINT} breaks= char word rest
    local -a typed
    IFS=$' \t\n' read -ra typed <<<"$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    word=${typed[${#typed[@]}-1]}
    mapfile -t COMPREPLY < <(
        COMP_WORDS=$line COMP_CWORD=$((${#typed[@]} - 1)) _MREG_COMPLETE=complete_bash "$1" 2>/dev/null
    )
    # Without an offer the shell's own completion of files comes in.
    [[ ${#COMPREPLY[@]} == 1 && -z ${COMPREPLY[0]} ]] && COMPREPLY=() && return
    # Readline breaks words at these, and replaces only what stands behind the last one.
    for char in @ : =; do
        [[ $COMP_WORDBREAKS == *"$char"* ]] && breaks+=$char
    done
    if [[ -n $breaks && $word == *["$breaks"]* ]]; then
        rest=${word##*["$breaks"]}
        # An @ that begins a word it takes along.
        [[ ${word%"$rest"} == *@ ]] && rest=@$rest
        COMPREPLY=("${COMPREPLY[@]#"${word%"$rest"}"}")
    fi
}
complete -o default -F _mreg mreg
"""

_ZSH = r"""#compdef mreg
# Completion of mreg for zsh. Made by `mreg completion zsh`.
_mreg() {
    local -a found
    found=("${(@f)$(
        COMP_WORDS="${(j: :)words[1,CURRENT]}" COMP_CWORD=$((CURRENT - 1)) _MREG_COMPLETE=complete_bash \
            $words[1] 2>/dev/null
    )}")
    found=(${found:#})
    if (( $#found )); then
        compadd -- $found
    else
        _files
    fi
}
if [[ $funcstack[1] == _mreg ]]; then
    _mreg "$@"
else
    compdef _mreg mreg
fi
"""

_FISH = r"""# Completion of mreg for fish. Made by `mreg completion fish`.
function __mreg_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    COMP_WORDS="$typed $current" COMP_CWORD=(count $typed) _MREG_COMPLETE=complete_bash $typed[1] 2>/dev/null
end
complete --command mreg --no-files --arguments "(__mreg_complete)"
complete --command mreg --force-files --condition "__fish_seen_subcommand_from push pull"
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
