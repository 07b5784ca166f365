"""A writer without the approvers' consent cannot get past a gate by first taking away what the gate compares with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.domain.policy import Policy, Rule
from mreg.errors import ApprovalMissing, GateFailed
from tests.conftest import Done, Mreg

As = Callable[..., Done]
RULE = "{gates: ['accuracy >= %s.accuracy - 0.005'], approvers: [lead], override: %s}"


@pytest.fixture
def person(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> As:
    """Runs a command as somebody."""

    def run(name: str, *words: str) -> Done:
        monkeypatch.setenv("MREG_USER", name)
        return command(*words)

    return run


def apply(person: As, *, override: bool = False) -> None:
    allowed = str(override).lower()
    Path("policy.yaml").write_text(
        f"Production: {RULE % ('production', allowed)}\naliases: {{champion: {RULE % ('champion', allowed)}}}\n"
    )
    assert person("lead", "policy", "apply", "policy.yaml").code == 0


@pytest.fixture
def guarded(person: As) -> As:
    """m@1 (0.90), m@2 (0.95, in Production and the champion) and m@3 (0.80), under a policy without overrides."""
    for number, accuracy in ((1, 0.90), (2, 0.95), (3, 0.80)):
        Path("model").write_text(str(number))
        assert person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy)).code == 0
    for number in (1, 2):
        assert person("ada", "promote", f"m@{number}", "--to", "production").code == 0
        assert person("ada", "alias", f"m@{number}", "champion").code == 0
    apply(person)
    return person


def where(command: Mreg) -> dict[str, str]:
    """The stage of each version, and the aliases."""
    shown = json.loads(command("show", "m", "--json").out)
    stages = {f"m@{one['version']}": one["stage"] for one in shown["versions"]}
    return {**stages, **{alias: f"m@{number}" for alias, number in shown["aliases"].items()}}


WAYS_OUT = [
    ["archive", "m@2"],
    ["promote", "m@2", "--to", "none"],
    ["promote", "m@2", "--to", "staging"],
    ["promote", "m@2", "--to", "archived"],
    ["promote", "m@2", "--yes"],
    ["delete", "m@2", "--force", "--yes"],
    ["delete", "m", "--force", "--yes"],
    ["rename", "m", "other"],
    ["rollback", "m", "--stage", "staging", "--to", "m@2"],
    ["alias", "m", "--remove", "champion"],
    ["alias", "m", "--remove", "CHAMPION"],
    ["alias", "m@3", "champion"],
    ["alias", "m@3", "Champion"],
]


@pytest.mark.parametrize("words", WAYS_OUT, ids=" ".join)
def test_a_writer_cannot_take_a_version_out_of_a_guarded_place(words: list[str], guarded: As, command: Mreg) -> None:
    if words[0] == "rollback":  # it must have been in Staging once
        guarded("lead", "policy", "remove", "--yes")
        guarded("ada", "promote", "m@2", "--to", "staging", "--yes")
        guarded("ada", "promote", "m@2", "--to", "production")
        apply(guarded)
    before = where(command)
    done = guarded("ada", *words)
    assert done.code == (3 if words[0] == "alias" and "m@3" in words else 5), done.err
    assert where(command) == before
    assert command("audit", "verify").code == 0


def test_the_refusal_names_who_may_and_what_to_run(guarded: As) -> None:
    done = guarded("ada", "archive", "m@2")
    assert (done.code, done.err) == (
        5,
        "error: cannot take m@2 out of Production: the policy allows this only to lead\n"
        "  promote another version in its place, or ask lead: mreg archive m@2\n",
    )
    apply(guarded, override=True)
    done = guarded("ada", "archive", "m@2")
    assert done.err.splitlines()[1:] == [
        "  promote another version in its place, or ask lead: mreg archive m@2",
        "  or override the policy: mreg archive m@2 --override REASON",
    ]


@pytest.mark.parametrize("words", WAYS_OUT[:6], ids=" ".join)
def test_after_it_was_taken_out_by_an_approver_a_gate_still_compares_with_it(
    words: list[str], guarded: As, command: Mreg
) -> None:
    assert guarded("lead", *words, *(() if "--yes" in words else ("--yes",))).code == 0
    done = guarded("ada", "promote", "m@3", "--to", "production")
    assert done.code == 3
    was = "m@2, which was the last in Production" + (" and was deleted" if words[0] == "delete" else "")
    assert f"accuracy 0.8, and production.accuracy - 0.005 = 0.945 of {was}" in done.err
    if words[0] != "delete":
        assert guarded("lead", "alias", "m", "--remove", "champion").code == 0
        assert guarded("ada", "delete", "m@2", "--force", "--yes").code == 0
        assert guarded("ada", "promote", "m@3", "--to", "production").code == 3
    assert guarded("ada", "promote", "m@1", "--to", "production").code == 3


def test_a_removed_alias_still_is_compared_with(guarded: As) -> None:
    assert guarded("lead", "alias", "m", "--remove", "champion").code == 0
    for alias in ("champion", "Champion", "CHAMPION"):
        done = guarded("ada", "alias", "m@3", alias)
        assert (done.code, "of m@2, which was the last in champion" in done.err) == (3, True), done.err
    Path("model").write_text("4")
    assert guarded("ada", "push", "model", "-n", "m", "--accuracy", "0.8", "--alias", "CHAMPION").code == 3


def test_where_nothing_ever_was_a_gate_passes(person: As) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m", "--accuracy", "0.1")
    apply(person)
    assert person("ada", "promote", "m@1", "--to", "production").code == 0
    assert person("ada", "alias", "m@1", "champion").code == 0


def test_a_replacement_a_rollback_a_rejection_and_an_approver_are_ways_out(guarded: As, command: Mreg) -> None:
    Path("model").write_text("4")
    assert guarded("ada", "push", "model", "-n", "m", "--accuracy", "0.95", "--stage", "production").code == 0
    assert where(command)["m@2"] == "Archived"
    assert guarded("ada", "rollback", "m").code == 0
    assert where(command)["m@2"] == "Production"
    assert guarded("ada", "reject", "m@2", "--reason", "biased", "--yes").code == 5
    assert guarded("lead", "reject", "m@2", "--reason", "biased", "--yes").code == 0
    assert where(command)["m@2"] == "Staging"
    assert guarded("ada", "alias", "m", "--remove", "champion").code == 5  # the rejection was for Production
    assert guarded("lead", "reject", "m@2", "--to", "Champion", "--reason", "biased").code == 0
    assert guarded("ada", "alias", "m", "--remove", "champion").code == 0


def test_an_override_of_leaving_is_allowed_by_the_rule_and_audited(guarded: As, command: Mreg) -> None:
    for words in WAYS_OUT[:11]:
        if words[0] != "rollback" and "--yes" not in words[2:3]:
            assert guarded("ada", *words, "--override", "x").code == 1, words
    apply(guarded, override=True)
    done = guarded("ada", "archive", "m@2", "--override", "the shop is down", "--yes")
    assert done.code == 0
    assert "the policy was overridden, and the audit trail says so: the shop is down" in done.err
    assert "policy.overridden\tm@2\tfor Production: the shop is down" in command("history", "m").out
    assert guarded("ada", "alias", "m", "--remove", "Champion", "--override", "again").code == 0
    assert "policy.overridden\tm@2\tfor champion: again" in command("history", "m").out
    assert guarded("ada", "archive", "m@3", "--override", "no need").code == 2
    done = guarded("ada", "archive", "m@1", "--override", "no need")  # it is archived already: nothing is done
    assert (done.code, done.err) == (0, "")
    assert guarded("ada", "delete", "m", "--force", "--yes", "--override", "all of it").code == 0
    assert command("audit", "verify").code == 0


def test_a_plan_and_a_check_show_who_may_take_a_version_out(guarded: As) -> None:
    done = guarded("ada", "promote", "m@2", "--to", "staging", "--plan")
    assert "leave Production\tfailed\tlead can take it out" in done.out
    found = json.loads(guarded("ada", "promote", "m@2", "--to", "staging", "--plan", "--json").out)
    assert (found["allowed"], found["leaving"]) == (
        False,
        {"place": "Production", "allowed": False, "may_take_out": ["lead"], "override_allowed": False},
    )
    assert json.loads(guarded("lead", "promote", "m@2", "--to", "staging", "--plan", "--json").out)["allowed"]
    assert json.loads(guarded("ada", "promote", "m@3", "--to", "staging", "--plan", "--json").out)["leaving"] is None
    (first, _) = json.loads(guarded("ada", "policy", "check", "policy.yaml", "--json").out)
    assert (first["reference"], first["leaving"]["may_take_out"]) == ("m@2", ["lead"])
    assert (
        "m@2\tProduction\tleave Production\tfailed\tlead can take it out"
        in guarded("ada", "policy", "check", "policy.yaml").out
    )


def test_of_two_versions_in_production_a_gate_compares_with_the_one_that_entered_last(person: As) -> None:
    for number, accuracy in ((1, 0.80), (2, 0.95), (3, 0.85)):
        Path("model").write_text(str(number))
        person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy))
    for number in (1, 2):
        assert person("ada", "promote", f"m@{number}", "--to", "production", "--keep-existing").code == 0
    apply(person)
    assert person("ada", "show", "m@production", "-q").out == "m@2\n"
    done = person("ada", "promote", "m@3", "--to", "production")
    assert (done.code, "of m@2\n" in done.err) == (3, True)
    # The one that stays does not replace the better one either.
    done = person("ada", "promote", "m@1", "--to", "production")
    assert (done.code, "of m@2\n" in done.err) == (3, True)
    assert person("ada", "promote", "m@2", "--to", "production").code == 0


def test_a_gate_compares_with_the_version_that_the_stage_name_means(person: As) -> None:
    for number, accuracy in ((1, 0.91), (2, 0.93), (3, 0.92)):
        Path("model").write_text(str(number))
        person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy))
    for number in (1, 2):
        assert person("ada", "promote", f"m@{number}", "--to", "production", "--keep-existing").code == 0
    Path("policy.yaml").write_text("Production: {gates: [accuracy >= production.accuracy]}\n")
    person("lead", "policy", "apply", "policy.yaml")
    assert person("ada", "show", "m@production", "-q").out == "m@2\n"
    done = person("ada", "promote", "m@3", "--to", "production", "--keep-existing")
    assert (done.code, "accuracy 0.92, and production.accuracy = 0.93 of m@2" in done.err) == (3, True)


def test_a_staged_version_goes_on_to_production(person: As) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m", "--accuracy", "0.9")
    Path("policy.yaml").write_text("Staging: {gates: [accuracy >= staging.accuracy], approvers: [lead]}\n")
    person("lead", "policy", "apply", "policy.yaml")
    assert person("ada", "promote", "m@1").code == 0
    assert person("ada", "archive", "m@1").code == 5
    assert person("ada", "promote", "m@1").code == 0


def test_where_a_rule_names_no_approvers_a_rejection_is_the_way_out(person: As) -> None:
    Path("model").write_text("1")
    person("ada", "push", "model", "-n", "m", "--accuracy", "0.9", "--stage", "production")
    Path("policy.yaml").write_text("Production: {gates: [accuracy >= production.accuracy]}\nStaging: {}\n")
    person("lead", "policy", "apply", "policy.yaml")
    done = person("ada", "archive", "m@1")
    assert (done.code, done.err) == (
        5,
        "error: cannot take m@1 out of Production: the policy allows only a replacement, a rollback or a rejection\n"
        "  promote another version in its place, or mreg reject m@1 --reason REASON\n",
    )
    assert person("ada", "reject", "m@1", "--reason", "broken", "--yes").code == 0
    assert person("ada", "archive", "m@1").code == 0


def test_the_last_version_without_its_record_fails_the_gate(guarded: As, tmp_path: Path) -> None:
    assert guarded("lead", "delete", "m@2", "--force", "--yes").code == 0
    raw = sqlite3.connect(Path.home() / ".local/share/mreg/catalog.db")
    with raw:
        raw.execute("UPDATE events SET details = '{}' WHERE action = 'version.pushed' AND version = 2")
    raw.close()
    done = guarded("ada", "promote", "m@3", "--to", "production")
    assert (done.code, "m@2, which was the last in Production and was deleted, has no accuracy" in done.err) == (
        3,
        True,
    )


def test_the_python_api_checks_alike() -> None:
    with mreg.open_registry(user="ada") as registry:
        for number, accuracy in ((1, 0.95), (2, 0.9)):
            Path("model").write_text(str(number))
            registry.push("model", name="m", metrics={"accuracy": accuracy})
        registry.promote("m@1", "production")
        gates = ("accuracy >= production.accuracy",)
        registry.apply_policy(Policy({"Production": Rule(gates=gates, override=True)}))
        for refused in (
            lambda: registry.archive("m@1"),
            lambda: registry.delete("m@1", force=True),
            lambda: registry.promote("m@1", "none"),
            lambda: registry.rename("m", "n"),
        ):
            with pytest.raises(ApprovalMissing):
                refused()
        registry.archive("m@1", override="broken")
        registry.delete("m@1")
        with pytest.raises(GateFailed):
            registry.promote("m@2", "production")
        registry.rename("m", "n", override="moved")
        with pytest.raises(GateFailed):
            registry.promote("n@2", "production")


@pytest.fixture
def rolled_back(person: As) -> As:
    """m@1 (0.6), m@2 (0.9) and m@3 (0.95) were in Production in turn; m@4 (0.61) was not; lead approves."""
    for number, accuracy in ((1, 0.6), (2, 0.9), (3, 0.95), (4, 0.61)):
        Path("model").write_text(str(number))
        assert person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy)).code == 0
        if number < 4:
            assert person("ada", "promote", f"m@{number}", "--to", "production").code == 0
    strict("[lead]", person)
    assert person("ada", "promote", "m@4", "--to", "production").code == 3
    return person


def strict(approvers: str, person: As) -> None:
    Path("policy.yaml").write_text(
        f"Production: {{gates: [accuracy >= production.accuracy], approvers: {approvers}, override: false}}\n"
    )
    assert person("lead", "policy", "apply", "policy.yaml").code == 0


REFUSED = (
    "error: m@4 does not pass a gate of Production\n"
    "  accuracy >= production.accuracy: accuracy 0.61, and production.accuracy = 0.6 of m@1, production.accuracy = "
    "0.95 of m@3, which left Production without a rejection\n"
    "  to exclude m@3 from the comparison, ask lead to reject it: mreg reject m@3 --reason REASON\n"
)


@pytest.mark.parametrize("ways", [[["--to", "m@1"]], [[], []], [["--to", "m@2"], []], [[], ["--to", "m@1"]]], ids=str)
def test_a_rollback_does_not_lower_a_gate(ways: list[list[str]], rolled_back: As, command: Mreg) -> None:
    for words in ways:
        assert rolled_back("ada", "rollback", "m", *words).code == 0
    assert rolled_back("ada", "show", "m@production", "-q").out == "m@1\n"
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert (done.code, done.err) == (3, REFUSED)
    assert rolled_back("ada", "promote", "m@4", "--to", "production", "--keep-existing").code == 3
    Path("model").write_text("5")
    assert rolled_back("ada", "push", "model", "-n", "m", "--accuracy", "0.61", "--stage", "production").code == 3
    plan = json.loads(rolled_back("ada", "promote", "m@4", "--to", "production", "--plan", "--json").out)
    assert (plan["allowed"], "0.95 of m@3" in json.dumps(plan)) == (False, True)
    checked = json.loads(rolled_back("ada", "policy", "check", "policy.yaml", "--json").out)
    assert "0.95 of m@3, which left Production without a rejection" in json.dumps(checked)
    assert where(command)["m@1"] == "Production"


def test_a_rolled_back_version_counts_until_an_approver_rejects_it(rolled_back: As, command: Mreg) -> None:
    assert rolled_back("ada", "rollback", "m", "--to", "m@1").code == 0
    assert rolled_back("ada", "reject", "m@3", "--reason", "no").code == 5
    assert rolled_back("lead", "reject", "m@3", "--reason", "leaked labels").code == 0
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert (done.code, "0.9 of m@2, which left Production without" in done.err) == (3, True)
    assert rolled_back("ada", "delete", "m@3", "--force", "--yes").code == 0  # the rejection outlives the version
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert (done.code, "of m@2" in done.err, "of m@3" in done.err) == (3, True, False)
    assert rolled_back("lead", "reject", "m@2", "--reason", "leaked labels").code == 0
    assert rolled_back("lead", "reject", "m@2", "--withdraw").code == 0
    assert rolled_back("ada", "promote", "m@4", "--to", "production").code == 3
    assert rolled_back("lead", "reject", "m@2", "--reason", "leaked labels").code == 0
    assert rolled_back("ada", "promote", "m@4", "--to", "production").code == 0
    assert json.loads(rolled_back("ada", "why", "m@production", "--json").out)["version"]["reference"] == "m@4"
    assert command("audit", "verify").code == 0


def test_a_deleted_version_that_was_rolled_back_still_counts(rolled_back: As) -> None:
    assert rolled_back("ada", "rollback", "m", "--to", "m@1").code == 0
    assert rolled_back("ada", "delete", "m@3", "--force", "--yes").code == 0
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert (done.code, done.err.splitlines()[-1].endswith("left Production without a rejection and was deleted")) == (
        3,
        True,
    ), done.err


def test_if_a_rule_names_no_approvers_anyone_can_reject_a_rolled_back_version(rolled_back: As) -> None:
    strict("[]", rolled_back)
    assert rolled_back("ada", "rollback", "m", "--to", "m@1").code == 0
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert "  to exclude m@3 from the comparison, reject it: mreg reject m@3 --reason REASON\n" in done.err
    for number in (3, 2):
        assert rolled_back("ada", "reject", f"m@{number}", "--reason", "leaked labels").code == 0
    assert rolled_back("ada", "promote", "m@4", "--to", "production").code == 0


def test_a_version_that_came_back_cannot_enter_anew_to_lower_a_gate(rolled_back: As) -> None:
    assert rolled_back("ada", "rollback", "m", "--to", "m@1").code == 0
    assert rolled_back("lead", "archive", "m@1", "--yes").code == 0
    assert rolled_back("ada", "promote", "m@1", "--to", "production").code == 3
    assert rolled_back("ada", "promote", "m@4", "--to", "production").code == 3
    assert rolled_back("ada", "promote", "m@3", "--to", "production").code == 0


def test_a_negated_gate_compares_with_the_rolled_back_version_too(rolled_back: As) -> None:
    Path("policy.yaml").write_text(
        "Production: {gates: ['not (accuracy < production.accuracy or size_bytes > 99)'], approvers: [lead]}\n"
    )
    assert rolled_back("lead", "policy", "apply", "policy.yaml").code == 0
    assert rolled_back("ada", "rollback", "m", "--to", "m@1").code == 0
    done = rolled_back("ada", "promote", "m@4", "--to", "production")
    assert (done.code, "reject m@3" in done.err) == (3, True)
    assert rolled_back("ada", "promote", "m@3", "--to", "production").code == 0


def test_a_rejection_for_production_does_not_lower_the_gate_of_staging(person: As) -> None:
    for number, accuracy in ((1, 0.6), (2, 0.95), (3, 0.61)):
        Path("model").write_text(str(number))
        person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy))
    person("ada", "promote", "m@1", "--to", "production")
    person("ada", "promote", "m@2", "--to", "staging")
    Path("policy.yaml").write_text("Staging: {gates: [accuracy >= staging.accuracy], approvers: [lead]}\n")
    person("lead", "policy", "apply", "policy.yaml")
    assert person("ada", "promote", "m@3", "--to", "staging").code == 3
    assert person("ada", "reject", "m@1", "--reason", "no", "--yes").code == 0
    done = person("ada", "promote", "m@3", "--to", "staging")
    assert (done.code, "0.95 of m@2" in done.err) == (3, True)


def test_an_alias_that_is_moved_back_passes_the_rule(guarded: As, command: Mreg) -> None:
    assert guarded("ada", "alias", "m@1", "champion").code == 3
    assert where(command)["champion"] == "m@2"


def test_only_a_version_that_was_there_can_be_rejected_when_archived(rolled_back: As) -> None:
    assert rolled_back("ada", "archive", "m@4").code == 0
    done = rolled_back("lead", "reject", "m@4", "--reason", "no")
    assert (done.code, done.err) == (1, "error: cannot reject m@4: it is archived and was never in Production\n")


@pytest.mark.parametrize(("decision", "code"), [("reject", 0), ("approve", 3)])
def test_a_deleted_version_is_compared_with_unless_an_approver_rejected_it(
    person: As, decision: str, code: int
) -> None:
    for number, accuracy in ((1, 0.80), (2, 0.95), (3, 0.85)):
        Path("model").write_text(str(number))
        person("ada", "push", "model", "-n", "m", "--accuracy", str(accuracy))
    apply(person)
    assert person("ada", "promote", "m@1", "--to", "production").code == 0
    if decision == "approve":
        assert person("lead", "approve", "m@2").code == 0
    assert person("ada", "promote", "m@2", "--to", "production").code == 0
    assert person("ada", "rollback", "m").code == 0
    if decision == "reject":
        assert person("lead", "reject", "m@2", "--reason", "biased").code == 0
    assert person("lead", "delete", "m@2", "--force", "--yes").code == 0
    assert person("ada", "promote", "m@3", "--to", "production").code == code
