"""Policies, how versions meet them, the decisions of approvers, and planned stage changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage
    from mreg.domain.names import VersionRef
    from mreg.domain.policy import Assessment, Departure, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """The policy that holds for a model.

    Attributes:
        model: The model that was asked for; empty for the default of all models.
        own: Whether the policy is the model's own, and not the default.
    """

    model: str
    own: bool
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a version that is in a target meets the rule of a policy for the target.

    Attributes:
        leaving: Whether the policy lets the person take it out of the target; None if nothing guards that.
    """

    reference: VersionRef
    assessment: Assessment
    leaving: Departure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that waits for decisions."""

    reference: VersionRef
    assessment: Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The outcome of a decision.

    Attributes:
        reference: The version.
        stage: The stage that the version is in now.
        person: The user who decided.
        decision: approved, rejected or withdrawn.
        assessment: How the version meets the policy for the target now.
    """

    reference: VersionRef
    stage: ModelStage
    person: str
    decision: str
    assessment: Assessment


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
