"""Commands that change stages: promote, archive, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mreg.cli.completion import complete_stage, complete_version
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import OptionalModel, Override, Reason, ReferenceWords, StageOption, Yes
from mreg.cli.references import model_or_default, reference, reference_within
from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.errors import BadInput, LeavesProduction

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.results.changes import StageChange
    from mreg.results.policies import Plan

T = TypeVar("T")


def promote(
    ctx: typer.Context,
    words: ReferenceWords,
    to: StageOption = None,
    keep_existing: Annotated[bool, typer.Option("--keep-existing", help="Keep other versions in the stage.")] = False,
    reason: Reason = "",
    plan: Annotated[
        bool, typer.Option("--plan", help="Dry run: show the changes, gates and approvals; exit as promote would.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="With --plan, exit with code 0 if refused.")] = False,
    override: Override = "",
    yes: Yes = False,
) -> None:
    """Promote a version to the next stage or to a given one.

    The stages are None, Staging, Production and Archived. The version that was in Staging or Production is archived in
    the same transaction. The policy of the stage is enforced, also for the stage that the version leaves: the exit code
    is 3 if a gate fails, and 5 if an approval is missing or the version was rejected. The command asks for confirmation
    if it leaves Production without a version; without a terminal it needs --yes.

    With --plan nothing is changed, and the exit code is that of the promotion. Add --exit-zero to look only.

    Examples:
      mreg promote churn@3
      mreg promote churn@3 --to production --reason "better on the holdout"
      mreg promote churn@3 --to production --plan
    """
    run = invocation_of(ctx)
    wanted = reference(run, words)
    if exit_zero and not plan:
        raise BadInput("--exit-zero without --plan", hint=run.command_with("--plan"))
    if plan:
        planned = run.registry.plan(wanted, to, keep_existing=keep_existing, override=override)
        run.output.result(planned)
        if not exit_zero:
            _raise_refusal(run, planned, yes=yes)
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


def _raise_refusal(run: Invocation, planned: Plan, *, yes: bool) -> None:
    """Raise the error of a planned promotion, if it would fail."""
    to = ModelStage(planned.assessment.target)
    if planned.asks and not yes:
        run.output.check_terminal(question(planned.reference, to, empty=False))
    error = planned.refusal
    if error is not None:
        raise type(error)(f"promote would fail: {error.message}", hint=error.hint, **error.details)
    if planned.empties_production and not yes:
        run.output.check_terminal(question(planned.reference, to, empty=True))


def question(reference: VersionRef, to: ModelStage, *, empty: bool) -> str:
    """Return the question before a version leaves Production.

    Args:
        empty: Whether Production would be empty.
    """
    change = f"archive {reference}" if to is ModelStage.ARCHIVED else f"move {reference} to {to.value}"
    left = f"leave Production of {reference.name} empty" if empty else "take it out of Production"
    return f"{change} and {left}?"


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
        asked = question(reference, stage_asked_for(error), empty=bool(error.details["empty"]))
        run.output.confirm(asked, yes=False)
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
    """Archive a version.

    The artifact is kept, and the version can be promoted again. If the policy has a rule for its stage, only an
    approver can archive it, unless it was rejected (exit code 5). The command asks for confirmation if it leaves
    Production without a version; without a terminal it needs --yes.

    Examples:
      mreg archive churn@2 --reason "trained on leaked data"
      mreg archive churn@staging
    """
    run = invocation_of(ctx)

    def move(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> StageChange:
        return run.registry.archive(
            reference, leave_production=leave_production, seen=seen_stage(confirmed), reason=reason, override=override
        )

    change = ask_before_leaving(run, reference(run, words), move, yes=yes)
    warn_of_override(run, override if change.changed else "")
    run.output.result(change)


def rollback(
    ctx: typer.Context,
    name: OptionalModel = None,
    stage: Annotated[
        str, typer.Option("--stage", metavar="STAGE", help="Stage to roll back.", autocompletion=complete_stage)
    ] = "Production",
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="REF",
            help="Version to restore (default: the previous one).",
            autocompletion=complete_version,
        ),
    ] = None,
    reason: Reason = "",
    yes: Yes = False,
) -> None:
    """Restore the previous version of a stage.

    The artifact is verified first. A second rollback goes one version further back. A rollback of Staging asks for
    confirmation if it leaves Production without a version; without a terminal it needs --yes.

    Examples:
      mreg rollback churn --reason "errors in checkout"
      mreg rollback churn --to 5
    """
    run = invocation_of(ctx)
    model = model_or_default(run, name, option="--to")
    wanted = None if to is None else reference_within(to, model)

    def move(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> StageChange:
        return run.registry.rollback(
            model,
            stage=stage,
            to=wanted if confirmed is None else reference,
            leave_production=leave_production,
            seen=seen_stage(confirmed),
            reason=reason,
        )

    run.output.result(ask_before_leaving(run, VersionRef(model), move, yes=yes))
