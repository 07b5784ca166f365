"""A version or model that an operation returned stands for its reference or name in every operation."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg import BadInput, ModelVersion, MregError, NotFound, Policy, Registry
from mreg.domain.metadata import VersionMetadata

SOURCES: dict[str, Callable[[Registry], ModelVersion]] = {
    "a lookup": lambda registry: registry.version("churn@2"),
    "a search": lambda registry: registry.search("version = 2")[0],
    "a model with its versions": lambda registry: registry.show("churn").versions[0],  # type: ignore[union-attr]
    "a side of a comparison": lambda registry: registry.compare("churn@1", "churn@2").second,
    "an explanation": lambda registry: registry.why("churn@2").version,
}

BY_REFERENCE: dict[str, Callable[[Registry, Any], Any]] = {
    "push": lambda registry, it: registry.push("model.pkl", name="child", parent=it).parent,
    "pull": lambda registry, it: registry.pull(it, "out.pkl").version,
    "stream": lambda registry, it: registry.stream(it, io.BytesIO()),
    "files": lambda registry, it: registry.files(it)[0].digest == it.artifact.digest and it,
    "version": lambda registry, it: registry.version(it),
    "show": lambda registry, it: registry.show(it),
    "compare": lambda registry, it: registry.compare("churn@1", it).second,
    "promote": lambda registry, it: registry.promote(it, to="Staging").version,
    "archive": lambda registry, it: registry.archive(it).version,
    "rollback": lambda registry, it: (
        registry.promote("churn@2", to="Production"), registry.promote("churn@1", to="Production"),
        registry.rollback("churn", to=it).version,
    )[-1],
    "set_alias": lambda registry, it: registry.set_alias(it, "champion"),
    "tag": lambda registry, it: registry.tag(it, add={"a": "b"}),
    "edit": lambda registry, it: registry.edit(it, description="x"),
    "delete": lambda registry, it: registry.delete(it, dry_run=True).versions[0],
    "history": lambda registry, it: registry.history(it)[0],
    "lineage": lambda registry, it: registry.lineage(it).version,
    "plan": lambda registry, it: registry.plan(it),
    "approve": lambda registry, it: registry.approve(it, to="Staging"),
    "reject": lambda registry, it: registry.reject(it, reason="bad", to="Staging"),
    "withdraw_decision": lambda registry, it: (
        registry.reject("churn@2", reason="bad", to="Staging"), registry.withdraw_decision(it, to="Staging")
    )[-1],
    "why": lambda registry, it: registry.why(it).version,
    "evaluate": lambda registry, it: registry.evaluate(it, {"f1": 0.5}).version,
    "export": lambda registry, it: registry.export(it).versions[0],
    "verify": lambda registry, it: registry.verify(it),
    "locate": lambda registry, it: registry.locate(it).version,
    "verify_copy": lambda registry, it: registry.verify_copy("second.pkl", it),
}  # fmt: skip
"""A call with a reference for each operation that has one; where the answer names the version, it returns that."""

BY_NAME: dict[str, Callable[[Registry, Any], Any]] = {
    "push": lambda registry, it: registry.push("model.pkl", name=it).model_name,
    "plan_push": lambda registry, it: registry.plan_push("model.pkl", name=it).model,
    "model": lambda registry, it: registry.model(it).name,
    "rollback": lambda registry, it: (
        registry.promote("churn@1", to="Production"), registry.promote("churn@2", to="Production"),
        registry.rollback(it).version.model_name,
    )[-1],
    "remove_alias": lambda registry, it: (registry.set_alias("churn@1", "a"), registry.remove_alias(it, "a").name)[-1],
    "rename": lambda registry, it: registry.rename(it, "churn2"),
    "stages_at": lambda registry, it: registry.stages_at(it, "2030-01-01").model,
    "policy": lambda registry, it: registry.policy(it).model,
    "apply_policy": lambda registry, it: registry.apply_policy(Policy(), it).model,
    "check_policy": lambda registry, it: registry.check_policy(Policy(), it),
    "deployments": lambda registry, it: registry.deployments(it),
    "import_bundle": lambda registry, it: (
        registry.export("churn", "c.mreg"), registry.import_bundle("c.mreg", it).model,
    )[-1],
}  # fmt: skip

REFUSED: dict[str, tuple[Callable[[Registry, Any], Any], str]] = {
    "version_at": (
        lambda registry, it: registry.version_at(it, "2030-01-01"), "--at needs a reference with a stage or an alias",
    ),
    "deploy": (lambda registry, it: registry.deploy(it), "cannot run hooks for churn@2: it has not entered a stage"),
    "wait": (lambda registry, it: registry.wait(it, changed_from=1), "churn@2 always names the same version"),
}  # fmt: skip
"""What operations say that cannot be asked of this version."""


@pytest.fixture(autouse=True)
def _churn(registry: Registry) -> None:
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    Path("second.pkl").write_bytes(b"\x80\x04K\x02.")
    registry.push("model.pkl", name="churn", metrics={"accuracy": 0.9})
    registry.push("second.pkl", name="churn", metrics={"accuracy": 0.8})
    registry.push("model.pkl", name="churn")


def test_every_operation_is_in_the_tables() -> None:
    takes: dict[str, set[str]] = {"Reference": set(), "Name": set()}
    for name in Registry.__abstractmethods__ - {"profile", "register", "import_hub"}:  # the last two take a new name
        for parameter in inspect.signature(getattr(Registry, name)).parameters.values():
            for alias, names in takes.items():
                if str(parameter.annotation).partition(" ")[0] == alias:
                    names.add(name)
    assert takes == {"Reference": {*BY_REFERENCE, *REFUSED}, "Name": set(BY_NAME)}


@pytest.mark.parametrize("operation", BY_REFERENCE)
def test_a_version_is_taken_as_its_reference(registry: Registry, operation: str) -> None:
    found = BY_REFERENCE[operation](registry, registry.version("churn@2"))
    assert "churn@2" in str(getattr(found, "reference", found)) or operation == "verify"


@pytest.mark.parametrize("source", SOURCES)
def test_a_version_from_any_operation_is_taken(registry: Registry, source: str) -> None:
    version = SOURCES[source](registry)
    assert registry.version(version) == version
    assert registry.compare(version, version).same_artifact


@pytest.mark.parametrize("operation", BY_REFERENCE)
def test_a_version_means_the_same_version_after_a_rename(registry: Registry, operation: str) -> None:
    version = registry.version("churn@2")
    registry.rename("churn", "attrition")
    if operation in ("push", "pull", "show", "promote", "delete", "verify", "export", "edit", "lineage", "history"):
        found = BY_REFERENCE[operation](registry, version)
        assert "attrition@2" in str(getattr(found, "reference", found)) or operation in ("verify", "history")
    assert registry.compare(version, version).second.reference == registry.version("attrition@2").reference
    registry.promote("attrition@1", to="Production")
    assert str(registry.compare(version).second.reference) == "attrition@2"


@pytest.mark.parametrize("operation", sorted(set(BY_REFERENCE) - {"history", "compare", "rollback"}))
def test_a_deleted_version_is_not_found(registry: Registry, operation: str) -> None:
    version = registry.version("churn@2")
    registry.delete(version)
    with pytest.raises(NotFound, match=r"^churn has no version 2: tester deleted it at 20"):
        BY_REFERENCE[operation](registry, version)
    assert registry.history(version)[0].action == "version.deleted"


@pytest.mark.parametrize("operation", BY_REFERENCE)
def test_a_version_of_another_registry_with_other_bytes_is_not_found(registry: Registry, operation: str) -> None:
    Path("other").mkdir()
    with mreg.open_registry(catalog="other/catalog.db", artifacts="other/artifacts") as other:
        for number in (7, 8):
            Path("other.pkl").write_bytes(b"\x80\x04K%c." % number)
            foreign = other.push("other.pkl", name="churn")
    with pytest.raises(NotFound, match=r"^churn@2 of this registry is another version: expected sha256:") as failure:
        BY_REFERENCE[operation](registry, foreign)
    assert failure.value.hint == "mreg show churn@2"


def test_an_imported_version_stands_for_the_same_version_here(registry: Registry) -> None:
    registry.export("churn", "churn.mreg")
    Path("other").mkdir()
    with mreg.open_registry(catalog="other/catalog.db", artifacts="other/artifacts") as other:
        other.push("model.pkl", name="first")
        other.import_bundle("churn.mreg")
        assert other.version(registry.version("churn@2")).version_id == 3


@pytest.mark.parametrize("operation", BY_NAME)
@pytest.mark.parametrize("kind", ["version", "model"])
def test_a_version_or_model_is_taken_as_the_name_of_its_model(registry: Registry, operation: str, kind: str) -> None:
    found = BY_NAME[operation](registry, getattr(registry, kind)("churn"))
    assert found is not None


def test_a_model_is_taken_as_a_bare_name(registry: Registry) -> None:
    model = registry.model("churn")
    assert registry.version(model).version == 3
    assert registry.show(model.name) == registry.show("churn")
    with pytest.raises(MregError, match="expected a version, got the model churn"):
        registry.archive(model)


@pytest.mark.parametrize("operation", REFUSED)
def test_an_operation_that_needs_another_reference_says_so(registry: Registry, operation: str) -> None:
    version = registry.version("churn@2")
    call, message = REFUSED[operation]
    with pytest.raises(MregError, match=message):
        call(registry, version)


@pytest.mark.parametrize("value", [3, 3.0, b"churn", ["churn"], ("churn", 3), VersionMetadata(), object(), True])
def test_another_value_is_bad_input(registry: Registry, value: Any) -> None:
    with pytest.raises(BadInput, match=f"^invalid reference of type {type(value).__name__}$"):
        registry.version(value)
    with pytest.raises(BadInput, match=f"^invalid model name of type {type(value).__name__}$"):
        registry.model(value)


def test_versions_read_twice_are_equal_and_have_the_same_hash(registry: Registry) -> None:
    first, second = registry.search(), registry.search()
    assert first == second
    assert hash(first) == hash(second)
    assert {*first} == {*second}
    assert len({*first, *second}) == 3
    assert registry.compare("churn@1", "churn@2") == registry.compare("churn@1", "churn@2")
    assert registry.version("churn@1") != registry.version("churn@2")
