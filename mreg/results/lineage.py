"""The ancestors and descendants of a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """A version in a tree of parents or of children.

    Attributes:
        reference: The version, also if it was deleted since.
        stage: Its stage; None if it was deleted.
        run_id: The run that made it; empty if unknown.
        git_commit: The commit that it was pushed from; empty if unknown.
        data: The addresses of its training data, by name.
        related: In a tree of parents its parent, if any; in a tree of children its children.
    """

    reference: VersionRef
    stage: ModelStage | None = None
    run_id: str = ""
    git_commit: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    related: tuple[LineageNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Both trees of a version.

    Attributes:
        version: The version that was asked for.
        parents: Its parent, the parent of that, up to the root.
        children: The versions made from it, and the versions made from these.
    """

    version: ModelVersion
    parents: tuple[LineageNode, ...]
    children: tuple[LineageNode, ...]


def flatten(nodes: Iterable[LineageNode]) -> tuple[tuple[int, LineageNode], ...]:
    """Every node with its depth from 0, each before its related ones, in the order of a printed tree."""
    found: list[tuple[int, LineageNode]] = []
    pending = [(0, node) for node in reversed(tuple(nodes))]
    while pending:
        depth, node = pending.pop()
        found.append((depth, node))
        pending.extend((depth + 1, child) for child in reversed(node.related))
    return tuple(found)


def nest(nodes: Iterable[tuple[int, LineageNode]]) -> tuple[LineageNode, ...]:
    """The trees of a list that `flatten` returned, whose nodes have no related nodes.

    Raises:
        BadInput: A node is more than one level below the node before it.
    """
    listed = tuple(nodes)
    deepest = 0
    for depth, node in listed:
        if not 0 <= depth <= deepest:
            raise BadInput(f"invalid lineage: {node.reference} has depth {depth}, expected at most {deepest}")
        deepest = depth + 1
    below: list[list[LineageNode]] = [[]]
    for depth, node in reversed(listed):
        # The related nodes come after their node, so those found one level below belong to this one.
        below += [[] for _ in range(depth + 2 - len(below))]
        below[depth].append(replace(node, related=tuple(reversed(below.pop(depth + 1)))))
    return tuple(reversed(below[0]))
