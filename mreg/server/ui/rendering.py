"""Templates and their filters: escaped text, short numbers, times in UTC."""

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
from mreg.domain.text import printable, size_text
from mreg.server.ui.links import external_link

VALUE_LIMIT = 500
"""Maximum number of characters of a value on a page; the API returns all of it."""

ASSETS = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
"""The static files and their media types."""


@cache
def asset(name: str) -> bytes:
    """Return the content of one of `ASSETS`."""
    return (files("mreg.server.ui") / "static" / name).read_bytes()


@cache
def asset_version(name: str) -> str:
    """Return the start of the digest of an asset; its URL has it, so that browsers cache the asset."""
    return hashlib.sha256(asset(name)).hexdigest()[:16]


def number(value: MetricValue) -> str:
    """Return a number with at most six significant digits; integers below 10^15 have all digits."""
    return f"{value:.6g}" if isinstance(value, float) or abs(value) >= 10**15 else str(value)


def signed(value: MetricValue) -> str:
    """Return a difference like `number`, with its sign."""
    return f"{value:+.6g}" if isinstance(value, float) or abs(value) >= 10**15 else f"{value:+d}"


def sized(count: int) -> Markup:
    """Return `size_text` with the exact number of bytes as its tooltip."""
    return Markup('<span title="{:,} bytes">{}</span>').format(count, size_text(count))


def timestamp(at: datetime) -> Markup:
    """Return a time in UTC to the minute; the ``datetime`` attribute has the microseconds."""
    return Markup('<time datetime="{}">{}\u00a0UTC</time>').format(
        time_text(at), at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    )


def shortened(text: object, limit: int = 60) -> str:
    """Return the text in one line; a long text is cut in the middle, so that its start and end remain."""
    shown = printable(" ".join(str(text).split()))
    if len(shown) <= limit:
        return shown
    end = limit // 3
    return f"{shown[: limit - end - 1]}…{shown[-end:]}"


def truncated(text: str, limit: int = VALUE_LIMIT) -> str:
    """Return the text; a long text is cut and followed by its number of characters."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def lines(text: str) -> Markup:
    """Return a text of several lines as markup."""
    return Markup("{}").format(escape(printable(text.replace("\r\n", "\n"), keep_newlines=True)))


def digest(value: Digest) -> str:
    """Return the first 12 digits of a digest, enough to search for it."""
    return f"{value.algorithm}:{value.value[:12]}…"


def _printable_text(value: Any) -> Any:
    """Replace nonprintable characters of a text that a template inserts, before the text is escaped."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def templates() -> Environment:
    """Return the templates; an undefined name in a template is an error."""
    environment = Environment(
        loader=PackageLoader("mreg.server.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable_text,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number, "signed": signed, "size": sized, "timestamp": timestamp, "shortened": shortened,
        "truncated": truncated, "lines": lines, "digest": digest,
    }  # fmt: skip
    environment.globals |= {"external_link": external_link, "mreg_version": __version__}
    return environment
