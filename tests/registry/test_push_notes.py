"""What a push tells its caller, and what a plan of a push tells before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.catalog.database import Value
from mreg.domain.events import time_text
from mreg.registry.local import LocalRegistry


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def registry(told: list[str]) -> mreg.Registry:
    """A registry with ``churn@1``, of ``file``."""
    opened = mreg.open_registry(user="ann", notice=told.append)
    Path("file").write_text("one")
    opened.push("file", name="churn")
    told.clear()
    return opened


def other(text: str = "two") -> str:
    Path("other").write_text(text)
    return "other"


SIMILAR = "new model chrun (similar: churn)"
SAID: dict[str, tuple[Callable[[mreg.Registry], Any], list[str]]] = {
    "a new version": (lambda registry: registry.push(other(), name="churn"), []),
    "the same bytes": (lambda registry: registry.push("file", name="churn"), ["same bytes as churn@1"]),
    "a new model": (lambda registry: registry.push("file", name="digits"), []),
    "a similar name": (lambda registry: registry.push("file", name="chrun"), [f"registered {SIMILAR}"]),
    "a plan": (lambda registry: registry.plan_push("file", name="churn"), []),
    "a plan for a new model": (lambda registry: registry.plan_push("file", name="digits"), []),
    "a plan for a similar name": (lambda registry: registry.plan_push("file", name="chrun"), [f"would register {SIMILAR}"]),
    "a plan for an existing model": (lambda registry: registry.plan_push("file", name="churn", existing=True), []),
    "a version of a stage": (
        lambda registry: [registry.push(other(text), name="churn", stage="production") for text in ("2", "3")],
        ["churn@2 is archived: churn@3 replaced it in Production"],
    ),
    "no stage": (lambda registry: registry.push(other(), name="churn", stage="none"), []),
    "a model that is named by the file": (
        lambda registry: registry.push(other()), ["model other (from the file other); to use another: --name"],
    ),
}  # fmt: skip


def test_a_plan_of_a_missing_file_says_only_that(registry: mreg.Registry, told: list[str]) -> None:
    with pytest.raises(mreg.NotFound):
        registry.plan_push("nofile", name="chrun")
    assert told == []


@pytest.mark.parametrize("what", SAID)
def test_a_push_says_what_its_caller_might_not_expect(registry: mreg.Registry, told: list[str], what: str) -> None:
    work, expected = SAID[what]
    work(registry)
    assert told == expected


@pytest.mark.parametrize("call", ["push", "plan_push"])
def test_a_push_to_existing_models_only_registers_none(registry: mreg.Registry, told: list[str], call: str) -> None:
    with pytest.raises(mreg.NotFound) as caught:
        getattr(registry, call)("file", name="chrun", existing=True)
    assert caught.value.message == "model 'chrun' not found"
    assert caught.value.hint == "did you mean churn?\nto register it: mreg register chrun"
    assert (caught.value.details["kind"], caught.value.details["name"]) == ("model", "chrun")
    assert told == []
    assert [found.model.name.value for found in registry.models()] == ["churn"]
    assert registry.push(other(), name="churn", existing=True).version == 2


def test_a_push_whose_transaction_is_repeated_says_everything_once(registry: LocalRegistry, told: list[str]) -> None:
    digest = registry.version("churn@1").artifact.digest
    row: dict[str, Value] = {
        "digest": digest.value, "removed": 1, "mark": "gc", "at": time_text(datetime.now(UTC)),
    }  # fmt: skip
    registry._session.write_quietly(lambda writer: writer.connection.run("removals.set", **row))
    assert registry.push("file", name="churn").version == 2
    assert told == ["same bytes as churn@1"]


def test_a_plan_of_a_push_lists_what_the_push_takes(registry: mreg.Registry) -> None:
    one = registry.plan_push("file", name="churn")
    assert [(file.path, file.size_bytes) for file in one.files] == [("file", 3)]
    Path("net/empty").mkdir(parents=True)
    Path("net/a").write_text("12")
    Path("net/b.tmp").write_text("1")
    many = registry.plan_push("net", name="net", exclude=["*.tmp"])
    assert [(file.path, file.size_bytes) for file in many.files] == [("a", 2)]
    assert (many.folders, dict(many.left_out)) == (("empty",), {"--exclude": 1})
    with pytest.raises(mreg.BadInput, match=r"^patterns select files of a folder: 'file' is not a folder$"):
        registry.plan_push("file", name="churn", include=["*"])
    with pytest.raises(mreg.BadInput, match=r"^patterns select files of a folder: 'file' is not a folder$"):
        registry.plan_push("file", name="churn", exclude=["*"])


def test_a_push_records_its_parent_and_refuses_a_missing_one_before_it_stores(registry: LocalRegistry) -> None:
    assert registry.push(other(), name="churn", parent="churn@1").parent == registry.version("churn@1").reference
    assert registry.push(other("3"), name="churn").parent is None
    before = {digest for digest, _ in registry._session.artifacts().blobs()}
    with pytest.raises(mreg.NotFound, match=r"^churn has no version 9$"):
        registry.push(other("4"), name="churn", parent="churn@9")
    assert {digest for digest, _ in registry._session.artifacts().blobs()} == before
