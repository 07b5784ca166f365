"""References on the command line: in one or two words, with the model or without it.

A word that is a selector by its form (`mreg.domain.names.selector_alone`: ``3``, ``@production``, ``~1``,
``sha256:...``) names a version of the default model; any other word begins with the name of a model. After a model,
the next word can be any selector. ``docs/decisions/0050`` explains the rule.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef, selector_alone
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput, MregError, NotFound

if TYPE_CHECKING:
    from mreg.cli.invocation import Invocation

WAYS = "name the model: NAME@3\nor set a default: export MREG_MODEL=NAME, or model: NAME in mreg.yaml"


def reference(run: Invocation, words: Sequence[str] | None) -> VersionRef:
    """Return the reference in no word (the default model), one word (``churn@3``, ``@3``) or two (``churn 3``).

    Raises:
        BadInput: The words are not a reference, or they leave out the model and there is no default.
    """
    words = words or ()
    if not words:
        return VersionRef(_default(run))
    first = _first(run, words[0])
    if len(words) == 1:
        return first
    if first.selector is not None:
        raise _unexpected(run, words[1:], f"{quoted(words[0])} names a version already")
    if len(words) > 2:
        raise _unexpected(run, words[2:])
    return VersionRef(first.name, _selector(words[1]))


def named_reference(run: Invocation, words: Sequence[str]) -> VersionRef:
    """Return the reference in words that have the name of the model, for commands that never use the default model.

    Raises:
        BadInput: The words are not a reference, or leave out the model.
    """
    selector = selector_alone(words[0])
    if selector is not None and (default := run.default_model()):
        path = run.command_path
        raise BadInput(
            f"{path} needs the name of the model: {quoted(words[0])} is only a selector",
            hint=f"{path} {default}@{selector}",
        )
    return reference(run, words)


def two_references(run: Invocation, words: Sequence[str] | None) -> tuple[VersionRef, VersionRef | None]:
    """Return the two references of ``compare``; the second is None if the words name a single version.

    Two versions: ``churn 1 2``, ``a@3 b@7``, ``a@3 production`` (of the same model), ``a b`` (the latest versions of
    two models), ``1 2`` (of the default model). A single version: ``churn``, ``churn@2``, ``churn 2``, ``2``, no word.

    Raises:
        BadInput: The words are not one or two references, or they leave out the model and there is no default.
    """
    words = words or ()
    if len(words) < 2:
        return reference(run, words), None
    first = _first(run, words[0])
    if len(words) > 3 or (len(words) == 3 and first.selector is not None):
        raise _unexpected(run, words[3 if len(words) > 3 else 2 :])
    if len(words) == 3:
        return VersionRef(first.name, _selector(words[1])), VersionRef(first.name, _selector(words[2]))
    selector = _plain_selector(words[1])
    if selector is None:
        return first, VersionRef.parse(words[1])
    if first.selector is None:
        return VersionRef(first.name, selector), None
    return first, VersionRef(first.name, selector)


def reference_and_destination(run: Invocation, words: Sequence[str] | None) -> tuple[VersionRef, str | None]:
    """Return the reference and the destination of ``pull``, None without a destination.

    After a bare model, ``9``, ``latest``, ``best``, a stage and ``@ALIAS`` are selectors, and any other word is the
    destination: ``churn 9``, ``churn 9 nine.pkl``, ``churn champion nine.pkl``, ``churn nine.pkl``.

    Raises:
        BadInput: The words are not a reference and a destination, or a word can be a selector and a destination.
    """
    words = words or ()
    if len(words) < 2:
        return reference(run, words), None
    first = _first(run, words[0])
    if len(words) > 3 or (len(words) == 3 and first.selector is not None):
        raise _unexpected(run, words[3 if len(words) > 3 else 2 :])
    if len(words) == 3:
        return VersionRef(first.name, _selector(words[1])), words[2]
    if first.selector is not None:
        return first, words[1]
    selector, exists = _plain_selector(words[1]), os.path.lexists(words[1])
    if (selector is not None and exists) or (selector is None and not exists and _is_alias(run, first.name, words[1])):
        model, path = shell_word(words[0]), shell_word(f"./{words[1]}")
        version = shell_word(words[1].removeprefix("@"))
        raise BadInput(
            f"{quoted(words[1])} is ambiguous: it can be a selector and the destination",
            hint=f"for the version: mreg pull {model}@{version}\nfor the destination: mreg pull {model} {path}",
        )
    return (first, words[1]) if selector is None else (VersionRef(first.name, selector), None)


def swapped(run: Invocation, words: Sequence[str] | None) -> str:
    """Return the command ``pull`` with its two words swapped if the second names a model; otherwise empty."""
    if words is None or len(words) != 2:
        return ""
    try:
        run.registry.model(VersionRef.parse(words[1]).name)
    except MregError:
        return ""
    return f"the version comes first: {run.command_path} {shell_word(words[1])} {shell_word(words[0])}"


def reference_of_bundle(run: Invocation, words: Sequence[str] | None) -> VersionRef:
    """Return the reference in the words of ``export``, like `reference`.

    Raises:
        BadInput: The words are not a reference, or one of them is a file: it has a slash after a model, or ends in
            ``.mreg``.
    """
    words = words or ()
    if len(words) > 1:
        files = [word for word in words if word.endswith(".mreg")] or [word for word in words[1:] if "/" in word]
        if files:
            raise _unexpected(run, files)
    return reference(run, words)


def reference_and_file(run: Invocation, words: Sequence[str] | None) -> tuple[VersionRef, str | None]:
    """Return the reference and the file of ``path``, None without a file.

    After a bare model, a word that can be a selector of it is the version, and any other word is the file:
    ``churn 9``, ``churn champion``, ``net config.json``, ``net 9 config.json``. ``./NAME`` is always a file.

    Raises:
        BadInput: The words are not a reference and a file.
    """
    words = words or ()
    if len(words) < 2:
        return reference(run, words), None
    first = _first(run, words[0])
    if len(words) > 3 or (len(words) == 3 and first.selector is not None):
        raise _unexpected(run, words[3 if len(words) > 3 else 2 :])
    if len(words) == 3:
        return VersionRef(first.name, _selector(words[1])), words[2].removeprefix("./")
    if first.selector is None:
        selector = _plain_selector(words[1])
        if selector is None and _is_alias(run, first.name, words[1]):
            selector = _selector(words[1])
        if selector is not None:
            return VersionRef(first.name, selector), None
    return first, words[1].removeprefix("./")


def reference_within(word: str, model: ModelName | None) -> str:
    """Return the reference in the value of an option, where a selector alone names a version of a model.

    Args:
        model: The model that the command works on; None if only its name's inference can tell.

    Raises:
        BadInput: The value leaves out the model, and the model is not known.
    """
    selector = selector_alone(word)
    if selector is None:
        return word
    if model is None:
        raise BadInput(f"{quoted(word)} has no model name", hint=f"write NAME@{selector}")
    return str(VersionRef(model, selector))


def model_name(word: str) -> ModelName:
    """Return the name of a model, for commands that take a model and not a version.

    Raises:
        BadInput: The word is not a valid name, or it names a version.
    """
    if "@" in word:
        raise BadInput(f"{quoted(word)} names a version, and this needs a model", hint=f"write {word.split('@')[0]}")
    return ModelName(word)


def model_or_default(run: Invocation, word: str | None, *, option: str = "") -> ModelName:
    """Return the model of a word, or the default model without a word.

    Args:
        option: Option that takes a version instead, for the hint.

    Raises:
        BadInput: The word is not a valid name, or it names a version; or there is no word and no default.
    """
    if word is None:
        return _default(run)
    found = _first(run, word)
    if found.selector is None:
        return found.name
    version = f" {option} {found.selector}" if option else ""
    raise BadInput(
        f"{quoted(word)} names a version, and this needs a model", hint=f"{run.command_path} {found.name}{version}"
    )


def _first(run: Invocation, word: str) -> VersionRef:
    """Return the reference in the first word; a selector alone is one of the default model."""
    try:
        selector = selector_alone(word)
    except BadInput:
        if word.startswith(("@", "~")) or run.default_model():
            raise
        selector = None
    if selector is None:
        return VersionRef.parse(word)
    default = run.default_model()
    if default is not None:
        return VersionRef(default, selector)
    if word.startswith(("@", "~")):
        raise BadInput(
            f"invalid reference {quoted(word)}: it has no model name, and there is no default model", hint=WAYS
        )
    return VersionRef.parse(word)  # a model can have the name 3


def _default(run: Invocation) -> ModelName:
    default = run.default_model()
    if default is None:
        raise BadInput(f"{run.command_path}: no model is given, and there is no default model", hint=WAYS)
    return default


def _selector(word: str) -> Selector:
    """Return the selector in a word after a model, with or without its ``@``."""
    return selector_alone(word) or Selector.parse(word)


def _plain_selector(word: str) -> Selector | None:
    """Return the selector in a word that can be something else as well; None for an alias without ``@``."""
    if "/" in word:
        return None
    alone = selector_alone(word)
    if alone is not None:
        return alone
    try:
        selector = Selector.parse(word)
    except BadInput:
        return None
    return None if selector.kind is SelectorKind.ALIAS else selector


def _is_alias(run: Invocation, name: ModelName, word: str) -> bool:
    """Return whether a model has an alias; a word with a dot or slash is taken for a path."""
    if "." in word or "/" in word:
        return False
    try:
        return word.lower() in map(str.lower, run.registry.model(name).aliases)
    except NotFound:
        return False


def _unexpected(run: Invocation, words: Sequence[str], why: str = "") -> BadInput:
    from mreg.cli.suggestions import unexpected_argument

    return unexpected_argument(run.context, words, why)
