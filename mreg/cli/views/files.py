"""Tables of pulls."""

from __future__ import annotations

from mreg.cli.table import Rendering, Row, Size, Table, Toned, one_line
from mreg.cli.views import View
from mreg.domain.text import counted, size_text
from mreg.results.files import Pulled, PushPlan


def _pulled(pulled: Pulled) -> Rendering:
    version = pulled.version
    state = "already there, verified" if pulled.unchanged else "verified"
    return one_line(
        ("reference", "file", "bytes", "checksum", "state"),
        (
            str(version.reference),
            str(pulled.destination),
            version.artifact.size_bytes,
            str(version.artifact.digest),
            Toned(state, "good"),
        ),
        f"{version.reference} is at {pulled.destination} ({state})",
    )


def _plan(plan: PushPlan) -> Rendering:
    """Return the files of a push that was not made, with the sum below a table."""
    rows: list[Row] = [(file.path, Size(file.size_bytes)) for file in plan.files]
    table = Table(
        columns=("file", ">bytes"), rows=(*rows, *((f"{folder}/", None) for folder in plan.folders)), empty="no files"
    )
    summary = (
        f"dry run: {counted(len(plan.files), 'file')}, {size_text(plan.size_bytes)}, would be pushed to {plan.model}"
    )
    return Rendering(tables=(table,), flat=table, summary=summary)


VIEWS = (
    View(PushPlan, render=_plan, references=lambda plan: [file.path for file in plan.files]),
    View(Pulled, render=_pulled, references=lambda pulled: [str(pulled.version.reference)]),
)
