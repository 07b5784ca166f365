"""The command evaluate."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.invocation import invocation_of
from mreg.cli.options import Metrics, MetricsFiles, MetricsPrefixes, Reason, ReferenceWords
from mreg.cli.push import all_metrics, metrics_from
from mreg.cli.references import reference


def evaluate(
    ctx: typer.Context,
    words: ReferenceWords,
    metric: Metrics = None,
    metrics_file: MetricsFiles = None,
    metrics_prefix: MetricsPrefixes = None,
    dataset: Annotated[
        str,
        typer.Option("--dataset", metavar="NAME", help="Data set of the evaluation, recorded in the audit trail."),
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace existing values (needs --reason; voids approvals).")
    ] = False,
    reason: Reason = "",
) -> None:
    """Add metrics to a version after its push.

    A metric that the version has with another value is a conflict (exit code 7), and nothing is changed. With --replace
    and --reason the value is replaced. All approvals of the version are void then, and rejections stay.

    Examples:
      mreg evaluate churn@3 --metric auc=0.97 --dataset holdout
      mreg evaluate churn@3 --metrics-file eval.json --metrics-prefix test.
      mreg evaluate churn@3 --metric auc=0.95 --replace --reason "wrong split"
    """
    run = invocation_of(ctx)
    metrics = all_metrics({}, metric or (), metrics_from(run.output.note, metrics_file, metrics_prefix))
    wanted = reference(run, words)
    run.output.result(run.registry.evaluate(wanted, metrics, dataset=dataset, replace=replace, reason=reason))
