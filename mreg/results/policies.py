"""Policies, how versions meet them, and the decisions of approvers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.domain.policy import Assessment, Departure, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPolicy:
    """A policy and whose it is.

    Attributes:
        model: The model that was asked for; empty: the default of all models.
        own: Whether the model has it itself, and not by the default.
    """

    model: str
    own: bool
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a version that is in a target stands to a policy's rule for it.

    Attributes:
        leaving: Whether the policy lets the person take it out of the target; None if nothing guards that.
    """

    version: ModelVersion
    assessment: Assessment
    leaving: Departure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A version that waits for decisions."""

    version: ModelVersion
    assessment: Assessment


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a decision did.

    Attributes:
        person: Whose it is.
        decision: approved, rejected or withdrawn.
        assessment: What the policy says to the version for the target now.
    """

    version: ModelVersion
    person: str
    decision: str
    assessment: Assessment
