"""Tables of lineages."""

from __future__ import annotations

from mreg.cli.table import Rendering, Row, Table, Toned, stage_cell
from mreg.cli.views import View
from mreg.results.lineage import Lineage, LineageNode, flatten


def _lineage(lineage: Lineage) -> Rendering:
    version = lineage.version
    ancestors = [node for _, node in flatten(lineage.parents)][::-1]
    depth = len(ancestors)
    itself = LineageNode(
        reference=version.reference,
        stage=version.stage,
        run_id=version.run_id,
        git_commit=version.source.git_commit,
        data=version.data,
    )
    placed = [
        *((place, node, "parent") for place, node in enumerate(ancestors)),
        (depth, itself, "itself"),
        *((depth + 1 + below, node, "child") for below, node in flatten(lineage.children)),
    ]
    flat: list[Row] = []
    drawn: list[Row] = []
    for level, node, relation in placed:
        stage = stage_cell(node.stage) if node.stage else Toned("deleted", "dim")
        data = ", ".join(f"{name}={value}" for name, value in node.data.items())
        flat.append((level, relation, str(node.reference), stage, node.run_id, node.git_commit, data))
        indent = "   " * (level - 1) + "└─ " if level else ""
        label = Toned(f"{indent}{node.reference}", "strong" if relation == "itself" else "")
        drawn.append((label, stage, node.run_id, node.git_commit[:12], data))
    return Rendering(
        tables=(
            Table(
                columns=("version", "stage", "run", "commit", "data"),
                rows=tuple(drawn),
                optional=("data", "commit"),
                shortened=("version",),
            ),
        ),
        flat=Table(columns=(">depth", "relation", "reference", "stage", "run", "commit", "data"), rows=tuple(flat)),
    )


VIEWS = (View(Lineage, render=_lineage, references=lambda lineage: [str(lineage.version.reference)]),)
