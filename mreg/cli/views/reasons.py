"""Tables of the reasons why a version is in its stage."""

from __future__ import annotations

from collections.abc import Mapping

from mreg.cli.table import Rendering, Row, Table, Toned, stage_cell, verdict_cell
from mreg.cli.views import View
from mreg.domain.events import Event
from mreg.results.reasons import Why


def _why(found: Why) -> Rendering:
    facts = [row for row in (*_entry(found.entered), *_origin(found)) if row[1] is not None]
    facts = [("version", str(found.version.reference)), ("stage", stage_cell(found.version.stage)), *facts]
    gates = _gates_at_entry(_policy_at_entry(found.entered))
    tables = [Table(columns=("field", "value"), rows=tuple(facts), facts=True)]
    if gates:
        columns = ("gate", "outcome", "value")
        tables.append(Table(title="gates when it entered", columns=columns, rows=tuple(gates)))
    if found.before is not None:
        from mreg.cli.views.comparison import metric_table

        tables.append(metric_table(found.before, found.version.reference, found.metrics))
    flat = [(str(row[0]), row[1]) for row in facts] + [(f"gate {row[0]}", row[1]) for row in gates]
    flat += [
        (f"metric {row.name}", f"{row.second} (before: {row.first}, {row.verdict.value})") for row in found.metrics
    ]
    return Rendering(tables=tuple(tables), flat=Table(columns=("field", "value"), rows=tuple(flat)))


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


VIEWS = (View(Why, render=_why, references=lambda found: [str(found.version.reference)]),)
