"""Which stage may follow which, and which version a stage held before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mreg.domain.model import ModelStage

ROAD = (ModelStage.NONE, ModelStage.STAGING, ModelStage.PRODUCTION, ModelStage.ARCHIVED)

EXCLUSIVE = frozenset({ModelStage.STAGING, ModelStage.PRODUCTION})
"""Stages that hold one version: entering one archives the version that was there, unless told to keep it."""


def next_stage(stage: ModelStage) -> ModelStage | None:
    """The next stage on the road None, Staging, Production, Archived; None at its end."""
    place = ROAD.index(stage)
    return ROAD[place + 1] if place + 1 < len(ROAD) else None


@dataclass(frozen=True, slots=True)
class StageEntry:
    """One version entering one stage.

    Attributes:
        version: The number of the version.
        returned: Whether it came back by a rollback, and was not put there anew.
    """

    version: int
    returned: bool = False


def held(entries: Iterable[StageEntry]) -> tuple[int, ...]:
    """The versions that a stage held one after the other, oldest first, as a rollback sees them.

    A version put there comes on top. A rollback takes away what stands above the version that it returned to, so
    that a second rollback goes further back and not to and fro: 1, 2, 3, back to 2 leaves (1, 2).
    """
    stack: list[int] = []
    for entry in entries:
        if entry.returned and entry.version in stack:
            while stack[-1] != entry.version:
                stack.pop()
        elif not stack or stack[-1] != entry.version:
            stack.append(entry.version)
    return tuple(stack)
