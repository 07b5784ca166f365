"""Commands for policies and decisions: policy, approve, reject, approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.arguments import model_name, reference
from mreg.cli.completion import complete_model, complete_stage
from mreg.cli.invocation import invocation_of
from mreg.cli.options import ReferenceWords, Yes
from mreg.cli.stages import ask_before_leaving, seen_stage
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.domain.names import VersionRef
    from mreg.errors import LeavesProduction
    from mreg.results.policies import DecisionResult

POLICY_COMMANDS = {
    "show": ("policies", "show_policy"),
    "apply": ("policies", "apply_policy"),
    "check": ("policies", "check_policy"),
    "remove": ("policies", "remove_policy"),
}
"""The module and the name of each subcommand of ``mreg policy``."""

Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Of this model; else of all.", autocompletion=complete_model),
]
PolicyFile = Annotated[str, typer.Argument(metavar="FILE", help="The policy, in YAML or JSON.")]
Target = Annotated[
    str,
    typer.Option(
        "--to", metavar="STAGE|ALIAS", help="Stage or alias that the decision is for.", autocompletion=complete_stage
    ),
]
Withdraw = Annotated[bool, typer.Option("--withdraw", help="Withdraw your decision.")]


def show_policy(ctx: typer.Context, model: Model = None) -> None:
    """Show the policy that holds for a model, or the default of all models.

    With --format plain it is YAML, which `policy apply` takes.

    Examples:

    \b
      mreg policy show --model classifier
      mreg policy show --format plain > policy.yaml
    """
    run = invocation_of(ctx)
    found = run.registry.policy(model_name(model) if model is not None else None)
    if run.output.format == "plain" and not run.output.quiet:
        from mreg.cli.table import Rendering, Table
        from mreg.domain.policy import policy_yaml

        lines = tuple((line,) for line in policy_yaml(found.policy).splitlines())
        run.output.lines(Rendering(tables=(), flat=Table(columns=("policy",), rows=lines)))
        return
    run.output.result(found)


def apply_policy(ctx: typer.Context, file: PolicyFile, model: Model = None) -> None:
    """Make the policy of a file hold, for one model or for all that have none of their own.

    It is enforced from then on whenever a version enters or leaves a stage or an alias. What is in a stage stays there.

    Examples:

    \b
      mreg policy apply policy.yaml
      mreg policy apply strict.yaml --model classifier
    """
    from mreg.documents import read_policy

    run = invocation_of(ctx)
    run.output.result(run.registry.apply_policy(read_policy(file), model_name(model) if model is not None else None))


def check_policy(ctx: typer.Context, file: PolicyFile, model: Model = None) -> None:
    """Check the policy of a file without applying it: how the versions in use would stand to it.

    Examples:

    \b
      mreg policy check policy.yaml --model classifier
    """
    from mreg.documents import read_policy
    from mreg.results.policies import PolicyCheck

    run = invocation_of(ctx)
    policy = read_policy(file)
    checks = run.registry.check_policy(policy, model_name(model) if model is not None else None)
    run.output.note(f"{file} is a policy for {', '.join(policy.rules) or 'nothing'}")
    run.output.results(checks, PolicyCheck)


def remove_policy(ctx: typer.Context, model: Model = None, yes: Yes = False) -> None:
    """Take the policy of a model away, so that the default holds for it; or the default itself.

    Examples:

    \b
      mreg policy remove --model classifier --yes
    """
    run = invocation_of(ctx)
    name = model_name(model) if model is not None else None
    seen = None if yes else run.registry.policy(name)
    run.output.confirm(f"take the policy of {model or 'all models'} away?", yes=yes)
    run.output.result(run.registry.apply_policy(None, name, seen=seen))


def approve(
    ctx: typer.Context,
    words: ReferenceWords,
    to: Target = "Production",
    comment: Annotated[str, typer.Option("--comment", "-m", metavar="TEXT", help="Kept with the approval.")] = "",
    withdraw: Withdraw = False,
) -> None:
    """Approve a version for a stage, Production unless another is named, or for an alias.

    The approval belongs to the version and its bytes. It moves nothing; promote does.

    Examples:

    \b
      mreg approve classifier@3 -m "checked on the holdout of June"
      mreg approve classifier@3 --to champion
      mreg approve classifier@3 --withdraw
    """
    run = invocation_of(ctx)
    if withdraw:
        run.output.result(run.registry.withdraw_decision(reference(words), to=to))
        return
    run.output.result(run.registry.approve(reference(words), to=to, comment=comment))


def reject(
    ctx: typer.Context,
    words: ReferenceWords,
    to: Target = "Production",
    reason: Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Reason (required).")] = "",
    withdraw: Withdraw = False,
    yes: Yes = False,
) -> None:
    """Reject a version for a stage or an alias; one that is in Production goes back to Staging.

    The command asks before it leaves Production without a version; without a terminal it needs --yes.

    Examples:

    \b
      mreg reject classifier@3 --reason "biased against new customers"
      mreg reject classifier@3 --withdraw
    """
    run = invocation_of(ctx)
    wanted = reference(words)
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
    """List the versions that wait for a decision, and who may give it.

    Examples:

    \b
      mreg approvals
      mreg approvals --json
    """
    from mreg.results.policies import PendingApproval

    run = invocation_of(ctx)
    run.output.results(run.registry.approvals(), PendingApproval)
