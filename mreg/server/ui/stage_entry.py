"""How a version entered its stage, and its metrics compared with the previous version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mreg.domain.events import Event
from mreg.domain.metrics import direction
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef
from mreg.domain.policy import Decision
from mreg.results.reasons import Why
from mreg.server.ui.listing import MetricRow, metric_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The result of a gate when the version entered its stage."""

    text: str
    passed: bool
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """How a version entered its stage.

    Attributes:
        entered: The event of the transition, None if the stage never changed.
        came_from: The stage before the transition.
        by_rollback: Whether the transition was a rollback.
        overridden: The reason for overriding the policy, empty if it was not overridden.
        before: The previous version of the stage.
    """

    entered: Event | None
    came_from: str
    by_rollback: bool
    reason: str
    overridden: str
    approved_by: tuple[str, ...]
    gates: tuple[Gate, ...]
    decisions: tuple[Decision, ...]
    before: VersionRef | None


def stage_entry(why: Why) -> StageEntry:
    """Return how a version entered its stage; unknown details of the event are ignored."""
    details = why.entered.details if why.entered is not None else {}
    recorded = details.get("policy")
    policy: Mapping[str, object] = recorded if isinstance(recorded, dict) else {}
    return StageEntry(
        entered=why.entered,
        came_from=str(details.get("from") or ""),
        by_rollback=bool(details.get("returned")),
        reason=str(details.get("reason") or ""),
        overridden=str(policy.get("overridden") or ""),
        approved_by=tuple(map(str, _list(policy.get("approved_by")))),
        gates=tuple(
            Gate(
                text=str(gate.get("gate")),
                passed=bool(gate.get("passed")),
                result="; ".join(str(gate[key]) for key in ("found", "bound") if gate.get(key)),
            )
            for gate in _list(policy.get("gates"))
            if isinstance(gate, dict)
        ),
        decisions=why.decisions,
        before=why.before,
    )


def metric_rows(version: ModelVersion, model: RegisteredModel, why: Why | None) -> tuple[MetricRow, ...]:
    """Return the metrics of a version, primary metric first, compared with the previous version of its stage."""
    compared = {row.name: row for row in why.metrics} if why is not None else {}
    rows = []
    for name in metric_order(version.metrics, model.primary_metric):
        other = compared.get(name)
        rows.append(
            MetricRow(
                name=name,
                value=version.metrics[name],
                direction=direction(name, model.directions),
                before=other.first if other is not None else None,
                verdict=other.verdict if other is not None else None,
            )
        )
    return tuple(rows)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
