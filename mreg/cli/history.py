"""Commands on events and origins: history, lineage, why, audit verify."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count, reference
from mreg.cli.completion import complete_reference
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, ReferenceWords
from mreg.errors import BadInput

AUDIT_COMMANDS = {"verify": ("history", "verify")}
"""The module and the name of each subcommand of ``mreg audit``."""


def history(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF", help="A model or a version; without one, everything.", autocompletion=complete_reference
        ),
    ] = None,
    limit: Limit = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="Show the stages at that time (ISO 8601; local unless it has a zone)."
        ),
    ] = None,
) -> None:
    """Show who did what when to a model, to a version or to anything, newest first.

    Examples:

    \b
      mreg history classifier
      mreg history classifier@3 --limit 5
      mreg history --limit 20
      mreg history classifier --at 2026-03-01T12:00
    """
    from mreg.domain.events import Event

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    if not words:
        if at is not None:
            raise BadInput("--at asks for the stages of a model", hint=f"mreg history NAME --at {at}")
        run.output.results(run.registry.history(limit=rows), Event)
        return
    wanted = reference(words)
    if at is None:
        run.output.results(run.registry.history(wanted, limit=rows), Event)
        return
    if wanted.selector is not None:
        raise BadInput("--at asks for the stages of a model", hint=f"mreg history {wanted.name} --at {at}")
    from mreg.cli.times import instant

    run.output.result(run.registry.stages_at(wanted.name, instant(at, run.output)))


def lineage(
    ctx: typer.Context,
    words: ReferenceWords,
    kind: Annotated[
        str | None, typer.Option("--graph", metavar="mermaid|dot", help="Print it as text that draws itself.")
    ] = None,
) -> None:
    """Show what a version was made from and what was made from it, over all models, with runs, commits and data.

    Examples:

    \b
      mreg lineage classifier@3
      mreg lineage classifier production --json
      mreg lineage classifier@3 --graph mermaid >> README.md
    """
    run = invocation_of(ctx)
    lineage = run.registry.lineage(reference(words))
    if kind is None:
        run.output.result(lineage)
        return
    from mreg.cli.graph import graph

    run.output.text(graph(lineage, kind))


def why(ctx: typer.Context, words: ReferenceWords) -> None:
    """Show in one screen why a version is where it is: who put it there, gates, approvals, and what it replaced.

    Examples:

    \b
      mreg why classifier@production
      mreg why classifier 3 --json
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.why(reference(words)))


def verify(ctx: typer.Context) -> None:
    """Walk the hash chain of the audit trail; the first event that is not what was written is exit 6.

    Events that were cut off its end are seen only by who kept the last hash.

    Examples:

    \b
      mreg audit verify
      mreg audit verify -q > last-hash.txt
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.verify_audit())
