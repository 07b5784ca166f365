"""YAML, built from the events of PyYAML's own parser: what is not allowed ends the reading where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mreg.documents.node import DEPTH_LIMIT, Count, Node, Scalar, where
from mreg.domain.text import quoted
from mreg.errors import BadInput

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class _Building:
    """A list or mapping of which not everything has been read."""

    __slots__ = ("key", "line", "value")

    def __init__(self, value: list[Node] | dict[str, Node], line: int) -> None:
        self.value = value
        self.line = line
        self.key: tuple[str, int] | None = None

    def add(self, node: Node) -> None:
        """Add a value that is complete."""
        if isinstance(self.value, list):
            self.value.append(node)
        elif self.key is not None:
            # The line of the key: that is what a person looks for.
            self.value[self.key[0]] = Node(node.value, self.key[1])
            self.key = None


def yaml_document(text: str, place: str) -> Node:
    """The document that is a YAML text.

    Args:
        place: What messages call it.

    Raises:
        BadInput: It is none, or is refused for what it holds.
    """
    import yaml

    try:
        return _yaml_node(yaml, text, place)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "can't be read"
        hint = "indent with spaces" if "\\t" in str(error) or "'\\t'" in str(problem) else ""
        raise BadInput(f"{where(place, mark.line + 1 if mark else 0)}: no YAML: {problem}", hint=hint) from None
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    except (ValueError, OverflowError):
        # An escape beyond Unicode, or a version number of thousands of digits: PyYAML lets Python's own error through.
        raise BadInput(f"{quoted(place, 200)}: no YAML: a number in an escape or a directive is too large") from None


def _yaml_node(yaml: Any, text: str, place: str) -> Node:
    """The document, made from the parser's events; each is checked before the next one is read."""
    count = Count(place)
    root: Node | None = None
    open_ones: list[_Building] = []
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BadInput(f"{where(place, line)}: anchors and aliases are not allowed", hint="write it out")
        if getattr(event, "tag", None):
            raise BadInput(f"{where(place, line)}: the tag {quoted(str(event.tag))} is not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise BadInput(f"{where(place, line)}: a second document begins", hint="keep one document in a file")
        if isinstance(event, yaml.CollectionEndEvent):
            built = open_ones.pop()
            node = Node(built.value, built.line)
        elif isinstance(event, yaml.NodeEvent):
            count.add(1, line)
            if open_ones and isinstance(open_ones[-1].value, dict) and open_ones[-1].key is None:
                open_ones[-1].key = (_yaml_key(yaml, event, open_ones[-1].value, where(place, line)), line)
                continue
            if isinstance(event, yaml.CollectionStartEvent):
                if len(open_ones) == DEPTH_LIMIT:
                    raise BadInput(f"{where(place, line)}: nested deeper than {DEPTH_LIMIT}")
                open_ones.append(_Building([] if isinstance(event, yaml.SequenceStartEvent) else {}, line))
                continue
            node = Node(_yaml_scalar(event), line)
        else:
            continue
        if open_ones:
            open_ones[-1].add(node)
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
    # YAML 1.2's core words alone: in YAML 1.1 a `no` would be false, and 1:30 a number.
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return Scalar(text.lower(), "boolean")
    return Scalar(text, "number" if _NUMBER.fullmatch(text) else "string")
