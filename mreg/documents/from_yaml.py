"""YAML documents, built from the events of PyYAML's parser; parsing stops at the first event that is not allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mreg.documents.node import DEPTH_LIMIT, Count, Node, Scalar, location
from mreg.domain.text import quoted
from mreg.errors import BadInput

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class _Building:
    """A list or mapping that is not complete yet."""

    __slots__ = ("key", "line", "value")

    def __init__(self, value: list[Node] | dict[str, Node], line: int) -> None:
        self.value = value
        self.line = line
        self.key: tuple[str, int] | None = None

    def add(self, node: Node) -> None:
        """Add a complete value."""
        if isinstance(self.value, list):
            self.value.append(node)
        elif self.key is not None:
            # Messages name the line of the key, which the user looks for.
            self.value[self.key[0]] = Node(node.value, self.key[1])
            self.key = None


def yaml_document(text: str, place: str) -> Node:
    """Parse a YAML text.

    Args:
        place: Name of the document in messages.

    Raises:
        BadInput: The text is not YAML, or the document is not allowed.
    """
    import yaml

    try:
        return _yaml_node(yaml, text, place)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
        hint = "indent with spaces" if "\\t" in str(error) or "'\\t'" in str(problem) else ""
        raise BadInput(f"{location(place, mark.line + 1 if mark else 0)}: no YAML: {problem}", hint=hint) from None
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    except (ValueError, OverflowError):
        # PyYAML passes on Python's errors for an escape beyond Unicode and for a version number of thousands of digits.
        raise BadInput(f"{quoted(place, 200)}: no YAML: a number in an escape or a directive is too large") from None


def _yaml_node(yaml: Any, text: str, place: str) -> Node:
    """Build the document from the parser's events; each event is checked before the next one is read."""
    count = Count(place)
    root: Node | None = None
    unfinished: list[_Building] = []
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(f"{location(place, line)}: anchors and aliases are not allowed", hint="write it out")
        if getattr(event, "tag", None):
            raise BadInput(f"{location(place, line)}: the tag {quoted(str(event.tag))} is not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise BadInput(f"{location(place, line)}: a second document begins", hint="keep one document in a file")
        if isinstance(event, yaml.CollectionEndEvent):
            built = unfinished.pop()
            node = Node(built.value, built.line)
        elif isinstance(event, yaml.NodeEvent):
            count.add(1, line)
            if unfinished and isinstance(unfinished[-1].value, dict) and unfinished[-1].key is None:
                unfinished[-1].key = (_yaml_key(yaml, event, unfinished[-1].value, location(place, line)), line)
                continue
            if isinstance(event, yaml.CollectionStartEvent):
                if len(unfinished) == DEPTH_LIMIT:
                    raise BadInput(f"{location(place, line)}: nested deeper than {DEPTH_LIMIT}")
                unfinished.append(_Building([] if isinstance(event, yaml.SequenceStartEvent) else {}, line))
                continue
            node = Node(_yaml_scalar(event), line)
        else:
            continue
        if unfinished:
            unfinished[-1].add(node)
        else:
            root = node
    return Node({}, 1) if root is None else root


def _yaml_key(yaml: Any, event: Any, before: Mapping[str, Node], at: str) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise BadInput(f"{at}: a key must be a text")
    key = str(event.value)
    if key == "<<" and not event.style:
        raise BadInput(f"{at}: merge keys are not allowed", hint="write it out")
    if key in before:
        raise BadInput(f"{at}: the key {quoted(key)} is given twice")
    return key


def _yaml_scalar(event: Any) -> Scalar:
    text = str(event.value)
    if event.style in ("'", '"', "|", ">"):
        return Scalar(text, "string")
    if text in ("", "~") or text.lower() == "null":
        return Scalar(text, "null")
    # Only the words of YAML 1.2's core schema: in YAML 1.1, `no` is false and 1:30 is a number.
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return Scalar(text.lower(), "boolean")
    return Scalar(text, "number" if _NUMBER.fullmatch(text) else "string")
