"""Policies: the requirements for a version to enter a stage or take an alias."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mreg.domain.digest import Digest
from mreg.domain.expression import Expression, metrics_of
from mreg.domain.gates import GateResult, Occupant, evaluate
from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import check_alias, folded, spelled
from mreg.domain.parsing import GATE_LIMIT, parse_gate
from mreg.domain.text import check_line, nearest, quoted
from mreg.domain.value import Value
from mreg.errors import BadInput

KEYS = ("from", "gates", "approvals", "approvers", "own_approval", "override")
GATES_LIMIT = 100
"""Maximum number of gates in a rule."""

ALL_GATES_LIMIT = 200
RULES_LIMIT = 100
"""Maximum number of gates and rules in a policy; a catalog of an older release can hold more."""

PEOPLE_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Value):
    """The requirements for entering a stage or taking an alias.

    Attributes:
        came_from: Required current stage; None for any stage.
        gates: Texts of the gates, all of which must pass.
        approvals: Required number of approvals by different people.
        approvers: People whose approvals count; empty for anyone.
        own_approval: Whether an approval by the person who pushed the version counts.
        override: Whether the rule can be overridden with a reason.
    """

    came_from: ModelStage | None = None
    gates: tuple[str, ...] = ()
    approvals: int = 0
    approvers: tuple[str, ...] = ()
    own_approval: bool = False
    override: bool = False
    _parsed: list[Expression] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def conditions(self) -> tuple[tuple[str, Expression], ...]:
        """The gates with their expressions, which are parsed once."""
        if not self._parsed:
            self._parsed[:] = map(parse_gate, self.gates)  # at once: another thread can parse them, too
        return tuple(zip(self.gates, self._parsed, strict=True))

    @property
    def guards(self) -> bool:
        """Whether the rule has a requirement; if so, leaving its target is checked too."""
        return bool(self.came_from or self.gates or self.approvals or self.approvers)

    def entitles(self, person: str) -> bool:
        """Return whether a person's rejection counts: an approver's, or anyone's if the rule names no approvers."""
        return not self.approvers or person in self.approvers


@dataclass(frozen=True, slots=True)
class Policy(Value):
    """Rules by target: the value of a stage, or an alias. Targets are case-insensitive."""

    rules: Mapping[str, Rule] = field(default_factory=dict)

    def rule(self, target: str) -> Rule:
        """Return the rule for a target, or a rule without requirements if the policy has none."""
        known = spelled(target, self.rules)
        return NO_RULE if known is None else self.rules[known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Value):
    """A person's approval or rejection of a version for a target.

    Attributes:
        target: The value of a stage, or an alias.
        approved: Whether the decision is an approval or a rejection.
        digest: Digest of the artifact that was approved or rejected.
    """

    target: str
    person: str
    approved: bool
    comment: str
    digest: Digest
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure(Value):
    """Whether a person can take a version out of a stage or an alias that a rule guards.

    Attributes:
        place: The value of the stage, or the alias.
        allowed: Whether the person is an approver of the rule, or the version was rejected for the place.
        may_take_out: The approvers that the rule names.
        override: Whether the rule allows overrides.
    """

    place: str
    allowed: bool
    may_take_out: tuple[str, ...] = ()
    override: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment(Value):
    """The result of checking a version against the rule for a target.

    Attributes:
        right_stage: Required current stage, if the version is in it.
        wrong_stage: Required current stage, if the version is in another one.
        gates: Results of all gates.
        needed: Required number of approvals.
        approved_by: People whose approvals count.
        may_approve: Approvers that the rule names and that have not approved.
        rejected_by: Rejections that were not withdrawn.
        override: Whether the rule can be overridden.
    """

    target: str
    right_stage: ModelStage | None = None
    wrong_stage: ModelStage | None = None
    gates: tuple[GateResult, ...] = ()
    needed: int = 0
    approved_by: tuple[str, ...] = ()
    may_approve: tuple[str, ...] = ()
    rejected_by: tuple[Decision, ...] = ()
    override: bool = False

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that failed."""
        return tuple(gate for gate in self.gates if not gate.passed)

    @property
    def missing(self) -> int:
        """The number of missing approvals."""
        return max(0, self.needed - len(self.approved_by))

    @property
    def passed(self) -> bool:
        """Whether the version meets all requirements."""
        return not (self.wrong_stage or self.failed or self.missing or self.rejected_by)


NO_RULE = Rule()


def assess(
    policy: Policy, target: str, version: ModelVersion, decisions: Iterable[Decision], occupant: Occupant
) -> Assessment:
    """Check a version against the rule for a target.

    Decisions on an artifact with another digest do not count. A rejection blocks until the person withdraws it.
    """
    rule = policy.rule(target)
    relevant = _decisions_for(target, version, decisions)
    approvals = (decision.person for decision in relevant if decision.approved)
    approved = dict.fromkeys(person for person in approvals if counts(rule, person, version))
    return Assessment(
        target=target,
        right_stage=rule.came_from if rule.came_from is version.stage else None,
        wrong_stage=rule.came_from if rule.came_from not in (None, version.stage) else None,
        gates=tuple(evaluate(text, gate, version, occupant) for text, gate in rule.conditions),
        needed=rule.approvals,
        approved_by=tuple(approved),
        may_approve=tuple(
            person for person in rule.approvers if person not in approved and counts(rule, person, version)
        ),
        rejected_by=tuple(decision for decision in relevant if not decision.approved),
        override=rule.override,
    )


def depart(
    policy: Policy, place: str, version: ModelVersion, decisions: Iterable[Decision], person: str
) -> Departure | None:
    """Check whether a person can take a version out of a stage or an alias; None if no rule guards it.

    Rules do not guard the exits from None and Archived, since versions there are not in use.
    """
    rule = policy.rule(place)
    if not rule.guards or place in (ModelStage.NONE.value, ModelStage.ARCHIVED.value):
        return None
    return Departure(
        place=place,
        allowed=was_rejected(policy, place, version, decisions) or person in rule.approvers,
        may_take_out=rule.approvers,
        override=rule.override,
    )


def was_rejected(policy: Policy, place: str, version: ModelVersion, decisions: Iterable[Decision]) -> bool:
    """Return whether a version has a rejection that counts for a stage or an alias."""
    rule = policy.rule(place)
    rejections = (decision for decision in _decisions_for(place, version, decisions) if not decision.approved)
    return any(rule.entitles(rejection.person) for rejection in rejections)


def _decisions_for(target: str, version: ModelVersion, decisions: Iterable[Decision]) -> list[Decision]:
    digest = version.artifact.digest
    return [made for made in decisions if folded(made.target) == folded(target) and made.digest == digest]


def counts(rule: Rule, person: str, version: ModelVersion) -> bool:
    """Return whether a person's approval of a version counts."""
    if rule.approvers and person not in rule.approvers:
        return False
    return rule.own_approval or person != version.created_by


def parse_policy(document: object, *, stored: bool = False) -> Policy:
    """Return the policy that a parsed YAML or JSON document defines.

    Args:
        stored: Whether the document comes from a catalog, where an older release could store larger policies and two
            spellings of one alias. The size is not checked then, and the rules for both spellings are joined.

    Raises:
        BadInput: A key is unknown or a value is invalid; ``details["path"]`` are the keys that lead to it.
    """
    rules: dict[str, Rule] = {}
    for key, value in _mapping(document, (), "a policy").items():
        if key == "aliases":
            for alias, rule in _mapping(value, (key,), "aliases").items():
                _with_path((key, alias), lambda alias=alias: check_alias(alias))  # type: ignore[misc]
                found = _rule(rule, (key, alias))
                known = spelled(alias, rules)
                if known is not None and not stored:
                    raise BadInput(
                        f"{known} and {alias} are the same alias", hint="remove one of them", path=[key, alias]
                    )
                rules[known or alias] = found if known is None else _merge(rules[known], found)
            continue
        stages = [stage for stage in ModelStage if stage.value.lower() == key.lower()]
        if not stages or stages[0] is ModelStage.NONE:
            near = nearest(key, ["Staging", "Production", "Archived", "aliases"], 1)
            hint = f"did you mean {near[0]}?" if near else "write Staging, Production, Archived or aliases"
            raise BadInput(f"invalid stage {quoted(key)} in a policy", hint=hint, path=[key])
        if stages[0].value in rules:
            raise BadInput(f"duplicate stage {stages[0].value}", hint="remove one of them", path=[key])
        rules[stages[0].value] = _rule(value, (key,))
    if not stored:
        _check_size(rules)
    return Policy(rules)


def _check_size(rules: Mapping[str, Rule]) -> None:
    """Bound the cost of a policy: each gate is evaluated for each version in use."""
    if len(rules) > RULES_LIMIT:
        raise BadInput(f"the policy has {len(rules)} rules; the limit is {RULES_LIMIT}", path=["aliases"])
    count = sum(len(rule.gates) for rule in rules.values())
    if count > ALL_GATES_LIMIT:
        raise BadInput(f"the policy has {count} gates; the limit is {ALL_GATES_LIMIT}", path=[])
    for target, rule in rules.items():
        for gate in rule.gates:
            if len(gate) > GATE_LIMIT:
                raise BadInput(f"a gate of {target} has {len(gate)} characters; the limit is {GATE_LIMIT}", path=[])


def _merge(first: Rule, second: Rule) -> Rule:
    """Return a rule with the requirements of both rules."""
    approvers = tuple(person for person in first.approvers if not second.approvers or person in second.approvers)
    approvers = approvers or first.approvers or second.approvers
    approvals = max(first.approvals, second.approvals)
    return Rule(
        came_from=first.came_from or second.came_from,
        gates=tuple(dict.fromkeys((*first.gates, *second.gates))),
        approvals=min(approvals, len(approvers)) if approvers else approvals,
        approvers=approvers,
        own_approval=first.own_approval and second.own_approval,
        override=first.override and second.override,
    )


def _rule(document: object, path: tuple[str, ...]) -> Rule:
    values = _mapping(document, path, path[-1])
    for key in values:
        if key not in KEYS:
            near = nearest(key, KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"use one of: {', '.join(KEYS)}"
            raise BadInput(f"unknown key {quoted(key)}", hint=hint, path=[*path, key])
    gates = _texts(values.get("gates", ()), (*path, "gates"), GATES_LIMIT)
    for place, gate in enumerate(gates):
        _with_path((*path, "gates", str(place)), lambda gate=gate: parse_gate(gate))  # type: ignore[misc]
    approvers = _texts(values.get("approvers", ()), (*path, "approvers"), PEOPLE_LIMIT)
    for person in approvers:
        _with_path((*path, "approvers"), lambda person=person: check_line("approver", person))  # type: ignore[misc]
    if len(set(approvers)) < len(approvers):
        raise BadInput("duplicate approver", path=[*path, "approvers"])
    approvals = values.get("approvals", 0)
    if isinstance(approvals, bool) or not isinstance(approvals, int) or not 0 <= approvals <= PEOPLE_LIMIT:
        raise BadInput(f"approvals must be an integer from 0 to {PEOPLE_LIMIT}", path=[*path, "approvals"])
    if approvers and approvals > len(approvers):
        raise BadInput(
            f"the rule needs {approvals} approvals but names {len(approvers)} approvers",
            hint="name more approvers, or lower the number of approvals",
            path=[*path, "approvals"],
        )
    came_from = values.get("from")
    return Rule(
        came_from=None if came_from is None else _with_path((*path, "from"), lambda: ModelStage.parse(str(came_from))),
        gates=gates,
        approvals=approvals,
        approvers=approvers,
        own_approval=_bool(values.get("own_approval", False), (*path, "own_approval")),
        override=_bool(values.get("override", False), (*path, "override")),
    )


def _with_path(path: tuple[str, ...], work: Callable[[], Any]) -> Any:
    """Return the result of the work, or add the path to its error."""
    try:
        return work()
    except BadInput as error:
        error.details["path"] = list(path)
        raise


def _mapping(value: object, path: tuple[str, ...], what: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadInput(
            f"{what} must be a mapping", hint="see the page on policies in the documentation", path=list(path)
        )
    return value


def _texts(value: object, path: tuple[str, ...], limit: int) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise BadInput(f"{path[-1]} must be a list of strings", hint=f'write {path[-1]}: ["..."]', path=list(path))
    if len(value) > limit:
        raise BadInput(f"too many {path[-1]}: {len(value)}; the limit is {limit}", path=list(path))
    return tuple(value)


def _bool(value: object, path: tuple[str, ...]) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{path[-1]} must be true or false", path=list(path))
    return value


def policy_document(policy: Policy) -> dict[str, object]:
    """Return the document of a policy, with every key; ``parse_policy(policy_document(p)) == p``."""
    stages = {stage.value for stage in ModelStage}
    found: dict[str, object] = {
        target: _rule_document(rule) for target, rule in policy.rules.items() if target in stages
    }
    aliases = {target: _rule_document(rule) for target, rule in policy.rules.items() if target not in stages}
    return {**found, **({"aliases": aliases} if aliases else {})}


def _rule_document(rule: Rule) -> dict[str, object]:
    return {
        "from": rule.came_from.value if rule.came_from else None,
        "gates": list(rule.gates),
        "approvals": rule.approvals,
        "approvers": list(rule.approvers),
        "own_approval": rule.own_approval,
        "override": rule.override,
    }


def policy_yaml(policy: Policy) -> str:
    """Return the policy as YAML that can be applied again."""
    lines: list[str] = []

    def write(rule: Mapping[str, object], indent: str) -> None:
        lines.extend(f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in rule.items())

    for target, rule in policy_document(policy).items():
        lines.append(f"{target}:")
        if target == "aliases":
            for alias, inner in rule.items():  # type: ignore[attr-defined]
                lines.append(f"  {alias}:")
                write(inner, "    ")
        else:
            write(rule, "  ")  # type: ignore[arg-type]
    return "\n".join(lines)


def metrics_asked_for(policy: Policy) -> tuple[str, ...]:
    """Return the metrics that the gates of a policy name, each once."""
    return tuple(
        dict.fromkeys(
            metric for rule in policy.rules.values() for _, gate in rule.conditions for metric in metrics_of(gate)
        )
    )
