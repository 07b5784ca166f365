"""Tab completion: the command completion, and the words that the scripts of the shells request.

The words come from catalogs and project files that other people can write. Each word is therefore quoted for the shell
that inserts it, and a word with characters that are not printable is not offered. A completer never fails and never
prints: it offers nothing if the catalog cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mreg import streams

if TYPE_CHECKING:
    from mreg.cli.invocation import Invocation
    from mreg.results.models import ModelVersions

STAGES = ("None", "Staging", "Production", "Archived")

LIMIT = 200
"""Maximum number of versions that are read for their descriptions, metrics or tags."""

Offer = Iterable[str | tuple[str, str]]
Completer = Callable[[typer.Context, list[str], str], list[str | tuple[str, str]]]


class Word:
    """A completed word with a description, as Typer passes it on."""

    type = "plain"

    def __init__(self, value: str, help: str = "") -> None:
        self.value = value
        self.help = help


def _quietly(offer: Callable[[typer.Context, str], Offer]) -> Completer:
    """Return a completer that offers these words, with or without a description, and none if an error occurs."""

    def complete(ctx: typer.Context, args: list[str], incomplete: str) -> list[str | tuple[str, str]]:  # noqa: ARG001
        try:
            return [word for word in offer(ctx, incomplete) if _offered(_text(word), incomplete)]
        except Exception:  # noqa: BLE001  an error message would garble the prompt
            return []

    return complete


def _text(word: str | tuple[str, str]) -> str:
    return word if isinstance(word, str) else word[0]


def _offered(word: str, incomplete: str) -> bool:
    """Return whether a stored word is printable and continues the typed text.

    mreg would read a word that begins with a dash as an option, so it is offered only after a typed dash.
    """
    dashed = word.startswith("-") and not incomplete.startswith("-")
    return word.startswith(incomplete) and word.isprintable() and not dashed


def _typed_model(ctx: typer.Context) -> str:
    """Return the model that the words before name, otherwise the default model; empty if there is none."""
    words = ctx.params.get("words") or ctx.params.get("name") or ctx.args
    first = str(words if isinstance(words, str) else next(iter(words), ""))
    return first.partition("@")[0] if first and not _is_selector(first) else _default(ctx)


def _is_selector(word: str) -> bool:
    from mreg.domain.names import selector_alone

    return "=" in word or selector_alone(word) is not None


def _default(ctx: typer.Context) -> str:
    from mreg.cli.invocation import invocation_of

    return str(invocation_of(ctx).default_model() or "")


def _model_versions(ctx: typer.Context, name: str) -> ModelVersions:
    from mreg.cli.invocation import invocation_of
    from mreg.domain.names import ModelName, VersionRef

    wanted = VersionRef(ModelName(name), exact=True)
    return cast("ModelVersions", invocation_of(ctx).registry.show(wanted, limit=LIMIT))


def _references(ctx: typer.Context, incomplete: str) -> Offer:
    """Offer models, or the references of the model before the ``@``, with descriptions if the shell shows them."""
    from mreg.cli.invocation import invocation_of

    words = invocation_of(ctx).registry.completions(incomplete)
    name, at, _ = incomplete.partition("@")
    if not (words and at and os.environ.get("_MREG_COMPLETE") in DESCRIBING):
        return words
    selectors = _descriptions(_model_versions(ctx, name))
    return [(word, selectors.get(word.partition("@")[2], "")) for word in words]


def _descriptions(found: ModelVersions) -> dict[str, str]:
    """Return a description of each selector of a model."""
    versions = {
        str(version.version): ", ".join(
            [
                version.stage.value,
                *(f"{name} {value}" for name, value in version.metrics.items() if name == found.metric),
                version.created_at.astimezone().date().isoformat(),
            ]
        )
        for version in found.versions
    }
    texts = {"best": f"version with the best {found.metric}" if found.metric else ""}
    latest = next((version for version in found.versions if version.stage.value != "Archived"), None)
    places = {"latest": latest.version} if latest else {}
    places |= {version.stage.value.lower(): version.version for version in reversed(found.versions)}
    places |= found.model.aliases
    texts |= {place: f"version {number}: {versions.get(str(number), '')}" for place, number in places.items()}
    return texts | versions


def _reference_words(ctx: typer.Context, incomplete: str) -> Offer:
    words = ctx.params.get("words") or []
    if incomplete.startswith("@") or (not words and _is_selector(incomplete)):
        # `mreg show @<TAB>` and `mreg show 1<TAB>`: the selectors of the default model.
        at = "@" if incomplete.startswith("@") else ""
        return [(at + word, text) for word, text in _selectors(ctx, _typed_model(ctx))]
    if not words or "@" in words[-1] or "@" in incomplete or _is_selector(words[0]):
        return _references(ctx, incomplete)
    return _selectors(ctx, words[0])  # `mreg show churn <TAB>`


def _selectors(ctx: typer.Context, model: str) -> list[tuple[str, str]]:
    """Return the selectors of a model, with descriptions if the shell shows them."""
    found = _references(ctx, f"{model}@") if model else ()
    pairs = [(word, "") if isinstance(word, str) else word for word in found]
    return [(word.partition("@")[2], text) for word, text in pairs]


def _versions(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    return _references(ctx, f"{_typed_model(ctx)}@")


def _tag_words(ctx: typer.Context, incomplete: str) -> Offer:
    words = ctx.params.get("words") or []
    keys = [f"{key}=" for key in _tags(ctx, incomplete)] if words else []
    versions = [] if any("=" in word or "@" in word for word in words) else _reference_words(ctx, incomplete)
    return [*versions, *keys]


def _tags(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    found = _model_versions(ctx, _typed_model(ctx))
    return sorted({*found.model.tags, *(key for version in found.versions for key in version.tags)})


def _models(ctx: typer.Context, incomplete: str) -> Offer:
    from mreg.cli.invocation import invocation_of

    return [word for word in invocation_of(ctx).registry.completions(incomplete) if "@" not in word]


def _aliases(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.cli.invocation import invocation_of

    aliases = invocation_of(ctx).registry.model(_typed_model(ctx)).aliases
    return [(alias, f"alias of version {version}") for alias, version in aliases.items()]


def _metrics(ctx: typer.Context, incomplete: str) -> Iterable[str]:
    """Offer the metrics of the model that the words before name, or of all models."""
    from mreg.cli.invocation import invocation_of
    from mreg.errors import MregError

    try:
        versions = _model_versions(ctx, _typed_model(ctx)).versions
    except MregError:  # no model is named, or it is new
        return invocation_of(ctx).registry.metric_names(incomplete)
    return sorted({name for version in versions for name in version.metrics})


def _fields(ctx: typer.Context, incomplete: str) -> Offer:
    from mreg.cli.invocation import invocation_of
    from mreg.domain.expression import FIELDS

    sign = "-" if incomplete.startswith("-") else ""
    metrics = invocation_of(ctx).registry.metric_names(incomplete.removeprefix(sign).removeprefix("metrics."))
    return [f"{sign}{field}" for field in (*FIELDS, *(f"metrics.{name}" for name in metrics))]


def _stages(ctx: typer.Context, incomplete: str) -> Iterable[str]:  # noqa: ARG001
    # In the case of the typed letters.
    return [stage.lower() if incomplete.islower() else stage for stage in STAGES]


def _targets(ctx: typer.Context, incomplete: str) -> Offer:
    return [*_stages(ctx, incomplete), *complete_alias(ctx, [], incomplete)]


def _profiles(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.cli.invocation import invocation_of
    from mreg.profile.load import list_profiles

    return [profile.name for profile in list_profiles(config=invocation_of(ctx).config)]


def _trusted(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.profile.trust import trusted_folders

    # Without --remove the shell completes folders.
    return [trusted.folder for trusted in trusted_folders(os.environ)] if ctx.params.get("remove") else []


def _logins(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.profile.logins import saved_logins

    return [login.origin for login in saved_logins(os.environ)]


def _roles(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.results.tokens import Role

    return [str(role) for role in Role]


def _tokens(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.cli.invocation import invocation_of

    return [token.name for token in invocation_of(ctx).registry.tokens()]


def _help_words(ctx: typer.Context, incomplete: str) -> Offer:  # noqa: ARG001
    from mreg.cli.help import walk
    from mreg.cli.topics import TOPICS

    words = ctx.params.get("words") or []
    command, _ = walk(ctx.find_root().command, words)
    commands = [(name, summary) for name, (_, _, summary) in getattr(command, "table", {}).items()]
    return [*commands, *(() if words else TOPICS.items())]


def option_words(command: Any, found: Iterable[Any]) -> list[Word]:
    """Return completed options with the descriptions of the help."""
    from mreg.cli.pages import describe

    texts = {name: describe(param) for param in command.params for name in param.opts}
    return [Word(item.value, texts.get(item.value, "")) for item in found]


def one_of(*words: str) -> Completer:
    """Return the completer that offers these words."""
    return _quietly(lambda _ctx, _incomplete: words)


complete_words = _quietly(_reference_words)
complete_reference = _quietly(_references)
complete_version = _quietly(_versions)
complete_tag_words = _quietly(_tag_words)
complete_tag = _quietly(_tags)
complete_model = _quietly(_models)
complete_alias = _quietly(_aliases)
complete_metric = _quietly(_metrics)
complete_field = _quietly(_fields)
complete_stage = _quietly(_stages)
complete_target = _quietly(_targets)
complete_profile = _quietly(_profiles)
complete_role = _quietly(_roles)
complete_token = _quietly(_tokens)
complete_trusted = _quietly(_trusted)
complete_login = _quietly(_logins)
complete_help = _quietly(_help_words)
DESCRIBING = ("zsh", "fish")
"""Shells that show a description next to a word."""


def completion(
    shell: Annotated[
        str, typer.Argument(metavar="bash|zsh|fish", help="Shell.", autocompletion=one_of("bash", "zsh", "fish"))
    ],
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
    """Print the words that complete a command line, one on each line, for zsh and fish with descriptions.

    Args:
        shell: The script that asks. ``bash`` passes the line up to the cursor as one text, and gets the rest of each
            word, quoted for that position. ``zsh`` and ``fish`` pass the words after the program's name, the last one
            up to the cursor, and get whole words, which they quote. ``complete_bash`` is the script of earlier
            releases: it inserts its input unquoted, and gets only words that need no quotes.
    """
    from mreg.cli.shells import completed_for_bash, needs_no_quotes

    words, quote = _typed(shell, typed)
    if not words or quote == "\\":
        return
    descriptions = {word.value: word.help for word in _completions(words, invocation)}
    offered = [word for word in descriptions if word.startswith(words[-1])]
    if shell in ("bash", "zsh"):
        offered = _with_common_prefix(offered)
    # Escaping a word that the encoding lacks would offer another word.
    offered = [word for word in offered if streams.can_show("stdout", word)]
    if shell in DESCRIBING:
        streams.put("".join(_described(shell, offered, descriptions)))
        return
    if shell == "bash":
        offered = [completed_for_bash(word.removeprefix(words[-1]), quote) for word in offered]
    elif shell == "complete_bash":
        offered = [word for word in offered if needs_no_quotes(word)]
    streams.put_lines(offered)


def _described(shell: str, words: Sequence[str], descriptions: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each word: the word, a tab and its description, for zsh in the form in which it is shown."""
    from mreg.domain.text import printable

    width = min(max(map(len, words), default=0), 40)
    for word in words:
        text = printable(descriptions.get(word, ""))
        if text and shell == "zsh":
            text = f"{word:{width}}  -- {text}"
        yield f"{word}\t{text}\n" if text else f"{word}\n"


def _with_common_prefix(words: list[str]) -> list[str]:
    """Return the words, with their common prefix as another word if the character after it needs a quote.

    bash and zsh insert the common prefix of the quoted words. It could end within a quote: the prefix of ``\\$`` and
    ``\\(`` is a backslash, which would join the next line to this one. The additional word prevents that.
    """
    from mreg.cli.shells import needs_no_quotes

    common = os.path.commonprefix(words)  # noqa: RUF071  of texts, not of paths
    following = [word[len(common) :][:1] for word in words]
    return words if all(map(needs_no_quotes, following)) or common in words else [common, *words]


def _typed(shell: str, typed: Sequence[str]) -> tuple[list[str], str]:
    """Return the words after the program's name, the last one incomplete, and the quote that is open at its end."""
    from mreg.cli.shells import SHELLS, split

    if shell == "complete_bash":
        words, quote = split(os.environ.get("COMP_WORDS", ""))
        return words[1:], quote
    if shell == "bash" and typed:
        words, quote = split(typed[-1])
        return words[1:], quote
    if shell not in SHELLS or not typed:
        return [], ""
    if shell == "fish":  # fish passes the last word with its quotes
        last, quote = split(typed[-1], fish=True)
        return [*typed[:-1], last[-1]], quote
    return list(typed), ""


def _completions(words: Sequence[str], invocation: Invocation) -> list[Word]:
    from typer._completion_classes import BashComplete

    from mreg.cli.app import root_command

    *before, incomplete = words
    name, sign, _ = incomplete.partition("=")
    complete = BashComplete(root_command(), {"obj": invocation}, "mreg", "_MREG_COMPLETE")
    try:
        found = complete.get_completions(before, incomplete)
    except Exception:  # noqa: BLE001  an error message would garble the prompt
        return []
    # Typer offers the values of --option=value without the option.
    prefix = f"{name}=" if sign and name.startswith("-") else ""
    return [Word(f"{prefix}{item.value}", item.help or "") for item in found if item.value]
