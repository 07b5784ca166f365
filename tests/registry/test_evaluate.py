"""Metrics that are added to a version after its push."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

import mreg
from mreg.domain.model import ModelStage
from mreg.domain.policy import Policy, Rule
from mreg.registry.local import LocalRegistry
from tests.conftest import local_registry


@pytest.fixture
def versions(registry: LocalRegistry) -> LocalRegistry:
    """A registry with two versions of churn."""
    for number, accuracy in ((1, 0.9), (2, 0.93)):
        Path("model.pkl").write_text(str(number))
        registry.push("model.pkl", name="churn", metrics={"accuracy": accuracy})
    return registry


@pytest.fixture
def acting() -> Iterator[Callable[[str], LocalRegistry]]:
    """Opens the registry as a user."""
    opened: list[LocalRegistry] = []

    def open_as(user: str) -> LocalRegistry:
        opened.append(local_registry(user=user))
        return opened[-1]

    yield open_as
    for registry in opened:
        registry.close()


def test_an_equal_value_changes_nothing(versions: LocalRegistry) -> None:
    before = (versions.version("churn@2"), versions.history())
    for options in ({}, {"replace": True, "reason": "again"}):
        evaluation = versions.evaluate("churn@2", {"accuracy": 0.93}, **options)  # type: ignore[arg-type]
        assert (evaluation.added, evaluation.replaced, evaluation.version) == ({}, {}, before[0])
    assert (versions.version("churn@2"), versions.history()) == before


def test_an_integer_equals_a_float_of_the_same_value(versions: LocalRegistry) -> None:
    versions.evaluate("churn@2", {"n": 1, "zero": 0})
    assert not versions.evaluate("churn@2", {"n": 1.0, "zero": -0.0}).replaced


def test_a_conflict_names_a_few_of_many_metrics(versions: LocalRegistry) -> None:
    versions.evaluate("churn@2", {f"m{number:03}": number for number in range(100)})
    with pytest.raises(mreg.Conflict) as caught:
        versions.evaluate("churn@2", {f"m{number:03}": -1 for number in range(100)})
    assert caught.value.message == "churn@2 already has m000 0, m001 1, m002 2, m003 3, m004 4 and 95 more"
    assert caught.value.hint == 'to replace them, add --replace and --reason "..."'


BAD = {
    "no metrics": ({}, {}, "no metrics to add"),
    "a replacement without a reason": ({"accuracy": 1}, {"replace": True}, "to replace a metric, a reason is required"),
    "a blank reason": ({"accuracy": 1}, {"replace": True, "reason": " "}, "to replace a metric, a reason is required"),
    "a long reason": ({"auc": 1}, {"reason": "x" * 20_001}, "the limit is 20000"),
    "a NUL in the reason": ({"auc": 1}, {"reason": "a\0b"}, "reason"),
    "a data set of two lines": ({"auc": 1}, {"dataset": "a\nb"}, "dataset"),
    "a long data set": ({"auc": 1}, {"dataset": "x" * 251}, "dataset"),
    "an empty name": ({"": 1}, {}, "the name of a metric is empty"),
    "a name with =": ({"a=b": 1}, {}, "'a=b'"),
    "a name twice": ({"a": {"b": 1}, "a.b": 1}, {}, "duplicate metric 'a.b'"),
    "a name that is not a text": ({1: 1}, {}, "the key '1' is not a string"),
    "1,001 metrics": ({f"m{number}": 1 for number in range(1001)}, {}, "too many metrics: 1001"),
    "1,000 metrics and another": (
        {f"m{number}": 1 for number in range(1000)}, {}, "too many metrics: churn@2 would have 1001; the limit is 1000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_changes_nothing(versions: LocalRegistry, case: str) -> None:
    metrics, options, message = BAD[case]
    before = versions.history()
    with pytest.raises(mreg.BadInput) as caught:
        versions.evaluate("churn@2", metrics, **options)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert versions.history() == before


def test_a_value_that_is_not_a_finite_number_is_skipped_with_a_warning(versions: LocalRegistry) -> None:
    values = {"loss": float("nan"), "best": True, "auc": 0.97}
    with pytest.warns(UserWarning, match="skipped values that are not finite numbers: loss, best") as caught:
        assert versions.evaluate("churn@2", values).added == {"auc": 0.97}
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(mreg.BadInput, match="no metrics to add"):
        versions.evaluate("churn@2", {"loss": float("inf")})


def test_a_well_known_metric_has_one_name(versions: LocalRegistry) -> None:
    versions.evaluate("churn@2", {"F1 Score": 0.9})
    assert versions.version("churn@2").metrics["f1_score"] == 0.9


@pytest.mark.parametrize("reference", ["churn@9", "nobody@1"])
def test_an_unknown_version_is_not_found(versions: LocalRegistry, reference: str) -> None:
    with pytest.raises(mreg.NotFound):
        versions.evaluate(reference, {"auc": 1})


def test_an_archived_version_is_evaluated(versions: LocalRegistry) -> None:
    versions.archive("churn@1")
    assert versions.evaluate("churn@1", {"auc": 0.5}).version.stage is ModelStage.ARCHIVED


def test_a_new_metric_can_pass_a_gate_and_become_the_best(versions: LocalRegistry) -> None:
    versions.apply_policy(Policy({"Production": Rule(gates=("auc >= 0.9",))}))
    with pytest.raises(mreg.GateFailed):
        versions.promote("churn@1", "production")
    versions.evaluate("churn@1", {"auc": 0.97})
    assert versions.promote("churn@1", "production").version.stage is ModelStage.PRODUCTION
    versions.edit("churn", primary_metric="auc")
    assert versions.version("churn@best").version == 1
    assert [version.version for version in versions.search("auc > 0.9")] == [1]


def test_a_replacement_voids_the_approvals(versions: LocalRegistry, acting: Callable[[str], LocalRegistry]) -> None:
    versions.apply_policy(Policy({"Production": Rule(approvals=2), "champion": Rule(approvals=1)}))
    for person in ("ada", "bob"):
        acting(person).approve("churn@2")
    acting("bob").approve("churn@2", to="champion")
    acting("eve").approve("churn@1")
    assert versions.evaluate("churn@2", {"auc": 0.9}).voided == ()
    assert versions.plan("churn@2", "production").allowed
    evaluation = versions.evaluate("churn@2", {"accuracy": 0.99}, replace=True, reason="typing error")
    voided = [(decision.person, decision.target) for decision in evaluation.voided]
    assert sorted(voided) == [("ada", "Production"), ("bob", "Production"), ("bob", "champion")]
    assert versions.history("churn@2")[0].details["voided"] == [
        {"person": person, "target": target} for person, target in voided
    ]
    with pytest.raises(mreg.ApprovalMissing, match="has 0 of 2 approvals for Production"):
        versions.promote("churn@2", "production")
    with pytest.raises(mreg.ApprovalMissing):
        versions.set_alias("churn@2", "champion")
    assert [decision.person for decision in versions.why("churn@1").decisions] == ["eve"]
    for person in ("ada", "bob"):
        acting(person).approve("churn@2")
    assert versions.promote("churn@2", "production").version.stage is ModelStage.PRODUCTION


def test_a_replacement_leaves_a_rejection(versions: LocalRegistry, acting: Callable[[str], LocalRegistry]) -> None:
    acting("ada").reject("churn@2", reason="biased")
    acting("bob").approve("churn@2")
    evaluation = versions.evaluate("churn@2", {"accuracy": 0.99}, replace=True, reason="new split")
    assert [decision.person for decision in evaluation.voided] == ["bob"]
    with pytest.raises(mreg.ApprovalMissing, match="was rejected for Production by ada: biased"):
        versions.promote("churn@2", "production")


def test_a_deleted_version_is_compared_with_by_its_last_metrics(versions: LocalRegistry) -> None:
    versions.promote("churn@2", "production")
    versions.evaluate("churn@2", {"auc": 0.9})
    versions.evaluate("churn@2", {"accuracy": 0.5}, replace=True, reason="wrong split")
    versions.delete("churn@2", force=True)
    versions.apply_policy(
        Policy({"Production": Rule(gates=("accuracy >= production.accuracy", "auc > production.auc"))})
    )
    with pytest.raises(mreg.GateFailed) as caught:
        versions.promote("churn@1", "production")
    assert "auc" in caught.value.hint
    assert [gate["passed"] for gate in caught.value.details["gates"]] == [True, False]  # type: ignore[attr-defined]
    versions.evaluate("churn@1", {"auc": 0.91})
    assert versions.promote("churn@1", "production").version.stage is ModelStage.PRODUCTION


def _evaluate(number: int, replace: bool, barrier: Barrier, results: multiprocessing.Queue[str]) -> None:
    with local_registry(user=f"u{number}") as registry:
        barrier.wait()
        options = {"replace": True, "reason": "measured again"} if replace else {}
        try:
            registry.evaluate("churn@2", {"auc": number / 10, f"own{number}": number}, **options)  # type: ignore[arg-type]
            results.put("done")
        except mreg.Conflict:
            results.put("conflict")


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
@pytest.mark.parametrize("replace", [False, True])
def test_concurrent_evaluations_of_one_metric_lose_nothing(versions: LocalRegistry, replace: bool) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_evaluate, args=(number, replace, barrier, results)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    outcomes = sorted(results.get(timeout=10) for _ in processes)
    assert outcomes == (["done"] * 4 if replace else ["conflict"] * 3 + ["done"])
    metrics = versions.version("churn@2").metrics
    events = [event for event in versions.history("churn@2") if event.action == "version.evaluated"]
    assert len(events) == (4 if replace else 1)
    own = {name for name in metrics if name.startswith("own")}
    assert own == {f"own{event.actor[1]}" for event in events}
    assert metrics["auc"] == int(events[0].actor[1]) / 10
    for newer, older in pairwise(events):
        assert newer.details["replaced"] == {"auc": int(older.actor[1]) / 10}
    assert versions.verify_audit().events == len(versions.history())
