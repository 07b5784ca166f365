"""Policies: what they may say, and what they say to a version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.expression import Compare, Field, Relative
from mreg.domain.gates import Holder, evaluate
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.parsing import parse_gate
from mreg.domain.policy import (
    GATES_LIMIT,
    PEOPLE_LIMIT,
    Decision,
    Policy,
    Rule,
    assess,
    depart,
    parse_policy,
    policy_document,
    policy_yaml,
)
from mreg.errors import BadInput

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def version(number: int = 2, stage: str = "Staging", digest: str = "a", **metrics: float) -> ModelVersion:
    return ModelVersion(
        version_id=number,
        model_name=ModelName("m"),
        version=number,
        stage=ModelStage.parse(stage),
        artifact=ModelArtifact(
            kind=ArtifactKind.FILE,
            name="m",
            path="",
            size_bytes=10,
            digest=Digest.sha256(digest * 64),
            file_count=1,
            format="pickle",
        ),
        metrics=metrics,
        parameters={"lr": "0.1", "loss": "mse"},
        tags={"team": "fraud"},
        created_at=NOW,
        updated_at=NOW,
        created_by="ada",
    )


def holder(found: ModelVersion) -> Holder:
    return Holder(reference=found.reference, metrics=found.metrics)


def passes(gate: str, found: ModelVersion, **places: ModelVersion) -> bool:
    holders = {place: holder(one) for place, one in places.items()}
    return evaluate(gate, parse_gate(gate), found, holders.get).passed


GATES = [
    ("accuracy >= 0.9", {"accuracy": 0.9}, True),
    ("accuracy >= 0.9", {"accuracy": 0.8999999999}, False),
    ("accuracy >= 0.9", {}, False),
    ("not accuracy >= 0.9", {}, False),
    ("accuracy != 0.9", {}, False),
    ("accuracy < 0.5 or loss <= 1", {"loss": 1}, True),
    ("accuracy < 0.5 or loss <= 1", {"accuracy": 0.6}, False),
    ("accuracy >= 0.9 and loss <= 1", {"accuracy": 0.95}, False),
    ("metrics.accuracy > 0.5 and tags.team = 'fraud'", {"accuracy": 0.6}, True),
    ("tags.team = 'risk'", {}, False),
    ("tags.owner is not null", {}, False),
    ("params.lr <= 0.1", {}, True),
    ("params.loss = 'mse' and format = 'pickle' and size_bytes < 11", {}, True),
    ("params.loss < 3", {}, False),
    ("created_by in ('ada', 'grace')", {}, True),
    ("format like 'pick%'", {}, True),
    ("stage = staging", {}, True),
    ("metrics.'val/f1' >= 0.5", {"val/f1": 0.5}, True),
]


@pytest.mark.parametrize(("gate", "metrics", "expected"), GATES)
def test_a_gate_holds_or_fails(gate: str, metrics: dict[str, float], expected: bool) -> None:
    assert passes(gate, replace(version(), metrics=metrics)) is expected


ALIASES = [
    ("alias = champion", True),
    ("alias = CHAMPION", True),
    ("alias = other", False),
    ("not alias = other", True),
    ("not alias = champion", False),
    ("alias != champion", True),  # one alias that differs is enough
    ("alias in (other, blue)", True),
    ("alias in (other, another)", False),
    ("alias like 'cham%'", True),
    ("alias like 'ham%'", False),
    ("alias is null", False),
    ("alias is not null", True),
]


@pytest.mark.parametrize(("gate", "expected"), ALIASES)
def test_a_gate_on_aliases_holds_if_one_alias_matches(gate: str, expected: bool) -> None:
    assert passes(gate, replace(version(), aliases=("Champion", "blue"))) is expected
    assert passes(gate, replace(version(), aliases=())) is (gate == "alias is null")


NUMERIC = [
    # Compared as text, each of these would have the other answer.
    ("latency <= 100", 20, True),
    ("latency < 100", 20, True),
    ("latency >= 100", 20, False),
    ("latency > 100", 20, False),
    ("latency >= 9", 10, True),
    ("latency > -2", -1.5, True),
    ("latency < -2", -10, True),
    ("latency >= 0.5", 1e-07, False),
    ("latency < 1", 1e-07, True),
    ("latency = 1", 1.0, True),
    ("latency != 1", 1.0, False),
    ("latency in (5, 1)", 1.0, True),
    ("params.batch <= 100", None, True),
    ("params.batch > 100", None, False),
    ("params.batch = 20.0", None, True),
    ("params.batch in (20.0, 30)", None, True),
    ("params.batch in ('auto', 20)", None, True),  # one text makes all of them texts
    ("params.batch in (20.0, 'auto')", None, False),
    ("size_bytes > 9", None, True),
    ("size_bytes < 9", None, False),
    ("version < 10", None, True),
    # At the exact bound.
    ("latency < 20", 20, False),
    ("latency > 20", 20, False),
    ("latency <= 20", 20, True),
    ("latency >= 20", 20, True),
    ("params.batch < 20", None, False),
    ("params.batch > 20", None, False),
    ("size_bytes < 10", None, False),
    ("size_bytes > 10", None, False),
    ("created_by < 'ada'", None, False),
    ("created_by > 'ada'", None, False),
    ("created_by <= 'ada'", None, True),
    ("created_by >= 'ada'", None, True),
]


@pytest.mark.parametrize(("gate", "latency", "expected"), NUMERIC)
def test_numbers_are_compared_as_numbers_and_a_bound_is_exact(gate: str, latency: float | None, expected: bool) -> None:
    found = version() if latency is None else version(latency=latency)
    assert passes(gate, replace(found, parameters={"batch": "20"})) is expected


@pytest.mark.parametrize(
    ("operator", "results"),
    [("<", (True, False, False)), ("<=", (True, True, False)), (">", (False, False, True)), (">=", (False, True, True)),
     ("=", (False, True, False)), ("!=", (True, False, True))],
)  # fmt: skip
def test_a_relative_bound_is_compared_as_a_number(operator: str, results: tuple[bool, ...]) -> None:
    for mine, expected in zip((20.0, 100.0, 1000.0), results, strict=True):
        found = passes(f"a {operator} production.a", version(a=mine), Production=version(1, a=100))
        assert found is expected, mine


RELATIVE = [
    ("accuracy >= production.accuracy - 0.005", 0.905, 0.91, True),
    ("accuracy >= production.accuracy - 0.005", 0.9049999, 0.91, False),
    ("accuracy >= production.accuracy -0.005", 0.905, 0.91, True),
    ("accuracy > production.accuracy", 0.91, 0.91, False),
    ("accuracy >= production.accuracy * 0.99", 0.9009, 0.91, True),
    ("accuracy >= production.accuracy * 0.99 + 0.001", 0.9009, 0.91, False),
    ("accuracy >= Production.accuracy", 0.91, 0.91, True),
    ("accuracy >= champion.accuracy", 0.1, 0.91, True),
    ("accuracy >= production.other", 0.91, 0.91, False),
]


@pytest.mark.parametrize(("gate", "mine", "theirs", "expected"), RELATIVE)
def test_a_gate_may_look_at_what_is_there(gate: str, mine: float, theirs: float, expected: bool) -> None:
    assert passes(gate, version(accuracy=mine), Production=version(1, accuracy=theirs)) is expected


def test_where_nothing_is_there_is_nothing_to_be_worse_than() -> None:
    result = evaluate("a >= production.a", parse_gate("a >= production.a"), version(a=1.0), lambda _place: None)
    assert (result.passed, result.found, result.bound) == (
        True,
        "a 1.0",
        "production.a: no other version was ever in Production",
    )


def test_the_result_shows_value_and_bound() -> None:
    gate = "accuracy >= production.accuracy - 0.005"
    result = evaluate(
        gate, parse_gate(gate), version(accuracy=0.9), {"Production": holder(version(1, accuracy=0.91))}.get
    )
    assert (result.found, result.bound) == ("accuracy 0.9", "production.accuracy - 0.005 = 0.905 of m@1")


def test_a_gate_is_an_expression_with_a_relative_bound() -> None:
    assert parse_gate("accuracy >= production.accuracy - 0.005") == Compare(
        Field("metrics", "accuracy"), ">=", (Relative("Production", "accuracy", 1, -0.005),)
    )


@pytest.mark.parametrize(
    ("gate", "at"),
    [
        ("", None), ("accuracy", 9), ("accuracy >=", 12), (">= 1", 1), ("accuracy >= nan", 13), ("accuracy >= 1e999", 13),
        ("accuracy >= production.", 13), ("accuracy >= latest.accuracy", 13), ("accuracy >= production.accuracy *", 34),
        ("accuracy >= production.accuracy - x", 35), ("accuracy >= 0.9;", 16), ("accuracy >= $(id)", 13),
        ("(" * 1000 + "a > 1" + ")" * 1000, 51), ("a > 1 " * 3000, None), ("__import__('os') > 1", 11),
    ],
)  # fmt: skip
def test_a_broken_gate_is_refused_at_its_character(gate: str, at: int | None) -> None:
    with pytest.raises(BadInput) as caught:
        parse_gate(gate)
    if at is not None:
        assert f"at character {at} of" in caught.value.message


@given(st.text(max_size=60))
def test_any_text_is_a_gate_or_bad_input(text: str) -> None:
    try:
        gate = parse_gate(text)
    except BadInput:
        return
    evaluate(text, gate, version(a=1.0), lambda _place: holder(version(1, a=1.0)))


RULES = st.builds(
    Rule,
    came_from=st.one_of(st.none(), st.sampled_from(ModelStage)),
    gates=st.lists(st.sampled_from([gate for gate, *_ in GATES + RELATIVE]), max_size=3).map(tuple),
    approvals=st.integers(0, 2),
    approvers=st.sampled_from([(), ("ada", "grace"), ("ada", "é", "x y")]),
    own_approval=st.booleans(),
    override=st.booleans(),
)
POLICIES = st.builds(
    Policy, st.dictionaries(st.sampled_from(["Staging", "Production", "Archived", "champion"]), RULES, max_size=3)
)


@given(POLICIES)
def test_a_policy_is_what_its_document_says(policy: Policy) -> None:
    assert parse_policy(policy_document(policy)) == policy


@given(POLICIES)
def test_a_policy_is_what_its_yaml_says(policy: Policy) -> None:
    import tempfile

    from mreg.documents import read_policy

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "p.yaml").write_text(policy_yaml(policy) or "{}", encoding="utf-8")
        assert read_policy(Path(folder) / "p.yaml") == policy


@pytest.mark.parametrize("text", ["Production:\n", "Production: {}\n", "Production: null\n", '{"Production": null}'])
def test_a_rule_without_keys_asks_for_nothing(text: str, tmp_path: Path) -> None:
    from mreg.documents import read_policy

    (tmp_path / "policy.yaml").write_text(text)
    policy = read_policy(tmp_path / "policy.yaml")
    assert policy == Policy({"Production": Rule()})
    assert not policy.rule("Production").guards
    assert assess(policy, "Production", version(), [], lambda _place: None).passed


def test_empty_values_of_a_rule_ask_for_nothing() -> None:
    assert parse_policy({"Production": {"from": None, "gates": None, "approvers": None}, "aliases": None}) == Policy(
        {"Production": Rule()}
    )
    assert parse_policy(None) == Policy()


WRONG = [
    ([], "a policy must be a mapping", []),
    ({"Prod": {}}, "invalid stage 'Prod' in a policy", ["Prod"]),
    ({"None": {}}, "invalid stage 'None' in a policy", ["None"]),
    ({"Production": {}, "production": {}}, "duplicate stage Production", ["production"]),
    ({"Production": []}, "Production must be a mapping", ["Production"]),
    ({"Production": {"gate": []}}, "unknown key 'gate'", ["Production", "gate"]),
    ({"Production": {"gates": "a > 1"}}, "gates must be a list of strings", ["Production", "gates"]),
    ({"Production": {"gates": ["a >"]}}, "expected a value, at character 4", ["Production", "gates", "0"]),
    ({"Production": {"approvals": -1}}, "approvals must be an integer", ["Production", "approvals"]),
    ({"Production": {"approvals": True}}, "approvals must be an integer", ["Production", "approvals"]),
    (
        {"Production": {"approvals": 3, "approvers": ["a"]}},
        "the rule needs 3 approvals but names 1",
        ["Production", "approvals"],
    ),
    ({"Production": {"approvers": ["a", "a"]}}, "duplicate approver", ["Production", "approvers"]),
    ({"Production": {"approvers": ["a\nb"]}}, "", ["Production", "approvers"]),
    ({"Production": {"from": "Somewhere"}}, "", ["Production", "from"]),
    ({"Production": {"own_approval": "yes"}}, "own_approval must be true or false", ["Production", "own_approval"]),
    ({"aliases": {"latest": {}}}, "", ["aliases", "latest"]),
    ({"aliases": []}, "aliases must be a mapping", ["aliases"]),
    ({"Production": {"gates": ["a > 1"] * 101}}, "too many gates: 101", ["Production", "gates"]),
]


@pytest.mark.parametrize(("document", "words", "path"), WRONG)
def test_an_impossible_policy_is_refused_where_it_is_wrong(document: object, words: str, path: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        parse_policy(document)
    assert words in caught.value.message
    assert caught.value.details["path"] == path


def decision(person: str, *, approved: bool = True, digest: str = "a", target: str = "Production") -> Decision:
    return Decision(
        target=target, person=person, approved=approved, comment="", digest=Digest.sha256(digest * 64), at=NOW
    )


COUNTED = [
    (Rule(approvals=1), [decision("grace")], True),
    (Rule(approvals=1), [decision("ada")], False),
    (Rule(approvals=1, own_approval=True), [decision("ada")], True),
    (Rule(approvals=2), [decision("grace")], False),
    (Rule(approvals=2), [decision("grace"), decision("lin")], True),
    (Rule(approvals=1, approvers=("lead",)), [decision("grace")], False),
    (Rule(approvals=1, approvers=("lead",)), [decision("lead")], True),
    (Rule(approvals=1, approvers=("ada", "lead")), [decision("ada")], False),
    (Rule(approvals=1), [decision("grace", digest="b")], False),
    (Rule(approvals=1), [decision("grace", target="Staging")], False),
    (Rule(approvals=1), [decision("grace"), decision("lin", approved=False)], False),
    (Rule(), [decision("lin", approved=False)], False),
    (Rule(), [decision("lin", approved=False, target="Staging")], True),
    (Rule(came_from=ModelStage.STAGING), [], True),
    (Rule(came_from=ModelStage.NONE), [], False),
]


@pytest.mark.parametrize(("rule", "decisions", "passed"), COUNTED)
def test_approvals_are_counted_as_the_rule_says(rule: Rule, decisions: list[Decision], passed: bool) -> None:
    found = assess(Policy({"Production": rule}), "Production", version(), decisions, lambda _place: None)
    assert found.passed is passed


BOB_DECIDES = Rule(approvals=1, approvers=("bob",))
ANYONE_DECIDES = Rule(approvals=1)


def test_a_policy_is_bounded_unless_an_older_release_stored_it() -> None:
    gate = "a >= 1"
    many_rules = {"aliases": {f"a{number}": {"gates": [gate]} for number in range(101)}}
    many_gates = {"aliases": {f"a{number}": {"gates": [gate] * 100} for number in range(3)}}
    long_gate = {"Production": {"gates": [" or ".join([gate] * 120)]}}
    for document, words in (
        (many_rules, "the policy has 101 rules; the limit is 100"),
        (many_gates, "the policy has 300 gates; the limit is 200"),
        (long_gate, "a gate of Production has 1196 characters; the limit is 1000"),
    ):
        with pytest.raises(BadInput, match=words):
            parse_policy(document)
        assert parse_policy(document, stored=True).rules
    largest = gate.ljust(1000)
    rules = {"aliases": {f"a{number}": {"gates": [largest, gate]} for number in range(100)}}
    assert len(parse_policy(rules).rules) == 100
    for document in ({**rules, "Staging": {}}, {"aliases": {**rules["aliases"], "a0": {"gates": [gate] * 3}}}):
        with pytest.raises(BadInput, match=r"the policy has (101 rules|201 gates)"):
            parse_policy(document)
    with pytest.raises(BadInput, match="a gate of Production has 1001 characters"):
        parse_policy({"Production": {"gates": [f"{largest} "]}})


JOINED: list[tuple[dict[str, object], dict[str, object], Rule]] = [
    ({}, {}, Rule()),
    ({"gates": ["a > 1", "b > 1"]}, {"gates": ["c > 1", "a > 1"]}, Rule(gates=("a > 1", "b > 1", "c > 1"))),
    ({"from": "Staging"}, {}, Rule(came_from=ModelStage.STAGING)),
    ({}, {"from": "Staging"}, Rule(came_from=ModelStage.STAGING)),
    ({"from": "Staging"}, {"from": "Production"}, Rule(came_from=ModelStage.STAGING)),
    ({"approvals": 1}, {"approvals": 2}, Rule(approvals=2)),
    ({"approvals": 2}, {"approvals": 1}, Rule(approvals=2)),
    ({"approvals": 1, "approvers": ["bob", "lin"]}, {"approvals": 3}, Rule(approvals=2, approvers=("bob", "lin"))),
    ({"approvals": 1}, {"approvals": 1, "approvers": ["lin"]}, Rule(approvals=1, approvers=("lin",))),
    (
        {"approvals": 2, "approvers": ["bob", "lin"]},
        {"approvals": 1, "approvers": ["lin", "eve"]},
        Rule(approvals=1, approvers=("lin",)),
    ),
    (
        {"approvals": 1, "approvers": ["bob"]},
        {"approvals": 1, "approvers": ["eve"]},
        Rule(approvals=1, approvers=("bob",)),
    ),
    ({"own_approval": True}, {"own_approval": True}, Rule(own_approval=True)),
    ({"own_approval": True}, {"own_approval": False}, Rule()),
    ({"own_approval": False}, {"own_approval": True}, Rule()),
    ({"override": True}, {"override": True}, Rule(override=True)),
    ({"override": True}, {"override": False}, Rule()),
    ({"override": False}, {"override": True}, Rule()),
]


@pytest.mark.parametrize(("first", "second", "expected"), JOINED)
def test_rules_for_two_spellings_of_an_alias_are_joined(
    first: dict[str, object], second: dict[str, object], expected: Rule
) -> None:
    found = parse_policy({"aliases": {"Champion": first, "champion": second}}, stored=True)
    assert found == Policy({"Champion": expected})
    with pytest.raises(BadInput, match="Champion and champion are the same alias"):
        parse_policy({"aliases": {"Champion": first, "champion": second}})


def test_a_gate_is_parsed_once_for_all_versions() -> None:
    rule, same = (parse_policy({"Production": {"gates": ["a >= 1"]}}).rule("Production") for _ in range(2))
    first = rule.conditions[0][1]
    assert rule.conditions[0][1] is first
    assert (rule, repr(rule)) == (same, repr(same)), "a rule is the same whether it was used or not"
    assert not Rule().own_approval
    assert not Rule().override


@pytest.mark.parametrize(
    ("rule", "decisions", "person", "allowed"),
    [
        (BOB_DECIDES, [], "bob", True),
        (BOB_DECIDES, [], "ada", False),
        (BOB_DECIDES, [decision("bob", approved=False)], "ada", True),
        (BOB_DECIDES, [decision("bob", approved=True)], "ada", False),
        (BOB_DECIDES, [decision("eve", approved=False)], "ada", False),
        (BOB_DECIDES, [decision("bob", approved=False, digest="b")], "ada", False),
        (BOB_DECIDES, [decision("bob", approved=False, target="Staging")], "ada", False),
        (ANYONE_DECIDES, [], "ada", False),
        (ANYONE_DECIDES, [decision("eve", approved=True)], "ada", False),
        (ANYONE_DECIDES, [decision("eve", approved=False)], "ada", True),
    ],
)
def test_an_approver_or_a_rejection_that_counts_lets_a_version_out(
    rule: Rule, decisions: list[Decision], person: str, allowed: bool
) -> None:
    found = depart(Policy({"Production": rule}), "Production", version(stage="Production"), decisions, person)
    assert found is not None
    assert (found.place, found.allowed, found.may_take_out) == ("Production", allowed, rule.approvers)


@pytest.mark.parametrize("place", ["None", "Archived", "Staging"])
def test_a_version_leaves_freely_where_it_is_not_in_use_or_no_rule_guards(place: str) -> None:
    policy = Policy({"None": BOB_DECIDES, "Archived": BOB_DECIDES, "Staging": Rule()})
    assert depart(policy, place, version(stage=place), [], "ada") is None


def test_the_limits_of_gates_and_approvers_are_inclusive() -> None:
    assert (GATES_LIMIT, PEOPLE_LIMIT) == (100, 100)
    people = [f"p{number}" for number in range(PEOPLE_LIMIT + 1)]
    gates = ["a > 1"] * (GATES_LIMIT + 1)
    full = parse_policy({"Production": {"gates": gates[1:], "approvers": people[1:], "approvals": PEOPLE_LIMIT}})
    rule = full.rule("Production")
    assert (len(rule.gates), len(rule.approvers), rule.approvals) == (GATES_LIMIT, PEOPLE_LIMIT, PEOPLE_LIMIT)
    for beyond in ({"gates": gates}, {"approvers": people}, {"approvals": PEOPLE_LIMIT + 1}, {"approvals": -1}):
        with pytest.raises(BadInput):
            parse_policy({"Production": beyond})
    with pytest.raises(BadInput, match="the rule needs 2 approvals but names 1 approvers"):
        parse_policy({"Production": {"approvers": ["bob"], "approvals": 2}})


@pytest.mark.parametrize(
    ("gate", "shown"),
    [
        ("tags.owner = x", "is missing"),
        ("run_id = x", "is missing"),
        ("alias = x", "is missing"),
        ("tags.team = x", "fraud"),
    ],
)
def test_a_failed_gate_shows_the_value_or_that_it_is_missing(gate: str, shown: str) -> None:
    result = evaluate(gate, parse_gate(gate), version(), lambda _place: None)
    assert not result.passed
    assert shown in result.found
    assert "None" not in result.found
