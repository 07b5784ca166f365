"""Stage changes, planned and made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef
    from mreg.domain.policy import Assessment, Departure


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The outcome of a stage change.

    Attributes:
        version: The present state of the version.
        before: The stage that the version was in; equal to its present stage if nothing had to be done.
        archived: The versions that had to leave the stage for it and are still archived.
        rolled_back: Whether a hook failed and the change was rolled back.
        back: The versions that are in the stage again because of that. Not part of the JSON form.
    """

    version: ModelVersion
    before: ModelStage
    archived: tuple[VersionRef, ...] = ()
    rolled_back: bool = False
    back: tuple[ModelVersion, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return self.version.stage is not self.before or bool(self.archived) or self.rolled_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The outcome that promote would have now.

    Attributes:
        reference: The version.
        stage: The stage that the version is in; ``assessment.target`` is the stage that it would enter.
        leaving: Whether the policy lets the person take the version out of its stage; None if nothing guards that.
        archived: The versions that would have to leave the stage for it.
        stays: Whether the version is in the stage already.
        hooks: The names of the hooks that the change would trigger.
        empties_production: Whether no version would be in Production then, so that the command asks first. Not part of
            the JSON form.
    """

    reference: VersionRef
    stage: ModelStage
    assessment: Assessment
    leaving: Departure | None
    archived: tuple[VersionRef, ...]
    stays: bool
    hooks: tuple[str, ...]
    empties_production: bool = False

    @property
    def allowed(self) -> bool:
        """Whether promote would succeed."""
        return (self.stays and not self.archived) or (
            self.assessment.passed and (self.leaving is None or self.leaving.allowed)
        )
