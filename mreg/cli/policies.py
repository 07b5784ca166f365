"""Commands for policies and decisions: policy, approve, reject, approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.completion import complete_model, complete_target
from mreg.cli.invocation import invocation_of
from mreg.cli.options import ReferenceWords, Yes
from mreg.cli.references import model_name, reference
from mreg.cli.stages import ask_before_leaving, seen_stage
from mreg.domain.text import shell_word
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.domain.names import VersionRef
    from mreg.errors import LeavesProduction
    from mreg.results.policies import DecisionResult

POLICY_COMMANDS = {
    "show": ("policies", "show_policy", "Show the policy of a model, or the default policy."),
    "apply": ("policies", "apply_policy", "Apply the policy of a file to a model, or as the default."),
    "check": ("policies", "check_policy", "Check a policy file against the versions in use."),
    "remove": ("policies", "remove_policy", "Remove the policy of a model, or the default policy."),
}
"""The module, the name and the first line of help of each subcommand of ``mreg policy``."""

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model (default: the default policy of all models).",
        autocompletion=complete_model,
    ),
]
PolicyFile = Annotated[str, typer.Argument(metavar="FILE", help="Policy in YAML or JSON.")]
Target = Annotated[
    str,
    typer.Option("--to", metavar="STAGE|ALIAS", help="Stage or alias of the decision.", autocompletion=complete_target),
]
Withdraw = Annotated[bool, typer.Option("--withdraw", help="Withdraw your decision.")]


def show_policy(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Model (default: the default policy of all models).",
            autocompletion=complete_model,
        ),
    ] = None,
    model: Model = None,
) -> None:
    """Show the policy of a model, or the default policy.

    With --format plain it is YAML, which mreg policy apply reads.

    Examples:
      mreg policy show churn
      mreg policy show --format plain > policy.yaml
    """
    run = invocation_of(ctx)
    if name is not None and model is not None:
        raise BadInput("a model is given as argument and as --model", hint=f"mreg policy show {shell_word(name)}")
    model = name if name is not None else model
    found = run.registry.policy(model_name(model) if model is not None else None)
    if run.output.format == "plain" and not run.output.quiet:
        from mreg.cli.table import Rendering, Table
        from mreg.domain.policy import policy_yaml

        lines = tuple((line,) for line in policy_yaml(found.policy).splitlines())
        run.output.lines(Rendering(tables=(), flat=Table(columns=("policy",), rows=lines)))
        return
    run.output.result(found)


def apply_policy(ctx: typer.Context, file: PolicyFile, model: Model = None) -> None:
    """Apply the policy of a file to a model, or as the default.

    The policy is enforced when a version enters or leaves a stage or an alias. Versions stay in their stages.

    Examples:
      mreg policy apply policy.yaml
      mreg policy apply strict.yaml --model churn
    """
    from mreg.documents import read_policy

    run = invocation_of(ctx)
    run.output.result(run.registry.apply_policy(read_policy(file), model_name(model) if model is not None else None))


def check_policy(ctx: typer.Context, file: PolicyFile, model: Model = None) -> None:
    """Check a policy file against the versions in use.

    Nothing is applied. The result has each version in a stage or under an alias, and whether it passes the policy.

    Examples:
      mreg policy check policy.yaml --model churn
    """
    from mreg.documents import read_policy
    from mreg.results.policies import PolicyCheck

    run = invocation_of(ctx)
    policy = read_policy(file)
    checks = run.registry.check_policy(policy, model_name(model) if model is not None else None)
    run.output.note(f"{file} is a policy for {', '.join(policy.rules) or 'nothing'}")
    run.output.results(checks, PolicyCheck)


def remove_policy(ctx: typer.Context, model: Model = None, yes: Yes = False) -> None:
    """Remove the policy of a model, or the default policy.

    A model without a policy uses the default policy. The command asks for confirmation.

    Examples:
      mreg policy remove --model churn
      mreg policy remove --model churn --yes
    """
    run = invocation_of(ctx)
    name = model_name(model) if model is not None else None
    seen = None if yes else run.registry.policy(name)
    what = f"policy of {model}" if model is not None else "default policy"
    run.output.confirm(f"remove the {what}?", yes=yes)
    run.output.result(run.registry.apply_policy(None, name, seen=seen))


def approve(
    ctx: typer.Context,
    words: ReferenceWords,
    to: Target = "Production",
    comment: Annotated[
        str, typer.Option("--comment", "-m", metavar="TEXT", help="Comment, recorded with the approval.")
    ] = "",
    withdraw: Withdraw = False,
) -> None:
    """Approve a version for a stage or an alias.

    The approval applies to this version and its artifact. It does not change the stage; mreg promote does.

    Examples:
      mreg approve churn@3 --comment "checked on the June holdout"
      mreg approve churn@3 --to champion
      mreg approve churn@3 --withdraw
    """
    run = invocation_of(ctx)
    if withdraw:
        run.output.result(run.registry.withdraw_decision(reference(run, words), to=to))
        return
    run.output.result(run.registry.approve(reference(run, words), to=to, comment=comment))


def reject(
    ctx: typer.Context,
    words: ReferenceWords,
    to: Target = "Production",
    reason: Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Reason (required).")] = "",
    withdraw: Withdraw = False,
    yes: Yes = False,
) -> None:
    """Reject a version for a stage or an alias.

    A version that is rejected for Production and is in Production moves to Staging. The command asks for confirmation
    if this leaves Production without a version; without a terminal it needs --yes.

    Examples:
      mreg reject churn@3 --reason "biased against new customers"
      mreg reject churn@3 --withdraw
    """
    run = invocation_of(ctx)
    wanted = reference(run, words)
    if withdraw:
        run.output.result(run.registry.withdraw_decision(wanted, to=to))
        return
    if not reason:
        raise BadInput("a rejection needs a reason", hint='add --reason "..."')

    def decide(reference: VersionRef, confirmed: LeavesProduction | None, *, leave_production: bool) -> DecisionResult:
        return run.registry.reject(
            reference, to=to, reason=reason, leave_production=leave_production, seen=seen_stage(confirmed)
        )

    run.output.result(ask_before_leaving(run, wanted, decide, yes=yes))


def approvals(ctx: typer.Context) -> None:
    """List pending approvals.

    The list has the versions that need a decision, and the users who can approve them.

    Examples:
      mreg approvals
      mreg approvals --json
    """
    from mreg.results.policies import PendingApproval

    run = invocation_of(ctx)
    run.output.results(run.registry.approvals(), PendingApproval)
