"""The whole life of several models, driven by Hypothesis beside a model of plain dicts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import mreg
from mreg.domain.model import ModelStage
from mreg.domain.policy import Policy, Rule
from mreg.results.models import ModelVersions
from tests.conftest import FULL
from tests.places import NewCatalog, catalogs_of

PEOPLE = ("ada", "lin", "lead")
STAGES = ("None", "Staging", "Production", "Archived")
BOUNDS = (0.0, 0.5, 0.9)


@dataclass
class Known:
    """What should be known of a model: plain values."""

    last: int = 0
    stage: dict[int, str] = field(default_factory=dict)
    accuracy: dict[int, float] = field(default_factory=dict)
    pushed_by: dict[int, str] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    production: list[int] = field(default_factory=list)
    decisions: dict[tuple[int, str], bool] = field(default_factory=dict)


class Life(RuleBasedStateMachine):
    """Every step is done in a registry and in dicts; both must agree on what happened and on what is there."""

    models = Bundle("models")
    new_catalog: NewCatalog | None = None
    """Gives the place of an empty catalog; None for a file in the folder of the example."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mreg-life-"))
        self.known: dict[str, Known] = {}
        self.given_up: dict[str, int] = {}
        self.bound = 0.0
        self.approvals = 0
        catalog = type(self).new_catalog() if type(self).new_catalog else str(self.folder / "catalog.db")  # type: ignore[misc]
        artifacts = str(self.folder / "artifacts")
        self.registries = {
            person: mreg.open_registry(catalog=catalog, artifacts=artifacts, user=person) for person in PEOPLE
        }

    def teardown(self) -> None:
        for registry in self.registries.values():
            registry.close()
        shutil.rmtree(self.folder)

    @initialize(target=models)
    def begin(self) -> Any:
        return multiple()

    @rule(
        target=models,
        name=st.sampled_from(["a", "b", "team/c"]),
        person=st.sampled_from(PEOPLE),
        accuracy=st.sampled_from([0.1, 0.6, 0.95]),
        data=st.binary(min_size=1, max_size=3),
    )
    def push(self, name: str, person: str, accuracy: float, data: bytes) -> str:
        path = self.folder / "model"
        path.write_bytes(data)
        version = self.registries[person].push(path, name=name, metrics={"accuracy": accuracy})
        known = self.known.setdefault(name, Known(last=self.given_up.pop(name, 0)))
        known.last += 1
        number = known.last
        assert version.version == number
        known.stage[number], known.accuracy[number] = "None", accuracy
        known.pushed_by[number], known.data[number] = person, data
        return name

    @rule(bound=st.sampled_from(BOUNDS), approvals=st.integers(0, 1))
    def change_policy(self, bound: float, approvals: int) -> None:
        gates = (f"accuracy >= {bound}",) if bound else ()
        self.registries["ada"].apply_policy(Policy({"Production": Rule(gates=gates, approvals=approvals)}))
        self.bound, self.approvals = bound, approvals

    def version(self, data: st.DataObject, name: str) -> int | None:
        numbers = sorted(self.known[name].stage) if name in self.known else []
        return data.draw(st.sampled_from(numbers)) if numbers else None

    @rule(name=models, to=st.sampled_from(STAGES), person=st.sampled_from(PEOPLE), data=st.data())
    def promote(self, name: str, to: str, person: str, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is None:
            return
        known = self.known[name]
        expected = self.refusal(known, number, to)
        try:
            self.registries[person].promote(f"{name}@{number}", to=to)
            assert expected is None
        except mreg.MregError as error:
            assert type(error) is expected
            return
        self.enter(known, number, to)

    @rule(name=models, person=st.sampled_from(PEOPLE), data=st.data())
    def ship(self, name: str, person: str, data: st.DataObject) -> None:
        """A new version straight into Production and back again: the way that is gone most."""
        self.push(name=name, person=person, accuracy=0.95, data=data.draw(st.binary(min_size=1, max_size=2)))
        known = self.known[name]
        if self.refusal(known, known.last, "Production") is None:
            self.registries[person].promote(f"{name}@{known.last}", to="Production")
            self.enter(known, known.last, "Production")
        if data.draw(st.booleans()):
            self.rollback(name=name)

    @property
    def guarded(self) -> bool:
        return bool(self.bound or self.approvals)

    def refusal(self, known: Known, number: int, to: str) -> type[mreg.MregError] | None:
        if known.stage[number] == "Production" != to and self.guarded:
            rejected = any(not approved for (one, _), approved in known.decisions.items() if one == number)
            return None if rejected else mreg.ApprovalMissing
        if to != "Production" or known.stage[number] == to:
            return None
        decided = {person: approved for (one, person), approved in known.decisions.items() if one == number}
        if not all(decided.values()):
            return mreg.ApprovalMissing
        if known.accuracy[number] < self.bound:
            return mreg.GateFailed
        counted = [person for person in decided if person != known.pushed_by[number]]
        return mreg.ApprovalMissing if len(counted) < self.approvals else None

    def enter(self, known: Known, number: int, to: str) -> None:
        if to in ("Staging", "Production"):
            for other, stage in known.stage.items():
                if stage == to and other != number:  # a rejection can have sent a second version to Staging
                    known.stage[other] = "Archived"
        if known.stage[number] == to:
            return
        known.stage[number] = to
        if to == "Production" and known.production[-1:] != [number]:
            known.production.append(number)

    @rule(name=models, person=st.sampled_from(PEOPLE), approved=st.booleans(), data=st.data())
    def decide(self, name: str, person: str, approved: bool, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is None:
            return
        known, registry, reference = self.known[name], self.registries[person], f"{name}@{number}"
        try:
            if approved:
                registry.approve(reference)
            else:
                registry.reject(reference, reason="no")
        except mreg.NotAllowed:
            stage = known.stage[number]
            assert stage == "Archived" or (approved and stage == "Production")
            return
        except mreg.ApprovalMissing:
            assert approved
            assert self.approvals
            assert known.pushed_by[number] == person
            return
        known.decisions[number, person] = approved
        if not approved and known.stage[number] == "Production":
            known.stage[number] = "Staging"  # a candidate that is there keeps its place

    @rule(name=models, person=st.sampled_from(PEOPLE), data=st.data())
    def withdraw(self, name: str, person: str, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is None:
            return
        known = self.known[name]
        try:
            self.registries[person].withdraw_decision(f"{name}@{number}")
            del known.decisions[number, person]
        except mreg.NotFound:
            assert (number, person) not in known.decisions

    @rule(name=models)
    def rollback(self, name: str) -> None:
        if name not in self.known:
            return
        known = self.known[name]
        now = next((number for number, stage in known.stage.items() if stage == "Production"), None)
        stack = [number for number in known.production if number in known.stage]
        while now is not None and stack and stack[-1] != now:
            stack.pop()
        if now is not None:
            stack = stack[:-1]
        try:
            change = self.registries["ada"].rollback(name)
        except mreg.NotFound:
            assert not stack
            return
        except mreg.ApprovalMissing:
            assert False in [approved for (one, _), approved in known.decisions.items() if one == stack[-1]]
            return
        target = stack[-1]
        assert change.version.version == target
        for other, stage in known.stage.items():
            if stage == "Production" and other != target:
                known.stage[other] = "Archived"
        known.stage[target] = "Production"
        while known.production[-1] != target:
            known.production.pop()

    @rule(name=models, alias=st.sampled_from(["champion", "canary"]), data=st.data())
    def alias(self, name: str, alias: str, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is not None:
            self.registries["ada"].set_alias(f"{name}@{number}", alias)
            self.known[name].aliases[alias] = number

    @rule(name=models, data=st.data())
    def delete_version(self, name: str, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is None:
            return
        known = self.known[name]
        try:
            self.registries["ada"].delete(f"{name}@{number}")
        except mreg.NotAllowed:
            assert known.stage[number] in ("Staging", "Production") or number in known.aliases.values()
            return
        for values in (known.stage, known.accuracy, known.pushed_by, known.data):
            del values[number]
        known.aliases = {alias: one for alias, one in known.aliases.items() if one != number}
        known.decisions = {key: value for key, value in known.decisions.items() if key[0] != number}

    @rule(name=consumes(models))
    def delete_model(self, name: str) -> None:
        if name not in self.known:
            return
        try:
            self.registries["ada"].delete(name)
        except mreg.NotAllowed:
            assert {"Staging", "Production"} & set(self.known[name].stage.values()) or self.known[name].aliases
            return
        except mreg.ApprovalMissing:
            assert self.guarded
            assert self.known[name].production
            return
        self.given_up[name] = self.known.pop(name).last

    @invariant()
    def both_agree(self) -> None:
        registry = self.registries["lin"]
        assert {str(one.model.name) for one in registry.models()} == set(self.known)
        for name, known in self.known.items():
            shown = registry.show(name)
            assert isinstance(shown, ModelVersions)
            assert {one.version: one.stage.value for one in shown.versions} == known.stage
            assert {one.version: one.metrics["accuracy"] for one in shown.versions} == known.accuracy
            assert dict(shown.model.aliases) == known.aliases
            assert [one.stage for one in shown.versions].count(ModelStage.PRODUCTION) <= 1

    @invariant()
    def the_trail_is_whole(self) -> None:
        self.registries["lin"].verify_audit()

    @rule(name=models, data=st.data())
    def pull(self, name: str, data: st.DataObject) -> None:
        number = self.version(data, name)
        if number is not None:
            self.registries["lin"].pull(f"{name}@{number}", self.folder / "out", force=True)
            assert (self.folder / "out").read_bytes() == self.known[name].data[number]


def lives(full: int, share: int) -> settings:
    return settings(
        max_examples=full if FULL else share,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


class LifeOnPostgresql(Life):
    """The same with the catalog on a server."""


class LifeInBucket(Life):
    """The same with the catalog in a bucket."""


class LifeOnAzure(Life):
    """The same with the catalog in a container of Azure."""


class LifeInRedis(Life):
    """The same with the catalog in Redis."""


@pytest.fixture
def server_of_lives(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for life, kind in (
        (LifeOnPostgresql, "postgresql"),
        (LifeInBucket, "bucket"),
        (LifeOnAzure, "azure"),
        (LifeInRedis, "redis"),
    ):
        if issubclass(request.cls, life.TestCase):
            monkeypatch.setattr(life, "new_catalog", staticmethod(catalogs_of(kind, request, monkeypatch, tmp_path)))


TestLife = Life.TestCase
TestLife.settings = lives(200, 25)


@pytest.mark.usefixtures("server_of_lives")
class TestLifeOnPostgresql(LifeOnPostgresql.TestCase):  # type: ignore[misc, valid-type]
    settings = lives(100, 10)


@pytest.mark.usefixtures("server_of_lives")
class TestLifeInBucket(LifeInBucket.TestCase):  # type: ignore[misc, valid-type]
    settings = lives(50, 5)


@pytest.mark.usefixtures("server_of_lives")
class TestLifeOnAzure(LifeOnAzure.TestCase):  # type: ignore[misc, valid-type]
    settings = lives(50, 2)


@pytest.mark.usefixtures("server_of_lives")
class TestLifeInRedis(LifeInRedis.TestCase):  # type: ignore[misc, valid-type]
    settings = lives(50, 5)


pytestmark = pytest.mark.timeout(900)
