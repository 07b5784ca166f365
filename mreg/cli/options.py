"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_metric, complete_model, complete_stage, complete_words

METRICS = "Metrics"
METADATA = "Metadata"

ReferenceWords = Annotated[
    list[str],
    typer.Argument(
        metavar="REF",
        help="Reference, such as churn@3, churn 3 or, of the default model, 3 or @production.",
        autocompletion=complete_words,
    ),
]
OptionalReferenceWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="REF",
        help="Reference, such as churn@3, churn 3 or, of the default model, 3 (default: the default model).",
        autocompletion=complete_words,
    ),
]
OptionalModel = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="Model (default: the default model).", autocompletion=complete_model),
]
ModelArgument = Annotated[str, typer.Argument(metavar="NAME", help="Model.", autocompletion=complete_model)]
Limit = Annotated[str | None, typer.Option("--limit", metavar="N", help="Maximum number of rows.")]
ColumnNames = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="Columns of the table, in this order (JSON has all keys).",
        rich_help_panel="Output",
    ),
]
ColumnOrder = Annotated[
    str | None,
    typer.Option(
        "--sort", metavar="[-]COLUMN", help="Sort column; '-' sorts in descending order.", rich_help_panel="Output"
    ),
]
Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Reason, recorded in the audit trail.")]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="Description.", rich_help_panel=METADATA)
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="Tag.", rich_help_panel=METADATA)]
Directions = Annotated[
    list[str] | None,
    typer.Option(
        "--direction",
        metavar="METRIC=higher|lower",
        help="Whether higher or lower values of a metric are better.",
        rich_help_panel=METRICS,
        autocompletion=complete_metric,
    ),
]
PrimaryMetric = Annotated[
    str | None,
    typer.Option(
        "--primary-metric",
        metavar="METRIC",
        help="Metric that ranks the versions, used by @best and mreg list.",
        rich_help_panel=METRICS,
        autocompletion=complete_metric,
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME=NUMBER",
        help="Metric.",
        autocompletion=complete_metric,
        rich_help_panel=METRICS,
    ),
]
MetricsFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics-file", metavar="FILE", help="File of metrics in JSON, YAML or CSV.", rich_help_panel=METRICS
    ),
]
MetricsPrefixes = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics-prefix",
        metavar="TEXT",
        help="Prefix of metric names: one for all files, or one for each file.",
        rich_help_panel=METRICS,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation prompt.")]
Override = Annotated[
    str,
    typer.Option("--override", metavar="REASON", help="Override the policy, if it allows overrides (audited)."),
]
Ci = Annotated[
    bool, typer.Option("--ci", help="Write to GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.", rich_help_panel="Output")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the changes and make none.")]
StageOption = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="STAGE",
        help="Stage: Staging, Production, Archived or None (default: the next one).",
        autocompletion=complete_stage,
    ),
]
