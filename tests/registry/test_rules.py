"""Single rules of changes that no other test states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelStage
from mreg.registry.local import LocalRegistry
from mreg.registry.stage_changes import after_hooks


@pytest.fixture
def versions(registry: LocalRegistry) -> LocalRegistry:
    """A registry with churn@1, churn@2 and fraud@1."""
    for name, content in (("churn", "1"), ("churn", "2"), ("fraud", "3")):
        Path("model.pkl").write_text(content)
        registry.push("model.pkl", name=name)
    return registry


TOO_LONG = "x" * 20_001

REASONED: dict[str, Callable[[LocalRegistry, str], object]] = {
    "promote": lambda registry, text: registry.promote("churn@2", reason=text),
    "promote with an override": lambda registry, text: registry.promote("churn@2", override=text),
    "archive": lambda registry, text: registry.archive("churn@2", reason=text),
    "archive with an override": lambda registry, text: registry.archive("churn@2", override=text),
    "roll back": lambda registry, text: registry.rollback("churn", to="churn@1", reason=text),
    "approve": lambda registry, text: registry.approve("churn@2", comment=text),
    "reject": lambda registry, text: registry.reject("churn@2", reason=text),
    "delete with an override": lambda registry, text: registry.delete("churn@2", force=True, override=text),
    "rename with an override": lambda registry, text: registry.rename("churn", "churned", override=text),
}


@pytest.mark.parametrize("change", REASONED)
@pytest.mark.parametrize("text", [TOO_LONG, "a\0b"], ids=["long", "NUL"])
def test_the_reason_of_each_change_is_checked(versions: LocalRegistry, change: str, text: str) -> None:
    for number in (1, 2):
        versions.promote(f"churn@{number}", to="production")
    before = versions.history()
    with pytest.raises(mreg.BadInput):
        REASONED[change](versions, text)
    assert versions.history() == before


def test_a_rollback_needs_a_version_of_the_model_that_was_in_the_stage(versions: LocalRegistry) -> None:
    for reference in ("churn@1", "fraud@1"):
        versions.promote(reference, to="production")
    before = versions.history()
    for reference in ("fraud@1", "churn@2"):
        with pytest.raises(
            mreg.NotAllowed, match=f"cannot roll back to {reference}: it was never in Production of churn"
        ):
            versions.rollback("churn", to=reference)
    assert versions.history() == before


def test_a_promotion_without_a_stage_does_not_archive_production(versions: LocalRegistry) -> None:
    versions.promote("churn@1", to="production")
    before = versions.history()
    for leave in (None, False):
        with pytest.raises(mreg.LeavesProduction, match="the next stage is Archived"):
            versions.promote("churn@1", leave_production=leave)
    assert versions.history() == before
    assert versions.promote("churn@1", leave_production=True).version.stage is ModelStage.ARCHIVED


def test_a_version_that_a_hook_archived_was_not_rolled_back(versions: LocalRegistry) -> None:
    versions.promote("churn@1", to="production")
    change = versions.promote("churn@2", to="production", keep_existing=True)
    versions.archive("churn@2", leave_production=True)
    after = versions._session.catalog.read(lambda reader: after_hooks(reader, change, ModelStage.PRODUCTION, ()))
    assert (after.version.stage, after.rolled_back, after.back) == (ModelStage.ARCHIVED, False, ())


def test_a_version_that_a_rollback_left_and_a_hook_promoted_again_was_not_rolled_back(versions: LocalRegistry) -> None:
    versions.promote("churn@1", to="production")
    change = versions.promote("churn@2", to="production")
    undone = versions.rollback("churn")
    assert [str(reference) for reference in undone.archived] == ["churn@2"]
    versions.promote("churn@2", to="production")
    after = versions._session.catalog.read(lambda reader: after_hooks(reader, change, ModelStage.PRODUCTION, (undone,)))
    assert (after.version.stage, after.rolled_back, after.back) == (ModelStage.PRODUCTION, False, ())


def test_an_upload_to_a_model_that_is_not_registered_is_refused(versions: LocalRegistry) -> None:
    with versions.open_upload() as upload:
        upload.write(b"bytes")
        with pytest.raises(mreg.NotFound, match="churm"):
            versions.push_upload(upload, "model.pkl", "churm", VersionMetadata())
    assert {str(entry.model.name) for entry in versions.models()} == {"churn", "fraud"}


def test_a_stage_change_is_an_update_of_the_model(versions: LocalRegistry) -> None:
    before = versions.model("churn")
    versions.promote("churn@2", to="staging")
    after = versions.model("churn")
    assert after.updated_at > before.updated_at
