"""The lineage of a version as a graph: ancestors and sources at the left, descendants at the right."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import VersionRef
from mreg.results.lineage import Lineage, LineageNode, flatten
from mreg.server.ui.links import Links, external_link
from mreg.server.ui.rendering import shortened

ANCESTORS = 2
DESCENDANTS = 80
SOURCES = 8
"""Maximum number of boxes of each kind, nearest first; few ancestors, so that the version itself is visible."""

ANCESTORS_LISTED = 60
"""Maximum number of ancestors in the list."""

WIDTH, HEIGHT = 176, 50
"""Size of a box in pixels."""

COLUMN, ROW = 220, 66
MARGIN = 6
LABEL = 19
"""Number of characters that fit into a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A box of the graph.

    Attributes:
        kind: version, deleted, earlier (several versions in one), run, commit, experiment or data.
        name: The full name.
        label: The name, shortened to fit into the box.
        address: URL of its link, empty for none.
        parent: Name of the parent of a descendant.
        current: Whether it is the version of the page.
        x: Position of the left edge in pixels.
        y: Position of the top edge in pixels.
    """

    kind: str
    name: str
    label: str
    caption: str
    address: str
    parent: str = ""
    current: bool = False
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The graph of a lineage.

    Attributes:
        boxes: Drawn boxes in reading order.
        ancestors: Nearest first, including those that are only in the list.
        descendants: Each after its parent.
        arrows: SVG paths between boxes.
        omitted: Number of versions and sources that are neither drawn nor listed.
    """

    width: int
    height: int
    current: Box
    boxes: tuple[Box, ...]
    ancestors: tuple[Box, ...]
    sources: tuple[Box, ...]
    descendants: tuple[Box, ...]
    arrows: tuple[str, ...]
    omitted: int


@dataclass(slots=True)
class _Branch:
    """A descendant before it is placed; ``row`` can be between two rows."""

    node: LineageNode
    parent: _Branch | None
    column: int
    row: float = 0.0


def lineage_graph(lineage: Lineage, links: Links) -> Graph:
    """Return the graph of a lineage, with about a hundred boxes at most."""
    chain = [node for _, node in flatten(lineage.parents)]
    sources = _sources(lineage.version)
    branches, total = _branches(lineage)
    own_row = _assign_rows(branches)
    # Ancestors are in the row of the version, sources in the column of its parent, below it.
    drawn = min(len(chain), ANCESTORS)
    earlier = len(chain) - drawn
    first_source = own_row + (1 if chain else 0)
    columns = max(drawn + bool(earlier), bool(sources))
    lowest = max([own_row, *(branch.row for branch in branches), first_source + len(sources[:SOURCES]) - 1])
    widest = max([0, *(branch.column for branch in branches)])

    def at(column: int, row: float) -> tuple[int, int]:
        return MARGIN + (columns + column) * COLUMN, MARGIN + round(row * ROW)

    current = _version_box(lineage.version.reference, lineage.version.stage, at(0, own_row), links, current=True)
    ancestors = tuple(
        _node_box(node, at(-1 - distance, own_row), links) for distance, node in enumerate(chain[:ANCESTORS_LISTED])
    )
    line = [*ancestors[:drawn]]
    if earlier:
        line.append(_earlier_box(earlier, at(-1 - drawn, own_row)))
    placed = tuple(_source_box(*source, at(-1, first_source + row)) for row, source in enumerate(sources[:SOURCES]))
    boxes = {
        id(branch): _node_box(branch.node, at(branch.column, branch.row), links, _parent_name(branch, current))
        for branch in branches
    }
    arrows = [_arrow(*pair) for pair in zip(line, (current, *line), strict=False)]
    arrows += [_arrow(box, current) for box in placed]
    arrows += [_arrow(boxes[id(branch.parent)] if branch.parent else current, boxes[id(branch)]) for branch in branches]
    return Graph(
        width=2 * MARGIN + (columns + widest) * COLUMN + WIDTH,
        height=2 * MARGIN + round(lowest * ROW) + HEIGHT,
        current=current,
        boxes=(*line[::-1], *placed, current, *boxes.values()),
        ancestors=ancestors,
        sources=placed,
        descendants=tuple(boxes.values()),
        arrows=tuple(arrows),
        omitted=max(0, len(chain) - ANCESTORS_LISTED) + total - len(branches) + max(0, len(sources) - SOURCES),
    )


def _branches(lineage: Lineage) -> tuple[list[_Branch], int]:
    """Return the nearest descendants in depth-first order, and the number of all descendants."""
    nearest: list[_Branch] = []
    pending = deque(_Branch(node, None, 1) for node in lineage.children)
    while pending and len(nearest) < DESCENDANTS:
        branch = pending.popleft()
        nearest.append(branch)
        pending.extend(_Branch(node, branch, branch.column + 1) for node in branch.node.related)
    below: dict[int | None, list[_Branch]] = {}
    for branch in nearest:
        below.setdefault(id(branch.parent) if branch.parent else None, []).append(branch)
    ordered: list[_Branch] = []
    stack = below.get(None, [])[::-1]
    while stack:
        branch = stack.pop()
        ordered.append(branch)
        stack += below.get(id(branch), [])[::-1]
    return ordered, len(flatten(lineage.children))


def _assign_rows(branches: list[_Branch]) -> float:
    """Assign a row to each branch, in the middle of its children, and return the row of the root."""
    rows: dict[int | None, list[float]] = {}
    ends = len({id(branch) for branch in branches} - {id(branch.parent) for branch in branches})
    for branch in reversed(branches):
        own = rows.get(id(branch))
        if own:
            branch.row = (min(own) + max(own)) / 2
        else:
            ends -= 1
            branch.row = float(ends)
        rows.setdefault(id(branch.parent) if branch.parent else None, []).append(branch.row)
    roots = rows.get(None, [0.0])
    return (min(roots) + max(roots)) / 2


def _sources(version: ModelVersion) -> list[tuple[str, str, str, str]]:
    """Return the sources of a version other than its parent: kind, name, caption, URL."""
    data = [("data", name, shortened(value, LABEL), external_link(value)) for name, value in version.data.items()]
    given = (
        ("run", version.run_id, external_link(version.source.run_url)),
        ("experiment", version.experiment_id, ""),
        ("commit", version.source.git_commit, ""),
    )
    return [(kind, name, kind, address) for kind, name, address in given if name] + data


def _source_box(kind: str, name: str, caption: str, address: str, at: tuple[int, int]) -> Box:
    label = name[:12] if kind == "commit" else shortened(name, LABEL)
    return Box(kind=kind, name=name, label=label, caption=caption, address=address, x=at[0], y=at[1])


def _node_box(node: LineageNode, at: tuple[int, int], links: Links, parent: str = "") -> Box:
    return _version_box(node.reference, node.stage, at, links, parent=parent)


def _version_box(
    reference: VersionRef,
    stage: ModelStage | None,
    at: tuple[int, int],
    links: Links,
    *,
    parent: str = "",
    current: bool = False,
) -> Box:
    return Box(
        kind="version" if stage else "deleted",
        name=str(reference),
        label=shortened(reference, LABEL),
        caption=stage.value if stage else "deleted",
        address=links.page("models", reference.name, "versions", reference.number) if stage else "",
        parent=parent,
        current=current,
        x=at[0],
        y=at[1],
    )


def _earlier_box(count: int, at: tuple[int, int]) -> Box:
    label = "1 earlier version" if count == 1 else f"{count:,} earlier versions"
    return Box(kind="earlier", name=label, label=label, caption="in the list below", address="", x=at[0], y=at[1])


def _parent_name(branch: _Branch, current: Box) -> str:
    return str(branch.parent.node.reference) if branch.parent else current.name


def _arrow(source: Box, target: Box) -> str:
    """Return the path from the right edge of one box to the left edge of another, with room for the arrowhead."""
    left, top = source.x + WIDTH, source.y + HEIGHT // 2
    right, bottom = target.x - 7, target.y + HEIGHT // 2
    middle = (left + right) // 2
    return f"M{left} {top}C{middle} {top} {middle} {bottom} {right} {bottom}"
