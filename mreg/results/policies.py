"""Policies, how versions meet them, and the decisions of approvers."""

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
