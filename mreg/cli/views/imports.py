"""Tables of imports from other registries."""

from __future__ import annotations

from collections import Counter

from mreg.cli.table import Items, Rendering, Size, Table, stage_cell
from mreg.cli.views import View
from mreg.domain.text import counted
from mreg.results.imports import ImportEntry, ImportReport, ImportStatus

_OUTCOMES = {
    ImportStatus.ADDED: "added",
    ImportStatus.PRESENT: "already there",
    ImportStatus.DELETED: "deleted here",
    ImportStatus.PLANNED: "would be added",
    ImportStatus.FAILED: "failed",
}


def _report(report: ImportReport) -> Rendering:
    columns = ("source", "reference", "stage", "aliases", ">bytes", "outcome")
    rows = tuple(
        (
            entry.source,
            str(entry.reference) if entry.reference else "",
            stage_cell(entry.stage),
            Items(entry.aliases),
            Size(entry.size_bytes) if entry.size_bytes else "",
            _outcome(entry),
        )
        for entry in report.versions
    )
    table = Table(
        columns=columns,
        rows=rows,
        optional=("aliases", ">bytes", "stage"),
        shortened=("source", "reference"),
        wide=("outcome",),
    )
    counts = Counter(entry.status for entry in report.versions)
    outcomes = [f"{counts[status]:,} {text}" for status, text in _OUTCOMES.items() if counts[status]]
    return Rendering(
        tables=(table,) if rows else (),
        flat=table,
        summary=f"{report.source}: {counted(len(rows), 'version')}" + (f", {', '.join(outcomes)}" if outcomes else ""),
    )


def _outcome(entry: ImportEntry) -> str:
    return f"{_OUTCOMES[entry.status]}: {entry.problem}" if entry.problem else _OUTCOMES[entry.status]


VIEWS = (
    View(
        ImportReport,
        render=_report,
        references=lambda report: [str(entry.reference) for entry in report.versions if entry.reference],
    ),
)
