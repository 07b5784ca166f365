"""Tables of policies, plans and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Row, Table, Toned, rendering_of, stage_cell, verdict_cell
from mreg.cli.views import View
from mreg.domain.policy import Assessment, Departure
from mreg.domain.text import counted
from mreg.results.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck

COLUMNS = ("condition", "outcome", "details")
WIDE = ("condition", "details")


def _model_policy(found: ModelPolicy) -> Rendering:
    rows: list[Row] = []
    for target, rule in found.policy.rules.items():
        conditions = [
            ("from", rule.came_from.value if rule.came_from else None),
            *(("gate", gate) for gate in rule.gates),
            ("approvals", rule.approvals or None),
            ("approvers", ", ".join(rule.approvers) or None),
            ("own_approval", ("counts" if rule.own_approval else "does not count") if rule.approvals else None),
            ("override", "allowed" if rule.override else None),
        ]
        rows += [(target, key, value) for key, value in conditions if value is not None]
        if not any(value is not None for _, value in conditions):
            rows.append((target, "", "no conditions"))
    summary = "The default policy: it is enforced for models without a separate policy."
    if found.model:
        summary = f"The policy of {found.model}." if found.own else f"The default policy, which {found.model} uses."
    if not found.policy.rules:
        summary = f"{found.model} has no policy" if found.model else "There is no default policy"
        summary += ": every stage is open."
    table = Table(columns=("target", "rule", "value"), rows=tuple(rows))
    return Rendering(tables=(table,) if rows else (), flat=table, summary=summary)


def _conditions(found: Assessment) -> list[Row]:
    """Return a row for each condition of a policy: the condition, its verdict, and the value of the version."""
    rows: list[Row] = []
    if found.right_stage is not None:
        rows.append((f"from {found.right_stage.value}", verdict_cell(passed=True), "it is in this stage"))
    if found.wrong_stage is not None:
        rows.append((f"from {found.wrong_stage.value}", verdict_cell(passed=False), "it is in another stage"))
    rows += [
        (gate.gate, verdict_cell(passed=gate.passed), "; ".join(filter(None, (gate.found, gate.bound))))
        for gate in found.gates
    ]
    if found.needed:
        given = f"{len(found.approved_by)} of {found.needed}"
        given += f", by {', '.join(found.approved_by)}" if found.approved_by else ""
        given += f"; {', '.join(found.may_approve)} can approve" if found.missing and found.may_approve else ""
        rows.append((counted(found.needed, "approval"), verdict_cell(passed=not found.missing), given))
    rows += [
        (f"rejection by {decision.person}", Toned("blocks", "bad"), decision.comment) for decision in found.rejected_by
    ]
    return rows


def _leaving(found: Departure | None) -> list[Row]:
    """Return the row on whether the policy permits the user to take the version out of its stage or alias."""
    if found is None:
        return []
    people = f"{', '.join(found.may_take_out)} can take it out" if found.may_take_out else "a rejection lets it out"
    override = "; --override REASON is allowed" if found.override else ""
    return [(f"leave {found.place}", verdict_cell(passed=found.allowed), people + override)]


def _plan(found: Plan) -> Rendering:
    reference, stage = found.reference, found.assessment.target
    moves = found.refusal is None and (found.allowed or found.overridden)
    steps: list[Row] = []
    conditions = _conditions(found.assessment) + _leaving(found.leaving)
    if not found.stays:
        obstacles = [
            str(name) for name, outcome, _ in conditions if isinstance(outcome, Toned) and outcome.tone == "bad"
        ]
        why = f"; not met: {', '.join(obstacles)}" if obstacles and not moves else ""
        outcome = Toned("planned" if moves else "refused", "dim")
        steps.append((f"move to {stage}", outcome, f"it is {found.stage.location}{why}"))
    steps += conditions
    steps += [(f"archive {other}", Toned("planned", "dim"), f"it is in {stage}") for other in found.archived]
    steps += [(f"hook {name}", Toned("planned", "dim"), "it runs after the change") for name in found.hooks]
    if found.empties_production:
        steps.append(("leave Production empty", Toned("planned", "dim"), "promote asks, or takes --yes"))
    if found.stays and not found.archived:
        summary = f"{reference} is {found.stage.location} already; promote would do nothing."
    elif moves:
        against = "" if found.allowed else ", against the policy"
        summary = f"promote would move {reference} from {found.stage.value} to {stage}{against}."
    else:
        summary = f"promote would refuse to move {reference} to {stage}" + (
            "; --override REASON is allowed." if _may_be_overridden(found) else "."
        )
    table = Table(title=f"{reference} to {stage}", columns=COLUMNS, rows=tuple(steps), wide=WIDE)
    return Rendering(tables=(table,) if steps else (), flat=table, summary=summary)


def _may_be_overridden(found: Plan) -> bool:
    rules = [] if found.assessment.passed else [found.assessment.override]
    if found.leaving is not None and not found.leaving.allowed:
        rules.append(found.leaving.override)
    return all(rules)


def _checks(checks: Sequence[PolicyCheck]) -> Rendering:
    return rendering_of(_check_table(checks, empty="no versions in use"))


def _check_table(checks: Sequence[PolicyCheck | PendingApproval], *, empty: str, title: str = "") -> Table:
    rows = [
        (Toned(str(check.reference), "strong"), check.assessment.target, *condition)
        for check in checks
        for condition in _conditions(check.assessment) + _leaving(getattr(check, "leaving", None))
    ]
    columns = ("version", "target", *COLUMNS)
    return Table(title=title, columns=columns, rows=tuple(rows), shortened=("version",), wide=WIDE, empty=empty)


def _pending(approvals: Sequence[PendingApproval]) -> Rendering:
    """Return the tables of the versions that can be approved, and of those that a rejection blocks."""
    empty = "no pending approvals"
    rejected = [found for found in approvals if found.assessment.rejected_by]
    waiting = [found for found in approvals if not found.assessment.rejected_by]
    flat = _check_table([*waiting, *rejected], empty=empty)
    if not rejected:
        return rendering_of(flat)
    title = "rejected (blocked until the rejection is withdrawn)"
    tables = [_check_table(waiting, empty=empty, title="waiting for approval")] if waiting else []
    return Rendering(tables=(*tables, _check_table(rejected, empty=empty, title=title)), flat=flat)


def _decided(found: DecisionResult) -> Rendering:
    reference, target, assessment = found.reference, found.assessment.target, found.assessment
    missing = ""
    if found.decision == "approved" and assessment.needed:
        missing = f"; {len(assessment.approved_by)} of {assessment.needed} approvals"
    sentence = f"{found.person} {found.decision} {reference} for {target}{missing}"
    if found.decision == "rejected":
        sentence += f"; it is {found.stage.location}"
    if found.decision == "withdrawn":
        sentence = f"{found.person} withdrew the decision on {reference} for {target}"
    columns = ("reference", "stage", "target", "decision", "person", "approvals", "needed")
    row = (
        str(reference),
        stage_cell(found.stage),
        target,
        found.decision,
        found.person,
        len(assessment.approved_by),
        assessment.needed,
    )
    return Rendering(tables=(), flat=Table(columns=columns, rows=(row,)), summary=sentence)


VIEWS = (
    View(ModelPolicy, render=_model_policy, references=lambda found: [found.model]),
    View(PolicyCheck, render_list=_checks, references=lambda found: [str(found.reference)]),
    View(PendingApproval, render_list=_pending, references=lambda found: [str(found.reference)]),
    View(DecisionResult, render=_decided, references=lambda found: [str(found.reference)]),
    View(Plan, render=_plan, references=lambda found: [str(found.reference)]),
)
