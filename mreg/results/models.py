"""Lists of models, a model with its versions, and a deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mreg.domain.metrics import MetricValue
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """A model with the values that a list shows.

    Attributes:
        metric: The primary metric, empty if no version has a metric.
        latest_value: Primary metric of the latest version, None if there is none; the same for ``production_value``.
    """

    model: RegisteredModel
    metric: str
    latest_value: MetricValue | None
    production_value: MetricValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersions:
    """A model with its versions, newest first.

    Attributes:
        metric: The primary metric of all versions of the model, not only these; empty if no version has a metric.
    """

    model: RegisteredModel
    versions: tuple[ModelVersion, ...]
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A deletion, done or planned.

    Attributes:
        reference: The model or version.
        versions: The deleted versions, oldest first.
        places: The stage (only Staging or Production) and the aliases of each version that has any.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    places: Mapping[VersionRef, tuple[str, ...]] = field(default_factory=dict)
