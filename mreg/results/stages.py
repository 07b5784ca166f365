"""Stage changes, planned and made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage, ModelVersion

if TYPE_CHECKING:
    from mreg.domain.policy import Assessment, Departure


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """What a stage change did.

    Attributes:
        version: The version as it is now.
        before: The stage it was in; equal to the present one where nothing had to be done.
        archived: The versions that had to leave the stage for it and are still archived.
        back: The versions that are in the stage now because a hook failed and the change was rolled back; empty if it
            was not rolled back.
    """

    version: ModelVersion
    before: ModelStage
    archived: tuple[ModelVersion, ...] = ()
    back: tuple[ModelVersion, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return self.version.stage is not self.before or bool(self.archived) or bool(self.back)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What promote would do now.

    Attributes:
        stage: The stage that the version would enter.
        assessment: What the policy says to it.
        leaving: Whether the policy lets the person take it out of its stage; None if nothing guards that.
        archived: The versions that would have to leave the stage for it.
        stays: Whether the version is in the stage already.
        empties_production: Whether no version would be in Production then, so that the command asks.
        hooks: Names of the hooks that the change would set off.
    """

    version: ModelVersion
    stage: ModelStage
    assessment: Assessment
    leaving: Departure | None
    archived: tuple[ModelVersion, ...]
    stays: bool
    hooks: tuple[str, ...]
    empties_production: bool = False

    @property
    def allowed(self) -> bool:
        """Whether promote would succeed."""
        return (self.stays and not self.archived) or (
            self.assessment.passed and (self.leaving is None or self.leaving.allowed)
        )
