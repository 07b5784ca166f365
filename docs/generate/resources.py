"""Files that a browser would load from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser

SOURCES = ("src", "srcset", "poster", "data")
"""Attributes whose address a browser loads."""


def in_page(html: str) -> list[str]:
    """Return the addresses of scripts, styles, images and fonts on other hosts; links to follow are not among them."""
    found = _Resources()
    found.feed(html)
    return found.foreign


def in_style_sheet(css: str) -> list[str]:
    """Return the addresses on other hosts that a style sheet loads."""
    urls = re.findall(r"""(?:url\(|@import)\s*['"]?([^'")\s;]+)""", css)
    return [url for url in urls if _is_foreign(url)]


def _is_foreign(url: str) -> bool:
    return url.startswith("//") or ("://" in url.partition("?")[0] and not url.startswith("data:"))


class _Resources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        # A canonical link and the like name a page and load nothing.
        loads = tag != "link" or (values.get("rel") or "") not in ("canonical", "prev", "next", "alternate")
        for name, value in attrs:
            address = name in ("src", "srcset", "poster", "data") or (
                name == "href" and tag in ("link", "use", "image")
            )
            if address and loads and value and _is_foreign(value):
                self.foreign.append(value)
