"""Tables of deployments."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Table, Toned
from mreg.cli.views import View
from mreg.results.deployments import DeploymentReport


def _deployments(found: Sequence[DeploymentReport]) -> Rendering:
    tones = {"deployed": "good", "failed": "bad"}
    rows = tuple(
        (
            one.deployment_id,
            one.reference,
            one.stage or one.action,
            one.hook,
            Toned(one.status.value, tones.get(one.status.value, "strong")),
            one.outcome,
            one.ended_at or one.started_at or one.created_at,
            (one.output.strip().splitlines() or [""])[-1],
        )
        for one in found
    )
    columns = (">id", "of", "for", "hook", "status", ">outcome", "at", "end of its output")
    table = Table(columns=columns, rows=rows, optional=(">id", "at"))
    return Rendering(tables=(table,), flat=table)


VIEWS = (View(DeploymentReport, many=_deployments, references=lambda report: [report.key]),)
