"""The command compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.completion import complete_metric, complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Ci
from mreg.cli.parameters import Command
from mreg.cli.references import two_references
from mreg.errors import GateFailed, NotFound

if TYPE_CHECKING:
    from mreg.results.comparison import Comparison, Regression

ALL_METRICS = ":0"
"""The value of a ``--fail-on-regression`` that has none: all metrics, without tolerance."""


def compare(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A] [B]",
            help="Up to two versions: churn 1 2, churn@3 other@7, churn@3, or 1 2 of the default model.",
            autocompletion=complete_words,
        ),
    ] = None,
    fail_on_regression: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on-regression",
            metavar="[METRIC[:TOLERANCE]]",
            help="Exit with code 3 if B is worse; tolerance 0.01 or 5% (default: all metrics, tolerance 0).",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Metric to show, without other differences.",
            autocompletion=complete_metric,
            rich_help_panel="Output",
        ),
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="Hide metrics with equal values.", rich_help_panel="Output")
    ] = False,
    ci: Ci = False,
) -> None:
    """Compare metrics, parameters and files of two versions.

    The source and the environment are compared as well. A single version is compared with the version in Production. A
    name alone means the latest version.

    With --fail-on-regression the exit code is 3 if a metric of B is worse than the tolerance allows, or if one version
    lacks the metric. Without it the exit code is 0.

    --metric and --only-changed filter the output in every format. --fail-on-regression and --ci use all metrics.

    Examples:
      mreg compare churn 1 2
      mreg compare churn 1 2 --metric accuracy --only-changed
      mreg compare churn@production churn@latest --format md
      mreg compare churn@3 other@7 --fail-on-regression accuracy:0.01
      mreg compare churn --ci --fail-on-regression
    """
    run = invocation_of(ctx)
    from mreg.registry.compare import Tolerance, regressions

    if ci:
        from mreg.cli.ci import check_step, write_comparison

        check_step()
    rules = [Tolerance.parse(text) for text in fail_on_regression or ()]
    comparison = run.registry.compare(*two_references(run, words))
    failed = regressions(comparison, rules)
    run.output.result(_chosen(comparison, metric or (), only_changed=only_changed))
    if ci:
        write_comparison(comparison, failed=[regression.metric.name for regression in failed])
    if failed:
        raise _failure(comparison, failed)


def _chosen(comparison: Comparison, names: Sequence[str], *, only_changed: bool) -> Comparison:
    """Return the part of a comparison that is shown.

    Args:
        names: Metrics (default: all metrics and the other differences).

    Raises:
        NotFound: Neither version has a metric.
    """
    from mreg.domain.metrics import known_metric

    known = [metric.name for metric in comparison.metrics]
    names = [known_metric(name) for name in names]
    for name in names:
        if name not in known:
            from mreg.domain.text import quoted

            hint = f"the metrics are {', '.join(known)}" if known else "the versions have no metrics"
            both = f"{comparison.first.reference} and {comparison.second.reference}"
            raise NotFound(f"{both} do not have the metric {quoted(name)}", hint=hint)
    metrics = [metric for metric in comparison.metrics if not names or metric.name in names]
    if only_changed:
        metrics = [metric for metric in metrics if metric.first != metric.second]
    return replace(comparison, metrics=tuple(metrics), changes=() if names else comparison.changes)


class CompareCommand(Command):
    """A command whose ``--fail-on-regression`` can stand without a value; Typer has no such option."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        words = []
        for index, word in enumerate(args):
            words.append(word)
            following = args[index + 1] if index + 1 < len(args) else "-"
            if word == "--fail-on-regression" and following.startswith("-"):
                words.append(ALL_METRICS)
        return super().parse_args(ctx, words)


compare.command_class = CompareCommand  # type: ignore[attr-defined]


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _failure(comparison: Comparison, failed: Sequence[Regression]) -> GateFailed:
    from mreg.wire import encode

    listed = "; ".join(
        f"{item.metric.name} {_shown(item.metric.first)} to {_shown(item.metric.second)} ({item.reason})"
        for item in failed
    )
    return GateFailed(
        f"{comparison.second.reference} is a regression of {comparison.first.reference}: {listed}",
        hint="a tolerance allows a small loss: --fail-on-regression metric:0.01 or metric:5%",
        regressions=encode(failed),
    )
