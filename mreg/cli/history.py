"""What happened and where things come from: history, lineage."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import reference
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, ReferenceWords
from mreg.errors import BadInput


def history(
    ctx: typer.Context,
    words: ReferenceWords,
    limit: Limit = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="What was in each stage at that time (ISO 8601; UTC).")
    ] = None,
) -> None:
    """Show who did what when to a model or a version, newest first.

    Examples:

    \b
      mreg history classifier
      mreg history classifier@3 --limit 5
      mreg history classifier --at 2026-03-01T12:00
    """
    run = invocation_of(ctx)
    wanted = reference(words)
    if at is None:
        run.output.result(run.registry.history(wanted, limit=limit))
        return
    if wanted.selector is not None:
        raise BadInput("--at asks for the stages of a model", hint=f"mreg history {wanted.name} --at {at}")
    run.output.result(run.registry.stages_at(wanted.name, at))


def lineage(ctx: typer.Context, words: ReferenceWords) -> None:
    """Show what a version was made from and what was made from it, over all models.

    Examples:

    \b
      mreg lineage classifier@3
      mreg lineage classifier production --json
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.lineage(reference(words)))
