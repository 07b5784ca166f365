"""Stage changes: promote, archive, rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.arguments import model_name, reference
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import ModelArgument, Override, Reason, ReferenceWords, StageOption, Yes
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef


def promote(
    ctx: typer.Context,
    words: ReferenceWords,
    to: StageOption = None,
    keep_existing: Annotated[
        bool, typer.Option("--keep-existing", help="Leave other versions in the stage as well.")
    ] = False,
    reason: Reason = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be done and what stands in its way; change nothing.")
    ] = False,
    override: Override = "",
    yes: Yes = False,
) -> None:
    """Move a version to the next stage of None, Staging, Production, Archived, or to the one named.

    The version that was in Staging or Production is archived in the same step. The policy is enforced, for the stage
    that the version leaves, too: a failed gate is exit 3, a missing approval or a rejection exit 5.

    Examples:

    \b
      mreg promote classifier 3
      mreg promote classifier@3 --to production --reason "beats 2 on the holdout"
      mreg promote classifier@3 --to production --plan
    """
    run = invocation_of(ctx)
    wanted = reference(words)
    if plan:
        run.output.result(run.registry.plan(wanted, to, keep_existing=keep_existing))
        return
    if to is None:
        _confirm_leaving_production(ctx, wanted, yes=yes)
    change = run.registry.promote(
        wanted, to, keep_existing=keep_existing, leave_production=to is None, reason=reason, override=override
    )
    warn_of_override(run, override if change.changed else "")
    run.output.result(change)


def warn_of_override(run: Invocation, override: str) -> None:
    """Say that the policy was overridden, after a command that did so."""
    if override:
        run.output.warn(f"the policy was overridden, and the audit trail says so: {override}")


def _confirm_leaving_production(ctx: typer.Context, wanted: VersionRef, *, yes: bool) -> None:
    run = invocation_of(ctx)
    version = run.registry.version(wanted)
    if version.stage is ModelStage.PRODUCTION:
        question = f"archive {version.reference}, so that it leaves Production?"
        run.output.confirm(question, yes=yes)


def archive(ctx: typer.Context, words: ReferenceWords, reason: Reason = "", override: Override = "") -> None:
    """Archive a version; it keeps its bytes and can come back.

    If the policy guards its stage, only an approver takes it out of there, unless it was rejected (exit 5).

    Examples:

    \b
      mreg archive classifier@2 --reason "trained on leaked data"
      mreg archive classifier staging
    """
    run = invocation_of(ctx)
    change = run.registry.archive(reference(words), reason=reason, override=override)
    warn_of_override(run, override if change.changed else "")
    run.output.result(change)


def rollback(
    ctx: typer.Context,
    name: ModelArgument,
    stage: Annotated[str, typer.Option("--stage", metavar="STAGE", help="Which stage to roll back.")] = "Production",
    to: Annotated[
        str | None, typer.Option("--to", metavar="REF", help="The version to go back to; else the one before.")
    ] = None,
    reason: Reason = "",
) -> None:
    """Bring back what was in Production before, its bytes verified first.

    A second rollback goes further back, not to and fro.

    Examples:

    \b
      mreg rollback classifier --reason "errors in checkout"
      mreg rollback classifier --to classifier@5
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.rollback(model_name(name), stage=stage, to=to, reason=reason))
