"""The ancestors and descendants of a version."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mreg.domain.model import ModelVersion
from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A version in a tree of parents or of children.

    Attributes:
        reference: The version, even if it was deleted since.
        version: The version, None if it was deleted.
        related: Its parent (at most one) in a tree of parents, its children in a tree of children.
    """

    reference: VersionRef
    version: ModelVersion | None
    related: tuple[LineageNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The ancestors and descendants of a version.

    Attributes:
        version: The requested version.
        parents: Its parent, with the parent's own ancestors up to the root.
        children: Its children, with all their descendants.
    """

    version: ModelVersion
    parents: tuple[LineageNode, ...]
    children: tuple[LineageNode, ...]


def flatten(nodes: Iterable[LineageNode]) -> tuple[tuple[int, LineageNode], ...]:
    """Return every node with its depth (from 0), in pre-order."""
    found: list[tuple[int, LineageNode]] = []
    pending = [(0, node) for node in reversed(tuple(nodes))]
    while pending:
        depth, node = pending.pop()
        found.append((depth, node))
        pending.extend((depth + 1, child) for child in reversed(node.related))
    return tuple(found)
