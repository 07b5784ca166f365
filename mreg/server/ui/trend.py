"""The trend of a metric over versions as a chart: where everything stands, as shares of whatever room there is.

Everything is in percent of the chart's width and height, so that the chart fills a telephone and a wide screen alike
while its letters and points keep their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mreg.domain.metrics import Direction, MetricValue, direction
from mreg.domain.model import ModelVersion, RegisteredModel

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
LINES = 8
"""Lines across the chart, at most."""

SIDE = 1_000
"""Units of a side of the square in which paths are drawn, before it is stretched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A version's value of the metric.

    Attributes:
        x: Share of the width in percent from the left.
        y: Share of the height in percent from the top.
    """

    version: ModelVersion
    value: MetricValue
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line across the chart with its value."""

    label: str
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A chart of one metric, the oldest version first.

    Attributes:
        direction: Which way the metric is better, None where that is unknown.
        points: Empty where no version has the metric.
        lines: From the top down, at equal distances.
        path: Of the line through the points, in a square of `SIDE` units; area: of what is under it.
        best: The best point, or None where the direction is unknown.
    """

    metric: str
    direction: Direction | None
    points: tuple[Point, ...]
    lines: tuple[Line, ...]
    path: str
    area: str
    best: Point | None

    @property
    def lowest(self) -> Point:
        """The point of the least value, the newest of several."""
        return min(reversed(self.points), key=lambda point: point.value)

    @property
    def highest(self) -> Point:
        """The point of the largest value, the newest of several."""
        return max(reversed(self.points), key=lambda point: point.value)


def trend(model: RegisteredModel, versions: Iterable[ModelVersion], metric: str) -> Trend:
    """The chart of a metric over versions that come newest first; those without the metric have no point."""
    found = [(one, one.metrics[metric]) for one in versions if metric in one.metrics][::-1]
    way = direction(metric, model.directions)
    if not found:
        return Trend(metric=metric, direction=way, points=(), lines=(), path="", area="", best=None)
    values = [float(value) for _, value in found]
    scale = _scale(min(values), max(values))
    first, last = found[0][0].version, found[-1][0].version
    points = tuple(
        Point(
            version=version,
            value=value,
            x=100 * (version.version - first) / (last - first) if last > first else 50.0,
            y=100 - 100 * _share(float(value), scale),
        )
        for version, value in found
    )
    corners = [f"{point.x * SIDE / 100:.1f} {point.y * SIDE / 100:.1f}" for point in points]
    path = f"M{'L'.join(corners)}" if len(corners) > 1 else ""
    ends = points[0].x * SIDE / 100, points[-1].x * SIDE / 100
    best = {Direction.HIGHER: max, Direction.LOWER: min}
    return Trend(
        metric=metric,
        direction=way,
        points=points,
        lines=tuple(
            Line(label=label, y=100 - 100 * _share(value, scale)) for value, label in reversed(_labelled(scale))
        ),
        path=path,
        area=f"{path}L{ends[1]:.1f} {SIDE}L{ends[0]:.1f} {SIDE}Z" if path else "",
        best=best[way](reversed(points), key=lambda point: point.value) if way is not None else None,
    )


def _share(value: float, scale: tuple[float, ...]) -> float:
    """How far up a value stands between the ends of a scale, from 0 to 1."""
    low, high = scale[0], scale[-1]
    span = high / 2 - low / 2  # halved first: the span of the largest floats would be infinite
    return (value / 2 - low / 2) / span if span else 0.5


def _scale(low: float, high: float) -> tuple[float, ...]:
    """Round values at equal distances with all values between the first and the last.

    Where floats can't hold such, as at the ends of their range, only the two values themselves.
    """
    span = high - low
    if not span:
        return (low,)
    if not math.isfinite(span) or span / 4 < 1e-300:
        return (low, high)
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next((step * power for step in STEPS if step * power >= span / 4), 10 * power)
    if not step or max(abs(low), abs(high)) / step > 1e12:
        return (low, high)
    first, last = math.floor(low / step), math.ceil(high / step)
    return tuple(place * step for place in range(first, last + 1))


def _labelled(scale: tuple[float, ...]) -> tuple[tuple[float, str], ...]:
    """Each value with a label of as many digits as tell it from the others."""
    step = abs(scale[-1] - scale[0]) / max(1, len(scale) - 1)
    for digits in (4, 6, 9, 12, 17):
        labels = [f"{value:.{digits}g}" for value in scale]
        apart = len(set(labels)) == len(scale)
        if apart and all(abs(float(label) - one) <= step / 100 for label, one in zip(labels, scale, strict=True)):
            break
    if not any("e" in label for label in labels):  # as many decimals in each, so that they stand below each other
        decimals = max(len(label.partition(".")[2]) for label in labels)
        labels = [f"{value:.{decimals}f}" for value in scale]
    return tuple(zip(scale, labels, strict=True))
