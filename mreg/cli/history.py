"""Commands on events and origins: history, lineage, why, audit verify."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import count
from mreg.cli.completion import complete_words, one_of
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Limit, OptionalReferenceWords
from mreg.cli.references import reference
from mreg.errors import BadInput

AUDIT_COMMANDS = {"verify": ("history", "verify", "Verify the hash chain of the audit trail.")}
"""The module, the name and the first line of help of each subcommand of ``mreg audit``."""


def history(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF", help="Model or version (default: the whole registry).", autocompletion=complete_words
        ),
    ] = None,
    limit: Limit = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="TIME", help="Time at which to show the stages of a model (ISO 8601, local without a zone)."
        ),
    ] = None,
) -> None:
    """Show the events of a model, a version or the registry.

    The newest event comes first. Each event has its time, user, action and details.

    Examples:
      mreg history churn
      mreg history churn@3 --limit 5
      mreg history --limit 20
      mreg history churn --at 2026-03-01T12:00
    """
    from mreg.domain.events import Event

    run = invocation_of(ctx)
    rows = count(ctx, "--limit", limit)
    if not words:
        if at is not None:
            raise BadInput("--at asks for the stages of a model", hint=f"mreg history NAME --at {at}")
        run.output.results(run.registry.history(limit=rows), Event)
        return
    wanted = reference(run, words)
    if at is None:
        run.output.results(run.registry.history(wanted, limit=rows), Event)
        return
    if wanted.selector is not None:
        raise BadInput("--at asks for the stages of a model", hint=f"mreg history {wanted.name} --at {at}")
    from mreg.cli.times import instant

    run.output.result(run.registry.stages_at(wanted.name, instant(at, run.output)))


def lineage(
    ctx: typer.Context,
    words: OptionalReferenceWords = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--graph",
            metavar="mermaid|dot",
            help="Print a graph for Mermaid or Graphviz.",
            autocompletion=one_of("mermaid", "dot"),
        ),
    ] = None,
) -> None:
    """Show the parents, children and data of a version.

    The lineage crosses models. It includes training runs, git commits and references to data.

    Examples:
      mreg lineage churn@3
      mreg lineage churn@production --json
      mreg lineage churn@3 --graph mermaid >> README.md
    """
    run = invocation_of(ctx)
    lineage = run.registry.lineage(reference(run, words))
    if kind is None:
        run.output.result(lineage)
        return
    from mreg.cli.graph import graph

    run.output.text(graph(lineage, kind))


def why(ctx: typer.Context, words: OptionalReferenceWords = None) -> None:
    """Explain why a version is in its stage.

    The result has the user and time of the change, the gates, the approvals and the replaced version.

    Examples:
      mreg why churn@production
      mreg why churn@3 --json
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.why(reference(run, words)))


def verify(ctx: typer.Context) -> None:
    """Verify the hash chain of the audit trail.

    The exit code is 6 if an event was changed, and the message names the first one. Events that were removed from the
    end are noticed only by comparing with an earlier last hash.

    Examples:
      mreg audit verify
      mreg audit verify -q > last-hash.txt
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.verify_audit())
