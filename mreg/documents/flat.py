"""Nested mappings as one mapping with dotted keys, and Python values as nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum

from mreg.documents.node import DEPTH_LIMIT, NODE_LIMIT, Count, Node, Scalar
from mreg.domain.text import quoted
from mreg.errors import BadInput


def leaves(nodes: Mapping[str, Node], prefix: str = "") -> Iterator[tuple[str, Node]]:
    """Yield the values of nested mappings with their keys joined by dots; an empty mapping is a value."""
    for key, node in nodes.items():
        if isinstance(node.value, dict) and node.value:
            yield from leaves(node.value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", node


def compact(node: Node) -> str:
    """Return a node as JSON without spaces; numbers keep their spelling."""
    if isinstance(node.value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{compact(inner)}" for key, inner in node.value.items()) + "}"
    if isinstance(node.value, list):
        return "[" + ",".join(compact(inner) for inner in node.value) + "]"
    if node.value.kind == "null":
        return "null"
    return json.dumps(node.value.text) if node.value.kind == "string" else node.value.text


def node_of(values: Mapping[str, object], what: str) -> Node:
    """Return a mapping of Python values as a document, so that it is read like a file with the same values.

    Scalars of numpy and torch are converted. A value of another type becomes its text.

    Args:
        what: Name of the mapping in messages.

    Raises:
        BadInput: A key is not a text, or the values are nested too deeply, contain themselves or are too many.
    """
    return _node(values, Count(what, NODE_LIMIT), 0)


def _node(value: object, count: Count, depth: int) -> Node:
    count.add(1)
    if depth > DEPTH_LIMIT:
        raise BadInput(f"{quoted(count.place)}: nested deeper than {DEPTH_LIMIT}")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise BadInput(f"{quoted(count.place)}: the key {quoted(repr(key))} is not a string")
        return Node({key: _node(inner, count, depth + 1) for key, inner in value.items()}, 0)
    if isinstance(value, (list, tuple)):
        return Node([_node(inner, count, depth + 1) for inner in value], 0)
    if isinstance(value, Enum):
        value = value.value
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        value = item()
    return Node(_scalar(value), 0)


def _scalar(value: object) -> Scalar:
    if value is None:
        return Scalar("null", "null")
    if isinstance(value, bool):
        return Scalar("true" if value else "false", "boolean")
    if isinstance(value, int):
        return Scalar(_decimal(int(value)), "number")
    if isinstance(value, float):
        return Scalar(repr(float(value)), "number")
    return Scalar(str(value), "string")


def _decimal(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python limits the digits of an integer's text
        return hex(value)
