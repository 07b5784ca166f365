"""Reading of profile files and project files: mappings of texts, with errors that name file and line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput, BadProfile

if TYPE_CHECKING:
    from mreg.documents import Node

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Valid names of profiles."""

Values = dict[str, tuple[str, str]]
"""Value and origin by key."""


def document(file: str) -> Node:
    """Parse the user's profile file.

    Raises:
        BadProfile: The document is invalid or not allowed.
        NotFound, Unavailable: The file does not exist or cannot be read.
    """
    from mreg.documents import read_document

    try:
        return read_document(file, what="profile file")
    except BadInput as error:
        raise BadProfile(error.message, hint=error.hint or "mreg profile --help") from error


def mapping(node: Node, file: str, what: str) -> dict[str, Node]:
    """Return the mapping of a node; null counts as an empty mapping.

    Raises:
        BadProfile: The node is not a mapping.
    """
    from mreg.documents import Scalar

    if isinstance(node.value, Scalar) and node.value.kind == "null":
        return {}
    if not isinstance(node.value, dict):
        raise BadProfile(
            f"{origin_of(file, node)}: {what} must be a mapping", hint="see the page on profiles in the documentation"
        )
    return node.value


def text_of(key: str, node: Node, file: str) -> str:
    """Return the text of a node; a number keeps its spelling.

    Raises:
        BadProfile: The node is neither text nor number.
    """
    from mreg.documents import Scalar

    kinds = ("string", "number", "boolean") if key == "existing_only" else ("string", "number")
    if not isinstance(node.value, Scalar) or node.value.kind not in kinds:
        raise BadProfile(f"{origin_of(file, node)}: {key} must be a string")
    return node.value.text


def origin_of(file: str, node: Node) -> str:
    """Return the origin of a value: ``/x/mreg.yaml, line 3``."""
    return f"{file}, line {node.line}" if node.line else file


def unknown_key(key: str, known: tuple[str, ...], file: str, node: Node) -> BadProfile:
    """Return the error for an unknown key; the hint suggests the nearest known one."""
    near = nearest(key, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(known)}"
    return BadProfile(f"{origin_of(file, node)}: unknown key {quoted(key)}", hint=hint)
