"""Text in the cells of generated tables."""

from __future__ import annotations

import re


def cell(text: str) -> str:
    """Return a text for a cell: one line, without markup of tables, HTML or reStructuredText."""
    line = re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))
    return line.replace("|", "\\|").replace("<", "&lt;")
