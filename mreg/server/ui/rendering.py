"""Templates, and how values come into them: stored text harmless, numbers short, times in UTC."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from mreg import __version__
from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.metrics import MetricValue
from mreg.domain.text import printable
from mreg.server.ui.links import api, link, outside

VALUE_LIMIT = 500
"""Characters of a value that a page shows; the API has it whole."""

ASSETS = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
"""Files beside the pages, and what they are."""


@cache
def asset(name: str) -> bytes:
    """The bytes of one of `ASSETS`."""
    return (files("mreg.server.ui") / "static" / name).read_bytes()


@cache
def asset_link(name: str) -> str:
    """The address of an asset; it changes with the asset's bytes, so that a browser may keep them."""
    return link("static", name, v=hashlib.sha256(asset(name)).hexdigest()[:16])


def number(value: MetricValue) -> str:
    """A number for people: up to six significant digits, whole numbers whole unless they are very long."""
    return f"{value:.6g}" if isinstance(value, float) or abs(value) >= 10**15 else str(value)


def signed(value: MetricValue) -> str:
    """A difference for people, with its sign."""
    return f"{value:+.6g}" if isinstance(value, float) or abs(value) >= 10**15 else f"{value:+d}"


def size(count: int) -> str:
    """A number of bytes in the largest unit that leaves a digit before the point."""
    if count < 1_000:
        return "1 byte" if count == 1 else f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1_000
        if value < 999.5 or unit == "PB":
            break
    return f"{value:.3g} {unit}"


def when(at: datetime) -> Markup:
    """A time to the minute in UTC, with its microseconds for programs."""
    return Markup('<time datetime="{}">{}\u00a0UTC</time>').format(
        time_text(at), at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    )


def shortened(text: object, limit: int = 60) -> str:
    """The text in one line, cut in its middle, so that its beginning and its end still tell what it is."""
    shown = printable(" ".join(str(text).split()))
    if len(shown) <= limit:
        return shown
    end = limit // 3
    return f"{shown[: limit - end - 1]}…{shown[-end:]}"


def beginning(text: str, limit: int = VALUE_LIMIT) -> str:
    """The beginning of a long text, with the number of its characters."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def lines(text: str) -> Markup:
    """A text of several lines, to be shown as they are."""
    return Markup("{}").format(escape(printable(text.replace("\r\n", "\n"), keep_newlines=True)))


def digest(value: Digest) -> str:
    """The beginning of a digest, enough to find it by."""
    return f"{value.algorithm}:{value.value[:12]}…"


def _harmless(value: Any) -> Any:
    """What is put into a template: every text with what a browser could obey written out, before it is escaped."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def templates() -> Environment:
    """The templates; a name that a template uses and nobody gave is an error."""
    found = Environment(
        loader=PackageLoader("mreg.server.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "number": number, "signed": signed, "size": size, "when": when, "shortened": shortened,
        "beginning": beginning, "lines": lines, "digest": digest,
    }  # fmt: skip
    found.globals |= {"link": link, "api": api, "outside": outside, "asset": asset_link, "mreg_version": __version__}
    return found
