"""The trend of a metric over versions as a chart.

Positions are percentages of the width and height of the chart, so that it fills any screen while text and points keep
their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mreg.domain.metrics import Direction, MetricValue, direction
from mreg.domain.model import ModelVersion, RegisteredModel

STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
LINES = 8
"""Maximum number of grid lines."""

SIDE = 1_000
"""Side of the square in which paths are drawn before they are stretched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The value of a version.

    Attributes:
        x: Distance from the left in percent of the width.
        y: Distance from the top in percent of the height.
    """

    version: ModelVersion
    value: MetricValue
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A grid line with its value."""

    label: str
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A chart of one metric, the oldest version first.

    Attributes:
        direction: Direction of the metric, None if it is unknown.
        points: Empty if no version has the metric.
        lines: Grid lines from the top down, at equal distances.
        path: SVG path through the points, in a square of `SIDE` units.
        area: SVG path around the area below the points.
        best: The best point, None if the direction is unknown.
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
        """The newest point with the lowest value."""
        return min(reversed(self.points), key=lambda point: point.value)

    @property
    def highest(self) -> Point:
        """The newest point with the highest value."""
        return max(reversed(self.points), key=lambda point: point.value)


def trend(model: RegisteredModel, versions: Iterable[ModelVersion], metric: str) -> Trend:
    """Return the chart of a metric over versions, given newest first; versions without the metric have no point."""
    measured = [(version, version.metrics[metric]) for version in versions if metric in version.metrics][::-1]
    better = direction(metric, model.directions)
    if not measured:
        return Trend(metric=metric, direction=better, points=(), lines=(), path="", area="", best=None)
    values = [float(value) for _, value in measured]
    scale = _scale(min(values), max(values))
    first, last = measured[0][0].version, measured[-1][0].version
    points = tuple(
        Point(
            version=version,
            value=value,
            x=100 * (version.version - first) / (last - first) if last > first else 50.0,
            y=100 - 100 * _share(float(value), scale),
        )
        for version, value in measured
    )
    corners = [f"{point.x * SIDE / 100:.1f} {point.y * SIDE / 100:.1f}" for point in points]
    path = f"M{'L'.join(corners)}" if len(corners) > 1 else ""
    ends = points[0].x * SIDE / 100, points[-1].x * SIDE / 100
    best = {Direction.HIGHER: max, Direction.LOWER: min}
    return Trend(
        metric=metric,
        direction=better,
        points=points,
        lines=tuple(
            Line(label=label, y=100 - 100 * _share(value, scale)) for value, label in reversed(_labelled(scale))
        ),
        path=path,
        area=f"{path}L{ends[1]:.1f} {SIDE}L{ends[0]:.1f} {SIDE}Z" if path else "",
        best=best[better](reversed(points), key=lambda point: point.value) if better is not None else None,
    )


def _share(value: float, scale: tuple[float, ...]) -> float:
    """Return the position of a value between the ends of a scale, from 0 to 1."""
    low, high = scale[0], scale[-1]
    span = high / 2 - low / 2  # halved first: the span of the largest floats would be infinite
    return (value / 2 - low / 2) / span if span else 0.5


def _scale(low: float, high: float) -> tuple[float, ...]:
    """Return round values at equal distances that enclose both values.

    If floats are not precise enough, as at the ends of their range, return only the two values.
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
    """Return each value with a label, with enough digits to distinguish the labels."""
    step = abs(scale[-1] - scale[0]) / max(1, len(scale) - 1)
    for digits in (4, 6, 9, 12, 17):
        labels = [f"{value:.{digits}g}" for value in scale]
        apart = len(set(labels)) == len(scale)
        if apart and all(abs(float(label) - value) <= step / 100 for label, value in zip(labels, scale, strict=True)):
            break
    if not any("e" in label for label in labels):  # the same number of decimals in each, so that they align
        decimals = max(len(label.partition(".")[2]) for label in labels)
        labels = [f"{value:.{decimals}f}" for value in scale]
    return tuple(zip(scale, labels, strict=True))
