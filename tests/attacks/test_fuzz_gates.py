"""No sequence of a writer's operations brings in a version whose gate against the previous holder fails."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

import mreg
from mreg.domain.events import Event
from mreg.domain.policy import Policy, Rule
from mreg.errors import MregError
from mreg.registry.registry import Registry
from tests.conftest import FULL

TOLERANCE = 0.005
ACCURACIES = (0.80, 0.90, 0.904, 0.909, 0.95)
RULES = Policy(
    {
        "Production": Rule(gates=(f"accuracy >= production.accuracy - {TOLERANCE}",), approvers=("lead",)),
        "Staging": Rule(gates=(f"accuracy >= staging.accuracy - {TOLERANCE}",), approvers=("lead",)),
        "champion": Rule(gates=(f"accuracy >= Champion.accuracy - {TOLERANCE}",), approvers=("lead",)),
    }
)

STEPS = st.one_of(
    st.tuples(
        st.just("push"), st.sampled_from(ACCURACIES), st.sampled_from([None, "Production", "Staging", "CHAMPION"])
    ),
    st.tuples(
        st.just("promote"),
        st.integers(1, 8),
        st.sampled_from(["None", "Staging", "Production", "Production", "Archived"]),
        st.booleans(),
    ),
    st.tuples(st.just("archive"), st.integers(1, 8)),
    st.tuples(st.just("delete"), st.integers(1, 8)),
    st.tuples(st.just("alias"), st.integers(1, 8), st.sampled_from(["champion", "Champion", "CHAMPION"])),
    st.tuples(st.just("remove"), st.sampled_from(["champion", "Champion"])),
    st.tuples(st.just("rollback"), st.sampled_from(["Staging", "Production"]), st.sampled_from([None, 1, 1, 2, 3, 4])),
    st.tuples(st.sampled_from(["rename", "rename back", "delete model", "reject", "reapply"])),
    st.tuples(
        st.just("lead rejects"),
        st.integers(1, 8),
        st.sampled_from(["Staging", "Production", "Champion"]),
        st.booleans(),
    ),
    st.tuples(st.just("lead takes out"), st.sampled_from(["Staging", "Production", "champion"])),
)

BEGINNING = (
    ("push", 0.80, "Production"), ("push", 0.90, "Production"), ("push", 0.95, "Production"),
    ("push", 0.80, None), ("push", 0.90, "CHAMPION"), ("push", 0.95, "Staging"),
)  # fmt: skip


def do(writer: Registry, lead: Registry, step: tuple[object, ...], model: Path) -> None:  # noqa: C901
    """One step; what is refused is refused."""
    match step:
        case ("push", float(accuracy), place):
            target = {"stage": place} if place in ("Production", "Staging") else {"aliases": (place,) if place else ()}
            writer.push(model, name="m", metrics={"accuracy": accuracy}, **target)
        case ("promote", number, str(stage), bool(keep)):
            writer.promote(f"m@{number}", stage, keep_existing=keep)
        case ("archive", number):
            writer.archive(f"m@{number}")
        case ("delete", number):
            writer.delete(f"m@{number}", force=True)
        case ("alias", number, str(alias)):
            writer.set_alias(f"m@{number}", alias)
        case ("remove", str(alias)):
            writer.remove_alias("m", alias)
        case ("rollback", str(stage), to):
            writer.rollback("m", stage=stage, to=f"m@{to}" if to else None)
        case ("rename",):
            writer.rename("m", "other")
        case ("rename back",):
            writer.rename("other", "m")
        case ("delete model",):
            writer.delete("m", force=True)
        case ("reject",):
            writer.reject("m@production", reason="no")
        case ("reapply",):
            lead.apply_policy(RULES)
        case ("lead rejects", number, str(place), bool(withdrawn)):
            lead.reject(f"m@{number}", to=place, reason="no")
            if withdrawn:
                lead.withdraw_decision(f"m@{number}", to=place)
        case ("lead takes out", "champion"):
            lead.remove_alias("m", "champion")
        case ("lead takes out", str(stage)):
            lead.archive(f"m@{stage}")
        case _:
            raise AssertionError(step)


def follow(events: Iterable[Event]) -> None:
    """Replay the trail in plain values, by the model's name.

    A version that enters a place is held against the last one there, and against the last one that the rule let in and
    that the lead has not rejected.
    """
    accuracy: dict[tuple[int, int | None], float] = {}
    last: dict[tuple[str, str], tuple[int, int | None]] = {}
    let_in: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    standing: set[tuple[int, int | None, str]] = set()

    def enter(event: Event, place: str, number: int | None, *, checked: bool) -> None:
        key, here = (event.model_id, number), (event.model, place)
        before = last.get(here)
        if checked and before is not None and before != key:
            assert accuracy[key] >= accuracy[before] - TOLERANCE - 1e-9, (event, before)
        others = [one for one in let_in.get(here, []) if one != key and (*one, place.lower()) not in standing]
        if checked and others:
            assert accuracy[key] >= accuracy[others[-1]] - TOLERANCE - 1e-9, (event, others)
        last[here] = key
        if checked:
            let_in.setdefault(here, []).append(key)

    for event in events:
        details = event.details
        if event.action == "version.pushed":
            accuracy[event.model_id, event.version] = details["metrics"]["accuracy"]  # type: ignore[index]
        elif event.action in ("version.rejected", "version.decision_withdrawn"):
            assert event.actor == "lead"
            one = (event.model_id, event.version, str(details["target"]).lower())
            (standing.add if event.action == "version.rejected" else standing.discard)(one)
        elif event.action == "alias.set":
            enter(event, str(details["alias"]).lower(), event.version, checked=True)
        elif event.action == "version.stage_changed":
            if details["to"] in ("Staging", "Production") and not str(details["reason"]).startswith("rejected"):
                enter(event, str(details["to"]), event.version, checked=not details["returned"])
            if details["from"] in ("Staging", "Production") and details["to"] != "Production":
                by_lead = event.actor == "lead"
                replaced = details["replaced_by"] is not None
                rejected = str(details["reason"]).startswith("rejected")
                assert by_lead or replaced or rejected or details["returned"], event


@pytest.mark.timeout(600)
@given(steps=st.lists(STEPS, min_size=10, max_size=25))
@example(steps=[("lead takes out", "Production"), ("promote", 4, "Production", False)])
@example(steps=[("lead takes out", "Production"), ("delete", 3), ("promote", 4, "Production", True)])
@example(steps=[("lead takes out", "champion"), ("alias", 4, "Champion")])
@example(steps=[("rollback", "Production", 1), ("promote", 4, "Production", False)])
@example(steps=[("rollback", "Production", None), ("delete", 3), ("push", 0.90, "Production")])
@example(steps=[("rollback", "Production", 1), ("lead takes out", "Production"), ("promote", 1, "Production", False)])
@example(
    steps=[("lead rejects", 3, "Production", True), ("rollback", "Production", 1), ("promote", 4, "Production", True)]
)
@settings(max_examples=400 if FULL else 15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_sequence_of_a_writer_gets_past_a_gate(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        model = Path(folder) / "model"
        model.write_text("a model")
        writer, lead = (
            stack.enter_context(
                mreg.open_registry(user=user, catalog=f"{folder}/catalog.db", artifacts=f"{folder}/artifacts")
            )
            for user in ("ada", "lead")
        )
        lead.apply_policy(RULES)
        for step in (*BEGINNING, *steps):
            with contextlib.suppress(MregError):
                do(writer, lead, step, model)
        follow(writer.history()[::-1])
        writer.verify_audit()
