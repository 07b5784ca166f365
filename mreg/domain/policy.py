"""Policy: what a version must have before it may enter a stage or take an alias."""

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
from mreg.errors import BadInput

KEYS = ("from", "gates", "approvals", "approvers", "own_approval", "override")
GATES_LIMIT = 100
"""Gates of one rule."""

ALL_GATES_LIMIT = 200
RULES_LIMIT = 100
"""Gates and rules of a whole policy; a catalog of an older release can hold more."""

PEOPLE_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of a version that is to enter one stage or take one alias.

    Attributes:
        came_from: The stage that it must be in; None for any.
        gates: Conditions as they were written, all of which must hold.
        approvals: How many different people must have approved.
        approvers: Whose approval counts; empty: anyone's.
        own_approval: Whether the approval of who pushed the version counts.
        override: Whether somebody may enter all the same by giving a reason.
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
        """Each gate with what it means; parsed once, however many versions are held against it."""
        if not self._parsed:
            self._parsed.extend(map(parse_gate, self.gates))
        return tuple(zip(self.gates, self._parsed, strict=True))

    @property
    def guards(self) -> bool:
        """Whether the rule asks for anything, so that leaving its target is checked, too."""
        return bool(self.came_from or self.gates or self.approvals or self.approvers)

    def entitles(self, person: str) -> bool:
        """Whether a person's rejection counts: an approver's, or anyone's if the rule names no approvers."""
        return not self.approvers or person in self.approvers


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules by target: a stage's value, or an alias. Targets are compared without regard to case."""

    rules: Mapping[str, Rule] = field(default_factory=dict)

    def rule(self, target: str) -> Rule:
        """The rule for a target, or one that asks for nothing if the policy has none."""
        known = spelled(target, self.rules)
        return NO_RULE if known is None else self.rules[known]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided on a version for a target.

    Attributes:
        target: A stage's value, or an alias.
        approved: Whether it is an approval, and not a rejection.
        digest: Of the bytes that were decided on.
    """

    target: str
    person: str
    approved: bool
    comment: str
    digest: Digest
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Whether a person can take a version out of a stage or an alias that a rule guards.

    Attributes:
        place: The stage's value, or the alias.
        allowed: Whether the person may: the rule names them as an approver, or the version was rejected for the place.
        may_take_out: The approvers that the rule names.
        override: Whether the rule allows overrides.
    """

    place: str
    allowed: bool
    may_take_out: tuple[str, ...] = ()
    override: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Whether a version may enter a target now, and why.

    Attributes:
        wrong_stage: The stage that it would have to come from, where it is in another one.
        gates: Each with what came of it.
        needed: How many approvals the rule asks for.
        approved_by: Who has approved, as far as it counts.
        may_approve: Who else could, where the rule names people.
        rejected_by: The rejections that stand.
        override: Whether the rule may be overridden.
    """

    target: str
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
        """How many approvals are missing."""
        return max(0, self.needed - len(self.approved_by))

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way."""
        return not (self.wrong_stage or self.failed or self.missing or self.rejected_by)


NO_RULE = Rule()


def assess(
    policy: Policy, target: str, version: ModelVersion, decisions: Iterable[Decision], occupant: Occupant
) -> Assessment:
    """What a policy says to a version that is to enter a target.

    Decisions on other bytes than the version's do not count; a rejection stands until its giver takes it back.
    """
    rule = policy.rule(target)
    mine = _decisions_for(target, version, decisions)
    approved = dict.fromkeys(one.person for one in mine if one.approved and counts(rule, one.person, version))
    return Assessment(
        target=target,
        wrong_stage=rule.came_from if rule.came_from not in (None, version.stage) else None,
        gates=tuple(evaluate(text, gate, version, occupant) for text, gate in rule.conditions),
        needed=rule.approvals,
        approved_by=tuple(approved),
        may_approve=tuple(
            person for person in rule.approvers if person not in approved and counts(rule, person, version)
        ),
        rejected_by=tuple(one for one in mine if not one.approved),
        override=rule.override,
    )


def depart(
    policy: Policy, place: str, version: ModelVersion, decisions: Iterable[Decision], person: str
) -> Departure | None:
    """What a policy says to a person who takes a version out of a stage or an alias; None if no rule guards it.

    A rule does not guard the ways out of None and Archived, where no version is in use.
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
    """Whether a person who is entitled to it rejected a version for a stage or an alias."""
    rule = policy.rule(place)
    return any(not one.approved and rule.entitles(one.person) for one in _decisions_for(place, version, decisions))


def _decisions_for(target: str, version: ModelVersion, decisions: Iterable[Decision]) -> list[Decision]:
    return [one for one in decisions if folded(one.target) == folded(target) and one.digest == version.artifact.digest]


def counts(rule: Rule, person: str, version: ModelVersion) -> bool:
    """Whether a person's approval of a version counts."""
    if rule.approvers and person not in rule.approvers:
        return False
    return rule.own_approval or person != version.created_by


def parse_policy(document: object, *, stored: bool = False) -> Policy:
    """The policy that a document of mappings, sequences, texts, whole numbers and truths says.

    Args:
        stored: The document comes from a catalog, where an older release could store two spellings of one alias.
            Both rules then become one that asks for everything that either asks for.

    Raises:
        BadInput: It says something unknown or impossible; ``details["path"]`` are the keys that lead to it.
    """
    rules: dict[str, Rule] = {}
    for key, value in _mapping(document, (), "a policy").items():
        if key == "aliases":
            for alias, rule in _mapping(value, (key,), "aliases").items():
                _at((key, alias), lambda alias=alias: check_alias(alias))  # type: ignore[misc]
                found = _rule(rule, (key, alias))
                known = spelled(alias, rules)
                if known is not None and not stored:
                    raise BadInput(f"{known} and {alias} are the same alias", hint="give it once", path=[key, alias])
                rules[known or alias] = found if known is None else _both(rules[known], found)
            continue
        stages = [stage for stage in ModelStage if stage.value.lower() == key.lower()]
        if not stages or stages[0] is ModelStage.NONE:
            near = nearest(key, ["Staging", "Production", "Archived", "aliases"], 1)
            hint = f"did you mean {near[0]}?" if near else "write Staging, Production, Archived or aliases"
            raise BadInput(f"{quoted(key)} is no stage that a policy can be for", hint=hint, path=[key])
        if stages[0].value in rules:
            raise BadInput(f"{stages[0].value} is given twice", hint="give it once", path=[key])
        rules[stages[0].value] = _rule(value, (key,))
    if not stored:
        _check_size(rules)
    return Policy(rules)


def _check_size(rules: Mapping[str, Rule]) -> None:
    """Bound the work of one policy: each gate is held against each version in use."""
    if len(rules) > RULES_LIMIT:
        raise BadInput(f"the policy has {len(rules)} rules; the limit is {RULES_LIMIT}", path=["aliases"])
    count = sum(len(rule.gates) for rule in rules.values())
    if count > ALL_GATES_LIMIT:
        raise BadInput(f"the policy has {count} gates; the limit is {ALL_GATES_LIMIT}", path=[])
    for target, rule in rules.items():
        for gate in rule.gates:
            if len(gate) > GATE_LIMIT:
                raise BadInput(f"a gate of {target} has {len(gate)} characters; the limit is {GATE_LIMIT}", path=[])


def _both(first: Rule, second: Rule) -> Rule:
    """The rule that asks for everything that either of two rules asks for."""
    approvers = tuple(one for one in first.approvers if not second.approvers or one in second.approvers)
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
            hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(KEYS)}"
            raise BadInput(f"the key {quoted(key)} is unknown", hint=hint, path=[*path, key])
    gates = _texts(values.get("gates", ()), (*path, "gates"), GATES_LIMIT)
    for place, gate in enumerate(gates):
        _at((*path, "gates", str(place)), lambda gate=gate: parse_gate(gate))  # type: ignore[misc]
    approvers = _texts(values.get("approvers", ()), (*path, "approvers"), PEOPLE_LIMIT)
    for person in approvers:
        _at((*path, "approvers"), lambda person=person: check_line("approver", person))  # type: ignore[misc]
    if len(set(approvers)) < len(approvers):
        raise BadInput("an approver is named twice", path=[*path, "approvers"])
    approvals = values.get("approvals", 0)
    if isinstance(approvals, bool) or not isinstance(approvals, int) or not 0 <= approvals <= PEOPLE_LIMIT:
        raise BadInput(f"approvals must be a whole number from 0 to {PEOPLE_LIMIT}", path=[*path, "approvals"])
    if approvers and approvals > len(approvers):
        raise BadInput(
            f"{approvals} approvals can't come from {len(approvers)} approvers",
            hint="name more people, or ask for fewer approvals",
            path=[*path, "approvals"],
        )
    came_from = values.get("from")
    return Rule(
        came_from=None if came_from is None else _at((*path, "from"), lambda: ModelStage.parse(str(came_from))),
        gates=gates,
        approvals=approvals,
        approvers=approvers,
        own_approval=_truth(values.get("own_approval", False), (*path, "own_approval")),
        override=_truth(values.get("override", False), (*path, "override")),
    )


def _at(path: tuple[str, ...], work: Callable[[], Any]) -> Any:
    """What the work gives; an error of it says where it was."""
    try:
        return work()
    except BadInput as error:
        error.details["path"] = list(path)
        raise


def _mapping(value: object, path: tuple[str, ...], what: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadInput(f"{what} must be a mapping", hint="see the README's page on policies", path=list(path))
    return value


def _texts(value: object, path: tuple[str, ...], limit: int) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise BadInput(f"{path[-1]} must be a list of texts", hint=f'write {path[-1]}: ["..."]', path=list(path))
    if len(value) > limit:
        raise BadInput(f"{len(value)} {path[-1]} are too many; the limit is {limit}", path=list(path))
    return tuple(value)


def _truth(value: object, path: tuple[str, ...]) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{path[-1]} must be true or false", path=list(path))
    return value


def policy_document(policy: Policy) -> dict[str, object]:
    """The document that says a policy, with every key; ``parse_policy(policy_document(p)) == p``."""
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
    """The policy as YAML, as it can be applied again."""
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
    """The metrics that the gates of a policy name, each once."""
    return tuple(
        dict.fromkeys(
            metric for rule in policy.rules.values() for _, gate in rule.conditions for metric in metrics_of(gate)
        )
    )
