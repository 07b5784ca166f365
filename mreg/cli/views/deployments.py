"""Tables of deployments."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Table, Toned
from mreg.cli.views import View
from mreg.results.deployments import DeploymentReport


def _deployments(reports: Sequence[DeploymentReport]) -> Rendering:
    tones = {"deployed": "good", "failed": "bad"}
    rows = tuple(
        (
            report.deployment_id,
            report.reference,
            report.stage or report.action,
            report.hook,
            Toned(report.status.value, tones.get(report.status.value, "strong")),
            report.outcome,
            report.ended_at or report.started_at or report.created_at,
            (report.output.strip().splitlines() or [""])[-1],
        )
        for report in reports
    )
    columns = (">id", "reference", "event", "hook", "status", ">outcome", "at", "output")
    table = Table(
        columns=columns,
        rows=rows,
        optional=(">id", "at"),
        shortened=("reference",),
        wide=("output",),
        empty="no deployments",
    )
    return Rendering(tables=(table,), flat=table)


VIEWS = (View(DeploymentReport, render_list=_deployments, references=lambda report: [report.key]),)
