"""The command show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import count
from mreg.cli.completion import complete_metric
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import ColumnNames, ColumnOrder, Limit, OptionalReferenceWords
from mreg.cli.references import reference

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.results.models import ModelVersions


def show(
    ctx: typer.Context,
    words: OptionalReferenceWords = None,
    columns: ColumnNames = None,
    sort: ColumnOrder = None,
    limit: Limit = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Time at which to look up a stage or an alias (ISO 8601, local without a zone).",
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="METRIC",
            help="Plot the trend of a metric over the versions.",
            autocompletion=complete_metric,
        ),
    ] = None,
    plot_file: Annotated[
        str | None,
        typer.Option(
            "--plot-file",
            metavar="FILE",
            help="Write the plot to a .png, .svg or .html file (default metric: the primary metric).",
        ),
    ] = None,
) -> None:
    """Show a model with its versions, or one version.

    A name alone means the model. Without REF it is the default model: see mreg help references.

    Examples:
      mreg show churn
      mreg show churn 3
      mreg show churn --columns version,accuracy,params.lr --sort -accuracy
      mreg show churn@production --json
      mreg show churn@production --at 2026-03-01T12:00
      mreg show churn --plot accuracy --plot-file accuracy.svg
    """
    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    if at is not None:
        from mreg.cli.times import instant

        at = instant(at, run.output)
        _print(run, run.registry.version_at(reference(run, words), at), columns, sort, rows)
        return
    found = run.registry.show(reference(run, words), limit=rows if sort is None else None)
    if run.output.format == "json" or (plot is None and plot_file is None):
        _print(run, found, columns, sort, rows)
    if plot is None and plot_file is None:
        return
    from mreg.cli.plot import draw, trend, write

    points = trend(found, plot)
    if plot_file is not None:
        write(points, plot_file)
        run.output.note(f"wrote {plot_file}")
    elif run.output.format != "json":
        draw(points)


def _print(
    run: Invocation, found: ModelVersions | ModelVersion, columns: str | None, sort: str | None, limit: int | None
) -> None:
    """Print a model or a version; with ``--columns``, only a table with these columns."""
    if columns is None and sort is None:
        run.output.result(found)
        return
    from mreg.cli.table import rendering_of
    from mreg.cli.views import render
    from mreg.cli.views.models import version_columns
    from mreg.domain.model import ModelVersion

    versions = (found,) if isinstance(found, ModelVersion) else found.versions
    known = version_columns(versions, "" if isinstance(found, ModelVersion) else found.metric)
    if sort is not None:
        versions = tuple(known.sort(versions, sort)[:limit])
        found = found if isinstance(found, ModelVersion) else replace(found, versions=versions)
    table = known.table(versions, columns)
    run.output.result(found, render if columns is None else lambda _found: rendering_of(table))
