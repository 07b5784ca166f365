"""Looking after a registry: gc."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import duration
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Yes


def collect(
    ctx: typer.Context,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="Leave alone what is younger: 90m, 24h, 7d.")
    ] = "24h",
    remove: Annotated[bool, typer.Option("--remove", help="Remove it, and do not only say what it is.")] = False,
    yes: Yes = False,
) -> None:
    """Say what killed pushes left in the artifact store, and remove it if asked.

    Examples:

    \b
      mreg gc
      mreg gc --grace 7d --remove --yes
    """
    from mreg.cli.reports import garbage

    run = invocation_of(ctx)
    age = duration(grace)
    if remove:
        found = run.registry.collect(grace=age)
        if found:
            run.output.confirm(f"remove {len(found)} left by killed pushes?", yes=yes)
    found = run.registry.collect(grace=age, remove=remove)
    run.output.result(found, garbage)
    if found and not remove:
        run.output.note("nothing was removed; mreg gc --remove does")
