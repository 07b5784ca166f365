"""Policies, how versions meet them, the decisions of approvers, and planned stage changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage
    from mreg.domain.names import VersionRef
    from mreg.domain.policy import Assessment, Departure, Policy
    from mreg.errors import MregError


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy(Result):
    """The policy of a model, or the default policy.

    Attributes:
        model: Name of the model, empty for the default policy.
        own: Whether this policy was applied. If not, a model gets the default policy, and the default policy is empty.
    """

    model: str
    own: bool
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCheck(Result):
    """A version in a stage or under an alias, checked against the policy's rule for that target.

    Attributes:
        leaving: Whether the policy lets the actor take the version out of the target; None if no rule guards it.
    """

    reference: VersionRef
    assessment: Assessment
    leaving: Departure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingApproval(Result):
    """A version that waits for approvals."""

    reference: VersionRef
    assessment: Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionResult(Result):
    """A version after a decision.

    Attributes:
        stage: Stage of the version after the decision.
        person: The person who decided.
        decision: ``approved``, ``rejected`` or ``withdrawn``.
        assessment: The policy's answer for the version and target after the decision.
    """

    reference: VersionRef
    stage: ModelStage
    person: str
    decision: str
    assessment: Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Result):
    """A promotion that was planned and not made.

    Attributes:
        stage: Stage of the version; ``assessment.target`` is the stage that it would enter.
        assessment: The policy's answer for the version and the stage that it would enter.
        leaving: Whether the policy lets the actor take the version out of its stage; None if no rule guards it.
        archived: Versions that the promotion would archive.
        stays: Whether the version is in the stage already.
        hooks: Names of the hooks that the promotion would trigger.
        empties_production: Whether Production would be empty. Not part of the JSON form.
        asks: Whether the command would ask before it checks the policy, since the next stage after Production is
            Archived. Not part of the JSON form.
        overridden: Whether the override lets the promotion succeed. Not part of the JSON form.
        refusal: The error of the promotion, also with the override; None if it would succeed. Not part of the JSON
            form.
    """

    reference: VersionRef
    stage: ModelStage
    assessment: Assessment
    leaving: Departure | None
    archived: tuple[VersionRef, ...]
    stays: bool
    hooks: tuple[str, ...]
    empties_production: bool = False
    asks: bool = False
    overridden: bool = False
    refusal: MregError | None = field(default=None, compare=False)

    @property
    def allowed(self) -> bool:
        """Whether promote would succeed without an override."""
        return (self.stays and not self.archived) or (
            self.assessment.passed and (self.leaving is None or self.leaving.allowed)
        )
