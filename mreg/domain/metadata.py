"""The metadata that users attach to a version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mreg.domain.metrics import MetricValue, check_metric
from mreg.domain.names import check_alias
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value
from mreg.domain.value import Value
from mreg.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMetadata(Value):
    """The metadata of a version, given by a push or an import; values are checked on creation.

    Attributes:
        format: Artifact format (default: detected from the content).

    Raises:
        BadInput: A name, number or text cannot be stored, or there are more than `ENTRIES_LIMIT` of a kind.
    """

    description: str = ""
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    run_id: str = ""
    experiment_id: str = ""
    format: str = ""

    def __post_init__(self) -> None:
        check_text("description", self.description)
        for kind, entries in (("metric", self.metrics), ("parameter", self.parameters), ("tag", self.tags)):
            if len(entries) > ENTRIES_LIMIT:
                raise BadInput(f"too many {kind}s: {len(entries)}; the limit is {ENTRIES_LIMIT}")
        metrics = {check_key("metric", name): check_metric(name, value) for name, value in self.metrics.items()}
        object.__setattr__(self, "metrics", metrics)
        Value.__post_init__(self)
        for kind, texts in (("parameter", self.parameters), ("tag", self.tags)):
            for key, value in texts.items():
                check_value(kind, check_key(kind, key), value)
        if self.data:
            from mreg.domain.lineage import check_data
        for key, value in self.data.items():
            check_data(check_key("data", key), value)
        for alias in self.aliases:
            check_alias(alias)
        for what, line in (("run id", self.run_id), ("experiment id", self.experiment_id), ("format", self.format)):
            if line:
                check_line(what, line)
