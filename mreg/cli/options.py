"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_metric, complete_model, complete_reference, complete_stage

ReferenceWords = Annotated[
    list[str],
    typer.Argument(
        metavar="REF",
        help="Which version: classifier@3, classifier@production, or two words: classifier 3.",
        autocompletion=complete_reference,
    ),
]
ReferenceArgument = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="Which version: classifier@3, classifier@production; a bare name is the latest.",
        autocompletion=complete_reference,
    ),
]
ModelArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model.", autocompletion=complete_model)]
Limit = Annotated[str | None, typer.Option("--limit", metavar="N", help="Maximum number of rows.")]
ColumnNames = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAME,...", help="Columns to show, in this order (JSON always has all keys)."),
]
ColumnOrder = Annotated[
    str | None, typer.Option("--sort", metavar="[-]COLUMN", help="Column to sort by; - for descending order.")
]
Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Why; kept in the audit trail.")]
Description = Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is, for people.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be given several times.")
]
Directions = Annotated[
    list[str] | None,
    typer.Option(
        "--direction",
        metavar="METRIC=higher|lower",
        help="Which way a metric is better; may be given several times.",
        autocompletion=complete_metric,
    ),
]
PrimaryMetric = Annotated[
    str | None,
    typer.Option(
        "--primary-metric",
        metavar="METRIC",
        help="The metric that 'best' and the list judge by.",
        autocompletion=complete_metric,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")]
Override = Annotated[
    str,
    typer.Option("--override", metavar="REASON", help="Override the policy, if it allows overrides (audited)."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and change nothing.")]
StageOption = Annotated[
    str | None,
    typer.Option("--to", metavar="STAGE", help="None, Staging, Production or Archived.", autocompletion=complete_stage),
]
