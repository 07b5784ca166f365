"""Text of the help as Markdown."""

from __future__ import annotations

import re

from mreg.cli.app import COMMANDS

_COMMAND = f"mreg (?:{'|'.join(COMMANDS)})"
_CODE = re.compile(rf"(?<![\w/-])(--?[a-z][a-z-]*[a-z]|[A-Z]{{2,}}(?:_[A-Z0-9]+)+|mreg\.yaml|{_COMMAND})(?![\w/-])")
"""Words of a terminal: ``--name``, ``MREG_USER``, ``mreg.yaml``, ``mreg trust``."""


def cell(text: str) -> str:
    """Return a text for a cell: one line, without markup of tables, HTML or reStructuredText."""
    line = re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))
    return prose(line).replace("|", "\\|").replace("<", "&lt;")


def prose(text: str) -> str:
    """Return a text with options, variables and names of files as code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else _CODE.sub(r"`\1`", part) for part in parts)
