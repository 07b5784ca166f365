"""Strict parser of git's configuration files.

The grammar is that of ``git_parse_source`` in git's ``config.c``. A text that git rejects, or that two versions of git
read differently, is rejected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from mreg.registry.small_file import read_small

Setting = tuple[str, str | None]
"""A key as ``git config --list`` prints it, and its value; None for a key without a value, which means true."""

_BLANK = re.compile(r"(?:[ \t\r\n]|[#;][^\n]*)*")
_SECTION = re.compile(r'\[([A-Za-z0-9.-]+)(?:[ \t\r]+"((?:[^"\\\n]|\\[^\n])*)")?\]')
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*(=|\n|\Z)")
_PIECE = re.compile(
    r"""(?P<plain>[^\\"\#;\n\ \t\r]+)|(?P<blank>[\ \t\r]+)|(?P<quoted>"(?:[^"\\\n]|\\[tbn\\"\n])*")
    |(?P<escaped>\\(?:[tbn\\"\n]|\Z))|(?P<comment>[#;][^\n]*)""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.|\n|\Z)")
_MEANING = {"t": "\t", "b": "\b", "n": "\n", "\\": "\\", '"': '"', "\n": "", "": ""}


def parse(data: bytes) -> tuple[Setting, ...] | None:
    """Return the settings in the order of the file, or None if git rejects the file or could read it differently."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\0" in text:
        return None
    found: list[Setting] = []
    section = ""
    position = _end(_BLANK, text, 0)
    while position < len(text):
        header = _SECTION.match(text, position)
        if header:
            section = header[1].lower()
            if header[2] is not None:
                section += "." + re.sub(r"\\(.)", r"\1", header[2])
            position = header.end()
        else:
            key = _KEY.match(text, position)
            if not key or not section:
                return None
            value: str | None = None
            position = key.end()
            if key[2] == "=":
                value, position = _value(text, position)
                if value is None:
                    return None
            found.append((f"{section}.{key[1].lower()}", value))
        position = _end(_BLANK, text, position)
    return tuple(found)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _value(text: str, position: int) -> tuple[str | None, int]:
    """Return the value that begins here, or None if it is invalid, and the position of its end."""
    pieces: list[str] = []
    blank = ""
    begun = False
    while position < len(text) and text[position] != "\n":
        match = _PIECE.match(text, position)
        if not match:
            return None, position
        position = match.end()
        kind, piece = match.lastgroup, match[0]
        if kind == "comment":
            break
        if kind == "blank":
            blank += piece if begun else ""
            continue
        if blank.strip(" "):
            return None, position  # git before 2.45 turns each tab into a space
        pieces.append(blank)
        blank = ""
        if kind == "quoted":
            piece = piece[1:-1]
        pieces.append(piece if kind == "plain" else _ESCAPED.sub(lambda found: _MEANING[found[1]], piece))
        begun = begun or bool(pieces[-1])
    return "".join(pieces), position


def boolean(settings: tuple[Setting, ...], key: str) -> bool:
    """Return whether a setting is true: False if it is absent, True if git would reject its value."""
    values = [value for name, value in settings if name == key]
    return bool(values) and (values[-1] is None or values[-1].lower() not in ("", "false", "no", "off", "0"))


def settings(path: str, *, within: str = "") -> tuple[Setting, ...] | None:
    """Return the settings of a configuration file: empty if it does not exist, None if it cannot be read completely."""
    if not os.path.lexists(path):
        return ()
    data = read_small(path, within=within)
    return None if data is None else parse(data)


def user_settings(variables: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the settings of the system and of the user, which no repository can change."""
    home = variables.get("HOME", "")
    places = [] if variables.get("GIT_CONFIG_NOSYSTEM") else [variables.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"]
    if variables.get("GIT_CONFIG_GLOBAL"):
        places.append(variables["GIT_CONFIG_GLOBAL"])
    elif home:
        config = variables.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        places += [os.path.join(config, "git", "config"), os.path.join(home, ".gitconfig")]
    return tuple(setting for place in places for setting in settings(place) or ())
