"""Whether a version passes a gate: an expression held against what the version has, each comparison shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from mreg.domain.events import time_text
from mreg.domain.expression import And, Compare, Expression, Field, Missing, Not, Or, Relative
from mreg.domain.metrics import MetricValue, exact, exact_arithmetic
from mreg.domain.model import ModelVersion
from mreg.domain.names import VersionRef, folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The version that a gate compares with.

    Attributes:
        left: Whether it left the stage or alias, which no other version holds now.
        deleted: Whether it was deleted since; its metrics are those of the audit trail.
        unrejected: Whether it is compared with because the rule let it in last, and it left without a rejection.
        also: Such a version, with which a gate compares as well.
        way_on: How to leave this version out of the comparison, for a hint; empty if there is no way.
    """

    reference: VersionRef
    metrics: Mapping[str, MetricValue]
    left: bool = False
    deleted: bool = False
    unrejected: bool = False
    also: Holder | None = None
    way_on: str = ""


Occupant = Callable[[str], Holder | None]
"""Gives the version that a stage or an alias means or, if it means none, meant last; None if it never meant any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """A gate and what came of it.

    Attributes:
        gate: As it was written.
        passed: Whether the version may pass.
        found: What the version has of what the gate asks for, such as ``accuracy 0.91``.
        bound: What it is held against, such as ``production.accuracy - 0.005 = 0.905``; empty where the gate says it.
        ways_on: How to leave versions out with which the comparison failed, for the hint.
    """

    gate: str
    passed: bool
    found: str
    bound: str = ""
    ways_on: tuple[str, ...] = ()


def evaluate(text: str, gate: Expression, version: ModelVersion, occupant: Occupant) -> GateResult:
    """Hold a version against a gate.

    A comparison of something that the version lacks fails, and so does its negation. A comparison with a stage or an
    alias is one with the version that it means, or that it meant last if it means none. It passes only if no other
    version ever was there, since there is nothing to be worse than. If that version lacks the metric it fails. After a
    rollback the comparison must also hold with the version that was rolled back.

    Args:
        text: The gate as it was written.
    """
    judged = _Judgement(version, occupant)
    passed = judged.judge(gate) is True
    found = dict.fromkeys(f"{field.key} {_shown(judged.value(field))}" for field in _fields(gate))
    return GateResult(
        gate=text,
        passed=passed,
        found=", ".join(found),
        bound=", ".join(judged.bounds),
        ways_on=tuple(dict.fromkeys(judged.ways_on)),
    )


class _Judgement:
    """Three-valued, since a comparison of what is missing is neither true nor is its negation."""

    def __init__(self, version: ModelVersion, occupant: Occupant) -> None:
        self.version = version
        self.occupant = occupant
        self.bounds: list[str] = []
        self.ways_on: list[str] = []

    def judge(self, gate: Expression, *, negated: bool = False) -> bool | None:
        if isinstance(gate, (And, Or)):
            return _joined([self.judge(one, negated=negated) for one in gate.operands], decided=isinstance(gate, Or))
        if isinstance(gate, Not):
            result = self.judge(gate.operand, negated=not negated)
            return None if result is None else not result
        if isinstance(gate, Missing):
            return self.value(gate.field) in (None, "", ())
        return self._compare(gate, negated=negated)

    def _compare(self, gate: Compare, *, negated: bool) -> bool | None:
        value = self.value(gate.field)
        wanted = gate.values[0]
        if isinstance(wanted, Relative):
            return self._against(gate.operator, value, wanted, negated=negated)
        if value is None or value == () or value == "":
            return None
        if isinstance(value, tuple):  # of several aliases any may be meant
            aliases = tuple(folded(str(one)) for one in gate.values)
            return any(_holds(gate.operator, folded(one), aliases) for one in value)
        if gate.field.group == "params" and not isinstance(wanted, str):
            number = _number(str(value))
            return None if number is None else _holds(gate.operator, number, gate.values)
        return _holds(gate.operator, value, gate.values)

    def _against(self, operator: str, value: object, wanted: Relative, *, negated: bool) -> bool | None:
        other = self.occupant(wanted.place)
        if other is None:
            self.bounds.append(f"{wanted}: no other version was ever in {wanted.place}")
            return True
        results = []
        for one in (other, *([other.also] if other.also is not None else ())):
            result = self._held(operator, value, wanted, one)
            if one.way_on and result in (None, negated):
                self.ways_on.append(one.way_on)
            results.append(result)
        # The gate must hold with each of them; within a negation it does if no comparison holds.
        return _joined(results, decided=negated)

    def _held(self, operator: str, value: object, wanted: Relative, other: Holder) -> bool | None:
        named = _named(other, wanted.place)
        metric = other.metrics.get(wanted.metric)
        if metric is None:
            apart = "," if "," in named else ""
            self.bounds.append(f"{wanted}: {named}{apart} has no {wanted.metric}")
            return None
        context = exact_arithmetic()
        bound = context.add(context.multiply(exact(metric), exact(wanted.factor)), exact(wanted.offset))
        self.bounds.append(f"{wanted} = {bound.normalize():f} of {named}")
        if value is None or isinstance(value, (str, tuple)):
            return None
        return _ordered(operator, _exact(value), bound)

    def value(self, field: Field) -> object:
        version = self.version
        if field.group:
            groups = {"metrics": version.metrics, "params": version.parameters, "tags": version.tags}
            return groups[field.group].get(field.key)
        values: dict[str, object] = {
            "name": str(version.model_name),
            "version": version.version,
            "stage": version.stage.value,
            "status": version.status.value,
            "description": version.description,
            "alias": tuple(version.aliases),
            "run_id": version.run_id,
            "experiment_id": version.experiment_id,
            "format": version.artifact.format,
            "size_bytes": version.artifact.size_bytes,
            "checksum": version.artifact.digest.value,
            "git_commit": version.source.git_commit,
            "git_branch": version.source.git_branch,
            "created_by": version.created_by,
            "created_at": time_text(version.created_at),
            "updated_at": time_text(version.updated_at),
            "deployed_at": time_text(version.deployed_at) if version.deployed_at else None,
        }
        return values[field.key]


def _named(holder: Holder, place: str) -> str:
    why = ""
    if holder.left:
        why = f", which left {place} without a rejection" if holder.unrejected else f", which was the last in {place}"
    return f"{holder.reference}{why}" + (" and was deleted" if holder.deleted else "")


def _joined(results: list[bool | None], *, decided: bool) -> bool | None:
    """Several results as one: the deciding one if any is, else unknown if any is, else the other."""
    if decided in results:
        return decided
    return None if None in results else not decided


def _fields(gate: Expression) -> Iterator[Field]:
    if isinstance(gate, (And, Or)):
        for one in gate.operands:
            yield from _fields(one)
    elif isinstance(gate, Not):
        yield from _fields(gate.operand)
    else:
        yield gate.field


def _shown(value: object) -> str:
    if value is None or value in ("", ()):
        return "is missing"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _exact(value: object) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return exact(value if isinstance(value, (int, float)) else float(str(value)))


def _holds(operator: str, value: object, wanted: tuple[object, ...]) -> bool:
    if operator == "in":
        return any(_holds("=", value, (one,)) for one in wanted)
    bound = wanted[0]
    if operator == "like":
        pattern = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in str(bound))
        return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None
    if not isinstance(value, str) and not isinstance(bound, str):
        return _ordered(operator, _exact(value), _exact(bound))
    return _ordered(operator, str(value), str(bound).removeprefix("sha256:"))


def _ordered(operator: str, first: object, second: object) -> bool:
    if operator in ("=", "!="):
        return (first == second) == (operator == "=")
    if isinstance(first, Decimal) and isinstance(second, Decimal):
        order = first.compare(second)
        sign = int(order)
    else:
        sign = (str(first) > str(second)) - (str(first) < str(second))
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]
