"""Why a version is where it is, and its metrics beside those of what it replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mreg.domain.events import Event
from mreg.domain.metrics import direction
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef
from mreg.domain.policy import Decision
from mreg.results.history import Why
from mreg.server.ui.listing import MetricRow, metric_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate as it stood when the version came into its stage."""

    text: str
    passed: bool
    stood: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Why a version is where it is.

    Attributes:
        entered: The event by which it came, None where it never moved.
        came_from: The stage before; by_rollback: whether that was a return.
        overridden: The reason for which the policy was set aside, empty where it was not.
        before: What was in the stage before it.
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


def standing(found: Why) -> Standing:
    """What an event and the decisions say, whatever else is in them."""
    details = found.entered.details if found.entered is not None else {}
    said = details.get("policy")
    policy: Mapping[str, object] = said if isinstance(said, dict) else {}
    return Standing(
        entered=found.entered,
        came_from=str(details.get("from") or ""),
        by_rollback=bool(details.get("returned")),
        reason=str(details.get("reason") or ""),
        overridden=str(policy.get("overridden") or ""),
        approved_by=tuple(map(str, _list(policy.get("approved_by")))),
        gates=tuple(
            Gate(
                text=str(gate.get("gate")),
                passed=bool(gate.get("passed")),
                stood="; ".join(str(gate[key]) for key in ("found", "bound") if gate.get(key)),
            )
            for gate in _list(policy.get("gates"))
            if isinstance(gate, dict)
        ),
        decisions=found.decisions,
        before=found.before,
    )


def metric_rows(version: ModelVersion, model: RegisteredModel, why: Why | None) -> tuple[MetricRow, ...]:
    """The metrics of a version, the model's primary one first, with what they are beside those of what was before."""
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
