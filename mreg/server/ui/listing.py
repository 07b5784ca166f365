"""Lists as pages show them: which part of how many, which metrics have a column, what is folded away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mreg.domain.metrics import WELL_KNOWN, Direction, MetricValue, Verdict, direction, verdict
from mreg.domain.model import ModelVersion
from mreg.results.models import ModelSummary
from mreg.server.parameters import OFFSET_LIMIT

COLUMNS = 4
"""Metrics that a table of versions has columns for."""

OPEN = 24
"""Entries of a list that are seen at once; the rest is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which part of a list a page shows.

    Attributes:
        first: Place of its first thing from 1, 0 where it is empty; last likewise.
        total: How many there are, None where that was not counted.
        previous: Offset of the part before, None where there is none; following likewise.
    """

    first: int
    last: int
    total: int | None
    limit: int
    previous: int | None
    following: int | None


def part(count: int, *, limit: int, offset: int, more: bool, total: int | None = None) -> Part:
    """The part with so many things from an offset on."""
    return Part(
        first=offset + 1 if count else 0,
        last=offset + count,
        total=total,
        limit=limit,
        previous=max(0, offset - limit) if offset else None,
        following=offset + limit if more and offset + limit <= OFFSET_LIMIT else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Things by name: those that are seen at once, and those that are folded."""

    seen: tuple[tuple[str, object], ...]
    folded: tuple[tuple[str, object], ...]

    def __len__(self) -> int:
        return len(self.seen) + len(self.folded)


def entries(things: Mapping[str, object], names: Iterable[str] | None = None) -> Entries:
    """All things of a mapping, in the order of ``names`` where there is one."""
    found = tuple((name, things[name]) for name in (things if names is None else names))
    seen = OPEN if len(found) > OPEN + 6 else len(found)
    return Entries(seen=found[:seen], folded=found[seen:])


def metric_order(names: Iterable[str], *first: str) -> tuple[str, ...]:
    """Names of metrics in the order that they are shown in: these first, then the well-known ones, then by name."""
    known = set(names)
    return tuple(dict.fromkeys([*(name for name in (*first, *WELL_KNOWN) if name in known), *sorted(known)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionTable:
    """Versions in rows.

    Attributes:
        metrics: Those that have a column.
        others: How many more metrics the versions have.
    """

    versions: Sequence[ModelVersion]
    metrics: tuple[str, ...]
    others: int


def version_table(versions: Sequence[ModelVersion], *first: str) -> VersionTable:
    """A table of versions; these metrics have the first columns."""
    names = metric_order((name for version in versions for name in version.metrics), *first)
    return VersionTable(versions=versions, metrics=names[:COLUMNS], others=max(0, len(names) - COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """A model in a list.

    Attributes:
        verdict: What the latest version is beside that in Production, None where one of them has no value or both are
            one version.
    """

    summary: ModelSummary
    verdict: Verdict | None
    rising: bool


def model_row(summary: ModelSummary) -> ModelRow:
    """A model beside whose production version stands its latest."""
    latest, production = summary.latest_value, summary.production_value
    same = summary.model.latest_version == summary.model.production_version
    if latest is None or production is None or same:
        return ModelRow(summary=summary, verdict=None, rising=False)
    way = direction(summary.metric, summary.model.directions)
    return ModelRow(summary=summary, verdict=verdict(production, latest, way), rising=latest > production)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """A metric of one version.

    Attributes:
        before: What the version had that was in the stage before, None where there is nothing to hold it against.
    """

    name: str
    value: MetricValue
    direction: Direction | None
    before: MetricValue | None
    verdict: Verdict | None
