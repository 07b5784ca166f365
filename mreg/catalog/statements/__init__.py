"""Named statements: ``models.by_name`` is the block ``-- name: by_name`` of ``models.sql`` in this folder."""

from __future__ import annotations

import os

_FOLDER = os.path.dirname(__file__)
_LOADED: dict[str, dict[str, str]] = {}


def statement(name: str) -> str:
    """Return the SQL of a named statement; its file is read on first use.

    Raises:
        KeyError: There is no such statement, which is a bug in mreg.
    """
    file, _, block = name.partition(".")
    if file not in _LOADED:
        with open(os.path.join(_FOLDER, f"{file}.sql"), encoding="utf-8") as stream:
            _LOADED[file] = _blocks(stream.read())
    return _LOADED[file][block]


def _blocks(text: str) -> dict[str, str]:
    blocks = {}
    for block in text.split("-- name: ")[1:]:
        name, _, sql = block.partition("\n")
        blocks[name.strip()] = sql.strip()
    return blocks
