"""Checks before a stage change, and the state after its hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage, ModelVersion
from mreg.errors import Conflict
from mreg.registry.references import find_model, version_now
from mreg.results.changes import StageChange

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader


def after_hooks(reader: Reader, change: StageChange, entered: ModelStage, undone: Sequence[StageChange]) -> StageChange:
    """Return a stage change with the state after its hooks.

    Args:
        entered: The stage that the version entered.
        undone: The rollbacks after failed hooks.
    """
    version = version_now(reader, change.version)
    model = reader.model(version.model_name)
    if model is None:  # a hook deleted it
        return replace(change, version=version)
    others = [(reference, reader.version(model, reference.number or 0)) for reference in change.archived]
    left = {
        reference.number
        for rollback in undone
        if version_now(reader, rollback.version).model_name == model.name
        for reference in rollback.archived
    }
    back = reader.in_stage(model, entered) if version.version in left and version.stage is not entered else ()
    return replace(
        change,
        version=version,
        archived=tuple(
            now.reference if now else reference
            for reference, now in others
            if now is None or now.stage is ModelStage.ARCHIVED
        ),
        rolled_back=bool(back),
        back=back,
    )


def check_seen(version: ModelVersion, seen: ModelStage | None) -> None:
    """Check that a version is still in the stage that the user saw when they confirmed the change.

    Raises:
        Conflict: The version is in another stage.
    """
    if seen is not None and version.stage is not seen:
        raise Conflict(
            f"{version.reference} changed meanwhile: expected stage {seen.value}, got {version.stage.value}",
            hint=f"check and try again: mreg show {version.reference}",
            expected=seen.value,
            stage=version.stage.value,
        )


def empties_production(reader: Reader, version: ModelVersion, stage: ModelStage) -> bool:
    """Return whether moving a version to a stage leaves Production of its model empty."""
    production = ModelStage.PRODUCTION
    if version.stage is not production or stage is production:
        return False
    there = reader.in_stage(find_model(reader, version.model_name), production)
    return all(other.version_id == version.version_id for other in there)
