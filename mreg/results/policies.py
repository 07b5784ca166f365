"""Policies, how versions meet them, and the decisions of approvers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.domain.policy import Assessment, Departure, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """The policy of a model, or the default policy.

    Attributes:
        model: Name of the model, empty for the default policy.
        own: Whether this policy was applied. If not, a model gets the default policy, and the default policy is empty.
    """

    model: str
    own: bool
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version in a stage or under an alias, checked against the policy's rule for that target.

    Attributes:
        leaving: Whether the policy lets the actor take the version out of the target; None if no rule guards it.
    """

    version: ModelVersion
    assessment: Assessment
    leaving: Departure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that waits for approvals."""

    version: ModelVersion
    assessment: Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A version after a decision.

    Attributes:
        person: The person who decided.
        decision: ``approved``, ``rejected`` or ``withdrawn``.
        assessment: The policy's answer for the version and target after the decision.
    """

    version: ModelVersion
    person: str
    decision: str
    assessment: Assessment
