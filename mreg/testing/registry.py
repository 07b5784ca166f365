"""Contract tests of registries: what every implementation of `mreg.Registry` does in the same way.

Here are the operations on metadata. Each test uses its own models, so that one registry serves all tests of a suite.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mreg import errors
from mreg.domain.events import time_text
from mreg.domain.model import ModelStage, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.policy import Policy, Rule
from mreg.registry.registry import Registry
from mreg.registry.session import HookLog
from mreg.results.models import ModelVersions
from mreg.wire import encode

USERS = ("ada", "ben", "eve")
"""Users with all rights in the registry of the tests."""

TOO_LONG = "x" * 20_001
MOMENT = 0.005
"""Seconds between two looks of a wait."""

Open = Callable[..., Registry]
Name = str

NOTHING: dict[str, tuple[str, str]] = {
    "{m}x": ("model '{m}x' not found", "did you mean {m} or {m}-empty?"),
    "x/9": ("model 'x/9' not found", "list the models: mreg list"),
    "{m}-empty": ("{m}-empty has no versions", "mreg push PATH --name {m}-empty"),
    "{m}-empty@7": ("{m}-empty has no versions", "mreg push PATH --name {m}-empty"),
    "{m}@7": ("{m} has no version 7", "list the versions: mreg show {m}"),
    "{m}/7": ("{m} has no version 7", "list the versions: mreg show {m}"),
    "{m}@staging": ("no version of {m} is in Staging", "mreg promote {m}@latest --to Staging"),
    "{m}@archived": ("no version of {m} is in Archived", "list the versions: mreg show {m}"),
    "{m}@latest~9": ("no version is 9 back from {m}@latest", "list the versions: mreg show {m}"),
    "{m}@champoin": ("{m} has no alias 'champoin'", "did you mean {m}@champion?"),
    "{m}@best": ("{m} has no best version: it has no primary metric", "mreg edit {m} --primary-metric METRIC"),
}
"""References that name nothing, with message and hint; ``{m}`` is a model with two versions."""

REASONED: dict[str, Callable[[Registry, str, str], object]] = {
    "promote": lambda registry, name, text: registry.promote(f"{name}@2", reason=text),
    "promote with an override": lambda registry, name, text: registry.promote(f"{name}@2", override=text),
    "plan": lambda registry, name, text: registry.plan(f"{name}@2", override=text),
    "archive": lambda registry, name, text: registry.archive(f"{name}@2", reason=text),
    "archive with an override": lambda registry, name, text: registry.archive(f"{name}@2", override=text),
    "roll back": lambda registry, name, text: registry.rollback(name, to=f"{name}@1", reason=text),
    "approve": lambda registry, name, text: registry.approve(f"{name}@2", comment=text),
    "reject": lambda registry, name, text: registry.reject(f"{name}@2", reason=text),
    "set an alias": lambda registry, name, text: registry.set_alias(f"{name}@2", "champion", override=text),
    "delete": lambda registry, name, text: registry.delete(f"{name}@2", force=True, override=text),
    "rename": lambda registry, name, text: registry.rename(name, f"{name}-new", override=text),
    "evaluate": lambda registry, name, text: registry.evaluate(f"{name}@2", {"auc": 1}, reason=text),
}
"""Changes with a reason, of a model whose version 2 is in Production."""

MISSING: dict[str, Callable[[Registry, str], object]] = {
    "show": lambda registry, name: registry.show(name),
    "model": lambda registry, name: registry.model(name),
    "version": lambda registry, name: registry.version(f"{name}@1"),
    "promote": lambda registry, name: registry.promote(f"{name}@1"),
    "archive": lambda registry, name: registry.archive(f"{name}@1"),
    "rollback": lambda registry, name: registry.rollback(name),
    "plan": lambda registry, name: registry.plan(f"{name}@1"),
    "set_alias": lambda registry, name: registry.set_alias(f"{name}@1", "champion"),
    "remove_alias": lambda registry, name: registry.remove_alias(name, "champion"),
    "tag": lambda registry, name: registry.tag(name, add={"a": "b"}),
    "edit": lambda registry, name: registry.edit(name, description="new"),
    "evaluate": lambda registry, name: registry.evaluate(f"{name}@1", {"auc": 1}),
    "rename": lambda registry, name: registry.rename(name, f"{name}-new"),
    "delete": lambda registry, name: registry.delete(name),
    "history": lambda registry, name: registry.history(name),
    "stages_at": lambda registry, name: registry.stages_at(name, "2026-01-01"),
    "version_at": lambda registry, name: registry.version_at(f"{name}@production", "2026-01-01"),
    "lineage": lambda registry, name: registry.lineage(f"{name}@1"),
    "why": lambda registry, name: registry.why(f"{name}@1"),
    "compare": lambda registry, name: registry.compare(f"{name}@1", f"{name}@2"),
    "policy": lambda registry, name: registry.policy(name),
    "apply_policy": lambda registry, name: registry.apply_policy(None, name),
    "check_policy": lambda registry, name: registry.check_policy(Policy(), name),
    "approve": lambda registry, name: registry.approve(f"{name}@1"),
    "reject": lambda registry, name: registry.reject(f"{name}@1", reason="biased"),
    "withdraw_decision": lambda registry, name: registry.withdraw_decision(f"{name}@1"),
    "deploy": lambda registry, name: registry.deploy(f"{name}@1"),
    "deployments": lambda registry, name: registry.deployments(name),
    "wait": lambda registry, name: registry.wait(f"{name}@production"),
}
"""Operations on a model that does not exist."""

WHOLE: dict[str, Callable[[Registry, str], object]] = {
    "archive": lambda registry, name: registry.archive(name),
    "evaluate": lambda registry, name: registry.evaluate(name, {"auc": 1}),
    "approve": lambda registry, name: registry.approve(name),
    "reject": lambda registry, name: registry.reject(name, reason="biased"),
    "withdraw_decision": lambda registry, name: registry.withdraw_decision(name),
}
"""Operations that a bare name is too little for."""


class RegistryContract(abc.ABC):
    """Contract of `mreg.Registry`: operations on metadata."""

    @pytest.fixture
    @abc.abstractmethod
    def open_as(self) -> Iterator[Open]:
        """Yield a function that opens the registry of the tests for one of `USERS`, with ``notice`` and ``hook_log``.

        Every user has all rights. The registries that it opened are closed at the end of the test.
        """

    def push(self, registry: Registry, name: str, content: bytes = b"1", **options: Any) -> ModelVersion:
        """Push a file with this content."""
        path = Path("model.bin")
        path.write_bytes(content)
        return registry.push(path, name=name, **options)

    @pytest.fixture
    def notes(self) -> list[str]:
        """Return the list that receives the notices of ``registry``."""
        return []

    @pytest.fixture
    def log(self) -> HookLog:
        """Return the hook log of ``registry``."""
        return HookLog(events=[])

    @pytest.fixture
    def registry(self, open_as: Open, notes: list[str], log: HookLog) -> Registry:
        """Return the registry of the tests, opened for ada."""
        return open_as("ada", notice=notes.append, hook_log=log)

    @pytest.fixture
    def name(self) -> str:
        """Return the name of a model that no other test uses; so long that it is similar to none of theirs."""
        return f"m{os.urandom(16).hex()}"

    @pytest.fixture
    def model(self, registry: Registry, name: str) -> str:
        """Return the name of a model with two versions."""
        for number, accuracy in ((1, 0.9), (2, 0.93)):
            self.push(registry, name, b"%d" % number, metrics={"accuracy": accuracy})
        return name

    def stages(self, registry: Registry, name: str) -> dict[int, str]:
        """Return the stage of each version."""
        found = registry.show(name)
        assert isinstance(found, ModelVersions)
        return {version.version: version.stage.value for version in found.versions}

    # Models and versions

    def test_a_model_is_registered_once(self, registry: Registry, name: str) -> None:
        """A second registration is refused and changes nothing."""
        made = registry.register(
            f"{name}/part",
            description="d",
            tags={"a": "1", "path/../": "\U0001f600 é\n"},
            directions={"cost": "lower"},
            primary_metric="cost",
        )
        assert isinstance(made, RegisteredModel)
        assert (made.description, made.directions, made.primary_metric) == ("d", {"cost": "lower"}, "cost")
        assert made.tags == {"a": "1", "path/../": "\U0001f600 é\n"}
        assert made.created_by == "ada"
        assert registry.model(f"{name}/part") == made
        with pytest.raises(errors.AlreadyExists, match=rf"^model '?{name}/part'? already exists$"):
            registry.register(f"{name}/part", description="other")
        assert registry.model(f"{name}/part") == made

    @pytest.mark.parametrize("bad", ["", "../x", "a//b", "-x", "a@1", "x" * 129, "a\nb", "a%2fb"])
    def test_an_invalid_name_is_bad_input(self, registry: Registry, bad: str) -> None:
        """No operation takes an invalid name."""
        for operation in (registry.register, registry.model, registry.rollback, registry.policy):
            with pytest.raises(errors.BadInput):
                operation(bad)

    def test_a_model_is_shown_with_its_versions(self, registry: Registry, model: str) -> None:
        """Versions are newest first; a page tells whether there are more."""
        found = registry.show(model)
        assert isinstance(found, ModelVersions)
        assert [version.version for version in found.versions] == [2, 1]
        assert not found.more
        assert found.versions == (registry.version(f"{model}@2"), registry.version(f"{model}@1"))
        page = registry.show(model, limit=1)
        assert isinstance(page, ModelVersions)
        assert ([version.version for version in page.versions], page.more) == ([2], True)
        page = registry.show(model, limit=1, offset=1)
        assert isinstance(page, ModelVersions)
        assert ([version.version for version in page.versions], page.more) == ([1], False)
        assert registry.show(f"{model}@1") == registry.version(f"{model}@1")
        assert registry.show(f"{model}/1") == registry.version(f"{model}@1")
        registry.archive(f"{model}@2")
        found = registry.show(model)
        assert isinstance(found, ModelVersions)
        assert (found.model.latest_version, found.model.newest_version) == (1, 2)
        assert registry.models(limit=1)[0].model == found.model

    def test_lists_are_pages(self, registry: Registry, model: str) -> None:
        """Each list tells whether it has more items, also an empty one."""
        newest = registry.models(limit=1)
        assert [summary.model.name for summary in newest] == [ModelName(model)]
        assert (newest[0].metric, newest[0].latest_value) == ("accuracy", 0.93)
        registry.register(f"{model}-other")
        assert registry.models(limit=1).more
        assert model in {str(summary.model.name) for summary in registry.models()}
        assert registry.models(limit=3, offset=1)[0].model.name == ModelName(model)
        expression = f"model = '{model}'"
        assert [version.version for version in registry.search(expression)] == [2, 1]
        first = registry.search(expression, sort="accuracy", limit=1)
        assert ([version.version for version in first], first.more) == ([1], True)
        assert registry.search(f"{expression} and accuracy > 1") == ()
        events = registry.history(model)
        assert [event.action for event in events] == ["version.pushed", "version.pushed", "model.registered"]
        assert registry.history(model, limit=2) == events[:2]
        assert registry.history(model, limit=2).more
        assert registry.history(f"{model}@1") == events[1:2]
        assert registry.history(limit=1)[0].model == f"{model}-other"
        assert registry.deployments(model) == ()

    def test_an_invalid_search_points_at_the_character(self, registry: Registry) -> None:
        """The hint is that of the parser."""
        with pytest.raises(errors.BadInput) as caught:
            registry.search("accuracy >> 1")
        assert "^" in caught.value.hint

    def test_a_reference_resolves_as_written(self, registry: Registry, name: str) -> None:
        """Each spelling names the same version in every registry."""
        self.push(registry, name, b"1", aliases=["champ"], stage="production", metrics={"accuracy": 0.9})
        self.push(registry, name, b"2", metrics={"accuracy": 0.8})
        digest = registry.version(f"{name}@1").artifact.digest
        wanted = {
            name: 2, f"{name}@1": 1, f"{name}:1": 1, f"{name}/1": 1, f"models:/{name}/1": 1, f"{name}@v1": 1,
            f"{name}@latest": 2, f"{name}@best": 1, f"{name}@production": 1, f"{name}@Champ": 1,
            f"{name}/production": 1, f"{name}@latest~1": 1, f"{name}@{digest}": 1, f"{name}@{str(digest)[:20]}": 1,
        }  # fmt: skip
        assert {text: registry.version(text).version for text in wanted} == wanted
        self.push(registry, f"{name}/1", b"3")
        assert str(registry.version(f"{name}/1").reference) == f"{name}/1@1"

    @pytest.mark.parametrize("reference", NOTHING)
    def test_a_reference_to_nothing_is_answered_with_the_next_step(
        self, registry: Registry, model: str, reference: str
    ) -> None:
        """Message, hint and details are the same in every registry, for each operation."""
        registry.register(f"{model}-empty")
        registry.set_alias(f"{model}@1", "champion")
        if reference.endswith("@best"):
            self.push(registry, f"{model}-bare")
            model = f"{model}-bare"
        expected = tuple(text.format(m=model) for text in NOTHING[reference])
        for operation in (registry.version, registry.why, registry.lineage, registry.plan):
            with pytest.raises(errors.NotFound) as caught:
                operation(reference.format(m=model))
            assert (caught.value.message, caught.value.hint) == expected
            kind = "model" if expected[0].startswith("model ") else "version"
            assert caught.value.details["kind"] == kind

    @pytest.mark.parametrize("operation", MISSING)
    def test_an_operation_on_a_model_that_does_not_exist_is_not_found(
        self, registry: Registry, name: str, operation: str
    ) -> None:
        """The error says which model."""
        with pytest.raises(errors.NotFound) as caught:
            MISSING[operation](registry, name)
        assert caught.value.message == f"model '{name}' not found"
        assert caught.value.details == {"kind": "model", "name": name}

    @pytest.mark.parametrize("operation", WHOLE)
    def test_a_bare_name_is_too_little(self, registry: Registry, model: str, operation: str) -> None:
        """The latest version is not meant by accident."""
        with pytest.raises(errors.BadInput) as caught:
            WHOLE[operation](registry, model)
        assert caught.value.message == f"expected a version, got the model {model}"
        assert caught.value.hint == f"name a version: {model}@3, {model}@latest or {model}@staging"

    @pytest.mark.parametrize("operation", WHOLE)
    def test_a_bare_name_with_a_slash_is_too_little(self, registry: Registry, model: str, operation: str) -> None:
        """The last part is not taken for a selector of a model that does not exist."""
        nested = f"{model}-team/churn"
        self.push(registry, nested)
        with pytest.raises(errors.BadInput) as caught:
            WHOLE[operation](registry, nested)
        assert caught.value.message == f"expected a version, got the model {nested}"
        assert caught.value.hint == f"name a version: {nested}@3, {nested}@latest or {nested}@staging"

    def test_a_name_that_was_passed_is_literal(self, registry: Registry, model: str) -> None:
        """A `ModelName` or `RegisteredModel` never means a version of another model."""
        made = registry.register(f"{model}/1")
        for reference in (ModelName(f"{model}/1"), made):
            with pytest.raises(errors.NotFound, match=f"^{model}/1 has no versions$"):
                registry.version(reference)
            with pytest.raises(errors.NotFound, match=f"^{model}/1 has no versions$"):
                registry.compare(f"{model}@1", reference)
        assert registry.show(made) == registry.show(f"{model}/1")

    def test_a_version_that_was_passed_is_found_after_a_rename_and_is_no_other(
        self, registry: Registry, model: str
    ) -> None:
        """A `ModelVersion` names its bytes."""
        version, other = registry.version(f"{model}@1"), registry.version(f"{model}@2")
        registry.rename(model, f"{model}-new")
        self.push(registry, model, b"3")
        assert str(registry.version(version).reference) == f"{model}-new@1"
        assert registry.compare(version, other).first == registry.version(version)
        assert str(registry.edit(other, parent=version).parent) == f"{model}-new@1"  # type: ignore[union-attr]
        assert registry.set_alias(version, "champion").aliases == ("champion",)
        assert registry.promote(version, "staging").version.stage is ModelStage.STAGING
        registry.delete(f"{model}-new", force=True)
        with pytest.raises(errors.NotFound):
            registry.version(other)

    def test_a_deleted_version_and_a_renamed_model_are_named(
        self, registry: Registry, open_as: Open, model: str
    ) -> None:
        """The error says who deleted the version, and the new name of the model."""
        open_as("eve").delete(f"{model}@2")
        (deleted,) = [event for event in registry.history(f"{model}@2") if event.action == "version.deleted"]
        assert deleted.actor == "eve"
        with pytest.raises(errors.NotFound) as caught:
            registry.version(f"{model}@2")
        assert caught.value.message == f"{model} has no version 2: eve deleted it at {time_text(deleted.at)}"
        registry.rename(model, f"{model}-new")
        with pytest.raises(errors.NotFound) as caught:
            registry.version(f"{model}@1")
        assert (caught.value.message, caught.value.hint) == (
            f"model '{model}' not found",
            f"it was renamed to {model}-new",
        )

    def test_a_deleted_model_keeps_its_history(self, registry: Registry, open_as: Open, model: str) -> None:
        """The error of other operations says who deleted it, and how to see its events."""
        registry.edit(model, description="old")
        before = [event.action for event in registry.history(model)]
        open_as("eve").delete(model)
        deletion, *_ = found = registry.history(model)
        assert [event.action for event in found][-len(before) :] == before
        assert (deletion.action, deletion.actor) == ("model.deleted", "eve")
        assert registry.history(model, limit=1, offset=1)[0] == found[1]
        assert [event.action for event in registry.history(f"{model}@1")] == ["version.deleted", "version.pushed"]
        for operation in (registry.show, registry.version, lambda name: registry.history(f"{name}@7")):
            with pytest.raises(errors.NotFound) as caught:
                operation(model)
            message = f"model '{model}' not found: eve deleted it at {time_text(deletion.at)}"
            assert (caught.value.message, caught.value.hint) == (message, f"its events: mreg history {model}")
        registry.register(model)
        assert [event.action for event in registry.history(model)] == ["model.registered"]

    def test_completions_begin_with_the_text(self, registry: Registry, model: str) -> None:
        """Names, and after an @ the references of a model."""
        registry.set_alias(f"{model}@1", "champion")
        assert registry.completions(model[:20]) == (model,)
        assert set(registry.completions(f"{model}@")) == {
            f"{model}@{word}" for word in ("latest", "best", "none", "champion", "2", "1")
        }
        assert registry.completions(f"{model}-none@") == ()
        registry.evaluate(f"{model}@1", {f"z{model}": 1})
        assert registry.metric_names(f"z{model}") == (f"z{model}",)
        assert "accuracy" in registry.metric_names()

    # Edits

    def test_models_and_versions_are_edited(self, registry: Registry, model: str) -> None:
        """Each field of a model and of a version, and a field of the other kind."""
        edited = registry.edit(model, description="new", directions={"cost": "lower"}, primary_metric="accuracy")
        assert isinstance(edited, RegisteredModel)
        assert (edited.description, edited.directions, edited.primary_metric) == (
            "new",
            {"cost": "lower"},
            "accuracy",
        )
        edited = registry.edit(model, directions={"cost": ""}, primary_metric="")
        assert isinstance(edited, RegisteredModel)
        assert (edited.description, edited.directions, edited.primary_metric) == ("new", {}, "")
        version = registry.edit(f"{model}/2", description="two", parent=f"{model}@1", run_id="r", experiment_id="e")
        assert isinstance(version, ModelVersion)
        assert (version.description, str(version.parent), version.run_id) == ("two", f"{model}@1", "r")
        with pytest.raises(errors.NotAllowed) as caught:
            registry.edit(f"{model}@1", parent=f"{model}@2")
        assert caught.value.message == f"{model}@2 cannot be the parent of {model}@1: it is a descendant"
        version = registry.edit(f"{model}@2", parent="", description="", run_id="")
        assert isinstance(version, ModelVersion)
        assert (version.parent, version.description, version.run_id, version.experiment_id) == (None, "", "", "e")
        with pytest.raises(errors.BadInput, match=f"^{model} is a model, which has no run id$"):
            registry.edit(model, run_id="r")
        with pytest.raises(errors.BadInput, match=f"^{model}@2 is a version, which has no primary metric$"):
            registry.edit(f"{model}@latest", primary_metric="auc")
        with pytest.raises(errors.BadInput, match="description"):
            registry.edit(model, description=TOO_LONG)

    def test_a_primary_metric_that_no_version_has_is_noted(
        self, registry: Registry, model: str, notes: list[str]
    ) -> None:
        """The notice names the nearest metric."""
        registry.edit(model, primary_metric="acuracy")
        assert notes[-1] == f"no version of {model} has the metric 'acuracy'; did you mean 'accuracy'?"

    def test_tags_are_set_and_removed_at_once(self, registry: Registry, model: str) -> None:
        """A change of tags is one event; a tag that is missing refuses it."""
        registry.tag(model, add={"a": "1", "..": "dots", "x/y?z#%2F": "odd"})
        changed = registry.tag(model, add={"b": "2"}, remove=["a", ".."])
        assert changed.tags == {"b": "2", "x/y?z#%2F": "odd"}
        assert registry.tag(f"{model}@1", add={"x": "y"}).tags == {"x": "y"}
        assert registry.tag(f"{model}/1", remove=["x"]).tags == {}
        for reference in (model, f"{model}@1"):
            with pytest.raises(errors.NotFound, match=f"^{reference} has no tag 'a'$"):
                registry.tag(reference, add={"c": "3"}, remove=["a"])
            with pytest.raises(errors.BadInput, match=r"^no tag given$"):
                registry.tag(reference)
        assert registry.model(model).tags == {"b": "2", "x/y?z#%2F": "odd"}

    def test_an_alias_moves_and_is_removed(self, registry: Registry, model: str) -> None:
        """An alias has one version of its model."""
        assert registry.set_alias(f"{model}@1", "champ").aliases == ("champ",)
        assert registry.set_alias(model, "Champ").aliases == ("champ",)
        assert registry.version(f"{model}@1").aliases == ()
        for alias in ("latest", "", "a b", "..", "v1"):
            with pytest.raises(errors.BadInput):
                registry.set_alias(f"{model}@1", alias)
        assert registry.remove_alias(model, "CHAMP").aliases == {}
        for alias in ("champ", "", "..", "a/b"):
            with pytest.raises(errors.NotFound, match=f"^{model} has no alias '{alias}'$"):
                registry.remove_alias(model, alias)

    def test_a_rename_keeps_the_history(self, registry: Registry, model: str) -> None:
        """The new name must be free."""
        registry.register(f"{model}/other")
        with pytest.raises(errors.AlreadyExists):
            registry.rename(model, f"{model}/other")
        assert str(registry.rename(model, f"{model}/new").name) == f"{model}/new"
        assert len(registry.history(f"{model}/new")) == 4

    def test_a_version_in_use_is_not_deleted_unless_forced(self, registry: Registry, model: str) -> None:
        """Numbers are not used again, and the history stays."""
        registry.promote(f"{model}@1", "production")
        for reference in (f"{model}@1", model):
            with pytest.raises(errors.NotAllowed, match=f"^{model}@1 is in Production$"):
                registry.delete(reference)
        assert [str(one) for one in registry.delete(f"{model}@2").versions] == [f"{model}@2"]
        assert self.push(registry, model, b"3").version == 3
        assert registry.history(f"{model}@2")[0].action == "version.deleted"
        plan = registry.delete(model, force=True, dry_run=True)
        assert [str(one) for one in plan.versions] == [f"{model}@1", f"{model}@3"]
        assert plan.places == {VersionRef.parse(f"{model}@1"): ("Production",)}
        assert registry.delete(model, force=True) == plan
        with pytest.raises(errors.NotFound):
            registry.model(model)
        assert self.push(registry, model, b"4").version == 4

    def test_a_deletion_that_changed_since_it_was_seen_is_a_conflict(self, registry: Registry, model: str) -> None:
        """Versions, stages and aliases count."""
        seen = registry.delete(model, force=True, dry_run=True)
        registry.set_alias(f"{model}@1", "champion")
        with pytest.raises(errors.Conflict, match="changed meanwhile"):
            registry.delete(model, force=True, seen=seen)
        empty = registry.register(f"{model}-empty")
        unseen = registry.delete(empty, dry_run=True)
        self.push(registry, f"{model}-empty")
        with pytest.raises(errors.Conflict, match="changed meanwhile"):
            registry.delete(empty, seen=unseen)
        seen = registry.delete(model, force=True, dry_run=True)
        assert registry.delete(model, force=True, seen=seen) == seen

    # Evaluations

    def test_a_metric_is_added_and_audited(self, registry: Registry, model: str) -> None:
        """The event has the metrics and the data set."""
        before = registry.version(f"{model}@2")
        evaluation = registry.evaluate(f"{model}@2", {"auc": 0.97, "test": {"f1": 1}}, dataset="holdout")
        assert evaluation.version.metrics == {"accuracy": 0.93, "auc": 0.97, "test.f1": 1}
        assert evaluation.version == registry.version(f"{model}@2")
        assert evaluation.version.updated_at > before.updated_at
        assert (evaluation.added, evaluation.replaced, evaluation.voided) == ({"auc": 0.97, "test.f1": 1}, {}, ())
        assert evaluation.dataset == "holdout"
        event = registry.history(f"{model}@2")[0]
        assert (event.action, event.actor, event.version) == ("version.evaluated", "ada", 2)
        assert event.details == {"metrics": {"auc": 0.97, "test.f1": 1}, "dataset": "holdout"}

    def test_numbers_come_back_as_given(self, registry: Registry, model: str) -> None:
        """Integers above 2**53, the smallest floats, and -0.0."""
        given = {"big": 2**60 + 1, "small": 1e-300, "zero": -0.0, "third": 1 / 3, "loss": -1.5}
        registry.evaluate(f"{model}@1", given)
        assert {key: repr(value) for key, value in registry.version(f"{model}@1").metrics.items() if key in given} == {
            key: repr(value) for key, value in given.items()
        }

    def test_another_value_of_a_metric_is_a_conflict_unless_replaced(self, registry: Registry, model: str) -> None:
        """Nothing changes without ``replace``, which needs a reason."""
        before = (registry.version(f"{model}@2"), registry.history(model))
        with pytest.raises(errors.Conflict) as caught:
            registry.evaluate(f"{model}@2", {"auc": 0.97, "accuracy": 0.95})
        assert caught.value.message == f"{model}@2 already has accuracy 0.93"
        assert caught.value.hint == 'to replace it, add --replace and --reason "..."'
        assert caught.value.details["metrics"] == {"accuracy": 0.93}
        with pytest.raises(errors.BadInput, match="a reason is required"):
            registry.evaluate(f"{model}@2", {"accuracy": 0.95}, replace=True)
        assert (registry.version(f"{model}@2"), registry.history(model)) == before
        evaluation = registry.evaluate(f"{model}@2", {"accuracy": 0.95}, replace=True, reason="duplicates")
        assert (evaluation.added, evaluation.replaced) == ({}, {"accuracy": 0.93})
        assert registry.history(f"{model}@2")[0].details["reason"] == "duplicates"

    def test_a_value_that_is_not_a_finite_number_is_skipped_with_a_warning(
        self, registry: Registry, model: str
    ) -> None:
        """Without any finite number, nothing is added."""
        with pytest.warns(UserWarning, match="skipped values that are not finite numbers: loss, best"):
            added = registry.evaluate(f"{model}@2", {"loss": float("nan"), "best": True, "auc": 0.97}).added
        assert added == {"auc": 0.97}
        with pytest.warns(UserWarning, match="skipped"), pytest.raises(errors.BadInput, match="no metrics to add"):
            registry.evaluate(f"{model}@2", {"loss": float("inf")})

    def test_a_replacement_voids_the_approvals_and_leaves_a_rejection(
        self, registry: Registry, open_as: Open, model: str
    ) -> None:
        """An approval is of the metrics that the approver saw."""
        registry.apply_policy(Policy({"Production": Rule(approvals=1)}), model)
        open_as("ben").approve(f"{model}@2")
        open_as("eve").reject(f"{model}@2", reason="biased")
        assert registry.evaluate(f"{model}@2", {"auc": 0.9}).voided == ()
        evaluation = registry.evaluate(f"{model}@2", {"accuracy": 0.99}, replace=True, reason="typing error")
        assert [(decision.person, decision.target) for decision in evaluation.voided] == [("ben", "Production")]
        assert [decision.person for decision in registry.why(f"{model}@2").decisions] == ["eve"]

    # Stages

    def test_a_promotion_goes_stage_by_stage_and_archives_the_version_that_it_replaces(
        self, registry: Registry, model: str
    ) -> None:
        """The result has the archived versions."""
        for reference in (f"{model}@1", f"{model}@1", f"{model}@2"):
            registry.promote(reference)
        assert self.stages(registry, model) == {1: "Production", 2: "Staging"}
        change = registry.promote(model)
        assert (change.before, change.version.stage, change.changed) == (
            ModelStage.STAGING,
            ModelStage.PRODUCTION,
            True,
        )
        assert [str(reference) for reference in change.archived] == [f"{model}@1"]
        assert self.stages(registry, model) == {1: "Archived", 2: "Production"}
        assert change.version.deployed_at is not None
        assert not registry.promote(f"{model}@2", to="production").changed

    def test_versions_stay_in_a_stage_if_that_is_asked(self, registry: Registry, model: str) -> None:
        """``keep_existing`` keeps them, and a plan says what would leave."""
        registry.promote(f"{model}@1", to="production")
        assert [str(one) for one in registry.plan(f"{model}@2", "production").archived] == [f"{model}@1"]
        assert registry.plan(f"{model}@2", "production", keep_existing=True).archived == ()
        registry.promote(f"{model}@2", to=ModelStage.PRODUCTION, keep_existing=True)
        assert self.stages(registry, model) == {1: "Production", 2: "Production"}

    def test_production_is_not_left_empty_unasked(self, registry: Registry, model: str) -> None:
        """The error has what a confirmation needs."""
        registry.promote(f"{model}@1", to="production")
        for leave in (None, False):
            with pytest.raises(errors.LeavesProduction) as caught:
                registry.promote(f"{model}@1", leave_production=leave)
            assert caught.value.message == (
                f"cannot promote {model}@1: it is in Production, and the next stage is Archived"
            )
            assert caught.value.hint == f"to archive it: mreg archive {model}@1 --yes"
            assert caught.value.details == {
                "stage": "Production",
                "reference": f"{model}@1",
                "to": "Archived",
                "empty": False,
            }
        for operation in (
            lambda: registry.archive(f"{model}@1", leave_production=False),
            lambda: registry.promote(f"{model}@1", "staging", leave_production=False),
            lambda: registry.reject(f"{model}@1", reason="biased", leave_production=False),
        ):
            with pytest.raises(errors.LeavesProduction, match="no other version is in Production") as caught:
                operation()
            assert caught.value.details["empty"] is True
        assert registry.plan(f"{model}@1", to="archived").empties_production is True
        assert registry.plan(f"{model}@1").asks is True
        assert registry.promote(f"{model}@1", leave_production=True).version.stage is ModelStage.ARCHIVED
        with pytest.raises(errors.NotAllowed, match="Archived is the last stage") as refused:
            registry.promote(f"{model}@1")
        assert not isinstance(refused.value, errors.LeavesProduction)

    def test_a_stage_that_changed_since_it_was_seen_is_a_conflict(self, registry: Registry, model: str) -> None:
        """Each change of a stage takes the stage that its caller saw."""
        for number in (1, 2):
            registry.promote(f"{model}@{number}", to="production")
        for operation in (
            lambda seen: registry.promote(f"{model}@2", "staging", seen=seen),
            lambda seen: registry.archive(f"{model}@2", seen=seen),
            lambda seen: registry.reject(f"{model}@2", reason="biased", seen=seen),
            lambda seen: registry.rollback(model, seen=seen),
        ):
            with pytest.raises(errors.Conflict, match=r"expected Staging|Staging"):
                operation(ModelStage.STAGING)
        assert registry.rollback(model, seen=ModelStage.ARCHIVED).version.version == 1

    def test_a_rollback_goes_back_and_further_back(self, registry: Registry, model: str) -> None:
        """Only a version that was in the stage can return."""
        self.push(registry, model, b"3")
        for number, reason in (
            (1, "no version was ever in it"),
            (2, f"{model}@1 is the only version that was ever in it"),
        ):
            with pytest.raises(errors.NotFound, match=f"^cannot roll back Production of {model}: {reason}$"):
                registry.rollback(model)
            registry.promote(f"{model}@{number}", "production")
        change = registry.rollback(model, reason="again")
        assert (change.version.version, [str(one) for one in change.archived]) == (1, [f"{model}@2"])
        with pytest.raises(errors.NotFound) as caught:
            registry.rollback(model)
        assert caught.value.message == f"cannot roll back Production of {model}: no earlier version is left"
        assert registry.rollback(model, to=f"{model}@2").version.version == 2
        assert registry.rollback(model, to=registry.version(f"{model}@1")).version.version == 1
        for to in (f"{model}@3", model):
            with pytest.raises(errors.NotAllowed, match=f"^cannot roll back to {model}@3: it was never in Production"):
                registry.rollback(model, to=to)

    @pytest.mark.parametrize("stage", ["prod", "", "next", "None/x"])
    def test_an_invalid_stage_is_bad_input(self, registry: Registry, model: str, stage: str) -> None:
        """Nothing is sent or changed."""
        for operation in (
            lambda: registry.promote(f"{model}@1", stage),
            lambda: registry.plan(f"{model}@1", stage),
            lambda: registry.rollback(model, stage=stage),
        ):
            with pytest.raises(errors.BadInput):
                operation()

    @pytest.mark.parametrize("change", REASONED)
    @pytest.mark.parametrize("text", [TOO_LONG, "a\0b"], ids=["long", "NUL"])
    def test_the_reason_of_each_change_is_checked(self, registry: Registry, model: str, change: str, text: str) -> None:
        """Nothing changes."""
        for number in (1, 2):
            registry.promote(f"{model}@{number}", to="production")
        before = registry.history(model)
        with pytest.raises(errors.BadInput):
            REASONED[change](registry, model, text)
        assert registry.history(model) == before

    def test_a_past_stage_is_replayed(self, registry: Registry, model: str, notes: list[str]) -> None:
        """By a time and by a reference; a time in the future is noted."""
        registry.promote(f"{model}@1", "production")
        then = time_text(registry.history(model)[0].at)
        registry.promote(f"{model}@2", "production")
        assert registry.stages_at(model, then).stages == {ModelStage.PRODUCTION: (1,), ModelStage.NONE: (2,)}
        assert registry.version_at(f"{model}@production", then).version == 1
        assert notes == []
        later = registry.stages_at(model, "2999-01-01T00:00Z")
        assert later.stages == {ModelStage.PRODUCTION: (2,), ModelStage.ARCHIVED: (1,)}
        assert notes == ["2999-01-01T00:00:00.000000Z is in the future; these are the current stages"]
        for reference, at in ((f"{model}@1", then), (f"{model}@production", "yesterday")):
            with pytest.raises(errors.BadInput):
                registry.version_at(reference, at)
        with pytest.raises(errors.NotFound, match=f"^{model}@production had no version at"):
            registry.version_at(f"{model}@production", "2020-01-01")

    def test_a_change_is_logged_with_its_events(self, registry: Registry, model: str, log: HookLog) -> None:
        """A hook log gets the events of each change, in order."""
        assert log.events is not None
        log.events.clear()
        registry.promote(f"{model}@1", "production")
        registry.promote(f"{model}@2", "production")
        registry.version(model)
        assert log.events == list(reversed(registry.history(model, limit=3)))
        assert (log.deployments, log.rollbacks) == ([], [])

    def test_a_stage_is_explained(self, registry: Registry, model: str, notes: list[str]) -> None:
        """Who moved the version, and a comparison with the one before; a reference without a number is noted."""
        for number in (1, 2):
            registry.promote(f"{model}@{number}", "production")
        found = registry.why(model)
        assert notes == [f"{model} is {model}@2"]
        assert (str(found.before), found.entered and found.entered.actor) == (f"{model}@1", "ada")
        assert [row.name for row in found.metrics] == ["accuracy"]
        registry.why(f"{model}/1")
        assert notes[1:] == [f"{model}/1 is {model}@1"]

    def test_versions_are_compared(self, registry: Registry, model: str) -> None:
        """Two versions, or one with Production."""
        found = registry.compare(f"{model}@1", f"{model}@2")
        assert [(row.name, row.first, row.second) for row in found.metrics] == [("accuracy", 0.9, 0.93)]
        with pytest.raises(errors.NotFound):
            registry.compare(model)
        registry.promote(f"{model}@1", "production")
        assert encode(registry.compare(model)) == encode(registry.compare(f"{model}@production", f"{model}@latest"))

    def test_lineage_crosses_models_and_survives_deletion(self, registry: Registry, name: str) -> None:
        """A deleted version is marked."""
        self.push(registry, f"{name}-base", b"1")
        self.push(registry, name, b"2", parent=f"{name}-base@1")
        self.push(registry, name, b"3", parent=f"{name}@1")
        registry.delete(f"{name}@1")
        lineage = registry.lineage(f"{name}@2")
        assert [(str(node.reference), node.stage) for node in lineage.parents] == [(f"{name}@1", None)]
        assert [str(node.reference) for node in lineage.parents[0].related] == [f"{name}-base@1"]

    # Policies and decisions

    def test_a_policy_is_applied_and_removed(self, registry: Registry, model: str, notes: list[str]) -> None:
        """A policy that changed since it was seen is a conflict."""
        policy = Policy({"Production": Rule(came_from=ModelStage.STAGING, gates=("unheard >= 0.92",), override=True)})
        before = registry.policy(model)
        assert before.own is False
        applied = registry.apply_policy(policy, model, seen=before)
        assert (applied.model, applied.own, applied.policy) == (model, True, policy)
        assert notes == ["a gate uses the metric unheard, which no version has yet"]
        assert registry.policy(model) == applied
        for seen in (before,):
            for changed in (Policy(), None):
                with pytest.raises(errors.Conflict, match=f"the policy of {model} was not changed"):
                    registry.apply_policy(changed, model, seen=seen)
        assert registry.policy(model) == applied
        assert registry.apply_policy(None, model, seen=applied) == before

    def test_a_gate_refuses_and_an_override_passes(self, registry: Registry, model: str) -> None:
        """The error lists each gate; a plan has the same error and changes nothing."""
        rule = Rule(gates=("accuracy >= 0.92", "accuracy <= 2"), override=True)
        registry.apply_policy(Policy({"Production": rule}), model)
        plan = registry.plan(f"{model}@1", "production")
        with pytest.raises(errors.GateFailed) as caught:
            registry.promote(f"{model}@1", "production")
        assert [gate["passed"] for gate in caught.value.details["gates"]] == [False, True]  # type: ignore[attr-defined]
        refusal = plan.refusal
        assert isinstance(refusal, errors.GateFailed)
        assert (refusal.message, refusal.hint) == (caught.value.message, caught.value.hint)
        assert encode_details(refusal) == encode_details(caught.value)
        assert registry.plan(f"{model}@1", "production", override="the shop is down").overridden
        checks = registry.check_policy(Policy({"Production": Rule(gates=("accuracy > 1",))}), model)
        assert checks == ()
        registry.promote(f"{model}@1", "production", override="the shop is down")
        (check,) = registry.check_policy(Policy({"Production": Rule(gates=("accuracy > 1",))}), model)
        assert (str(check.reference), check.assessment.passed) == (f"{model}@1", False)
        policy = registry.history(model)[0].details["policy"]
        assert isinstance(policy, Mapping)
        assert policy["overridden"] == "the shop is down"

    def test_approvals_are_counted_and_withdrawn(self, registry: Registry, open_as: Open, model: str) -> None:
        """A decision has the name of the user who made it."""
        registry.apply_policy(Policy({"Production": Rule(approvals=1, approvers=("ben", "eve"))}), model)
        registry.promote(f"{model}@2", "staging")
        waiting = [pending for pending in registry.approvals() if pending.reference.name == ModelName(model)]
        assert [str(pending.reference) for pending in waiting] == [f"{model}@2"]
        with pytest.raises(errors.ApprovalMissing, match="has 0 of 1 approvals for Production"):
            registry.promote(f"{model}@2", "production")
        with pytest.raises(errors.ApprovalMissing, match="ada cannot decide") as caught:
            registry.approve(f"{model}@2")
        assert caught.value.hint == "ask one of: ben, eve"
        ben = open_as("ben")
        decided = ben.approve(f"{model}@2", comment="fine")
        assert (decided.person, decided.decision, decided.assessment.approved_by) == ("ben", "approved", ("ben",))
        assert ben.withdraw_decision(f"{model}@2").decision == "withdrawn"
        with pytest.raises(errors.NotFound, match="no decision to withdraw"):
            ben.withdraw_decision(f"{model}@2")
        rejected = ben.reject(f"{model}@2", reason="biased")
        assert rejected.assessment.rejected_by[0].comment == "biased"
        with pytest.raises(errors.ApprovalMissing, match="was rejected for Production by ben: biased"):
            registry.promote(f"{model}@2", "production")
        ben.approve(f"{model}@2")
        assert registry.promote(f"{model}@2", "production").version.stage is ModelStage.PRODUCTION
        with pytest.raises(errors.BadInput, match="a rejection needs a reason"):
            ben.reject(f"{model}@2", reason=" ")

    # Waiting

    def test_a_wait_ends_with_another_version(
        self, registry: Registry, open_as: Open, model: str, notes: list[str]
    ) -> None:
        """The change can come from another client."""
        registry.promote(f"{model}@1", "production")
        other = open_as("ben")

        def notice(text: str) -> None:
            notes.append(text)
            other.promote(f"{model}@2", "production")

        waiter = open_as("eve", notice=notice)
        found = waiter.wait(f"{model}@production", changed_from=1, timeout=60, interval=MOMENT)
        assert (found.version, found.stage) == (2, ModelStage.PRODUCTION)
        assert notes == [f"waiting: {model}@production is {model}@1"]
        assert registry.wait(model).version == 2

    def test_a_wait_has_a_timeout(self, registry: Registry, model: str, notes: list[str]) -> None:
        """The error says what is there; a reference that cannot change is refused."""
        version = registry.version(f"{model}@2")
        with pytest.raises(errors.Unchanged) as caught:
            registry.wait(model, changed_from=version, timeout=0.001, interval=MOMENT)
        assert caught.value.message == f"nothing changed in 0.001 seconds: {model} is {model}@2"
        with pytest.raises(errors.Unchanged, match=f"no version of {model} is in Staging"):
            registry.wait(f"{model}@staging", timeout=0.001, interval=MOMENT)
        assert notes[-1] == f"waiting: no version of {model} is in Staging"
        with pytest.raises(errors.BadInput, match="always names the same version"):
            registry.wait(f"{model}@1", changed_from=1)
        with pytest.raises(errors.BadInput, match="invalid timeout"):
            registry.wait(model, timeout=0)

    # Tokens

    def test_a_token_is_created_and_revoked(self, registry: Registry, name: str) -> None:
        """The result alone has the secret."""
        made = registry.create_token(name, role="writer", models=["team-a/*"], expires=timedelta(days=90))
        assert made.secret.startswith("mreg_")
        assert (made.token.name, str(made.token.role), made.token.models) == (name, "writer", ("team-a/*",))
        (found,) = [token for token in registry.tokens() if token.name == name]
        assert (found.created_by, found.expires, found.revoked_at) == ("ada", made.token.expires, None)
        with pytest.raises(errors.AlreadyExists):
            registry.create_token(name)
        assert registry.revoke_token(name).revoked_at is not None
        with pytest.raises(errors.NotFound):
            registry.revoke_token(name)
        for bad in ({"role": "king"}, {"expires": "yesterday"}, {"models": [""]}):
            with pytest.raises(errors.BadInput):
                registry.create_token(name, **bad)
        assert name not in {token.name for token in registry.tokens()}

    # Hooks

    def test_a_token_is_created_listed_and_revoked(self, registry: Registry, name: str) -> None:
        token = f"ci-{name.replace('/', '-')}"
        made = registry.create_token(token, role="writer", models=["team-a/*", name], expires=timedelta(days=90))
        assert made.stored
        assert made.token.expires is not None
        assert (made.token.name, set(made.token.models)) == (token, {"team-a/*", name})
        (info,) = [one for one in registry.tokens() if one.name == token]
        assert (info.role, info.models, info.expires) == (made.token.role, made.token.models, made.token.expires)
        assert info.last_used_at is None
        with pytest.raises(errors.AlreadyExists, match="already exists"):
            registry.create_token(token)
        assert registry.revoke_token(token).revoked_at is not None
        assert token not in [one.name for one in registry.tokens()]
        with pytest.raises(errors.NotFound, match="was revoked already"):
            registry.revoke_token(token)
        for period in ("90s", timedelta(seconds=90)):
            short = registry.create_token(f"{token}-{type(period).__name__}", expires=period).token
            assert short.expires is not None
            assert short.expires < made.token.expires - timedelta(days=89)
            registry.revoke_token(short.name)
        naive = made.token.expires.replace(tzinfo=None)
        for bad in ("0d", "soon", "2001-01-01", timedelta(0), timedelta(days=-1), timedelta.max, naive):
            with pytest.raises(errors.BadInput, match="invalid expiry"):
                registry.create_token(token, expires=bad)

    def test_without_a_hook_nothing_is_deployed(self, registry: Registry, model: str) -> None:
        """Asking for the hooks of a version that has none is refused."""
        assert registry.deploy() == ()
        registry.promote(f"{model}@1", "production")
        with pytest.raises(errors.NotAllowed, match=f"matches {model}@1 in Production"):
            registry.deploy(f"{model}@1")

    # Long operations

    def test_stored_bytes_are_verified(self, registry: Registry, model: str) -> None:
        """The progress reaches the number of bytes; what does not exist has the error of `show`."""
        seen: list[tuple[int, int]] = []
        found = registry.verify(model, progress=lambda done, total: seen.append((done, total)))
        assert (found.artifacts, found.all_artifacts, found.problems) == (2, 2, ())
        assert seen[-1] == (found.size_bytes, found.size_bytes)
        assert registry.verify(f"{model}@1").artifacts == 1
        assert registry.verify().unreferenced is not None
        with pytest.raises(errors.NotFound, match=f"{model} has no version 7"):
            registry.verify(f"{model}@7")
        with pytest.raises(errors.BadInput, match="the sample must be above 0"):
            registry.verify(model, sample=0)

    def test_the_registry_is_examined(self, registry: Registry, model: str) -> None:
        """Nothing is wrong with the registry of the tests."""
        assert registry.verify_audit().events >= len(registry.history(model))
        assert {finding.state for finding in registry.examine()} <= {"fine", "note"}
        assert not [check for check in registry.check() if check.error]

    def test_an_export_is_imported_under_another_name(
        self, registry: Registry, model: str, notes: list[str], tmp_path: Path
    ) -> None:
        """A second import adds nothing; equal content gives equal files; an existing file is kept."""
        first = registry.export(model, tmp_path / "a.mreg")
        assert (str(first.reference), [reference.number for reference in first.versions]) == (model, [1, 2])
        assert first.destination == tmp_path / "a.mreg"
        assert first.size_bytes == first.destination.stat().st_size
        assert registry.export(model, tmp_path / "b.mreg").destination.read_bytes() == first.destination.read_bytes()
        with pytest.raises(errors.AlreadyExists, match="already exists"):
            registry.export(model, first.destination)
        copy = f"{model}-copy"
        added = registry.import_bundle(first.destination, copy)
        assert [(str(one.reference), one.already_there) for one in added.versions] == [
            (f"{copy}@1", False),
            (f"{copy}@2", False),
        ]
        assert not notes
        assert all(one.already_there for one in registry.import_bundle(first.destination, copy).versions)
        assert registry.version(f"{copy}@2").artifact.digest == registry.version(f"{model}@2").artifact.digest

    def test_a_damaged_bundle_changes_nothing(self, registry: Registry, model: str, tmp_path: Path) -> None:
        """The error is about the bundle, not about the registry."""
        data = registry.export(model, tmp_path / "a.mreg").destination.read_bytes()
        (tmp_path / "b.mreg").write_bytes(data[:-1500])
        with pytest.raises(errors.DamagedBundle):
            registry.import_bundle(tmp_path / "b.mreg", f"{model}-copy")
        with pytest.raises(errors.NotFound):
            registry.model(f"{model}-copy")

    def test_a_backup_is_complete(self, registry: Registry, tmp_path: Path) -> None:
        """It has every event, and is not written over an existing file."""
        copied = registry.backup(tmp_path / "backup.db")
        assert (copied.events, copied.last_hash) == (registry.verify_audit().events, registry.verify_audit().last_hash)
        with pytest.raises(errors.AlreadyExists):
            registry.backup(tmp_path / "backup.db")
        assert [path.name for path in tmp_path.iterdir()] == ["backup.db"]

    def test_garbage_is_removed_only_when_asked(self, registry: Registry, name: str) -> None:
        """The blobs that were listed are removed, and the versions keep their bytes."""
        from datetime import timedelta

        self.push(registry, name, content=name.encode())
        digest = str(registry.version(name).artifact.digest)
        registry.delete(name, force=True)
        now = timedelta(0)
        seen = [found for found in registry.gc(grace=now) if found.name == digest]
        assert [found.removed for found in seen] == [False]
        assert [(found.name, found.removed) for found in registry.gc(grace=now, remove=True, seen=seen)] == [
            (digest, True)
        ]
        assert digest not in [found.name for found in registry.gc(grace=now)]
        assert registry.verify().problems == ()
        with pytest.raises(errors.BadInput, match="the grace period cannot be negative"):
            registry.gc(grace=-timedelta(seconds=1))


def encode_details(error: errors.MregError) -> object:
    """Return the details of an error as JSON has them: a tuple is a list."""
    import json

    return json.loads(json.dumps(error.details))
