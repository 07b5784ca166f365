"""Single rules of changes that no other test states."""

from __future__ import annotations

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
