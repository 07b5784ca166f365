"""Commands for deployments: deploy, deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count
from mreg.cli.completion import complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, OptionalModel
from mreg.cli.references import model_or_default, reference
from mreg.errors import BadInput

SHOWN = 100
"""Number of deployments that are shown without ``--limit``."""


def deploy(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Version whose hooks run again.", autocompletion=complete_words),
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Run the deployments that interrupted commands left.")
    ] = False,
) -> None:
    """Run the hooks of a version again, or pending ones.

    With a reference, the hooks for the stage of the version run again. With --pending, the deployments run that an
    interrupted command left. Only hooks of your own profile file run. The exit code is 1 if a hook fails.

    Examples:
      mreg deploy churn@production
      mreg deploy --pending
    """
    from mreg.results.deployments import DeploymentReport

    run = invocation_of(ctx)
    if bool(words) == pending:
        raise BadInput(
            "a version and --pending exclude each other" if pending else "a version or --pending is required",
            hint="mreg deploy NAME@production, or mreg deploy --pending",
        )
    run.output.results(run.registry.deploy(reference(run, words) if words else None), DeploymentReport)


def deployments(ctx: typer.Context, name: OptionalModel = None, limit: Limit = None) -> None:
    """List the deployments of a model.

    A deployment is one run of a hook for one event. The list shows its status, attempts and output.

    Examples:
      mreg deployments churn
      mreg deployments churn --json
    """
    from mreg.results.deployments import DeploymentReport

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    wanted = model_or_default(run, name)
    if rows is not None:
        run.output.results(run.registry.deployments(wanted, limit=rows), DeploymentReport)
        return
    newest = run.registry.deployments(wanted, limit=SHOWN)
    run.output.results(newest, DeploymentReport)
    if newest.more:
        run.output.note(f"only the newest {SHOWN} are shown; --limit N shows more")
