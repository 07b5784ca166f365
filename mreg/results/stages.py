"""Stage changes, planned and made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage, ModelVersion

if TYPE_CHECKING:
    from mreg.domain.policy import Assessment, Departure


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The result of a stage change.

    Attributes:
        version: The version after the change and its hooks.
        before: Stage of the version before; the same as the current stage if nothing changed.
        archived: Versions that left the stage for this version and are still archived.
        back: Versions in the stage after a failed hook rolled the change back; empty without a rollback.
    """

    version: ModelVersion
    before: ModelStage
    archived: tuple[ModelVersion, ...] = ()
    back: tuple[ModelVersion, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the operation changed anything."""
        return self.version.stage is not self.before or bool(self.archived) or bool(self.back)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A promotion that was planned and not made.

    Attributes:
        stage: The stage that the version would enter.
        assessment: The policy's answer for the version and the stage.
        leaving: Whether the policy lets the actor take the version out of its stage; None if no rule guards it.
        archived: Versions that the promotion would archive.
        stays: Whether the version is in the stage already.
        empties_production: Whether Production would be empty, so that the command asks for confirmation.
        hooks: Names of the hooks that the promotion would trigger.
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
