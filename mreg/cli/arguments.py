"""Parsing of command-line words: pairs, durations, sizes and numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

import typer

from mreg.domain.text import quoted
from mreg.errors import BadInput


def pairs(kind: str, words: Iterable[str] | None, *, last: bool = False) -> dict[str, str]:
    """Return ``key=value`` words as a mapping.

    Args:
        last: Whether a word is split at its last ``=`` rather than at its first.

    Raises:
        BadInput: A word has no ``=``, or a key is given twice.
    """
    values: dict[str, str] = {}
    for word in words or ():
        key, equals, value = word.rpartition("=") if last else word.partition("=")
        if not equals:
            raise BadInput(
                f"invalid {'parameter' if kind == 'param' else kind} {quoted(word)}: expected name=value",
                hint=f"write it as --{kind} name=value",
            )
        if key in values:
            raise BadInput(f"the {kind} {quoted(key)} is given twice", hint="give it once")
        values[key] = value
    return values


def duration(word: str) -> timedelta:
    """Return the duration in a word such as ``24h``.

    Raises:
        BadInput: The word is not a duration.
    """
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = word[:-1], word[-1:]
    if unit not in units or not (number.isascii() and number.isdecimal()) or len(number) > 6:
        raise BadInput(f"{quoted(word)} is no time", hint="write it as 90m, 24h or 7d")
    return timedelta(**{units[unit]: int(number)})


def seconds(option: str, word: str) -> float:
    """Return the seconds in a word such as ``30``, ``0.5`` or ``10m``.

    Raises:
        BadInput: The word is not a time above 0.
    """
    found = 0.0
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", word):
        found = float(word)
    elif re.fullmatch(r"[0-9]{1,6}[smhd]", word):
        found = duration(word).total_seconds()
    if not found:
        raise BadInput(
            f"invalid value of {option}: expected a time above 0, got {quoted(word)}",
            hint=f"write {option} 30, or {option} 10m",
        )
    return found


def parse_fraction(word: str) -> float:
    """Return a percentage as a fraction, greater than 0 and at most 1.

    Raises:
        BadInput: The word is not a percentage, or it is out of range.
    """
    try:
        fraction = float(word.removesuffix("%")) / 100
    except ValueError:
        fraction = 0.0
    if not word.endswith("%") or not 0 < fraction <= 1:
        raise BadInput(f"{quoted(word)} is no share", hint="write it as 5%")
    return fraction


def size_in_bytes(word: str) -> int:
    """Return the number of bytes in a word such as ``10GB``.

    Raises:
        BadInput: The word is not a size.
    """
    from mreg.profile.cache import byte_size

    size = byte_size(word)
    if not size:
        raise BadInput(f"{quoted(word)} is no size", hint="write it as 500MB, 10GB or 10GiB")
    return size


LARGEST = 1_000_000_000


def whole_number(ctx: typer.Context, option: str, word: str, *, least: int, most: int = LARGEST) -> int:
    """Return the value of an option as a whole number.

    Raises:
        typer.BadParameter: The value has other characters than digits, or is out of range.
    """
    if word.isascii() and word.isdecimal() and len(word) <= len(str(most)) and least <= int(word) <= most:
        return int(word)
    raise typer.BadParameter(
        f"expected a whole number from {least} to {most}, got {quoted(word)}", ctx, param_hint=f"'{option}'"
    )


def count(ctx: typer.Context, option: str, word: str | None) -> int | None:
    """Return the value of an option as a count of at least 1, None without the option.

    Raises:
        typer.BadParameter: The value is not a whole number, or is out of range.
    """
    return None if word is None else whole_number(ctx, option, word, least=1)
