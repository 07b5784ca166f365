"""Tables of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mreg.cli.table import STAGE_TONES, Rendering, Row, Table, Toned, rendering_of, stage_cell, verdict_cell
from mreg.cli.views import View
from mreg.domain.events import Event
from mreg.domain.text import counted
from mreg.results.history import AuditReport, StagesAt, Why


def _events(events: Sequence[Event]) -> Rendering:
    rows = tuple(
        (
            event.seq,
            event.at,
            event.actor,
            event.action,
            event.reference,
            _explained(event),
        )
        for event in events
    )
    columns = (">seq", "at", "actor", "action", "of", "details")
    return rendering_of(Table(columns=columns, rows=rows, optional=(">seq", "actor") if len(rows) > 1 else ()))


def _explained(event: Event) -> str:
    details = event.details
    if event.action == "version.stage_changed":
        text = f"{details.get('from')} to {details.get('to')}"
        if details.get("returned"):
            text += ", by rollback"
        if details.get("replaced_by"):
            text += f", replaced by {event.model}@{details['replaced_by']}"
        return f"{text}: {details['reason']}" if details.get("reason") else text
    if event.action == "version.pushed":
        metrics = details.get("metrics")
        numbers = [f"{name}={value}" for name, value in metrics.items()] if isinstance(metrics, dict) else []
        parent = [f"from {details['parent']}"] if details.get("parent") else []
        origin = details.get("imported")
        imported = [f"imported from {origin.get('reference')}"] if isinstance(origin, dict) else []
        size = f"{details.get('size_bytes')} bytes"
        return ", ".join([str(details.get("checksum"))[:19], size, *imported, *parent, *numbers])
    if event.action in ("version.approved", "version.rejected", "version.decision_withdrawn", "policy.overridden"):
        comment = details.get("comment") or details.get("reason")
        return f"for {details.get('target')}" + (f": {comment}" if comment else "")
    if event.action == "version.evaluated":
        return _evaluated(details)
    if event.action == "policy.changed":
        before, after = details.get("before"), details.get("after")
        return f"{_rules(before)} to {_rules(after)}"
    shown = {key: value for key, value in details.items() if value not in (None, "", {}, [], False)}
    return ", ".join(f"{key} {_change(value)}" for key, value in shown.items())


def _evaluated(details: Mapping[str, object]) -> str:
    metrics, replaced, voided = (details.get(key) for key in ("metrics", "replaced", "voided"))
    old = replaced if isinstance(replaced, dict) else {}
    parts = [
        f"{name}={value}" + (f" (was {old[name]})" if name in old else "")
        for name, value in (metrics.items() if isinstance(metrics, dict) else ())
    ]
    parts += [f"on {details['dataset']}"] if details.get("dataset") else []
    parts += [
        f"approval of {approval.get('person')} for {approval.get('target')} is void"
        for approval in _list(voided)
        if isinstance(approval, dict)
    ]
    return ", ".join(parts) + (f": {details['reason']}" if details.get("reason") else "")


def _rules(document: object) -> str:
    return f"rules for {', '.join(document)}" if isinstance(document, dict) and document else "no policy"


def _change(value: object) -> str:
    """Return the text of a detail; for an edit, the old and the new value."""
    if isinstance(value, list) and len(value) == 2:
        return f"{_compact(value[0])} to {_compact(value[1])}"
    return _compact(value)


def _compact(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "nothing"
    return str(value) or "nothing"


def _stages_at(found: StagesAt) -> Rendering:
    rows = tuple(
        (Toned(stage.value, STAGE_TONES.get(stage.value, "")), f"{found.model}@{version}")
        for stage, versions in found.stages.items()
        for version in versions
    )
    return rendering_of(Table(title=f"{found.model} at {found.at}", columns=("stage", "version"), rows=rows))


def _audit_report(report: AuditReport) -> Rendering:
    table = Table(columns=("events", "last hash"), rows=((report.events, report.last_hash),))
    sentence = (
        f"{counted(report.events, 'event')}, each as it was written; the last hash is {report.last_hash or 'none'}"
    )
    return Rendering(tables=(), flat=table, summary=sentence)


def _why(found: Why) -> Rendering:
    facts = [row for row in (*_entry(found.entered), *_origin(found)) if row[1] is not None]
    facts = [("version", str(found.version.reference)), ("stage", stage_cell(found.version.stage)), *facts]
    gates = _gates_at_entry(_policy_at_entry(found.entered))
    tables = [Table(columns=("what", "value"), rows=tuple(facts), facts=True)]
    if gates:
        columns = ("gate", "outcome", "how it stood")
        tables.append(Table(title="gates when it entered", columns=columns, rows=tuple(gates)))
    if found.before is not None:
        from mreg.cli.views.comparison import metric_table

        tables.append(metric_table(found.before, found.version.reference, found.metrics))
    flat = [(str(row[0]), row[1]) for row in facts] + [(f"gate {row[0]}", row[1]) for row in gates]
    flat += [
        (f"metric {row.name}", f"{row.second} (before: {row.first}, {row.verdict.value})") for row in found.metrics
    ]
    return Rendering(tables=tuple(tables), flat=Table(columns=("what", "value"), rows=tuple(flat)))


def _policy_at_entry(entered: Event | None) -> Mapping[str, object]:
    """Return the result of the policy that the event recorded, empty if it recorded none."""
    policy = entered.details.get("policy") if entered is not None else None
    return policy if isinstance(policy, dict) else {}


def _entry(entered: Event | None) -> list[Row]:
    """Return the rows on the transition to the current stage."""
    if entered is None:
        return []
    details, policy = entered.details, _policy_at_entry(entered)
    rows: list[Row] = [
        ("since", entered.at),
        ("put there by", entered.actor + (", by rollback" if details.get("returned") else "")),
        ("reason", str(details.get("reason") or "") or None),
        ("came from", str(details.get("from"))),
    ]
    if policy.get("overridden"):
        rows.append(("policy overridden", Toned(str(policy["overridden"]), "bad")))
    if policy.get("approved_by"):
        rows.append(("approved by", ", ".join(map(str, _list(policy["approved_by"])))))
    return rows


def _origin(found: Why) -> list[Row]:
    """Return the rows on the source of the version and on the decisions about it."""
    version = found.version
    rows: list[Row] = [
        ("pushed by", version.created_by),
        ("run", version.run_id or None),
        ("commit", version.source.git_commit or None),
    ]
    for decision in found.decisions:
        word = "approval of" if decision.approved else "rejection of"
        comment = f": {decision.comment}" if decision.comment else ""
        rows.append((f"{word} {decision.person}", f"for {decision.target}{comment}"))
    return rows


def _gates_at_entry(policy: Mapping[str, object]) -> list[Row]:
    return [
        (str(gate.get("gate")), verdict_cell(passed=bool(gate.get("passed"))), _measured(gate))
        for gate in _list(policy.get("gates"))
        if isinstance(gate, dict)
    ]


def _measured(gate: dict[str, object]) -> str:
    return "; ".join(str(gate[key]) for key in ("found", "bound") if gate.get(key))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


VIEWS = (
    View(Event, render_list=_events, references=lambda event: [event.reference]),
    View(
        StagesAt,
        render=_stages_at,
        references=lambda found: [f"{found.model}@{number}" for numbers in found.stages.values() for number in numbers],
    ),
    View(AuditReport, render=_audit_report, references=lambda report: [report.last_hash]),
    View(Why, render=_why, references=lambda found: [str(found.version.reference)]),
)
