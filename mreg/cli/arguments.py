"""From the words that a person types to references and pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import typer

from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import quoted
from mreg.errors import BadInput


def reference(words: Sequence[str]) -> VersionRef:
    """The reference that one word (``classifier@3``) or two (``classifier 3``) mean.

    Raises:
        BadInput: The words mean no reference.
    """
    if len(words) > 2:
        raise BadInput(
            f"one reference was expected, not {len(words)} words", hint="write classifier@3, or classifier 3"
        )
    first = VersionRef.parse(words[0])
    if len(words) == 1:
        return first
    if first.selector is not None:
        raise BadInput(f"{quoted(words[0])} says which version already, so {quoted(words[1])} is one word too many")
    return VersionRef(first.name, Selector.parse(words[1]))


def two_references(words: Sequence[str]) -> tuple[VersionRef, VersionRef | None]:
    """The two sides that the words of ``compare`` mean.

    ``classifier 1 2``; ``a@3 b@7``; ``a@3 production`` (of the same model); ``a b`` (the latest of two models). One
    version alone, ``classifier``, ``classifier@2`` or ``classifier 2``, comes without a second.

    Raises:
        BadInput: The words mean no two versions.
    """
    if len(words) > 3:
        raise BadInput(f"two versions were expected, not {len(words)} words", hint="mreg compare classifier 1 2")
    first = VersionRef.parse(words[0])
    if len(words) == 1:
        return first, None
    if len(words) == 3:
        if first.selector is not None:
            raise BadInput(f"{quoted(words[0])} says which version already", hint="mreg compare classifier 1 2")
        return VersionRef(first.name, Selector.parse(words[1])), VersionRef(first.name, Selector.parse(words[2]))
    selector = _plain_selector(words[1])
    if selector is None:
        return first, VersionRef.parse(words[1])
    if first.selector is None:
        return VersionRef(first.name, selector), None
    return first, VersionRef(first.name, selector)


def _plain_selector(word: str) -> Selector | None:
    """The selector that a word means on its own, None where it rather names a model."""
    if word.startswith("@"):
        return Selector.parse(word[1:])
    try:
        selector = Selector.parse(word)
    except BadInput:
        return None
    return None if selector.kind is SelectorKind.ALIAS else selector


def pairs(kind: str, words: Iterable[str] | None, *, last: bool = False) -> dict[str, str]:
    """The ``key=value`` words as a mapping.

    Args:
        last: Whether a word is split at its last ``=`` rather than at its first.

    Raises:
        BadInput: A word has no ``=``, or a key is given twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        key, equals, value = word.rpartition("=") if last else word.partition("=")
        if not equals:
            raise BadInput(f"{quoted(word)} is no {kind}", hint=f"write it as --{kind} name=value")
        if key in found:
            raise BadInput(f"the {kind} {quoted(key)} is given twice", hint="give it once")
        found[key] = value
    return found


def model_name(word: str) -> ModelName:
    """The model that a word names, for commands that take a whole model.

    Raises:
        BadInput: The word is no model's name; one with a version is told so.
    """
    if "@" in word:
        raise BadInput(f"{quoted(word)} names a version, and this needs a model", hint=f"write {word.split('@')[0]}")
    return ModelName(word)


def duration(word: str) -> timedelta:
    """The time that a word such as ``24h`` says.

    Raises:
        BadInput: It says none.
    """
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = word[:-1], word[-1:]
    if unit not in units or not (number.isascii() and number.isdecimal()) or len(number) > 6:
        raise BadInput(f"{quoted(word)} is no time", hint="write it as 90m, 24h or 7d")
    return timedelta(**{units[unit]: int(number)})


def parse_fraction(word: str) -> float:
    """The share that a percentage means, above 0 and up to 1.

    Raises:
        BadInput: It is none.
    """
    try:
        found = float(word.removesuffix("%")) / 100
    except ValueError:
        found = 0.0
    if not word.endswith("%") or not 0 < found <= 1:
        raise BadInput(f"{quoted(word)} is no share", hint="write it as 5%")
    return found


def size_in_bytes(word: str) -> int:
    """The size that a word such as ``10GB`` says.

    Raises:
        BadInput: It says none.
    """
    from mreg.profile.cache import byte_size

    found = byte_size(word)
    if not found:
        raise BadInput(f"{quoted(word)} is no size", hint="write it as 500MB, 10GB or 10GiB")
    return found


LARGEST = 1_000_000_000


def whole_number(ctx: typer.Context, option: str, word: str, *, least: int, most: int = LARGEST) -> int:
    """Return the whole number that the word after an option is.

    Raises:
        typer.BadParameter: The word is not a number in decimal digits, or the number is out of range.
    """
    if word.isascii() and word.isdecimal() and len(word) <= len(str(most)) and least <= int(word) <= most:
        return int(word)
    raise typer.BadParameter(
        f"expected a whole number from {least} to {most}, got {quoted(word)}", ctx, param_hint=f"'{option}'"
    )


def count(ctx: typer.Context, option: str, word: str | None) -> int | None:
    """Return the count after an option, at least 1; None without the option.

    Raises:
        typer.BadParameter: The word is not a whole number, or the number is out of range.
    """
    return None if word is None else whole_number(ctx, option, word, least=1)
