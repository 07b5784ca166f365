"""Evaluation of gates: an expression is checked against a version, and each comparison is explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from mreg.domain.events import time_text
from mreg.domain.expression import And, Compare, Expression, Field, Missing, Not, Or, Relative
from mreg.domain.metrics import MetricValue, exact, exact_arithmetic
from mreg.domain.model import ModelVersion
from mreg.domain.names import VersionRef, folded
from mreg.domain.value import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The version that a gate compares with.

    Attributes:
        left: Whether the version is no longer in the stage or under the alias.
        deleted: Whether the version was deleted; its metrics come from the audit trail.
        unrejected: Whether the version is the last one that the rule admitted, and was not rejected.
        also: The last admitted version, if it is another one; the gate must hold for both.
        remedy: How to exclude this version from the comparison, for a hint; empty if that is impossible.
    """

    reference: VersionRef
    metrics: Mapping[str, MetricValue]
    left: bool = False
    deleted: bool = False
    unrejected: bool = False
    also: Holder | None = None
    remedy: str = ""


T = TypeVar("T", Decimal, str)

Occupant = Callable[[str], Holder | None]
"""Returns the version in a stage or under an alias, or the last one that left it; None if it was always empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult(Value):
    """The result of a gate.

    Attributes:
        gate: The text of the gate.
        passed: Whether the version passes.
        found: The version's values of the fields in the gate, such as ``accuracy 0.91``.
        bound: The computed bounds, such as ``production.accuracy - 0.005 = 0.905``; empty if all bounds are literals.
        remedies: How to exclude the versions whose comparison failed, for the hint.
    """

    gate: str
    passed: bool
    found: str
    bound: str = ""
    remedies: tuple[str, ...] = ()


def evaluate(text: str, gate: Expression, version: ModelVersion, occupant: Occupant) -> GateResult:
    """Check a version against a gate.

    A comparison of a missing value fails, and so does its negation. A comparison with a stage or an alias uses the
    version that is there, or the last version that was there if it is empty. It fails if that version lacks the metric,
    and passes without a comparison if there never was another version. After a rollback, the comparison must also hold
    for the version that was rolled back.

    Args:
        text: The text of the gate.
    """
    evaluation = _Evaluation(version, occupant)
    passed = evaluation.test(gate) is True
    found = dict.fromkeys(f"{field.key} {_shown(evaluation.value(field))}" for field in _fields(gate))
    return GateResult(
        gate=text,
        passed=passed,
        found=", ".join(found),
        bound=", ".join(evaluation.bounds),
        remedies=tuple(dict.fromkeys(evaluation.remedies)),
    )


class _Evaluation:
    """Three-valued logic: a comparison of a missing value is None, and so is its negation."""

    def __init__(self, version: ModelVersion, occupant: Occupant) -> None:
        self.version = version
        self.occupant = occupant
        self.bounds: list[str] = []
        self.remedies: list[str] = []

    def test(self, gate: Expression, *, negated: bool = False) -> bool | None:
        if isinstance(gate, (And, Or)):
            results = [self.test(operand, negated=negated) for operand in gate.operands]
            return _joined(results, decided=isinstance(gate, Or))
        if isinstance(gate, Not):
            result = self.test(gate.operand, negated=not negated)
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
        if isinstance(value, tuple):  # one matching alias is enough
            aliases = tuple(folded(str(literal)) for literal in gate.values)
            return any(_holds(gate.operator, folded(alias), aliases) for alias in value)
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
        for holder in (other, *([other.also] if other.also is not None else ())):
            result = self._compare_with(operator, value, wanted, holder)
            if holder.remedy and result in (None, negated):
                self.remedies.append(holder.remedy)
            results.append(result)
        # The gate must hold for each version; a negated gate holds if no comparison does.
        return _joined(results, decided=negated)

    def _compare_with(self, operator: str, value: object, wanted: Relative, other: Holder) -> bool | None:
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
    """Return ``decided`` if any result is; otherwise None if any result is None, or the opposite of ``decided``."""
    if decided in results:
        return decided
    return None if None in results else not decided


def _fields(gate: Expression) -> Iterator[Field]:
    if isinstance(gate, (And, Or)):
        for operand in gate.operands:
            yield from _fields(operand)
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
        return any(_holds("=", value, (literal,)) for literal in wanted)
    bound = wanted[0]
    if operator == "like":
        pattern = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in str(bound))
        return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None
    if isinstance(bound, str):
        return _ordered(operator, str(value), bound.removeprefix("sha256:"))
    return _ordered(operator, _exact(value), _exact(bound))


def _ordered(operator: str, first: T, second: T) -> bool:
    if operator in ("=", "!="):
        return (first == second) == (operator == "=")
    return {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[operator]
