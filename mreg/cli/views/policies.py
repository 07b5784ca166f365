"""Tables of policies, plans and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Row, Table, Toned, stage_cell, verdict_cell
from mreg.cli.views import View
from mreg.domain.policy import Assessment, Departure
from mreg.domain.text import counted
from mreg.results.policies import DecisionResult, ModelPolicy, PendingApproval, Plan, PolicyCheck


def _model_policy(found: ModelPolicy) -> Rendering:
    rows: list[Row] = []
    for target, rule in found.policy.rules.items():
        asked = [
            ("from", rule.came_from.value if rule.came_from else None),
            *(("gate", gate) for gate in rule.gates),
            ("approvals", rule.approvals or None),
            ("approvers", ", ".join(rule.approvers) or None),
            ("own approval", "counts" if rule.own_approval and rule.approvals else None),
            ("override", "allowed" if rule.override else None),
        ]
        rows += [(target, key, value) for key, value in asked if value is not None]
        if not any(value is not None for _, value in asked):
            rows.append((target, "", "nothing is asked for"))
    whose = found.model if found.own and found.model else "all models"
    summary = f"The policy of {whose}."
    if not found.policy.rules:
        summary = f"No policy holds for {found.model or 'all models'}: every stage is open."
    table = Table(columns=("target", "asks for", "what"), rows=tuple(rows))
    return Rendering(tables=(table,) if rows else (), flat=table, summary=summary)


def _steps(found: Assessment) -> list[Row]:
    """Return a row for each condition of a policy: the condition, its verdict, and the value of the version."""
    rows: list[Row] = []
    if found.wrong_stage is not None:
        rows.append((f"from {found.wrong_stage.value}", verdict_cell(passed=False), "it is in another stage"))
    rows += [
        (gate.gate, verdict_cell(passed=gate.passed), "; ".join(filter(None, (gate.found, gate.bound))))
        for gate in found.gates
    ]
    if found.needed:
        given = f"by {', '.join(found.approved_by)}" if found.approved_by else "by nobody yet"
        may = f"; {', '.join(found.may_approve)} may" if found.missing and found.may_approve else ""
        what = counted(found.needed, "approval")
        rows.append((what, verdict_cell(passed=not found.missing), f"{len(found.approved_by)} {given}{may}"))
    rows += [("no rejection", verdict_cell(passed=False), f"{one.person}: {one.comment}") for one in found.rejected_by]
    return rows


def _leaving(found: Departure | None) -> list[Row]:
    """Return the row that tells whether the policy lets the person take the version out of its place."""
    if found is None:
        return []
    people = f"{', '.join(found.may_take_out)} can take it out" if found.may_take_out else "a rejection lets it out"
    override = "; --override REASON is allowed" if found.override else ""
    return [(f"leave {found.place}", verdict_cell(passed=found.allowed), people + override)]


def _plan(found: Plan) -> Rendering:
    reference, stage = found.reference, found.assessment.target
    steps = _steps(found.assessment) + _leaving(found.leaving)
    steps += [(f"archive {other}", Toned("would", "dim"), f"it is in {stage}") for other in found.archived]
    steps += [(f"hook {name}", Toned("would", "dim"), "it runs after the change") for name in found.hooks]
    if found.empties_production:
        steps.append(("leave Production empty", Toned("would", "dim"), "promote asks, or takes --yes"))
    if found.stays and not found.archived:
        summary = f"{reference} is in {stage} already; promote would do nothing."
    elif found.allowed:
        summary = f"promote would move {reference} from {found.stage.value} to {stage}."
    else:
        summary = f"promote would refuse to move {reference} to {stage}" + (
            "; --override REASON is allowed." if _may_be_overridden(found) else "."
        )
    table = Table(title=f"{reference} to {stage}", columns=("asked for", "outcome", "how it stands"), rows=tuple(steps))
    return Rendering(tables=(table,) if steps else (), flat=table, summary=summary)


def _may_be_overridden(found: Plan) -> bool:
    rules = [] if found.assessment.passed else [found.assessment.override]
    if found.leaving is not None and not found.leaving.allowed:
        rules.append(found.leaving.override)
    return all(rules)


def _standings(found: Sequence[PolicyCheck | PendingApproval]) -> Rendering:
    rows = [
        (Toned(str(one.reference), "strong"), one.assessment.target, *step)
        for one in found
        for step in _steps(one.assessment) + _leaving(getattr(one, "leaving", None))
    ]
    table = Table(columns=("version", "for", "asked for", "outcome", "how it stands"), rows=tuple(rows))
    return Rendering(tables=(table,), flat=table)


def _decided(found: DecisionResult) -> Rendering:
    reference, target, assessment = found.reference, found.assessment.target, found.assessment
    missing = ""
    if found.decision == "approved" and assessment.needed:
        missing = f"; {len(assessment.approved_by)} of {assessment.needed} approvals"
    sentence = f"{found.person} has {found.decision} {reference} for {target}{missing}"
    if found.decision == "withdrawn":
        sentence = f"{found.person} has taken their decision on {reference} for {target} back"
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
    View(ModelPolicy, one=_model_policy, references=lambda found: [found.model]),
    View(PolicyCheck, many=_standings, references=lambda found: [str(found.reference)]),
    View(PendingApproval, many=_standings, references=lambda found: [str(found.reference)]),
    View(DecisionResult, one=_decided, references=lambda found: [str(found.reference)]),
    View(Plan, one=_plan, references=lambda found: [str(found.reference)]),
)
