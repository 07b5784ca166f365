"""Commands that change stages: promote, archive, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mreg.cli.arguments import model_name, reference
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import ModelArgument, Override, Reason, ReferenceWords, StageOption, Yes
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.errors import LeavesProduction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.results.changes import StageChange

T = TypeVar("T")


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
    that the version leaves, too: a failed gate is exit 3, a missing approval or a rejection exit 5. The command asks
    before it leaves Production without a version; without a terminal it needs --yes.

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

    def move(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> StageChange:
        return run.registry.promote(
            reference,
            to if confirmed is None else stage_asked_for(confirmed),
            keep_existing=keep_existing,
            leave_production=leave_production,
            seen=seen_stage(confirmed),
            reason=reason,
            override=override,
        )

    change = ask_before_leaving(run, wanted, move, yes=yes)
    warn_of_override(run, override if change.changed else "")
    run.output.result(change)


def warn_of_override(run: Invocation, override: str) -> None:
    """Print that the policy was overridden, if a reason for it was given."""
    if override:
        run.output.warn(f"the policy was overridden, and the audit trail says so: {override}")


def ask_before_leaving(run: Invocation, wanted: VersionRef, move: Callable[..., T], *, yes: bool) -> T:
    """Make a change, and return its result. Asks first if the change takes a version out of Production.

    The transaction of the change decides whether to ask, so that a change by another process in between is seen.

    Args:
        move: Makes the change to a reference. The second argument is the error that led to the question, None if the
            user was not asked; ``leave_production`` permits the version to leave Production.
    """
    if yes:
        return move(wanted, None, leave_production=True)
    try:
        return move(wanted, None, leave_production=False)
    except LeavesProduction as error:
        reference = VersionRef.parse(str(error.details["reference"]))
        stage = stage_asked_for(error)
        change = f"archive {reference}" if stage is ModelStage.ARCHIVED else f"move {reference} to {stage.value}"
        left = f"leave Production of {reference.name} empty" if error.details["empty"] else "take it out of Production"
        run.output.confirm(f"{change} and {left}?", yes=False)
        return move(reference, error, leave_production=True)


def stage_asked_for(error: LeavesProduction) -> ModelStage:
    """Return the stage that the version would enter."""
    return ModelStage(error.details["to"])


def seen_stage(confirmed: LeavesProduction | None) -> ModelStage | None:
    """Return the stage that the question named, None if the user was not asked."""
    return None if confirmed is None else ModelStage.PRODUCTION


def archive(
    ctx: typer.Context, words: ReferenceWords, reason: Reason = "", override: Override = "", yes: Yes = False
) -> None:
    """Archive a version; it keeps its bytes and can come back.

    If the policy guards its stage, only an approver takes it out of there, unless it was rejected (exit 5). The command
    asks before it leaves Production without a version; without a terminal it needs --yes.

    Examples:

    \b
      mreg archive classifier@2 --reason "trained on leaked data"
      mreg archive classifier staging
    """
    run = invocation_of(ctx)

    def move(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> StageChange:
        return run.registry.archive(
            reference, leave_production=leave_production, seen=seen_stage(confirmed), reason=reason, override=override
        )

    change = ask_before_leaving(run, reference(words), move, yes=yes)
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
    yes: Yes = False,
) -> None:
    """Bring back what was in Production before, its bytes verified first.

    A second rollback goes further back; it does not toggle. A rollback of Staging asks before it takes the only version
    out of Production; without a terminal it needs --yes.

    Examples:

    \b
      mreg rollback classifier --reason "errors in checkout"
      mreg rollback classifier --to classifier@5
    """
    run = invocation_of(ctx)
    model = model_name(name)

    def move(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> StageChange:
        return run.registry.rollback(
            model,
            stage=stage,
            to=to if confirmed is None else reference,
            leave_production=leave_production,
            seen=seen_stage(confirmed),
            reason=reason,
        )

    run.output.result(ask_before_leaving(run, VersionRef(model), move, yes=yes))
