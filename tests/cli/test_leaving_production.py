"""Commands that would leave Production without a version ask first, and do only what was confirmed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.cli.output import Output
from mreg.domain.model import ModelStage
from mreg.domain.policy import Policy, Rule
from mreg.registry import gc, promote
from mreg.registry.session import Session
from mreg.results.changes import StageChange
from mreg.results.upkeep import Garbage
from tests.conftest import Mreg


@pytest.fixture
def churn(command: Mreg) -> Iterator[mreg.Registry]:
    """churn@1 was in Staging and is in Production; churn@2 and churn@3 are in no stage."""
    with mreg.open_registry() as registry:
        for number in (1, 2, 3):
            Path("model").write_text(str(number))
            registry.push("model", name="churn")
        registry.promote("churn@1", "staging")
        registry.promote("churn@1", "production")
        yield registry


def stages(registry: mreg.Registry) -> list[str]:
    return [registry.version(f"churn@{number}").stage.value for number in (1, 2, 3)]


EMPTYING = [
    (["promote", "churn@1", "--to", "staging"], "move churn@1 to Staging", "Staging"),
    (["promote", "churn@production", "--to", "none"], "move churn@1 to None", "None"),
    (["promote", "churn@1", "--to", "archived"], "archive churn@1", "Archived"),
    (["archive", "churn@production"], "archive churn@1", "Archived"),
    (["reject", "churn@1", "--reason", "biased"], "move churn@1 to Staging", "Staging"),
    (["rollback", "churn", "--stage", "staging", "--to", "churn@1"], "move churn@1 to Staging", "Staging"),
]


@pytest.mark.parametrize(("words", "what", "stage"), EMPTYING, ids=[" ".join(words) for words, *_ in EMPTYING])
def test_a_command_that_would_empty_production_asks(
    words: list[str], what: str, stage: str, churn: mreg.Registry, command: Mreg
) -> None:
    before = len(churn.history())
    done = command(*words)
    assert (done.code, done.err) == (
        2,
        f"error: confirmation required: {what} and leave Production of churn empty?\n"
        "  not a terminal: add --yes to confirm\n",
    )
    assert (stages(churn), len(churn.history())) == (["Production", "None", "None"], before)
    assert command(*words, "--yes").code == 0
    assert stages(churn) == [stage, "None", "None"]


@pytest.mark.parametrize(
    "words", [words for words, *_ in EMPTYING if words[0] != "rollback"], ids=lambda words: " ".join(words)
)
def test_a_command_that_leaves_another_version_in_production_does_not_ask(
    words: list[str], churn: mreg.Registry, command: Mreg
) -> None:
    churn.promote("churn@2", "production", keep_existing=True)
    words = [word.replace("production", "1") for word in words]
    assert command(*words).code == 0
    assert stages(churn)[1] == "Production"


def test_a_replacement_does_not_ask(churn: mreg.Registry, command: Mreg) -> None:
    assert command("promote", "churn@2", "--to", "production").code == 0
    assert command("rollback", "churn").code == 0
    assert command("promote", "churn@1", "--to", "production").code == 0
    assert stages(churn) == ["Production", "Archived", "None"]


def test_a_plan_says_that_production_would_be_empty(churn: mreg.Registry, command: Mreg) -> None:
    assert "leave Production empty\tplanned" in command("promote", "churn@1", "--to", "staging", "--plan").out
    assert "leave Production" not in command("promote", "churn@2", "--to", "production", "--plan").out


def test_the_python_api_takes_a_stage_that_is_named_for_confirmed(churn: mreg.Registry) -> None:
    with pytest.raises(mreg.LeavesProduction) as caught:
        churn.promote("churn@1", "staging", leave_production=False)
    assert caught.value.message == "cannot take churn@1 out of Production: no other version is in Production"
    assert caught.value.hint == (
        "promote another version to Production, or confirm that it is left empty: "
        "mreg promote churn@1 --to staging --yes"
    )
    with pytest.raises(mreg.LeavesProduction):  # Staging is named here, and Production is not
        churn.rollback("churn", stage="staging", to="churn@1")
    assert churn.promote("churn@1", "staging").version.stage is ModelStage.STAGING


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Gives a function that answers yes to the next question, after something else has happened."""

    def set_up(happens: Callable[[], object]) -> None:
        def confirm(self: Output, question: str, *, yes: bool, flag: str = "--yes") -> None:
            assert not yes
            happens()

        monkeypatch.setattr(Output, "confirm", confirm)

    return set_up


def other(act: Callable[[mreg.Registry], Any]) -> None:
    """Do something to the same registry as another process would."""
    with mreg.open_registry() as registry:
        act(registry)


@pytest.mark.parametrize("words", [*[words for words, *_ in EMPTYING], ["promote", "churn@1"]], ids=" ".join)
def test_a_version_that_was_moved_after_the_question_stays(
    words: list[str], churn: mreg.Registry, command: Mreg, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: other(lambda registry: registry.promote("churn@2", "production")))
    done = command(*words)
    assert (done.code, done.err) == (
        7,
        "error: churn@1 changed meanwhile: expected stage Production, got Archived\n"
        "  check and try again: mreg show churn@1\n",
    )
    assert stages(churn) == ["Archived", "Production", "None"]


def test_a_version_that_another_process_promotes_is_not_archived_unasked(
    churn: mreg.Registry, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    churn.promote("churn@2", "staging")
    real, late = promote.promote, [lambda: other(lambda registry: registry.promote("churn@2", "production"))]

    def promote_late(session: Session, *args: Any, **options: Any) -> StageChange:
        if late:
            late.pop()()
        return real(session, *args, **options)

    monkeypatch.setattr(promote, "promote", promote_late)
    assert command("promote", "churn@2").code == 2
    assert stages(churn) == ["Archived", "Production", "None"]


LATE_CHANGES: dict[str, Callable[[mreg.Registry], Any]] = {
    "a version was pushed": lambda registry: registry.push("model", name="churn"),
    "a version was promoted": lambda registry: registry.promote("churn@2", "production"),
    "a version got an alias": lambda registry: registry.set_alias("churn@2", "champion"),
}


@pytest.mark.parametrize("late", LATE_CHANGES)
def test_a_model_that_changed_after_the_question_is_not_deleted(
    late: str, churn: mreg.Registry, command: Mreg, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    meanwhile(lambda: other(LATE_CHANGES[late]))
    done = command("delete", "churn", "--force")
    assert (done.code, done.err) == (
        7,
        "error: churn was not deleted: its versions, stages or aliases changed meanwhile\n"
        "  check and try again: mreg show churn\n",
    )
    assert churn.model("churn").version_count >= 3
    meanwhile(lambda: None)
    assert command("delete", "churn", "--force").code == 0


def test_gc_removes_only_what_was_shown(
    churn: mreg.Registry, command: Mreg, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    churn.delete("churn@2")
    meanwhile(lambda: other(lambda registry: registry.delete("churn@3")))
    done = command("gc", "--grace", "0s", "--remove", "--json")
    assert done.code == 0
    assert [one["removed"] for one in json.loads(done.out)] == [True]
    assert len(json.loads(command("gc", "--grace", "0s", "--json").out)) == 1


def test_gc_that_has_shown_nothing_removes_nothing(
    churn: mreg.Registry, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gc.gc

    def gc_late(session: Session, **options: Any) -> tuple[Garbage, ...]:
        if options.get("remove"):
            other(lambda registry: registry.delete("churn@3"))
        return real(session, **options)

    monkeypatch.setattr(gc, "gc", gc_late)
    assert json.loads(command("gc", "--grace", "0s", "--remove", "--json").out) == []


@pytest.mark.parametrize("model", [None, "churn"])
def test_a_policy_that_was_applied_after_the_question_stays(
    model: str | None, churn: mreg.Registry, command: Mreg, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    churn.apply_policy(Policy({"Production": Rule(approvals=1)}), model)
    strict = Policy({"Production": Rule(approvals=2)})
    meanwhile(lambda: other(lambda registry: registry.apply_policy(strict, model)))
    words = ["--model", model] if model else []
    done = command("policy", "remove", *words)
    assert (done.code, "another policy was applied meanwhile" in done.err) == (7, True)
    assert churn.policy("churn").policy == strict
    meanwhile(lambda: None)
    assert command("policy", "remove", *words).code == 0
    assert churn.policy("churn").policy == Policy()


def test_a_version_that_an_alias_names_is_deleted_only_by_force(churn: mreg.Registry, command: Mreg) -> None:
    for alias in ("champion", "Stable"):
        churn.set_alias("churn@2", alias)
    for words in (["churn@2"], ["churn@CHAMPION"], ["churn@2", "--dry-run"]):
        done = command("delete", *words, "--yes")
        assert (done.code, done.err) == (
            1,
            "error: churn@2 has the aliases Stable, champion\n"
            "  mreg alias churn --remove Stable && mreg alias churn --remove champion, or delete with --force\n",
        ), words
    churn.set_alias("churn@1", "live")
    assert command("delete", "churn@1", "--yes").err == (
        "error: churn@1 is in Production and has the alias live\n"
        "  mreg archive churn@1 && mreg alias churn --remove live, or delete with --force\n"
    )
    churn.remove_alias("churn", "live")
    churn.remove_alias("churn", "Stable")
    with pytest.raises(mreg.NotAllowed, match="churn@2 has the alias champion"):
        churn.delete("churn@2")
    churn.archive("churn@1")
    with pytest.raises(mreg.NotAllowed, match="churn@2 has the alias champion"):
        churn.delete("churn")
    done = command("delete", "churn@2", "--force")
    assert "confirmation required: delete churn@2, in use (churn@2: champion), for good?" in done.err
    assert command("delete", "churn@champion", "--force", "--yes").code == 0
    assert churn.model("churn").aliases == {}
