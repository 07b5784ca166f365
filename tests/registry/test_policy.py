"""Policies and decisions in a registry: enforced in the transaction that changes the stage, and all of it audited."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.store import ArtifactStore
from mreg.domain.events import Event
from mreg.domain.model import ModelStage
from mreg.domain.policy import Policy, Rule, assess
from mreg.registry import admission
from tests.conftest import FULL, Done, Mreg

POLICY = """
Production:
  from: Staging
  gates: ["accuracy >= 0.9", "accuracy >= production.accuracy - 0.005"]
  approvals: 1
  approvers: [lead, risk]
  override: false
"""

As = Callable[..., Done]


@pytest.fixture
def person(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> As:
    """Runs a command as somebody."""

    def run(name: str, *words: str) -> Done:
        monkeypatch.setenv("MREG_USER", name)
        return command(*words)

    return run


@pytest.fixture
def policy(person: As) -> As:
    """Two versions of m, the first in Production and the second in Staging, under POLICY."""
    for number, accuracy in ((1, 0.93), (2, 0.95), (3, 0.9)):
        Path("model").write_text(str(number))
        assert person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy)).code == 0
    assert person("ada", "promote", "m@1", "--to", "production").code == 0
    assert person("ada", "promote", "m@2").code == 0
    Path("policy.yaml").write_text(POLICY)
    assert person("ada", "policy", "apply", "policy.yaml").code == 0
    return person


def stages(command: Mreg) -> dict[int, str]:
    versions = json.loads(command("show", "m", "--json").out)["versions"]
    return {one["version"]: one["stage"] for one in versions}


def test_the_road_with_a_policy(policy: As, command: Mreg) -> None:
    done = policy("ada", "promote", "m@2")
    assert (done.code, done.err) == (
        5,
        "error: m@2 has 0 of 1 approvals for Production\n  lead, risk can approve it: mreg approve m@2\n",
    )
    done = policy("grace", "approve", "m@2")
    assert (done.code, done.err) == (
        5,
        "error: grace cannot decide on m@2 for Production: not an approver in the policy\n  ask one of: lead, risk\n",
    )
    assert policy("lead", "approve", "m@2", "-m", "checked").code == 0
    assert policy("ada", "promote", "m@2", "--reason", "better").code == 0
    assert stages(command) == {1: "Archived", 2: "Production", 3: "None"}
    done = policy("ada", "promote", "m@3", "--to", "production")
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        "error: m@3 is in no stage: the policy allows only versions from Staging to enter Production",
    )
    assert policy("ada", "promote", "m@3").code == 0
    assert policy("lead", "approve", "m@3").code == 0
    done = policy("ada", "promote", "m@3")
    assert (done.code, done.err) == (
        3,
        "error: m@3 does not pass a gate of Production\n"
        "  accuracy >= production.accuracy - 0.005: accuracy 0.9, and production.accuracy - 0.005 = 0.945 of m@2\n",
    )
    assert stages(command) == {1: "Archived", 2: "Production", 3: "Staging"}
    shown = json.loads(command("why", "m@production", "--json").out)
    assert shown["entered"]["actor"] == "ada"
    assert shown["entered"]["details"]["policy"]["approved_by"] == ["lead"]
    assert [gate["passed"] for gate in shown["entered"]["details"]["policy"]["gates"]] == [True, True]
    assert shown["before"] == "m@1"
    assert "approval of lead\tfor Production: checked" in command("why", "m@production").out
    assert command("audit", "verify").code == 0


def test_a_plan_shows_everything_and_changes_nothing(policy: As, command: Mreg) -> None:
    before = command("history").out
    done = policy("ada", "promote", "m@2", "--plan")
    assert (done.code, done.err) == (
        5,
        "error: promote would fail: m@2 has 0 of 1 approvals for Production\n"
        "  lead, risk can approve it: mreg approve m@2\n",
    )
    outcomes = [line.split("\t")[1] for line in done.out.splitlines()[1:]]
    assert outcomes == ["refused", "passed", "passed", "passed", "failed", "planned"]
    assert done.out.splitlines()[1:3] == [
        "move to Production\trefused\tit is in Staging; not met: 1 approval",
        "from Staging\tpassed\tit is in this stage",
    ]
    look_only = policy("ada", "promote", "m@2", "--plan", "--exit-zero")
    assert (look_only.code, look_only.out, look_only.err) == (0, done.out, "")
    found = json.loads(policy("ada", "promote", "m@2", "--plan", "--json").out)
    assert (found["allowed"], found["archived"], found["may_approve"]) == (False, ["m@1"], ["lead", "risk"])
    assert (
        "| 1 approval | failed | 0 of 1; lead, risk can approve |"
        in policy("ada", "promote", "m@2", "--plan", "--format", "md").out
    )
    assert command("history").out == before


@pytest.mark.parametrize("override", [(), ("--override", "the shop is down")], ids=["", "override"])
@pytest.mark.parametrize("allows", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("words", [("m@2",), ("m@3", "--to", "production"), ("m@1", "--to", "production"), ("m@1",)])
def test_a_plan_exits_as_the_promotion(
    policy: As, words: tuple[str, ...], allows: bool, override: tuple[str, ...]
) -> None:
    Path("policy.yaml").write_text(POLICY.replace("override: false", f"override: {str(allows).lower()}"))
    policy("ada", "policy", "apply", "policy.yaml")
    planned = policy("ada", "promote", *words, *override, "--plan")
    done = policy("ada", "promote", *words, *override)
    assert planned.code == done.code, planned.err
    if done.code and "confirmation required" not in done.err:
        assert planned.err == done.err.replace("error: ", "error: promote would fail: ", 1)


def test_a_plan_can_exit_with_zero_only_as_a_plan(policy: As) -> None:
    done = policy("ada", "promote", "m@2", "--exit-zero")
    assert (done.code, done.err) == (2, "error: --exit-zero without --plan\n  mreg promote m@2 --exit-zero --plan\n")


def test_a_push_straight_into_a_stage_heeds_the_policy(policy: As, command: Mreg) -> None:
    Path("model").write_text("4")
    done = policy("ada", "push", "model", "-n", "m", "--accuracy", "0.99", "--stage", "production")
    assert done.code == 1
    assert len(stages(command)) == 3


def test_an_override_needs_to_be_allowed_and_is_loud(policy: As, command: Mreg) -> None:
    done = policy("ada", "promote", "m@2", "--override", "the shop is down")
    assert (done.code, "does not allow overrides" in done.err) == (1, True)
    Path("policy.yaml").write_text(POLICY.replace("override: false", "override: true"))
    assert policy("ada", "policy", "apply", "policy.yaml").code == 0
    done = policy("ada", "promote", "m@2", "--override", "the shop is down")
    assert done.code == 0
    assert "the policy was overridden, and the audit trail says so: the shop is down" in done.err
    assert "policy.overridden\tm@2\tfor Production: the shop is down" in command("history", "m").out
    assert "policy overridden\tthe shop is down" in command("why", "m@2").out
    assert policy("ada", "promote", "m@3", "--to", "staging", "--override", "x").code == 2


def test_one_may_not_approve_ones_own_push(person: As) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m")
    Path("policy.yaml").write_text("Staging: {approvals: 2}\n")
    person("ada", "policy", "apply", "policy.yaml", "--model", "m")
    done = person("ada", "approve", "m@1", "--to", "staging")
    assert (done.code, done.err) == (
        5,
        "error: ada cannot approve m@1: the policy does not count own approvals\n  ask another user to approve it\n",
    )
    repeated = "lin had approved m@1 for Staging before: nothing changed\n"
    for name, given, note in (("lin", 1, ""), ("lin", 1, repeated), ("grace", 2, "")):
        done = person(name, "approve", "m@1", "--to", "staging", "--json")
        assert done.err == note
        assert json.loads(done.out)["approved_by"] == ["lin", "grace"][:given]
    assert person("lin", "approve", "m@1", "--to", "staging", "--withdraw").code == 0
    assert person("lin", "approve", "m@1", "--to", "staging", "--withdraw").code == 4
    assert person("ada", "promote", "m@1").code == 5
    assert person("lin", "approve", "m@1", "--to", "staging").code == 0
    assert person("ada", "promote", "m@1").code == 0


def test_a_rejection_stands_until_it_is_taken_back(policy: As, command: Mreg) -> None:
    assert policy("lead", "approve", "m@2").code == 0
    assert policy("risk", "reject", "m@2").code == 2
    for note in ("", "risk had rejected m@2 for Production before: nothing changed\n"):
        done = policy("risk", "reject", "m@2", "--reason", "biased")
        assert (done.code, done.err) == (0, note)
    done = policy("ada", "promote", "m@2")
    assert (done.code, done.err.splitlines()[0]) == (5, "error: m@2 was rejected for Production by risk: biased")
    assert "m@2\tProduction\trejection by risk\tblocks\tbiased" in command("approvals").out
    assert policy("risk", "approve", "m@2").code == 0
    assert policy("ada", "promote", "m@2").code == 0
    assert policy("risk", "reject", "m@2", "--reason", "late").code == 2  # it would leave Production: asks
    assert policy("risk", "reject", "m@2", "--reason", "late", "--yes").code == 0
    assert stages(command) == {1: "Archived", 2: "Staging", 3: "None"}
    assert policy("ada", "rollback", "m", "--to", "m@2").code == 5


def test_a_refusal_names_the_first_of_several_rejections(policy: As) -> None:
    for name in ("risk", "lead"):
        assert policy(name, "reject", "m@2", "--reason", f"{name} says no").code == 0
    done = policy("ada", "promote", "m@2")
    assert done.code == 5
    assert "m@2 was rejected for Production by risk: risk says no\n" in done.err


def test_what_waits_is_listed_with_who_may_decide(policy: As) -> None:
    done = policy("ada", "approvals")
    assert done.out.splitlines()[1:] == [
        "m@2\tProduction\tfrom Staging\tpassed\tit is in this stage",
        "m@2\tProduction\taccuracy >= 0.9\tpassed\taccuracy 0.95",
        "m@2\tProduction\taccuracy >= production.accuracy - 0.005\tpassed\taccuracy 0.95; production.accuracy - 0.005 = 0.925 of m@1",
        "m@2\tProduction\t1 approval\tfailed\t0 of 1; lead, risk can approve",
    ]
    policy("lead", "approve", "m@2")
    assert json.loads(policy("ada", "approvals", "--json").out) == []


def waiting(registry: mreg.Registry) -> list[tuple[str, str]]:
    return [(str(one.reference), one.assessment.target) for one in registry.approvals()]


@pytest.fixture
def road() -> Iterator[mreg.Registry]:
    """m@1 in Production, m@2 in Staging, m@3 and m@4 in None, m@5 in Archived."""
    with mreg.open_registry() as registry:
        for number, stage in enumerate(("production", "staging", None, None, "archived"), 1):
            Path("model").write_text(str(number))
            registry.push("model", name="m", stage=stage)
        yield registry


@pytest.mark.parametrize(
    ("target", "rule", "expected"),
    [
        ("Production", Rule(approvals=1), ["m@2"]),  # without `from`: the stage before on the road
        ("Staging", Rule(approvals=1), ["m@4", "m@3"]),
        ("Archived", Rule(approvals=1), ["m@1"]),
        ("Production", Rule(approvals=1, came_from=ModelStage.NONE), ["m@4", "m@3"]),
        ("Staging", Rule(approvals=1, came_from=ModelStage.PRODUCTION), ["m@1"]),
        ("Production", Rule(gates=("accuracy > 1",)), []),
        ("champion", Rule(approvals=1), ["m@4"]),  # the latest in use
        ("champion", Rule(approvals=1, came_from=ModelStage.STAGING), ["m@2"]),
    ],
)
def test_a_version_waits_where_the_rule_says(target: str, rule: Rule, expected: list[str], road: mreg.Registry) -> None:
    road.apply_policy(Policy({target: rule}))
    assert sorted(waiting(road)) == sorted((reference, target) for reference in expected)


def test_a_rejected_version_waits_only_where_the_rule_asks_for_approvals(road: mreg.Registry) -> None:
    road.reject("m@2", reason="biased")
    road.apply_policy(Policy({"Production": Rule(gates=("version > 1",))}))
    assert waiting(road) == []
    road.apply_policy(Policy({"Production": Rule(approvals=1)}))
    assert waiting(road) == [("m@2", "Production")]


def test_the_latest_version_waits_for_an_alias_until_it_has_it(road: mreg.Registry) -> None:
    road.apply_policy(Policy({"champion": Rule(approvals=1, own_approval=True)}))
    assert waiting(road) == [("m@4", "champion")]
    road.approve("m@4", to="champion")
    assert waiting(road) == []
    road.set_alias("m@4", "Champion")
    road.withdraw_decision("m@4", to="champion")
    assert waiting(road) == []  # it has the alias, and waits for nothing
    road.apply_policy(None)
    road.set_alias("m@3", "champion")
    road.apply_policy(Policy({"champion": Rule(approvals=1)}))
    assert waiting(road) == [("m@4", "champion")]
    road.reject("m@4", to="champion", reason="biased")
    assert waiting(road) == [("m@4", "champion")]


@pytest.mark.parametrize("reason", ["", " ", "\n\t "])
def test_the_python_api_refuses_a_rejection_without_a_reason(reason: str, road: mreg.Registry) -> None:
    events = len(road.history())
    with pytest.raises(mreg.BadInput, match="a rejection needs a reason") as caught:
        road.reject("m@1", reason=reason)
    assert caught.value.hint == 'add --reason "..."'
    assert (len(road.history()), road.version("m@1").stage) == (events, ModelStage.PRODUCTION)


def test_the_reason_of_a_rejection_is_text_of_a_bounded_length(road: mreg.Registry) -> None:
    for reason in ("x" * 100_000, "a\0b"):
        with pytest.raises(mreg.BadInput):
            road.reject("m@1", reason=reason)
    assert road.version("m@1").stage is ModelStage.PRODUCTION


def test_a_rejection_moves_a_version_only_out_of_production(road: mreg.Registry) -> None:
    road.apply_policy(Policy({target: Rule(approvals=1) for target in ("Staging", "Production", "champion")}))
    for reference, target, stage in (
        ("m@1", "champion", ModelStage.PRODUCTION),
        ("m@1", "Staging", ModelStage.PRODUCTION),
        ("m@2", "Staging", ModelStage.STAGING),
        ("m@2", "Production", ModelStage.STAGING),
        ("m@1", "Production", ModelStage.STAGING),
    ):
        events = len(road.history(reference))
        road.reject(reference, to=target, reason="biased", leave_production=True)
        assert road.version(reference).stage is stage
        moved = stage is ModelStage.STAGING and reference == "m@1"
        assert len(road.history(reference)) == events + 1 + moved


def test_the_hint_that_nothing_is_overridden_is_the_command_without_the_override(road: mreg.Registry) -> None:
    road.apply_policy(
        Policy({target: Rule(gates=("version > 1",), override=True) for target in ("Production", "champion")})
    )
    with pytest.raises(mreg.BadInput) as caught:
        road.promote("m@2", "production", override="why")
    assert caught.value.hint == "mreg promote m@2 --to production"
    with pytest.raises(mreg.BadInput) as caught:
        road.set_alias("m@2", "champion", override="why")
    assert caught.value.hint == "mreg alias m@2 champion"
    road.set_alias("m@2", "champion")
    road.apply_policy(Policy({"champion": Rule(gates=("version > 2",), override=True)}))
    with pytest.raises(mreg.BadInput, match="nothing to override: the policy allows this") as caught:
        road.set_alias("m@2", "champion", override="it has the alias")
    assert caught.value.hint == "mreg alias m@2 champion"


def test_a_plan_says_whether_an_override_is_needed_to_leave_a_guarded_stage(road: mreg.Registry) -> None:
    road.apply_policy(Policy({"Production": Rule(approvals=1, approvers=("bob",), override=True)}))
    ada, bob = (road.acting_as(person) for person in ("ada", "bob"))  # type: ignore[attr-defined]
    plan = ada.plan("m@1", "Staging", override="urgent")
    assert (plan.refusal, plan.overridden) == (None, True)
    refused = ada.plan("m@1", "Staging")
    assert refused.refusal is not None
    assert refused.refusal.message == "cannot take m@1 out of Production: the policy allows this only to bob"
    assert not refused.overridden
    assert (bob.plan("m@1", "Staging").refusal, bob.plan("m@1", "Staging").overridden) == (None, False)
    needless = bob.plan("m@1", "Staging", override="urgent")
    assert needless.refusal is not None
    assert needless.refusal.message == "nothing to override: the policy allows this"


def test_a_rollback_is_refused_if_another_version_is_the_one_before_meanwhile(
    road: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.promote("m@2", "production")
    real = ArtifactStore.verify

    def verify(self: ArtifactStore, *words: Any) -> Any:
        monkeypatch.setattr(ArtifactStore, "verify", real)
        road.promote("m@3", "production")
        return real(self, *words)

    monkeypatch.setattr(ArtifactStore, "verify", verify)
    with pytest.raises(mreg.Conflict) as caught:
        road.rollback("m")
    assert caught.value.message == "Production of m changed while the bytes of m@1 were verified"
    assert caught.value.hint == "check and try again: mreg show m"
    assert road.version("m@production").version == 3
    assert str(road.rollback("m").version.reference) == "m@2"


def test_the_event_of_a_move_that_no_policy_guards_says_nothing_of_a_policy(road: mreg.Registry) -> None:
    road.promote("m@2", "production", reason="better")
    entered, left = road.history("m@2")[0].details, road.history("m@1")[0].details
    assert entered == {
        "from": "Staging",
        "to": "Production",
        "reason": "better",
        "returned": False,
        "replaced_by": None,
    }
    assert left == {"from": "Production", "to": "Archived", "reason": "", "returned": False, "replaced_by": 2}
    road.rollback("m")
    assert (road.history("m@1")[0].details["returned"], road.history("m@2")[0].details) == (
        True,
        {"from": "Production", "to": "Archived", "reason": "", "returned": False, "replaced_by": 1},
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            Rule(gates=("version > 1",)),
            {"gates": [{"gate": "version > 1", "passed": True, "found": "version 2", "bound": ""}]},
        ),
        (Rule(approvals=1, own_approval=True), {"approvals": 1, "approved_by": ["tester"]}),
        (Rule(came_from=ModelStage.STAGING), {"approved_by": ["tester"]}),
    ],
    ids=["gates", "approvals", "from"],
)
def test_the_event_of_a_move_says_only_what_the_policy_asked(
    rule: Rule, said: dict[str, object], road: mreg.Registry
) -> None:
    road.apply_policy(Policy({"Production": replace(rule, own_approval=True)}))
    road.approve("m@2")
    road.promote("m@2", "production")
    said = {**said, "approved_by": ["tester"]}
    assert road.history("m@2")[0].details["policy"] == said


def test_archived_versions_are_not_approved(policy: As) -> None:
    policy("ada", "archive", "m@2")
    done = policy("lead", "approve", "m@2")
    assert (done.code, done.err.splitlines()[0]) == (
        1,
        "error: cannot approve m@2: it is archived",
    )
    assert policy("lead", "approve", "m@1").code == 1
    assert policy("lead", "approve", "m@9").code == 4
    assert policy("lead", "approve", "m").code == 2
    assert policy("lead", "approve", "m@3", "--to", "nowhere").code == 4


def test_an_alias_is_protected_alike(person: As) -> None:
    for number in (1, 2):
        Path("model").write_text(str(number))
        person("ada", "push", "model", "-n", "m", "--accuracy", f"0.9{number}")
    Path("policy.yaml").write_text("aliases: {champion: {gates: [accuracy >= champion.accuracy], approvals: 1}}\n")
    assert person("ada", "policy", "apply", "policy.yaml").code == 0
    assert person("ada", "alias", "m@2", "champion").code == 5
    assert person("lin", "approve", "m@2", "--to", "champion").code == 0
    assert person("ada", "alias", "m@2", "champion").code == 0
    assert person("lin", "approve", "m@1", "--to", "champion").code == 0
    assert person("ada", "alias", "m@1", "champion").code == 3
    Path("model").write_text("3")
    assert person("ada", "push", "model", "-n", "m", "--alias", "champion").code == 3
    assert person("ada", "alias", "m@2", "champion").code == 0


def test_a_models_own_policy_comes_before_the_default(person: As, command: Mreg) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m")
    Path("default.yaml").write_text("Production: {gates: [accuracy > 0.5]}\n")
    Path("own.yaml").write_text("Production: {}\n")
    done = person("ada", "policy", "apply", "default.yaml")
    assert "a gate uses the metric accuracy, which no version has yet" in done.err
    assert person("ada", "promote", "m@1", "--to", "production").code == 3
    assert person("ada", "policy", "apply", "own.yaml", "--model", "m").code == 0
    assert person("ada", "promote", "m@1", "--to", "production").code == 0
    assert person("ada", "policy", "remove", "--model", "m").code == 2
    assert person("ada", "policy", "remove", "--model", "m", "--yes").code == 0
    shown = json.loads(command("policy", "show", "--model", "m", "--json").out)
    assert (shown["own"], list(shown["policy"])) == (False, ["Production"])
    Path("again.yaml").write_text(command("policy", "show").out)
    assert person("ada", "policy", "apply", "again.yaml").code == 0
    changes = [json.loads(command("history", "--json").out)[place]["details"] for place in (0,)]
    assert changes[0] == {"before": {"Production": {"approvals": 0, "approvers": [], "from": None, "gates": [], "own_approval": False, "override": False}}, "after": None}  # fmt: skip


def test_a_models_own_policy_stays_with_it_and_goes_with_it(person: As, command: Mreg) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m")
    Path("own.yaml").write_text("Production: {approvals: 1}\n")
    person("ada", "policy", "apply", "own.yaml", "--model", "m")
    person("ada", "rename", "m", "n")
    assert person("ada", "promote", "n@1", "--to", "production").code == 5
    assert person("ada", "delete", "n", "--yes").code == 0
    person("ada", "push", "model", "-n", "n")
    assert person("ada", "promote", "n@2", "--to", "production").code == 0
    actions = [event["action"] for event in json.loads(command("history", "--json").out)]
    assert actions.count("policy.changed") == 2
    assert command("audit", "verify").code == 0


def test_a_check_of_a_policy_applies_nothing(policy: As, command: Mreg) -> None:
    before = command("history").out
    Path("strict.yaml").write_text("Production: {gates: [accuracy >= 0.94]}\n")
    done = policy("ada", "policy", "check", "strict.yaml")
    assert done.out.splitlines()[1:] == [
        "m@1\tProduction\taccuracy >= 0.94\tfailed\taccuracy 0.93",
        "m@1\tProduction\tleave Production\tfailed\ta rejection lets it out",
    ]
    assert command("history").out == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Production:\n  gates:\n    - accuracy >= 0.9\n    - accuracy >\n", "'policy.yaml', line 4: expected a value"),
        ("Production:\n  gate: []\n", "'policy.yaml', line 2: unknown key 'gate'\n  did you mean gates?"),
        (
            "Prodction: {}\n",
            "'policy.yaml', line 1: invalid stage 'Prodction' in a policy\n  did you mean Production?",
        ),
        ("Production: {approvals: 1.5}\n", "'policy.yaml', line 1: approvals must be an integer"),
        ("- a\n", "'policy.yaml', line 1: a policy must be a mapping"),
        ("Production: &a {}\nStaging: *a\n", "policy.yaml"),
        ("Production: !!python/object:os.system {}\n", "policy.yaml"),
    ],
)
def test_a_broken_policy_file_is_refused_with_its_line(text: str, words: str, person: As) -> None:
    Path("policy.yaml").write_text(text)
    for verb in ("apply", "check"):
        done = person("ada", "policy", verb, "policy.yaml")
        assert done.code == 2
        assert words in done.err
    assert person("ada", "history").out.count("policy") == 0


def test_what_was_in_production_then(policy: As, command: Mreg) -> None:
    then = json.loads(command("history", "--json").out)[0]["at"]
    time.sleep(0.01)
    policy("lead", "approve", "m@2")
    policy("ada", "promote", "m@2")
    assert command("show", "m@production", "-q").out == "m@2\n"
    assert command("show", "m@production", "--at", then, "-q").out == "m@1\n"
    assert command("show", "m@production", "--at", "2000-01-01").code == 4
    assert command("show", "m@3", "--at", then).code == 2
    assert command("history", "m", "--at", then, "--json").code == 0


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE events SET actor = 'mallory' WHERE seq = 4", "audit event 4 was changed or is missing"),
        ("UPDATE events SET details = '{}' WHERE seq = 2", "audit event 2 was changed or is missing"),
        ("DELETE FROM events WHERE seq = 3", "audit event 3 was changed or is missing"),
        (
            "UPDATE versions SET stage = 'Production' WHERE version = 3",
            "the stage of m@3 does not match the audit trail: expected None, got Production",
        ),
        (
            "UPDATE versions SET stage = 'None' WHERE version = 1",
            "the stage of m@1 does not match the audit trail: expected ",
        ),
    ],
)
def test_a_changed_catalog_is_found_by_its_audit_trail(statement: str, words: str, policy: As, command: Mreg) -> None:
    assert command("audit", "verify").code == 0
    raw = sqlite3.connect(Path.home() / ".local/share/mreg/catalog.db")
    with raw:
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute(statement)
    raw.close()
    done = command("audit", "verify")
    assert (done.code, words in done.err) == (6, True), done.err


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_no_state_breaks_the_policy_in_force_at_its_moment() -> None:
    """Processes promote, approve, reject and change the policy at once; the audit trail explains every state."""
    chance = random.Random(20261123)
    with mreg.open_registry(user="ada") as registry:
        for number in range(1, 5):
            Path("model").write_text(str(number))
            registry.push("model", name="m", metrics={"accuracy": 0.9 + number / 100})
        strict = Policy({"Production": Rule(gates=("accuracy >= 0.92",), approvals=1, approvers=("lead", "risk"))})
        registry.apply_policy(strict)
        Path("strict.yaml").write_text(
            "Production: {gates: [accuracy >= 0.92], approvals: 1, approvers: [lead, risk]}\n"
        )
        Path("loose.yaml").write_text("Production: {gates: [accuracy >= 0.91]}\n")
        for _ in range(20 if FULL else 4):
            running = []
            for _ in range(6):
                version = f"m@{chance.randint(1, 4)}"
                user, words = chance.choice(
                    [
                        ("ada", ["promote", version, "--to", "production"]),
                        ("ada", ["promote", version, "--to", "staging"]),
                        ("lead", ["approve", version]),
                        ("lead", ["approve", version, "--withdraw"]),
                        ("risk", ["reject", version, "--reason", "no", "--yes"]),
                        ("risk", ["reject", version, "--withdraw"]),
                        ("ada", ["policy", "apply", chance.choice(["strict.yaml", "loose.yaml"])]),
                        ("ada", ["rollback", "m"]),
                    ]
                )
                running.append(
                    subprocess.Popen(
                        ["env", f"MREG_USER={user}", sys.executable, "-m", "mreg", *words],
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
            for one in running:
                _, said = one.communicate(timeout=120)
                assert one.returncode in (0, 1, 3, 4, 5), said
        assert registry.verify_audit().events > 8
        events = registry.history()[::-1]
        follow(events)
        present = {one.version: one.stage for one in registry.show("m").versions}  # type: ignore[union-attr]
        assert list(present.values()).count(ModelStage.PRODUCTION) <= 1


def follow(events: tuple[Event, ...]) -> None:
    """Replay the trail with a policy and decisions of plain values; every entry into Production must be allowed."""
    accuracy = {number: 0.9 + number / 100 for number in range(1, 5)}
    rule: dict[str, object] = {}
    approved: set[tuple[int, str]] = set()
    rejected: set[tuple[int, str]] = set()
    for event in events:
        key = (event.version or 0, event.actor)
        if event.action == "policy.changed":
            after = event.details["after"]
            assert isinstance(after, dict)
            rule = after["Production"]
        elif event.action == "version.approved":
            approved.add(key)
            rejected.discard(key)
        elif event.action == "version.rejected":
            rejected.add(key)
            approved.discard(key)
        elif event.action == "version.decision_withdrawn":
            approved.discard(key)
            rejected.discard(key)
        elif event.action == "version.stage_changed" and event.details["to"] == "Production":
            assert not [one for one in rejected if one[0] == event.version]
            if event.details["returned"]:
                continue
            bound = 0.92 if rule["approvals"] else 0.91
            assert accuracy[event.version or 0] >= bound
            given = [one for one in approved if one[0] == event.version and one[1] in ("lead", "risk")]
            assert len(given) >= int(str(rule["approvals"]))


def test_an_alias_with_a_from_rule_takes_only_versions_of_that_stage(person: As) -> None:
    Path("model").write_text("1")
    assert person("ada", "push", "model", "-n", "m").code == 0
    Path("policy.yaml").write_text("aliases: {champion: {from: Staging}}\n")
    assert person("ada", "policy", "apply", "policy.yaml").code == 0
    refused = person("ada", "alias", "m@1", "champion")
    assert refused.code != 0
    assert "only versions from Staging to enter champion" in refused.err
    assert person("ada", "promote", "m@1").code == 0
    assert person("ada", "alias", "m@1", "champion").code == 0


def test_a_push_asks_the_policy_once_for_each_place(person: As, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model").write_text("1")
    Path("policy.yaml").write_text(
        'Production: {gates: ["accuracy > 0.9"]}\naliases: {champion: {gates: ["accuracy > 0.8"]}}\n'
    )
    assert person("ada", "policy", "apply", "policy.yaml").code == 0
    asked: list[str] = []

    def counting(policy: Policy, target: str, *rest: object) -> object:
        asked.append(target)
        return assess(policy, target, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(admission, "assess", counting)
    words = ("push", "model", "-n", "m", "--alias", "champion", "--alias", "other", "--stage", "production")
    assert person("ada", *words, "--accuracy", "0.95").code == 0
    assert asked == ["champion", "other", "Production"]
    asked.clear()
    assert person("ada", *words, "--accuracy", "0.85").code == 3
    assert asked == ["champion", "other", "Production"]
