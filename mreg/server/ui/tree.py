"""The lineage of a version as a drawing: what it was made from at the left, what was made from it at the right."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import VersionRef
from mreg.results.lineage import Lineage, LineageNode, flatten
from mreg.server.ui.links import link, outside
from mreg.server.ui.rendering import shortened

ANCESTORS = 2
DESCENDANTS = 80
SOURCES = 8
"""How many of each are drawn, the nearest of them; of ancestors few, so that the version itself is in sight."""

LISTED = 60
"""How many ancestors are in the list."""

WIDTH, HEIGHT = 176, 50
"""Of a box, in pixels."""

COLUMN, ROW = 220, 66
MARGIN = 6
LABEL = 19
"""Characters that fit into a box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Something in the drawing.

    Attributes:
        kind: version, deleted, earlier (several versions in one), run, commit, experiment or data.
        name: What it is called, whole; label: what of it fits into the box.
        address: Where it leads, empty for nowhere.
        made_from: The name of its parent, where it is a version made from one that is drawn.
        here: Whether it is the version that was asked for.
        x: Of the left edge in pixels; y: of the upper one.
    """

    kind: str
    name: str
    label: str
    remark: str
    address: str
    made_from: str = ""
    here: bool = False
    x: int = 0
    y: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A lineage drawn.

    Attributes:
        boxes: What is drawn, in the order in which it is read.
        ancestors: The nearest first, also those that are in the list alone.
        descendants: Each after what it was made from.
        arrows: Paths from box to box.
        left_out: How many versions and sources are neither drawn nor listed.
    """

    width: int
    height: int
    here: Box
    boxes: tuple[Box, ...]
    ancestors: tuple[Box, ...]
    sources: tuple[Box, ...]
    descendants: tuple[Box, ...]
    arrows: tuple[str, ...]
    left_out: int


@dataclass(slots=True)
class _Branch:
    """A descendant on its way to its place; ``row`` may lie between two rows."""

    node: LineageNode
    parent: _Branch | None
    column: int
    row: float = 0.0


def drawing(found: Lineage) -> Drawing:
    """The drawing of a lineage, of at most some hundred boxes however large it is."""
    chain = [node for _, node in flatten(found.parents)]
    sources = _sources(found.version)
    branches, count = _branches(found)
    own_row = _place(branches)
    # Ancestors stand in the row of the version, sources in the column of its parent and below it.
    drawn = min(len(chain), ANCESTORS)
    earlier = len(chain) - drawn
    first_source = own_row + (1 if chain else 0)
    columns = max(drawn + bool(earlier), bool(sources))
    lowest = max([own_row, *(one.row for one in branches), first_source + len(sources[:SOURCES]) - 1])
    widest = max([0, *(one.column for one in branches)])

    def at(column: int, row: float) -> tuple[int, int]:
        return MARGIN + (columns + column) * COLUMN, MARGIN + round(row * ROW)

    here = _version_box(found.version.reference, found.version.stage, at(0, own_row), here=True)
    ancestors = tuple(_node_box(node, at(-1 - place, own_row)) for place, node in enumerate(chain[:LISTED]))
    line = [*ancestors[:drawn]]
    if earlier:
        line.append(_earlier_box(earlier, at(-1 - drawn, own_row)))
    placed = tuple(_source_box(*one, at(-1, first_source + place)) for place, one in enumerate(sources[:SOURCES]))
    boxes = {id(one): _node_box(one.node, at(one.column, one.row), _parent_name(one, here)) for one in branches}
    arrows = [_arrow(*pair) for pair in zip(line, (here, *line), strict=False)]
    arrows += [_arrow(box, here) for box in placed]
    arrows += [_arrow(boxes[id(one.parent)] if one.parent else here, boxes[id(one)]) for one in branches]
    return Drawing(
        width=2 * MARGIN + (columns + widest) * COLUMN + WIDTH,
        height=2 * MARGIN + round(lowest * ROW) + HEIGHT,
        here=here,
        boxes=(*line[::-1], *placed, here, *boxes.values()),
        ancestors=ancestors,
        sources=placed,
        descendants=tuple(boxes.values()),
        arrows=tuple(arrows),
        left_out=max(0, len(chain) - LISTED) + count - len(branches) + max(0, len(sources) - SOURCES),
    )


def _branches(found: Lineage) -> tuple[list[_Branch], int]:
    """The nearest descendants in the order of a tree that is read, and how many there are in all."""
    nearest: list[_Branch] = []
    pending = deque(_Branch(node, None, 1) for node in found.children)
    while pending and len(nearest) < DESCENDANTS:
        branch = pending.popleft()
        nearest.append(branch)
        pending.extend(_Branch(node, branch, branch.column + 1) for node in branch.node.related)
    below: dict[int | None, list[_Branch]] = {}
    for branch in nearest:
        below.setdefault(id(branch.parent) if branch.parent else None, []).append(branch)
    ordered: list[_Branch] = []
    reading = below.get(None, [])[::-1]
    while reading:
        branch = reading.pop()
        ordered.append(branch)
        reading += below.get(id(branch), [])[::-1]
    return ordered, len(flatten(found.children))


def _place(branches: list[_Branch]) -> float:
    """Give each branch its row: one of its own to each end, the middle of its children to any other; the root's row."""
    rows: dict[int | None, list[float]] = {}
    ends = len({id(one) for one in branches} - {id(one.parent) for one in branches})
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
    """What a version was made from beside its parent: kind, name, remark, address."""
    found = [("data", name, shortened(value, LABEL), outside(value)) for name, value in version.data.items()]
    given = (
        ("run", version.run_id, outside(version.source.run_url)),
        ("experiment", version.experiment_id, ""),
        ("commit", version.source.git_commit, ""),
    )
    return [(kind, name, kind, address) for kind, name, address in given if name] + found


def _source_box(kind: str, name: str, remark: str, address: str, at: tuple[int, int]) -> Box:
    label = name[:12] if kind == "commit" else shortened(name, LABEL)
    return Box(kind=kind, name=name, label=label, remark=remark, address=address, x=at[0], y=at[1])


def _node_box(node: LineageNode, at: tuple[int, int], made_from: str = "") -> Box:
    return _version_box(node.reference, node.stage, at, made_from=made_from)


def _version_box(
    reference: VersionRef, stage: ModelStage | None, at: tuple[int, int], *, made_from: str = "", here: bool = False
) -> Box:
    return Box(
        kind="version" if stage else "deleted",
        name=str(reference),
        label=shortened(reference, LABEL),
        remark=stage.value if stage else "deleted",
        address=link("models", reference.name, "versions", reference.number) if stage else "",
        made_from=made_from,
        here=here,
        x=at[0],
        y=at[1],
    )


def _earlier_box(count: int, at: tuple[int, int]) -> Box:
    label = "1 earlier version" if count == 1 else f"{count:,} earlier versions"
    return Box(kind="earlier", name=label, label=label, remark="in the list below", address="", x=at[0], y=at[1])


def _parent_name(branch: _Branch, here: Box) -> str:
    return str(branch.parent.node.reference) if branch.parent else here.name


def _arrow(source: Box, target: Box) -> str:
    """A curve from the right edge of one box to the left edge of another, a little before it for the arrow's head."""
    left, top = source.x + WIDTH, source.y + HEIGHT // 2
    right, bottom = target.x - 7, target.y + HEIGHT // 2
    middle = (left + right) // 2
    return f"M{left} {top}C{middle} {top} {middle} {bottom} {right} {bottom}"
