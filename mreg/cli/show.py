"""The command show."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count, reference
from mreg.cli.completion import complete_metric
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, ReferenceWords


def show(
    ctx: typer.Context,
    words: ReferenceWords,
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

    A name alone means the model.

    Examples:
      mreg show churn
      mreg show churn 3
      mreg show churn@production --json
      mreg show churn@production --at 2026-03-01T12:00
      mreg show churn --plot accuracy --plot-file accuracy.svg
    """
    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    if at is not None:
        from mreg.cli.times import instant

        at = instant(at, run.output)
        run.output.result(run.registry.version_at(reference(words), at))
        return
    found = run.registry.show(reference(words), limit=rows)
    if run.output.format == "json" or (plot is None and plot_file is None):
        run.output.result(found)
    if plot is None and plot_file is None:
        return
    from mreg.cli.plot import draw, trend, write

    points = trend(found, plot)
    if plot_file is not None:
        write(points, plot_file)
        run.output.note(f"wrote {plot_file}")
    elif run.output.format != "json":
        draw(points)
