"""Lineage: the ancestors and descendants of a version."""

from __future__ import annotations

from mreg.catalog.reader import Reader
from mreg.registry.references import as_reference, find_version
from mreg.registry.registry import Reference
from mreg.registry.session import Session
from mreg.results.lineage import Lineage, LineageNode

NODES_LIMIT = 10_000
"""Maximum number of versions in a tree; a larger tree is cut."""


def lineage(session: Session, reference: Reference) -> Lineage:
    """See `mreg.Registry.lineage`."""
    wanted = as_reference(reference)

    def look(reader: Reader) -> Lineage:
        version = find_version(reader, wanted)
        # The versions beyond one outside the scope are hidden too: their relation would show that it exists.
        ancestors = _chain(reader, version.version_id)
        order, children = _tree(reader, version.version_id)
        nodes = _Nodes(reader, [*ancestors, *order])
        parents: tuple[LineageNode, ...] = ()
        for ancestor in reversed(ancestors):
            parents = nodes.of(ancestor, parents) or parents
        below: dict[int, tuple[LineageNode, ...]] = {}
        for current in reversed(order):
            below[current] = nodes.of(current, _joined(children, below, current))
        return Lineage(version=version, parents=parents, children=_joined(children, below, version.version_id))

    return session.catalog.read(look)


class _Nodes:
    """The versions of a tree, read together."""

    def __init__(self, reader: Reader, ids: list[int]) -> None:
        self._versions = {version.version_id: version for version in reader.versions_by_id(ids)}
        self._deleted = reader.references(set(ids) - self._versions.keys())

    def of(self, version_id: int, related: tuple[LineageNode, ...]) -> tuple[LineageNode, ...]:
        """Return the node of a version, empty if the catalog does not have the version."""
        version = self._versions.get(version_id)
        if version is None:
            deleted = self._deleted.get(version_id)
            return (LineageNode(reference=deleted, related=related),) if deleted else ()
        node = LineageNode(
            reference=version.reference,
            stage=version.stage,
            run_id=version.run_id,
            git_commit=version.source.git_commit,
            data=version.data,
            related=related,
        )
        return (node,)


def _chain(reader: Reader, version_id: int) -> list[int]:
    """Return the ids of a version's ancestors, the parent first."""
    parents = reader.ancestors(version_id, NODES_LIMIT)
    hidden = reader.hidden({*parents, *(parent for parent in parents.values() if parent is not None)})
    chain: dict[int, None] = {}
    current = parents.get(version_id)
    while current is not None and current not in chain and current not in hidden and len(chain) < NODES_LIMIT:
        chain[current] = None
        current = parents.get(current)
    return list(chain)


def _tree(reader: Reader, version_id: int) -> tuple[list[int], dict[int, list[int]]]:
    """Return the ids of a version's descendants in breadth-first order, and the children of each."""
    # Iterative, because a chain of 10,000 versions exceeds Python's recursion limit. Each version is in the tree once:
    # a hostile catalog can give a version several parents, or make it its own ancestor.
    edges = reader.descendants(version_id, NODES_LIMIT)
    order = [version_id]
    seen = {version_id} | reader.hidden({child for children in edges.values() for child in children})
    children: dict[int, list[int]] = {}
    for current in order:
        found = [child for child in dict.fromkeys(edges.get(current, ())) if child not in seen]
        children[current] = found if len(order) + len(found) <= NODES_LIMIT else []
        order.extend(children[current])
        seen.update(children[current])
    return order[1:], children


def _joined(
    children: dict[int, list[int]], nodes: dict[int, tuple[LineageNode, ...]], version_id: int
) -> tuple[LineageNode, ...]:
    return tuple(node for child in children[version_id] for node in nodes[child])
