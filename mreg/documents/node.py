"""Nodes of a parsed document with their line numbers, and the limits of a document."""

from __future__ import annotations

from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput

NODE_LIMIT = 25_000
"""Maximum number of keys and values in a document; YAML needs up to 60 microseconds for each."""

DEPTH_LIMIT = 30


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar value as text.

    Attributes:
        text: The value as written, without quotes; ``true`` and ``false`` in lower case.
        kind: ``string``, ``number``, ``boolean`` or ``null``.
    """

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document.

    Attributes:
        value: A scalar, a list of nodes, or nodes by key.
        line: Line of the value, or of its key in a mapping, from 1; 0 in JSON, whose parser gives no lines.
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int


def location(place: str, line: int) -> str:
    """Return a location for messages: the file, and the line unless it is 0."""
    return f"{quoted(place, 200)}, line {line}" if line else quoted(place, 200)


class Count:
    """Number of keys and values of a document during parsing."""

    def __init__(self, place: str, limit: int = NODE_LIMIT) -> None:
        self.place = place
        self._limit = limit
        self.total = 0

    def add(self, count: int, line: int = 0) -> None:
        """Add to the number.

        Raises:
            BadInput: The document has more keys and values than the limit.
        """
        self.total += count
        if self.total > self._limit:
            raise BadInput(f"{location(self.place, line)}: more than {self._limit:,} keys and values")
