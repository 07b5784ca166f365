"""Lineage as a graph in the language of Mermaid or Graphviz."""

from __future__ import annotations

from collections.abc import Mapping

from mreg.domain.model import ModelStage
from mreg.domain.text import printable
from mreg.errors import BadInput
from mreg.results.lineage import Lineage, LineageNode

Edge = tuple[str, str, str]
"""Source, destination and label."""

KINDS = ("mermaid", "dot")


def graph(lineage: Lineage, kind: str) -> str:
    """Return the lineage of a version, with runs, commits and data, as a graph.

    Args:
        kind: ``mermaid`` or ``dot``.

    Raises:
        BadInput: The kind is another one.
    """
    if kind not in KINDS:
        raise BadInput(f"there is no graph {kind!r}", hint=f"use {' or '.join(KINDS)}")
    nodes, edges = _collected(lineage)
    return _mermaid(nodes, edges) if kind == "mermaid" else _dot(nodes, edges)


def _collected(lineage: Lineage) -> tuple[dict[str, str], list[Edge]]:
    nodes: dict[str, str] = {}
    edges: list[Edge] = []
    own = str(lineage.version.reference)

    def add(reference: str, stage: ModelStage | None, run: str, commit: str, data: Mapping[str, str]) -> None:
        if reference in nodes:
            return
        nodes[reference] = f"{reference} ({stage.value if stage else 'deleted'})"
        sources = [("run", run), ("commit", commit[:12]), *((f"data {name}", value) for name, value in data.items())]
        for source, value in sources:
            if value:
                nodes.setdefault(f"{source} {value}", f"{source} {value}")
                edges.append((f"{source} {value}", reference, ""))

    def connect(node: LineageNode, other: str, *, up: bool) -> None:
        add(str(node.reference), node.stage, node.run_id, node.git_commit, node.data)
        pair = (str(node.reference), other) if up else (other, str(node.reference))
        edges.append((*pair, "parent"))

    version = lineage.version
    add(own, version.stage, version.run_id, version.source.git_commit, version.data)
    for up, roots in ((True, lineage.parents), (False, lineage.children)):
        pending = [(node, own) for node in roots]
        while pending:
            node, other = pending.pop()
            connect(node, other, up=up)
            pending += [(related, str(node.reference)) for related in node.related]
    return nodes, edges


def _mermaid(nodes: dict[str, str], edges: list[Edge]) -> str:
    names = {node: f"n{index}" for index, node in enumerate(nodes)}
    lines = ["graph TD"]
    lines += [f'    {names[node]}["{_entities(label)}"]' for node, label in nodes.items()]
    lines += [
        f"    {names[first]} {'-->|' + word + '|' if word else '-->'} {names[second]}" for first, second, word in edges
    ]
    return "\n".join(lines) + "\n"


def _entities(text: str) -> str:
    """Return the text with every character escaped that could be markup: all but letters, digits and a few signs."""
    return "".join(char if char.isalnum() or char in " @._-/()" else f"#{ord(char)};" for char in printable(text))


def _dot(nodes: dict[str, str], edges: list[Edge]) -> str:
    lines = ["digraph lineage {", "    rankdir=TB;", "    node [shape=box];"]
    lines += [f"    {_quoted(node)} [label={_quoted(label)}];" for node, label in nodes.items()]
    lines += [
        f"    {_quoted(first)} -> {_quoted(second)}" + (f" [label={_quoted(word)}];" if word else ";")
        for first, second, word in edges
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    safe = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"'
