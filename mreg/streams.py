"""The only module that writes to standard output and standard error, so that a terminal receives nothing but text.

All text that another user could have stored passes through here on its way to a terminal, a pipe or a log. Each
function escapes its input, so callers need not. `tests/test_architecture.py` fails if another module of mreg writes to
these streams.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable
from typing import IO, Any, BinaryIO, TextIO

from mreg.domain.text import json_escape, printable, printable_json

_COLOURS = re.compile("(\x1b\\[[0-9;]*m)")
_MOVES = re.compile("(\x1b\\[[0-9;]*[ABGHJKm]|\x1b\\[\\?25[hl]|\r)")
_NOT_ASCII = re.compile(r"[^\n -~]")

CI_VARIABLES = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")
"""Variables of platforms that execute commands in a log: GitHub (and compatible ones), Azure Pipelines, TeamCity."""

_COMMANDS = re.compile(r"##(?=vso\[|teamcity\[|\[)|^(\s*):(?=:)", re.IGNORECASE | re.MULTILINE)


NARROWEST = 20
"""Width of a terminal below which texts are not broken at spaces."""


class Screen:
    """A text stream for rich and plotext: it passes their colours and escapes every other control sequence.

    Args:
        stream: Standard output or standard error.
        moving: Also pass the cursor movements of a progress bar.
    """

    def __init__(self, stream: TextIO, *, moving: bool = False) -> None:
        self._stream = stream
        self._allowed = _MOVES if moving else _COLOURS

    def write(self, text: str) -> int:
        """Write an escaped text."""
        parts = self._allowed.split(text)
        safe = "".join(part if place % 2 else _safe(part) for place, part in enumerate(parts))
        self._stream.write(_encodable(safe, self._stream))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def output() -> TextIO:
    """Return standard output to inspect its encoding or terminal, not to write to it.

    Raises:
        OSError: Standard output is closed.
    """
    if sys.stdout is None:
        raise OSError(9, "standard output is closed")
    return sys.stdout


def screen(*, moving: bool = False, error: bool = False) -> IO[str]:
    """Return standard output or standard error as a `Screen`."""
    return Screen(sys.stderr if error else output(), moving=moving)  # type: ignore[return-value]


def raw_output() -> BinaryIO:
    """Return standard output for the bytes of a model, which are not escaped; the caller must refuse terminals.

    Raises:
        OSError: Standard output is closed.
    """
    stream = output()
    stream.flush()
    return stream.buffer


def is_terminal(name: str) -> bool:
    """Return whether ``stdin``, ``stdout`` or ``stderr`` is a terminal; False if it is closed."""
    stream = getattr(sys, name)
    try:
        return bool(stream is not None and stream.isatty())
    except ValueError:  # closed
        return False


def is_closed(name: str) -> bool:
    """Return whether the process was started without ``stdout`` or ``stderr``."""
    return getattr(sys, name) is None


def is_utf8(name: str) -> bool:
    """Return whether the encoding of ``stdout`` or ``stderr`` is UTF-8."""
    return (getattr(getattr(sys, name), "encoding", None) or "").lower().replace("-", "") == "utf8"


def can_show(name: str, text: str) -> bool:
    """Return whether the encoding of ``stdout`` or ``stderr`` has every character of a text."""
    try:
        text.encode(getattr(getattr(sys, name), "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def flush() -> None:
    """Flush standard output, unless it is closed."""
    if sys.stdout is not None:
        sys.stdout.flush()


def put(text: str, *, commands: bool = False) -> None:
    """Write a text to standard output; escape control characters except newlines and tabs.

    Args:
        commands: The text has commands for a CI platform, whose values are escaped already.

    Raises:
        OSError: Standard output is closed or full.
    """
    _write(_safe(text, commands=commands))


def put_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output; newlines and tabs within a line are escaped as well.

    Raises:
        OSError: Standard output is closed or full.
    """
    put("".join(f"{printable(line)}\n" for line in lines))


def put_json(document: str) -> None:
    """Write a JSON document to standard output as UTF-8, or as ASCII if the stream has another encoding.

    The output is valid JSON of the same value with every encoding, including UTF-16.

    Raises:
        OSError: Standard output is closed or full.
    """
    _write_json(document, output(), "stdout")


def try_to_say_json(document: str) -> None:
    """Write a JSON document to standard error like `put_json`, but never raise."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stderr is not None:
            _write_json(document, sys.stderr, "stderr")


def say(text: str, *, end: str = "\n", commands: bool = False) -> None:
    """Write a text to standard error like `put`; do nothing if it is closed.

    Raises:
        OSError: Standard error is full.
    """
    if sys.stderr is not None:
        sys.stderr.write(_encodable(_safe(text, commands=commands), sys.stderr) + end)
        sys.stderr.flush()


def wrapped(text: str, *, commands: str = "(?!)", indent: str = "") -> str:
    """Return a text for standard error, broken at spaces if that is a terminal; long words stay whole.

    Args:
        commands: Pattern of the commands that stay whole (default: none). One that is longer than a line is continued
            with backslashes, so that it can be pasted.
        indent: Spaces before each line.
    """
    width = _width()
    return "\n".join(part for line in text.split("\n") for part in _broken(line, width, commands, indent))


def _width() -> int:
    """Return the width at which a text for standard error is broken; 0 if it is not."""
    if not is_terminal("stderr"):
        return 0
    columns = os.environ.get("COLUMNS", "")
    try:
        width = int(columns) if columns.isdecimal() and len(columns) < 6 else os.get_terminal_size(2).columns
    except OSError:
        return 0
    return width if width >= NARROWEST else 0


def _broken(line: str, width: int, commands: str, indent: str) -> list[str]:
    text = line.lstrip(" ")
    indent += " " * (len(line) - len(text))
    if len(indent) + len(text) <= width or not width:
        return [indent + text]
    lines: list[str] = []
    for found in re.finditer(rf"(\s*)(?:({commands}\S*)|\S+)", text):
        gap, command, word = found[1], found[2], found[0].strip()
        if lines and len(lines[-1]) + len(gap) + len(word) <= width:
            lines[-1] += gap + word
        else:
            lines += _continued(word, width, indent) if command else [indent + word]
    return lines


def _continued(command: str, width: int, indent: str) -> list[str]:
    """Return the lines of a command, each but the last with a backslash at its end."""
    words = re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", command)
    if os.name == "nt" or " ".join(words) != command:
        return [indent + command]
    lines = [indent + words[0]]
    for place, word in enumerate(words[1:], 2):
        room = width - (2 if place < len(words) else 0)
        if len(lines[-1]) + 1 + len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"{indent}  {word}")
    return lines


def try_to_say(text: str, *, end: str = "\n") -> None:
    """Write a text to standard error like `say`, but never raise: the failure could not be reported anywhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        say(text, end=end)


def _write(text: str) -> None:
    stream = output()
    stream.write(_encodable(text, stream))
    stream.flush()


def _write_json(document: str, stream: TextIO, name: str) -> None:
    text = printable_json(document)
    if _executes_commands():
        text = _COMMANDS.sub(lambda found: r"\u0023#" if found[1] is None else found[0], text)
    if not is_utf8(name):
        text = _NOT_ASCII.sub(lambda found: json_escape(found[0]), text)
    binary = getattr(stream, "buffer", None)
    stream.flush()
    if binary is None:  # a program replaced the stream with a text stream
        stream.write(f"{text}\n")
    else:
        left = memoryview(f"{text}\n".encode())
        while left:  # an unbuffered stream can write less than it is given
            left = left[binary.write(left) or 0 :]
    stream.flush()


def _safe(text: str, *, commands: bool = False) -> str:
    lines = text.split("\n")
    safe = "\n".join(
        line if line.isprintable() else "\t".join(printable(cell) for cell in line.split("\t")) for line in lines
    )
    if commands or not _executes_commands():
        return safe
    return _COMMANDS.sub(lambda found: r"\x23#" if found[1] is None else rf"{found[1]}\x3a", safe)


def _executes_commands() -> bool:
    """Return whether a CI platform executes commands in this output."""
    return any(os.environ.get(name) for name in CI_VARIABLES)


def _encodable(text: str, stream: TextIO) -> str:
    # On a terminal with LANG=C, Cyrillic model names are shown escaped and the command does not fail half-way.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
