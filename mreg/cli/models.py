"""Commands over models: register, list, search."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count, pairs
from mreg.cli.completion import complete_field
from mreg.cli.invocation import invocation_of
from mreg.cli.options import ColumnNames, ColumnOrder, Description, Directions, Limit, PrimaryMetric, Tags
from mreg.cli.references import model_name


def register(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name: letters, digits, '.', '_' and '-', with '/' between parts.")
    ],
    description: Description = None,
    tags: Tags = None,
    directions: Directions = None,
    primary_metric: PrimaryMetric = None,
) -> None:
    """Register a model before its first version.

    This is optional: mreg push registers a new model.

    Examples:
      mreg register churn --description "churn in 30 days" --tag team=crm
      mreg register ranker --primary-metric ndcg --direction cost=lower
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
    """List all models with their latest versions.

    The list has the latest and the production version of each model with its primary metric. The model that changed
    last comes first.

    Examples:
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
    if not models:
        run.note_servers()
    run.output.result(listed, lambda models: summaries(models, columns))


def search(
    ctx: typer.Context,
    expression: Annotated[
        str,
        typer.Argument(
            metavar="EXPR", help="Expression (default: all versions). See mreg help expressions.", show_default=False
        ),
    ] = "",
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="[-]FIELD",
            help="Sort field; '-' sorts in descending order.",
            autocompletion=complete_field,
        ),
    ] = None,
    columns: ColumnNames = None,
    limit: Limit = None,
) -> None:
    """Find versions by metrics, tags and other fields.

    Fields are metrics.NAME, params.NAME, tags.NAME, name, version, stage, alias, created_at and others. Operators are =
    != < <= > >=, like, in (...) and is null, joined with and, or, not and parentheses. See mreg help expressions.

    Examples:
      mreg search "metrics.accuracy > 0.9 and stage = 'Staging'"
      mreg search "tags.team = fraud" --sort -metrics.accuracy --limit 10
      mreg search "name like 'team/%' and created_at > '2026-03-01'"
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
