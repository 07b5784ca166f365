"""Lineage: the tree of what a version was made from and of what was made from it."""

from __future__ import annotations

from mreg.catalog.reader import Reader
from mreg.domain.lineage import Lineage, LineageNode
from mreg.domain.names import VersionRef
from mreg.registry.references import as_reference, find_version
from mreg.registry.session import Session

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
        return Lineage(
            version=version,
            parents=_parents(reader, version.version_id),
            children=_children(reader, version.version_id),
        )

    return session.catalog.read(look)


def _node(reader: Reader, version_id: int, related: tuple[LineageNode, ...]) -> LineageNode | None:
    version = reader.version_by_id(version_id)
    reference = version.reference if version else reader.deleted(version_id)
    return LineageNode(reference=reference, version=version, related=related) if reference else None


def _parents(reader: Reader, version_id: int) -> tuple[LineageNode, ...]:
    chain: dict[int, None] = {}
    current = reader.parent_of(version_id)
    while current is not None and current not in chain and len(chain) < NODES_LIMIT:
        chain[current] = None
        current = reader.parent_of(current)
    nodes: tuple[LineageNode, ...] = ()
    for ancestor in reversed(chain):
        node = _node(reader, ancestor, nodes)
        nodes = (node,) if node else nodes
    return nodes


def _children(reader: Reader, version_id: int) -> tuple[LineageNode, ...]:
    # Downwards by breadth, upwards by assembly: a chain of 10,000 must not meet Python's recursion limit.
    # Each version stands in the tree once: a hostile catalog can give one several parents, or make it its own ancestor.
    order = [version_id]
    seen = {version_id}
    children: dict[int, tuple[int, ...]] = {}
    for current in order:
        found = tuple(child for child in dict.fromkeys(reader.children_of(current)) if child not in seen)
        children[current] = found if len(order) + len(found) <= NODES_LIMIT else ()
        order.extend(children[current])
        seen.update(children[current])
    nodes: dict[int, LineageNode] = {}
    for current in reversed(order[1:]):
        node = _node(reader, current, tuple(nodes[child] for child in children[current] if child in nodes))
        if node:
            nodes[current] = node
    return tuple(nodes[child] for child in children[version_id] if child in nodes)
