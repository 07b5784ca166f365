"""The ancestors and descendants of a version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mreg.domain.value import Result, Value
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode(Value):
    """A version in a tree of parents or of children.

    Attributes:
        reference: The version, even if it was deleted since.
        stage: Stage of the version; None if it was deleted.
        run_id: Run that made the version; empty if unknown.
        git_commit: Commit that the version was pushed from; empty if unknown.
        data: URI of each training data set by name.
        related: Its parent (at most one) in a tree of parents, its children in a tree of children.
    """

    reference: VersionRef
    stage: ModelStage | None = None
    run_id: str = ""
    git_commit: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    related: tuple[LineageNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage(Result):
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


def nest(nodes: Iterable[tuple[int, LineageNode]]) -> tuple[LineageNode, ...]:
    """Return the trees of a list that `flatten` returned, whose nodes have no related nodes.

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
