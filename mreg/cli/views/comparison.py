"""Tables of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from mreg.cli.table import Rendering, Row, Table, Toned
from mreg.cli.views import View
from mreg.domain.metrics import Verdict
from mreg.domain.names import VersionRef
from mreg.results.comparison import Comparison, MetricDifference

VERDICT_TONES = {"better": "good", "worse": "bad", "missing": "bad", "same": "dim", "unknown": "dim"}


LONG_NAME = 16
"""Number of characters of a model name above which column names have a part of it or none."""


def _comparison(comparison: Comparison) -> Rendering:
    first, second = comparison.first.reference, comparison.second.reference
    heads = _heads(first, second)
    tables = [metric_table(first, second, comparison.metrics)]
    tables += [
        Table(
            title=group,
            columns=("", *heads),
            rows=tuple((change.name, change.first, change.second) for change in changes),
            shortened=("",),
            wide=heads,
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
    heads = _heads(first, second)
    rows = tuple(
        (
            row.name,
            row.first,
            row.second,
            _signed(row.delta),
            f"{row.percent:+.2f} %" if row.percent is not None else None,
            _verdict(row, heads),
        )
        for row in metrics
    )
    columns = tuple(f">{head}" for head in heads)
    return Table(
        title=f"{first} against {second}",
        columns=("metric", *columns, ">delta", ">percent", "verdict"),
        rows=rows,
        optional=(">percent", ">delta"),
        essential=(">delta",),
        shortened=("metric",),
        empty="no metrics",
    )


def _heads(first: VersionRef, second: VersionRef) -> tuple[str, str]:
    """Return the column names of two versions: their references, shorter if a model has a long name."""
    if first.name == second.name and len(str(first.name)) > LONG_NAME:
        return f"version {first.selector}", f"version {second.selector}"
    heads = _head(first), _head(second)
    return heads if heads[0] != heads[1] else (str(first), str(second))


def _head(reference: VersionRef) -> str:
    """Return a reference, without the middle of a long name."""
    name, half = str(reference.name), LONG_NAME // 2 - 2
    return str(reference) if len(name) <= LONG_NAME else f"{name[:half]}...{name[-half:]}@{reference.selector}"


def _verdict(row: MetricDifference, heads: tuple[str, str]) -> Toned:
    """Return the verdict; a missing metric with the version that lacks it."""
    lacking, place = (heads[0], "first") if row.first is None else (heads[1], "second")
    mark = f"in {lacking if len(lacking) <= LONG_NAME else place}" if row.verdict is Verdict.MISSING else ""
    return Toned(row.verdict.value, VERDICT_TONES.get(row.verdict.value, ""), mark=mark)


def _signed(delta: int | float | None) -> str | None:
    return None if delta is None else (f"{delta:+d}" if isinstance(delta, int) else f"{delta:+.6g}")


VIEWS = (
    View(
        Comparison,
        render=_comparison,
        references=lambda comparison: [str(comparison.first.reference), str(comparison.second.reference)],
    ),
)
