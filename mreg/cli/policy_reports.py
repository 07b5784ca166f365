"""Tables of policies, plans and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mreg.cli.table import Cell, Rendering, Table, Toned, stage_cell
from mreg.domain.text import counted

if TYPE_CHECKING:
    from mreg.domain.policy import Assessment, Departure
    from mreg.results.deployments import DeploymentReport
    from mreg.results.history import AuditReport, Why
    from mreg.results.policies import Decided, ModelPolicy, Plan, Standing, Waiting

Row = tuple[Cell | Toned, ...]


def model_policy(found: ModelPolicy) -> Rendering:
    """A policy, rule by rule."""
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
    """What a policy asks for, line by line: what, whether it is so, and how it stands."""
    rows: list[Row] = []
    if found.wrong_stage is not None:
        rows.append((f"from {found.wrong_stage.value}", _verdict(passed=False), "it is in another stage"))
    rows += [
        (gate.gate, _verdict(passed=gate.passed), "; ".join(filter(None, (gate.found, gate.bound))))
        for gate in found.gates
    ]
    if found.needed:
        given = f"by {', '.join(found.approved_by)}" if found.approved_by else "by nobody yet"
        may = f"; {', '.join(found.may_approve)} may" if found.missing and found.may_approve else ""
        what = counted(found.needed, "approval")
        rows.append((what, _verdict(passed=not found.missing), f"{len(found.approved_by)} {given}{may}"))
    rows += [("no rejection", _verdict(passed=False), f"{one.person}: {one.comment}") for one in found.rejected_by]
    return rows


def _leaving(found: Departure | None) -> list[Row]:
    """What a policy says to the person who takes the version out of its place."""
    if found is None:
        return []
    people = f"{', '.join(found.may_take_out)} can take it out" if found.may_take_out else "a rejection lets it out"
    override = "; --override REASON is allowed" if found.override else ""
    return [(f"leave {found.place}", _verdict(passed=found.allowed), people + override)]


def _verdict(*, passed: bool) -> Toned:
    return Toned("passed", "good") if passed else Toned("failed", "bad")


def plan(found: Plan) -> Rendering:
    """What a promotion would do, and what stands in its way."""
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


def standings(found: Sequence[Standing | Waiting]) -> Rendering:
    """Versions, and what a policy asks of each."""
    rows = [
        (Toned(str(one.reference), "strong"), one.assessment.target, *step)
        for one in found
        for step in _steps(one.assessment) + _leaving(getattr(one, "leaving", None))
    ]
    table = Table(columns=("version", "for", "asked for", "outcome", "how it stands"), rows=tuple(rows))
    return Rendering(tables=(table,), flat=table)


def decided(found: Decided) -> Rendering:
    """A decision, and what is still missing."""
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


def deployments(found: Sequence[DeploymentReport]) -> Rendering:
    """What changes set off."""
    tones = {"deployed": "good", "failed": "bad"}
    rows = tuple(
        (
            one.deployment_id,
            one.reference,
            one.stage or one.action,
            one.hook,
            Toned(one.status.value, tones.get(one.status.value, "strong")),
            one.outcome,
            one.ended_at or one.started_at or one.created_at,
            (one.output.strip().splitlines() or [""])[-1],
        )
        for one in found
    )
    columns = (">id", "of", "for", "hook", "status", ">outcome", "at", "end of its output")
    table = Table(columns=columns, rows=rows, optional=(">id", "at"))
    return Rendering(tables=(table,), flat=table)


def audit_report(report: AuditReport) -> Rendering:
    """That the trail is whole."""
    table = Table(columns=("events", "last hash"), rows=((report.events, report.last_hash),))
    sentence = (
        f"{counted(report.events, 'event')}, each as it was written; the last hash is {report.last_hash or 'none'}"
    )
    return Rendering(tables=(), flat=table, summary=sentence)


def why(found: Why) -> Rendering:
    """Why a version is where it is, in one screen."""
    version = found.version
    facts: list[Row] = [("version", str(version.reference)), ("stage", stage_cell(version.stage))]
    policy: dict[str, object] = {}
    if found.entered is not None:
        details = found.entered.details
        said = details.get("policy")
        policy = said if isinstance(said, dict) else {}
        facts += [
            ("since", found.entered.at),
            ("put there by", found.entered.actor + (", by rollback" if details.get("returned") else "")),
            ("reason", str(details.get("reason") or "") or None),
            ("came from", str(details.get("from"))),
        ]
        if policy.get("overridden"):
            facts.append(("policy overridden", Toned(str(policy["overridden"]), "bad")))
        if policy.get("approved_by"):
            facts.append(("approved by", ", ".join(map(str, _list(policy["approved_by"])))))
    facts += [("pushed by", version.created_by), ("run", version.run_id or None)]
    facts.append(("commit", version.source.git_commit or None))
    for one in found.decisions:
        word = "approval of" if one.approved else "rejection of"
        facts.append((f"{word} {one.person}", f"for {one.target}" + (f": {one.comment}" if one.comment else "")))
    tables = [Table(columns=("what", "value"), rows=tuple(row for row in facts if row[1] is not None), facts=True)]
    gates: list[Row] = [
        (str(gate.get("gate")), _verdict(passed=bool(gate.get("passed"))), _stands(gate))
        for gate in _list(policy.get("gates"))
        if isinstance(gate, dict)
    ]
    if gates:
        tables.append(
            Table(title="gates when it entered", columns=("gate", "outcome", "how it stood"), rows=tuple(gates))
        )
    if found.before is not None:
        from mreg.cli.reports import metric_table

        tables.append(metric_table(found.before, version.reference, found.metrics))
    flat = [(str(row[0]), row[1]) for row in tables[0].rows] + [(f"gate {row[0]}", row[1]) for row in gates]
    flat += [
        (f"metric {row.name}", f"{row.second} (before: {row.first}, {row.verdict.value})") for row in found.metrics
    ]
    return Rendering(tables=tuple(tables), flat=Table(columns=("what", "value"), rows=tuple(flat)))


def _stands(gate: dict[str, object]) -> str:
    return "; ".join(str(gate[key]) for key in ("found", "bound") if gate.get(key))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
