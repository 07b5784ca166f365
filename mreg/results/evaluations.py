"""Metrics that were added to a version after its push."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.value import Result

if TYPE_CHECKING:
    from mreg.domain.metrics import MetricValue
    from mreg.domain.model import ModelVersion
    from mreg.domain.policy import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Result):
    """The result of an evaluation; a metric that the version had with an equal value is in neither mapping.

    Attributes:
        version: The version after the change and its hooks.
        added: New metrics by name.
        replaced: Previous values of the replaced metrics by name.
        voided: Approvals that the replacement voided, oldest first.
        dataset: Name of the data set, empty if none was given.
    """

    version: ModelVersion
    added: Mapping[str, MetricValue]
    replaced: Mapping[str, MetricValue]
    voided: tuple[Decision, ...] = ()
    dataset: str = ""
