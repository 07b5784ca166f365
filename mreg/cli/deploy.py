"""Commands for deployments: deploy, deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count, model_name, reference
from mreg.cli.completion import complete_reference
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, ModelArgument
from mreg.errors import BadInput

SHOWN = 100
"""Number of deployments that are shown without ``--limit``."""


def deploy(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REF", help="Run the hooks of its stage again.", autocompletion=complete_reference),
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Run what waits: what a command set off that died before it ran it.")
    ] = False,
) -> None:
    """Run the hooks of a version's stage again, or those that wait.

    Hooks are those of your own profile file. One that fails is exit 1.

    Examples:

    \b
      mreg deploy classifier@production
      mreg deploy --pending
    """
    from mreg.results.deployments import DeploymentReport

    run = invocation_of(ctx)
    if bool(words) == pending:
        raise BadInput("say which version, or --pending", hint="mreg deploy classifier@production")
    run.output.results(run.registry.deploy(reference(words) if words else None), DeploymentReport)


def deployments(ctx: typer.Context, name: ModelArgument, limit: Limit = None) -> None:
    """Show which hooks the changes of a model set off, and what came of them.

    Examples:

    \b
      mreg deployments classifier
      mreg deployments classifier --json
    """
    from mreg.results.deployments import DeploymentReport

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    wanted = model_name(name)
    if rows is not None:
        run.output.results(run.registry.deployments(wanted, limit=rows), DeploymentReport)
        return
    newest = run.registry.deployments(wanted, limit=SHOWN)
    run.output.results(newest, DeploymentReport)
    if newest.more:
        run.output.note(f"only the newest {SHOWN} are shown; --limit N shows more")
