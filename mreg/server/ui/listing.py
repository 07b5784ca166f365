"""Lists for the templates: page ranges, metric columns and collapsed entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mreg.domain.metrics import WELL_KNOWN, Direction, MetricValue, Verdict, direction, verdict
from mreg.domain.model import ModelVersion
from mreg.results.models import ModelSummary
from mreg.server.parameters import OFFSET_LIMIT

METRIC_COLUMNS = 4
"""Maximum number of metric columns of a table of versions."""

VISIBLE_ENTRIES = 24
"""Number of entries of a list that are visible; the rest is collapsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRange:
    """The range of a list that a page shows.

    Attributes:
        first: Position of the first item, from 1; 0 if the range is empty.
        last: Position of the last item.
        total: Length of the list, None if it is unknown.
        previous: Offset of the previous page, None for the first.
        following: Offset of the next page, None for the last.
    """

    first: int
    last: int
    total: int | None
    limit: int
    previous: int | None
    following: int | None


def page_range(count: int, *, limit: int, offset: int, more: bool, total: int | None = None) -> PageRange:
    """Return the range with ``count`` items from an offset."""
    return PageRange(
        first=offset + 1 if count else 0,
        last=offset + count,
        total=total,
        limit=limit,
        previous=max(0, offset - limit) if offset else None,
        following=offset + limit if more and offset + limit <= OFFSET_LIMIT else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Named values: the visible ones and the collapsed ones."""

    visible: tuple[tuple[str, object], ...]
    collapsed: tuple[tuple[str, object], ...]

    def __len__(self) -> int:
        return len(self.visible) + len(self.collapsed)


def entries(values: Mapping[str, object], names: Iterable[str] | None = None) -> Entries:
    """Return the values of a mapping, in the order of ``names`` (default: of the mapping)."""
    ordered = tuple((name, values[name]) for name in (values if names is None else names))
    visible = VISIBLE_ENTRIES if len(ordered) > VISIBLE_ENTRIES + 6 else len(ordered)
    return Entries(visible=ordered[:visible], collapsed=ordered[visible:])


def metric_order(names: Iterable[str], *first: str) -> tuple[str, ...]:
    """Return names of metrics in display order: ``first``, then the well-known ones, then alphabetically."""
    known = set(names)
    return tuple(dict.fromkeys([*(name for name in (*first, *WELL_KNOWN) if name in known), *sorted(known)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTable:
    """A table of versions.

    Attributes:
        metrics: Metrics with a column.
        others: Number of metrics without a column.
    """

    versions: Sequence[ModelVersion]
    metrics: tuple[str, ...]
    others: int


def version_table(versions: Sequence[ModelVersion], *first: str) -> VersionTable:
    """Return a table of versions; the metrics ``first`` have the first columns."""
    names = metric_order((name for version in versions for name in version.metrics), *first)
    return VersionTable(versions=versions, metrics=names[:METRIC_COLUMNS], others=max(0, len(names) - METRIC_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A row of the list of models.

    Attributes:
        verdict: Verdict of the latest version against Production, None if either has no value or both are the same
            version.
        rising: Whether the latest version has the higher value.
    """

    summary: ModelSummary
    verdict: Verdict | None
    rising: bool


def model_row(summary: ModelSummary) -> ModelRow:
    """Return the row of a model, with its latest version compared with Production."""
    latest, production = summary.latest_value, summary.production_value
    same = summary.model.latest_version == summary.model.production_version
    if latest is None or production is None or same:
        return ModelRow(summary=summary, verdict=None, rising=False)
    better = direction(summary.metric, summary.model.directions)
    return ModelRow(summary=summary, verdict=verdict(production, latest, better), rising=latest > production)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """A metric of a version.

    Attributes:
        before: Value of the previous version of the stage, None if there is none.
    """

    name: str
    value: MetricValue
    direction: Direction | None
    before: MetricValue | None
    verdict: Verdict | None
