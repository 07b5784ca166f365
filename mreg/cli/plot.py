"""Plots of a metric over the versions of a model, in the terminal or in a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mreg import streams
from mreg.domain.text import nearest, printable, quoted
from mreg.errors import BadInput, NotFound, Unavailable

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.results.models import ModelVersions


ASCII = str.maketrans({"─": "-", "│": "|", **dict.fromkeys("┌┐└┘├┤┬┴┼", "+")})
"""The frame of a plot for terminals whose encoding has no lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The values of a metric, oldest version first; versions without the metric are left out."""

    model: str
    metric: str
    versions: tuple[int, ...]
    values: tuple[float, ...]


def trend(found: ModelVersions | ModelVersion, metric: str | None) -> Trend:
    """Return the trend of a metric (default: the primary metric).

    Raises:
        BadInput: ``found`` is a version, not a model.
        NotFound: No version has the metric.
    """
    versions = getattr(found, "versions", None)
    if versions is None:
        raise BadInput("a trend is of a model, not of one version", hint="mreg show NAME --plot METRIC")
    model: ModelVersions = found  # type: ignore[assignment]
    name = metric or model.metric
    ordered = sorted(versions, key=lambda version: version.version)
    points = [(version.version, version.metrics[name]) for version in ordered if name in version.metrics]
    if not points:
        known = sorted({key for version in versions for key in version.metrics})
        limited = len(versions) < model.model.version_count
        no_version = f"no version of {model.model.name}" + (f" within --limit {len(versions)}" if limited else "")
        if not known:
            raise NotFound(f"{no_version} has a metric", hint=f"mreg show {model.model.name}")
        near = nearest(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(known)}"
        raise NotFound(f"{no_version} has the metric {quoted(name)}", hint=hint)
    return Trend(
        model=str(model.model.name),
        metric=name,
        versions=tuple(version for version, _ in points),
        values=tuple(float(value) for _, value in points),
    )


def draw(points: Trend) -> None:
    """Draw the trend on standard output, in characters.

    Raises:
        Unavailable: plotext is not installed.
    """
    try:
        import plotext
    except ImportError:
        raise _missing("plotext") from None
    plotext.clear_figure()
    width = os.environ.get("COLUMNS", "")
    plotext.plot_size(min(max(int(width), 20), 200) if width.isdecimal() and len(width) < 6 else 80, 20)
    marker = "braille" if streams.can_show("stdout", "\u2801") else "*"
    plotext.plot(list(points.versions), list(points.values), marker=marker)
    plotext.title(printable(f"{points.metric} of {points.model}"))
    plotext.xlabel("version")
    plotext.xticks(list(points.versions)[:: max(1, len(points.versions) // 12)])
    coloured = streams.is_terminal("stdout") and not os.environ.get("NO_COLOR")
    text = plotext.build() if coloured else plotext.uncolorize(plotext.build())
    streams.screen().write((text if streams.can_show("stdout", text) else text.translate(ASCII)) + "\n")


def write(points: Trend, file: str) -> None:
    """Write the trend to a PNG, SVG or HTML file, chosen by the extension; the write is atomic.

    Raises:
        BadInput: The extension is another one.
        Unavailable: matplotlib is not installed, or the file cannot be written.
    """
    target = Path(file)
    kind = target.suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "html"):
        raise BadInput(f"{quoted(file)} does not end in .png, .svg or .html", hint="name it x.svg, for example")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise _missing("matplotlib") from None
    import io

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(points.versions, points.values, marker="o")
    # matplotlib would read a dollar sign as the start of a formula.
    axes.set_title(printable(f"{points.metric} of {points.model}"), parse_math=False)
    axes.set_xlabel("version")
    axes.set_ylabel(printable(points.metric), parse_math=False)
    axes.set_xticks(points.versions[:: max(1, len(points.versions) // 12)])
    axes.grid(alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="svg" if kind == "html" else kind)
    data = stream.getvalue()
    if kind == "html":
        data = _page(points, data)
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        partial.write_bytes(data)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise Unavailable(f"{quoted(file)} can't be written: {error.strerror}") from error


def _page(points: Trend, svg: bytes) -> bytes:
    from html import escape

    title = escape(printable(f"{points.metric} of {points.model}"))
    picture = svg[svg.index(b"<svg") :]
    head = f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<body>\n'
    return head.encode() + picture + b"</body></html>\n"


def _missing(package: str) -> Unavailable:
    from mreg.installation import extra_command

    return Unavailable(f"drawing needs the package {package}", hint=extra_command("plot"))
