"""compare: what differs between two versions, and whether it is a regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import two_references
from mreg.cli.completion import complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.parameters import Command
from mreg.errors import GateFailed

if TYPE_CHECKING:
    from mreg.results.comparison import Comparison, Regression

ALL_METRICS = ":0"
"""The tolerance that stands for the flag without a value."""


def compare(
    ctx: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="A [B]",
            help="One or two versions: churn 1 2, churn@3 other@7, or churn@3.",
            autocompletion=complete_words,
        ),
    ],
    fail_on_regression: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on-regression",
            metavar="[METRIC[:TOLERANCE]]",
            help="Exit with code 3 if B is worse; tolerance 0.01 or 5% (default: all metrics, tolerance 0).",
        ),
    ] = None,
    ci: Annotated[
        bool, typer.Option("--ci", help="Write to GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Compare metrics, parameters and files of two versions.

    The source and the environment are compared as well. A single version is compared with the version in Production. A
    name alone means the latest version.

    With --fail-on-regression the exit code is 3 if a metric of B is worse than the tolerance allows, or if one version
    lacks the metric. Without it the exit code is 0.

    Examples:
      mreg compare churn 1 2
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
    comparison = run.registry.compare(*two_references(words))
    found = regressions(comparison, rules)
    run.output.result(comparison)
    if ci:
        write_comparison(comparison, failed=[one.metric.name for one in found])
    if found:
        raise _failure(comparison, found)


class CompareCommand(Command):
    """``--fail-on-regression`` may stand without a value, which Typer has no word for."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        words = []
        for place, word in enumerate(args):
            words.append(word)
            following = args[place + 1] if place + 1 < len(args) else "-"
            if word == "--fail-on-regression" and following.startswith("-"):
                words.append(ALL_METRICS)
        return super().parse_args(ctx, words)


compare.command_class = CompareCommand  # type: ignore[attr-defined]


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _failure(comparison: Comparison, found: Sequence[Regression]) -> GateFailed:
    from mreg.wire import encode

    listed = "; ".join(
        f"{one.metric.name} {_shown(one.metric.first)} to {_shown(one.metric.second)} ({one.reason})" for one in found
    )
    return GateFailed(
        f"{comparison.second.reference} is a regression of {comparison.first.reference}: {listed}",
        hint="a tolerance allows a small loss: --fail-on-regression metric:0.01 or metric:5%",
        regressions=encode(found),
    )
