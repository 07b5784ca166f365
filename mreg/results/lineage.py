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
        reference: The version, also where it was deleted since.
        version: The version whole, or None where it was deleted.
        related: Its parents (at most one) or its children, by the tree's way.
    """

    reference: VersionRef
    version: ModelVersion | None
    related: tuple[LineageNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Both ways from one version.

    Attributes:
        version: The one that was asked for.
        parents: What it was made from, and that from, up to the roots.
        children: What was made from it, and from that.
    """

    version: ModelVersion
    parents: tuple[LineageNode, ...]
    children: tuple[LineageNode, ...]


def flatten(nodes: Iterable[LineageNode]) -> tuple[tuple[int, LineageNode], ...]:
    """Every node with its depth from 0, each before its related ones, as a tree is read."""
    found: list[tuple[int, LineageNode]] = []
    pending = [(0, node) for node in reversed(tuple(nodes))]
    while pending:
        depth, node = pending.pop()
        found.append((depth, node))
        pending.extend((depth + 1, child) for child in reversed(node.related))
    return tuple(found)
