"""Checks before a stage change, and the state after its hooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage, ModelVersion
from mreg.errors import Conflict
from mreg.registry.references import find_model, version_now
from mreg.results.stages import StageChange

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader


def after_hooks(reader: Reader, change: StageChange, entered: ModelStage, undone: Sequence[StageChange]) -> StageChange:
    """Return a stage change with the state after its hooks.

    Args:
        entered: The stage that the version entered.
        undone: The rollbacks after failed hooks.
    """
    version = version_now(reader, change.version)
    others = tuple(version_now(reader, other) for other in change.archived)
    left = {other.version_id for rollback in undone for other in rollback.archived}
    back: tuple[ModelVersion, ...] = ()
    if version.version_id in left and version.stage is not entered:
        back = reader.in_stage(find_model(reader, version.model_name), entered)
    return replace(
        change,
        version=version,
        archived=tuple(other for other in others if other.stage is ModelStage.ARCHIVED),
        back=back,
    )


def check_seen(version: ModelVersion, seen: ModelStage | None) -> None:
    """Check that a version is still in the stage that the user saw when they confirmed the change.

    Raises:
        Conflict: The version is in another stage.
    """
    if seen is not None and version.stage is not seen:
        raise Conflict(
            f"{version.reference} was moved meanwhile: expected {seen.value}, got {version.stage.value}",
            hint=f"look and try again: mreg show {version.reference}",
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
