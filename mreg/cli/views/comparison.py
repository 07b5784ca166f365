"""Tables of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mreg.cli.table import Rendering, Row, Table, Toned
from mreg.cli.views import View
from mreg.domain.names import VersionRef
from mreg.results.comparison import Comparison, MetricDifference

VERDICT_TONES = {"better": "good", "worse": "bad", "missing": "bad", "same": "dim", "unknown": "dim"}


def _comparison(comparison: Comparison) -> Rendering:
    first, second = comparison.first.reference, comparison.second.reference
    tables = [metric_table(first, second, comparison.metrics)]
    tables += [
        Table(
            title=group,
            columns=("", str(first), str(second)),
            rows=tuple((change.name, change.first, change.second) for change in changes),
        )
        for group, changes in groupby(comparison.changes, key=lambda change: change.group)
    ]
    flat_rows: list[Row] = [
        ("metrics", row.name, row.first, row.second, row.delta, row.percent, row.verdict.value)
        for row in comparison.metrics
    ]
    flat_rows += [
        (change.group, change.name, change.first, change.second, None, None, "differs") for change in comparison.changes
    ]
    columns = ("group", "name", str(first), str(second), "delta", "percent", "verdict")
    return Rendering(
        tables=tuple(tables),
        flat=Table(columns=columns, rows=tuple(flat_rows)),
        summary="The bytes of both are the same." if comparison.same_artifact else "",
        marker=f"mreg compare {comparison.first.model_name} {comparison.second.model_name}",
    )


def metric_table(first: VersionRef, second: VersionRef, metrics: Sequence[MetricDifference]) -> Table:
    """Return the table of the metrics of two versions."""
    rows = tuple(
        (
            row.name,
            row.first,
            row.second,
            _signed(row.delta),
            f"{row.percent:+.2f} %" if row.percent is not None else None,
            Toned(row.verdict.value, VERDICT_TONES.get(row.verdict.value, "")),
        )
        for row in metrics
    )
    return Table(
        title=f"{first} against {second}",
        columns=("metric", f">{first}", f">{second}", ">delta", ">percent", "verdict"),
        rows=rows,
        optional=(">percent", ">delta"),
        empty="no metrics",
    )


def _signed(delta: int | float | None) -> str | None:
    return None if delta is None else (f"{delta:+d}" if isinstance(delta, int) else f"{delta:+.6g}")


VIEWS = (
    View(
        Comparison,
        render=_comparison,
        references=lambda comparison: [str(comparison.first.reference), str(comparison.second.reference)],
    ),
)
