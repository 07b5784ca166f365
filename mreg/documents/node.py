"""What every document becomes: nodes with their lines, counted while they are read."""

from __future__ import annotations

from dataclasses import dataclass

from mreg.domain.text import quoted
from mreg.errors import BadInput

NODE_LIMIT = 25_000
"""Values of a document, keys included. YAML needs up to 60 microseconds for each."""

DEPTH_LIMIT = 30


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value with the text that stood for it.

    Attributes:
        text: As written, without quotes.
        kind: string, number, boolean or null.
    """

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a document and the line on which it begins (1 for the first; 0 in JSON, which has no lines to tell).

    Attributes:
        value: A scalar, a list of nodes, or nodes by key.
    """

    value: Scalar | list[Node] | dict[str, Node]
    line: int


def where(place: str, line: int) -> str:
    """Where something is, for messages: the file, and the line unless it is 0."""
    return f"{quoted(place, 200)}, line {line}" if line else quoted(place, 200)


class Count:
    """How many values a document has so far."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._count = 0

    def add(self, count: int, line: int = 0) -> None:
        """Count more values.

        Raises:
            BadInput: They are more than `NODE_LIMIT`.
        """
        self._count += count
        if self._count > NODE_LIMIT:
            raise BadInput(f"{where(self.place, line)}: more than {NODE_LIMIT:,} keys and values")
