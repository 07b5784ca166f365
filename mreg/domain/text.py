"""Validation, display and suggestion of text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mreg.errors import BadInput

KEY_LIMIT = 250
"""Maximum length of the name of a metric, parameter or tag, in characters."""

VALUE_LIMIT = 5_000
"""Maximum length of the value of a parameter or tag, in characters."""

TEXT_LIMIT = 20_000
"""Maximum length of a description or comment, in characters."""

ENTRIES_LIMIT = 1_000
"""Maximum number of metrics, parameters or tags of a version."""


class Caution(str):
    """A notice that something of another person was not used or not run; it is shown with ``--quiet``, too."""

    __slots__ = ()


PROGRAMS = (
    "aws|az|cat|chgrp|chmod|chown|cp|createdb|createuser|curl|df|export|kill|mkdir|mreg|mv|pipx?|printenv|redis-cli|rm"
    "|timedatectl|ulimit|unset|uv"
)
"""Programs and commands of a shell that hints name."""

COMMAND_IN_TEXT = (
    rf"(?:(?<=: )|(?<=; )|(?<= or ))(?:env -u [A-Z_]+ )?(?:[A-Z_]+=\S* )?(?:{PROGRAMS}) "
    r"(?:'[^']*'|\"[^\"]*\"|(?!; |, or |, and )[^'\"])+"
)
"""Pattern of a command in a note: it follows a colon, a semicolon or 'or'."""

COMMAND = COMMAND_IN_TEXT.replace("(?:", "(?:^|", 1)
"""Pattern of a command in a hint, which can begin with it."""

_NOT_PLAIN = re.compile(r"[^ -~]+")


def printable(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return the text with every character that a terminal could interpret escaped as ``\xNN`` or ``\uNNNN``.

    Control characters, escape sequences, bidirectional and zero-width marks, line separators and lone surrogates are
    escaped. Spaces and letters of every script stay. The result is printable and can be encoded as UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or (keep_newlines and char == "\n") else _escaped(char) for char in text)


def printable_json(document: str) -> str:
    r"""Return a JSON document with every character that is not printable escaped as ``\uNNNN``.

    The result is valid JSON with the same value. Newlines are not escaped, since JSON has them only between values.
    """
    if document.replace("\n", "").isprintable():  # most are, and a look at each line takes longer than writing it
        return document
    lines = document.split("\n")
    return "\n".join(line if line.isprintable() else _NOT_PLAIN.sub(_json_escaped, line) for line in lines)


def _json_escaped(match: re.Match[str]) -> str:
    run = match[0]
    return run if run.isprintable() else "".join(char if char.isprintable() else json_escape(char) for char in run)


def json_escape(char: str) -> str:
    r"""Return the JSON escape of a character: ``\uNNNN``, or a surrogate pair above U+FFFF."""
    point = ord(char)
    if point < 0x10000:
        return f"\\u{point:04x}"
    return f"\\u{0xD7C0 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def _escaped(char: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    if short:
        return short
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def quoted(text: str, limit: int = 80) -> str:
    """Return the text for a message: printable, in single quotes, shortened in the middle if it is long."""
    if len(text) > limit:
        text = f"{text[: limit - 20]}...{text[-17:]}"
    return f"'{printable(text)}'"


def shell_word(text: str) -> str:
    """Return the text as one printable word of a POSIX shell, for commands in hints."""
    from shlex import quote

    return quote(printable(text))


def counted(count: int, noun: str, several: str = "") -> str:
    """Return a number with its noun: ``1 blob``, ``1,200 blobs``.

    Args:
        several: The plural (default: the noun with an s).
    """
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def size_text(count: int) -> str:
    """Return a number of bytes with three digits, in the largest decimal unit of which it has at least one."""
    if count < 1_000:
        return counted(count, "byte")
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1_000
        if value < 999.5 or unit == "PB":
            break
    return f"{value:.3g} {unit}"


def nearest(word: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return at most ``count`` known words that are similar to a word, most similar first."""
    from difflib import get_close_matches

    folded = {name.casefold(): name for name in known}
    start = word[:200].casefold()
    begun = sorted(name for name in folded if len(start) > 1 and name.startswith(start))
    close = get_close_matches(start, list(folded), n=count, cutoff=0.6)
    return tuple(folded[name] for name in list(dict.fromkeys([*begun, *close]))[:count])


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """Return at most ``count`` known names, which can contain slashes, that are similar to a name.

    Names with the same prefix are compared by the part after the last slash, and come first. Of names with another
    prefix, both the whole name and its last part must be similar, unless the name is the beginning of the other one.
    """
    prefix, slash, last = name[:200].rpartition("/")
    prefix += slash
    siblings, others = {}, []
    for other in known:
        folder, mark, end = other.rpartition("/")
        if f"{folder}{mark}" == prefix:
            siblings[end] = other
        elif other.startswith(name) or nearest(last, [end]):
            others.append(other)
    return (*(siblings[end] for end in nearest(last, siblings, count)), *nearest(name, others, count))[:count]


def check_key(kind: str, key: str) -> str:
    """Return the key if it is a valid name of a metric, parameter or tag.

    Raises:
        BadInput: It is empty, longer than `KEY_LIMIT`, not printable, has ``=``, or begins or ends with a space.
    """
    if not key:
        flag = {"parameter": "param"}.get(kind, kind)
        raise BadInput(f"the name of a {kind} is empty", hint=f"give it a name: --{flag} name=value")
    if len(key) > KEY_LIMIT:
        raise BadInput(f"the {kind} name {quoted(key)} has {len(key)} characters; the limit is {KEY_LIMIT}")
    if not key.isprintable() or "=" in key or key != key.strip():
        raise BadInput(
            f"invalid {kind} name {quoted(key)}",
            hint="use printable characters without '=' and without spaces at the ends",
        )
    return key


def check_value(kind: str, key: str, value: str) -> str:
    """Return the value if it is valid for a parameter or tag.

    Raises:
        BadInput: It is longer than `VALUE_LIMIT`, has a NUL character, or is not valid Unicode text.
    """
    if len(value) <= VALUE_LIMIT and value.isprintable():  # fast path: NUL and lone surrogates are not printable
        return value
    return _check(f"the value of {kind} {quoted(key)}", value, VALUE_LIMIT)


def check_text(what: str, text: str) -> str:
    """Return the text if it is valid as a description, comment or reason.

    Raises:
        BadInput: It is longer than `TEXT_LIMIT`, has a NUL character, or is not valid Unicode text.
    """
    return _check(f"the {what}", text, TEXT_LIMIT)


_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
"""Characters without an own form that `str.isprintable` accepts: joiners, fillers and variation selectors."""


def folded_text(text: str) -> str:
    """Return the form in which two texts are equal if they differ only in case, Unicode form or invisible characters.

    Letters of different scripts that look alike stay different.
    """
    if text.isascii():
        return text.lower()
    import unicodedata

    kept = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", kept.casefold())


def check_line(what: str, text: str) -> str:
    """Return the text if it is valid as an external identifier (a run, an actor).

    Raises:
        BadInput: It is empty, longer than `KEY_LIMIT`, not printable, or begins or ends with a space.
    """
    if not text or text != text.strip() or not text.isprintable() or len(text) > KEY_LIMIT:
        raise BadInput(
            f"invalid {what} {quoted(text)}",
            hint=f"use 1 to {KEY_LIMIT} printable characters without spaces at the ends",
        )
    return text


def _check(what: str, text: str, limit: int) -> str:
    if len(text) <= limit and text.isprintable():  # most are: neither NUL nor a lone surrogate is printable
        return text
    if len(text) > limit:
        raise BadInput(f"{what} has {len(text)} characters; the limit is {limit}")
    if "\0" in text:
        raise BadInput(f"{what} contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadInput(f"{what} is not valid Unicode text") from None
    return text
