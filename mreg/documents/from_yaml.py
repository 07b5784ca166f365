"""YAML documents, built from the events of PyYAML's parser; parsing stops at the first event that is not allowed."""

from __future__ import annotations

import re
from typing import Any

from mreg.documents.node import DEPTH_LIMIT, Count, Node, Scalar, location
from mreg.domain.text import quoted
from mreg.errors import BadInput

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


MERGE = "<<"
"""The key of a mapping whose entries are added to the one that has the key."""


class _Building:
    """A list or mapping that is not complete yet.

    Attributes:
        anchor: Name of its anchor; empty if there is none.
        before: Number of keys and values before it.
    """

    __slots__ = ("anchor", "before", "key", "line", "merged", "value")

    def __init__(self, value: list[Node] | dict[str, Node], line: int, anchor: str, before: int) -> None:
        self.value = value
        self.line = line
        self.anchor = anchor
        self.before = before
        self.key: tuple[str, int] | None = None
        self.merged: Node | None = None

    def add(self, node: Node) -> None:
        """Add a complete value."""
        if isinstance(self.value, list):
            self.value.append(node)
        elif self.key is not None:
            key, line = self.key
            # Messages name the line of the key, which the user looks for.
            node = Node(node.value, line)
            if key == MERGE and self.merged is _EMPTY:
                self.merged = node
            else:
                self.value[key] = node
            self.key = None

    def complete(self, place: str) -> Node:
        """Return the complete list or mapping, with the entries of a merge key that it has no key for."""
        if self.merged is not None and isinstance(self.value, dict):
            merged = self.merged.value if isinstance(self.merged.value, list) else [self.merged]
            for mapping in merged:
                if not isinstance(mapping.value, dict):
                    raise BadInput(
                        f"{location(place, self.merged.line)}: a merge key needs a mapping, or a list of them"
                    )
                for key, node in mapping.value.items():
                    self.value.setdefault(key, node)
        return Node(self.value, self.line)


_EMPTY = Node({}, 0)


def yaml_document(text: str, place: str, *, anchors: bool = False) -> Node:
    """Parse a YAML text.

    Args:
        place: Name of the document in messages.
        anchors: Whether anchors, aliases and merge keys are expanded, up to `NODE_LIMIT` keys and values, rather than
            rejected.

    Raises:
        BadInput: The text is not YAML, or the document is not allowed.
    """
    import yaml

    try:
        document = _Document(yaml, place, anchors=anchors)
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            document.add(event)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "syntax error"
        hint = "indent with spaces" if "\\t" in str(error) or "'\\t'" in str(problem) else ""
        raise BadInput(f"{location(place, mark.line + 1 if mark else 0)}: invalid YAML: {problem}", hint=hint) from None
    except RecursionError:
        raise BadInput(f"{quoted(place, 200)}: nested too deeply") from None
    except (ValueError, OverflowError):
        # PyYAML passes on Python's errors for an escape beyond Unicode and for a version number of thousands of digits.
        raise BadInput(f"{quoted(place, 200)}: invalid YAML: too large a number in an escape or directive") from None
    return document.root


class _Document:
    """A document that is built from the parser's events; each event is checked before the next one is read."""

    def __init__(self, yaml: Any, place: str, *, anchors: bool) -> None:
        self._yaml = yaml
        self._place = place
        self._anchors = anchors
        self._count = Count(place)
        self._documents = 0
        self._unfinished: list[_Building] = []
        self._anchored: dict[str, tuple[Node, int]] = {}  # with the number of keys and values of each
        self.root = Node({}, 1)

    def add(self, event: Any) -> None:
        """Add the next event.

        Raises:
            BadInput: The event is not allowed.
        """
        yaml = self._yaml
        line = event.start_mark.line + 1 if event.start_mark else 0
        at = location(self._place, line)
        anchor = getattr(event, "anchor", None) or ""
        if anchor and not self._anchors:
            raise BadInput(f"{at}: anchors and aliases are not allowed", hint="write the value itself")
        if getattr(event, "tag", None):
            raise BadInput(f"{at}: the tag {quoted(str(event.tag))} is not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise BadInput(f"{at}: a second document begins", hint="keep one document in a file")
        elif isinstance(event, yaml.CollectionEndEvent):
            built = self._unfinished.pop()
            node = built.complete(self._place)
            self._remember(built.anchor, node, self._count.total - built.before)
            self._place_node(node)
        elif isinstance(event, yaml.NodeEvent):
            self._count.add(1, line)
            parent = self._unfinished[-1] if self._unfinished else None
            if parent is not None and isinstance(parent.value, dict) and parent.key is None:
                parent.key = self._key(event, parent, at), line
            elif isinstance(event, yaml.CollectionStartEvent):
                if len(self._unfinished) == DEPTH_LIMIT:
                    raise BadInput(f"{at}: nested deeper than {DEPTH_LIMIT}")
                empty: list[Node] | dict[str, Node] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
                self._unfinished.append(_Building(empty, line, anchor, self._count.total - 1))
            elif isinstance(event, yaml.AliasEvent):
                self._place_node(self._alias(anchor, line))
            else:
                node = Node(_yaml_scalar(event), line)
                self._remember(anchor, node, 1)
                self._place_node(node)

    def _place_node(self, node: Node) -> None:
        if self._unfinished:
            self._unfinished[-1].add(node)
        else:
            self.root = node

    def _remember(self, anchor: str, node: Node, size: int) -> None:
        if anchor:
            self._anchored[anchor] = node, size

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchored:  # also that of a mapping or list in itself
            raise BadInput(f"{location(self._place, line)}: the alias {quoted('*' + anchor)} has no anchor before it")
        node, size = self._anchored[anchor]
        self._count.add(size, line)
        return node

    def _key(self, event: Any, parent: _Building, at: str) -> str:
        if not isinstance(event, self._yaml.ScalarEvent):
            raise BadInput(f"{at}: a key must be a string")
        key = str(event.value)
        if key in parent.value or (key == MERGE and parent.merged is not None):
            raise BadInput(f"{at}: duplicate key {quoted(key)}")
        if key == MERGE and not event.style:
            if not self._anchors:
                raise BadInput(f"{at}: merge keys are not allowed", hint="write the value itself")
            parent.merged = _EMPTY
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
