"""Commands over models: register, list, search."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count, model_name, pairs
from mreg.cli.completion import complete_field
from mreg.cli.invocation import invocation_of
from mreg.cli.options import ColumnNames, ColumnOrder, Description, Directions, Limit, PrimaryMetric, Tags


def register(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Letters, digits, '.', '_', '-', with '/' between parts.")
    ],
    description: Description = None,
    tags: Tags = None,
    directions: Directions = None,
    primary_metric: PrimaryMetric = None,
) -> None:
    """Register a model before its first version; push does it by itself when the model is new.

    Examples:

    \b
      mreg register classifier --description "spam or not" --tag team=mail
      mreg register ranker --primary-metric ndcg --direction cost_per_query=lower
    """
    run = invocation_of(ctx)
    model = run.registry.register(
        model_name(name),
        description=description or "",
        tags=pairs("tag", tags),
        directions=dict(pairs("direction", directions)),
        primary_metric=primary_metric or "",
    )
    run.output.result(model)


def list_models(ctx: typer.Context, columns: ColumnNames = None, sort: ColumnOrder = None, limit: Limit = None) -> None:
    """List the models, the one that changed last first: latest and production versions with their primary metric.

    Examples:

    \b
      mreg list
      mreg list --limit 20 --json
      mreg list --columns model,production,updated --sort -updated
    """
    from mreg.cli.views.models import SUMMARIES, summaries

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    models = run.registry.models(limit=rows if sort is None else None)
    listed = models if sort is None else tuple(SUMMARIES.sort(models, sort)[:rows])
    SUMMARIES.table((), columns)  # an unknown column is an error in every format
    run.output.result(listed, lambda models: summaries(models, columns))


def search(
    ctx: typer.Context,
    expression: Annotated[
        str, typer.Argument(metavar="EXPR", help="What must hold; empty for every version.", show_default=False)
    ] = "",
    sort: Annotated[
        str | None,
        typer.Option("--sort", metavar="[-]FIELD", help="Order; '-' for largest first.", autocompletion=complete_field),
    ] = None,
    columns: ColumnNames = None,
    limit: Limit = None,
) -> None:
    """Find versions over all models.

    Fields are metrics.NAME, params.NAME, tags.NAME and name, version, stage, status, alias, run_id, experiment_id,
    format, size_bytes, checksum, git_commit, git_branch, created_by, created_at, updated_at, deployed_at, description.
    Compare with = != < <= > >=, like, in (...), is null; combine with and, or, not and brackets. A time without a zone
    is local time; standard error shows it in UTC. Times compare to the microsecond, as --format plain shows them.

    Examples:

    \b
      mreg search "metrics.accuracy > 0.9 and tags.team = 'fraud' and stage = 'Staging'"
      mreg search "name like 'team/%' and created_at > '2026-03-01'" --sort -metrics.accuracy --limit 10
    """
    from mreg.cli import times
    from mreg.cli.views.models import version_columns, versions_with_references

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    wanted = times.expression(expression, run.output)
    found = run.registry.search(wanted, sort=sort, limit=rows)
    if columns is not None:
        version_columns(found).table((), columns)  # an unknown column is an error in every format
    run.output.result(found, lambda versions: versions_with_references(versions, columns))
