"""The sequence of stages, and the history of a stage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mreg.domain.model import ModelStage

STAGE_ORDER = (ModelStage.NONE, ModelStage.STAGING, ModelStage.PRODUCTION, ModelStage.ARCHIVED)

EXCLUSIVE = frozenset({ModelStage.STAGING, ModelStage.PRODUCTION})
"""Stages with one version: entering one archives the version in it by default."""


def next_stage(stage: ModelStage) -> ModelStage | None:
    """Return the next stage in the sequence, or None after Archived."""
    place = STAGE_ORDER.index(stage)
    return STAGE_ORDER[place + 1] if place + 1 < len(STAGE_ORDER) else None


@dataclass(frozen=True, slots=True)
class StageEntry:
    """The entry of a version into a stage.

    Attributes:
        version: Version number.
        returned: Whether a rollback made the entry.
    """

    version: int
    returned: bool = False


def rollback_stack(entries: Iterable[StageEntry]) -> tuple[int, ...]:
    """Return the versions that rollbacks of a stage can return to, oldest first; the last one is the current version.

    A version that enters is pushed on a stack. A rollback pops the versions above the one that it returns to, so that
    the next rollback goes further back instead of alternating: 1, 2, 3, back to 2 leaves (1, 2).
    """
    stack: list[int] = []
    for entry in entries:
        if entry.returned and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        elif not stack or stack[-1] != entry.version:
            stack.append(entry.version)
    return tuple(stack)
