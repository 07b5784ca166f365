"""Lineage: the tree of what a version was made from and of what was made from it."""

from __future__ import annotations

from mreg.catalog.reader import Reader
from mreg.domain.names import VersionRef
from mreg.registry.references import as_reference, find_version
from mreg.registry.session import Session
from mreg.results.lineage import Lineage, LineageNode

NODES_LIMIT = 10_000
"""Versions in one tree; beyond it the tree is cut."""


def lineage(session: Session, reference: VersionRef | str) -> Lineage:
    """The ancestors and descendants of a version, over all models; deleted ones keep their place.

    Raises:
        NotFound: There is no such model or version.
    """
    wanted = as_reference(reference)

    def look(reader: Reader) -> Lineage:
        version = find_version(reader, wanted)
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
    """The versions of a tree, read all at once."""

    def __init__(self, reader: Reader, ids: list[int]) -> None:
        self._versions = {version.version_id: version for version in reader.versions_by_id(ids)}
        self._deleted = reader.references(set(ids) - self._versions.keys())

    def of(self, version_id: int, related: tuple[LineageNode, ...]) -> tuple[LineageNode, ...]:
        """The node of a version; none where the catalog does not know it."""
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
    """The ids of a version's ancestors, the parent first."""
    parents = reader.ancestors(version_id, NODES_LIMIT)
    chain: dict[int, None] = {}
    current = parents.get(version_id)
    while current is not None and current not in chain and len(chain) < NODES_LIMIT:
        chain[current] = None
        current = parents.get(current)
    return list(chain)


def _tree(reader: Reader, version_id: int) -> tuple[list[int], dict[int, list[int]]]:
    """The ids of a version's descendants, the near ones first, and the children of each."""
    # Downwards by breadth, upwards by assembly: a chain of 10,000 must not meet Python's recursion limit.
    # Each version stands in the tree once: a hostile catalog can give one several parents, or make it its own ancestor.
    edges = reader.descendants(version_id, NODES_LIMIT)
    order = [version_id]
    seen = {version_id}
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
