"""Models with their primary metric, and a model with its versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.domain.text import counted
from mreg.domain.value import Result, Tabular, short_repr

if TYPE_CHECKING:
    from mreg.domain.metrics import MetricValue
    from mreg.domain.model import ModelVersion, RegisteredModel


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary(Result):
    """A model with the values that a list shows.

    Attributes:
        metric: The primary metric, empty if no version has a metric.
        latest_value: Primary metric of the latest version, None if there is none; the same for ``production_value``.
    """

    model: RegisteredModel
    metric: str
    latest_value: MetricValue | None
    production_value: MetricValue | None

    def __repr__(self) -> str:
        measured = "" if self.latest_value is None else f"{self.metric}={self.latest_value}"
        return short_repr(self, self.model.name, counted(self.model.version_count, "version"), measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersions(Result, Tabular):
    """A model with its versions, newest first.

    Attributes:
        metric: The primary metric of all versions of the model, not only these; empty if no version has a metric.
        more: Whether the model has older versions than these. Not part of the JSON form.
    """

    model: RegisteredModel
    versions: tuple[ModelVersion, ...]
    metric: str
    more: bool = False

    def __repr__(self) -> str:
        shown, count = len(self.versions), counted(self.model.version_count, "version")
        return short_repr(self, self.model.name, f"{shown} of {count}" if self.more else count)
