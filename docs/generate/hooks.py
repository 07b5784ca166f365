"""Hooks of MkDocs: add the generated pages, and check that the site loads nothing from another host."""

from __future__ import annotations

import logging
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent.parent
sys.path.insert(0, str(DOCS.parent))

from docs.generate import command_line, decisions, http_api  # noqa: E402

log = logging.getLogger("mkdocs.hooks.mreg")  # a warning fails a strict build
GENERATED = {**command_line.pages(), **decisions.pages(DOCS / "decisions"), **http_api.pages()}
"""Text of each generated page by its path; the pages of a folder are in the order of the navigation."""


def on_config(config: Any) -> Any:
    """Replace each navigation entry that ends in ``/`` by the pages of that folder, or remove it if there are none."""
    config.nav = _expanded(config.nav)
    return config


def _expanded(entries: list[Any]) -> list[Any]:
    expanded: list[Any] = []
    for entry in entries:
        if isinstance(entry, dict):
            ((title, content),) = entry.items()
            if isinstance(content, list):
                entry = {title: _expanded(content)}
            elif content.endswith("/"):
                written = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob(f"{content}*.md"))
                pages = dict.fromkeys([*(page for page in GENERATED if page.startswith(content)), *written])
                if not pages:
                    continue
                entry = {title: sorted(pages, key=lambda page: not page.endswith("/index.md"))}
        expanded.append(entry)
    return expanded


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for path, text in GENERATED.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_post_page(output: str, page: Any, **_: object) -> str:
    """Warn about each script, style, image or font that a page loads from another host."""
    resources = _Resources()
    resources.feed(output)
    for url in resources.foreign:
        log.warning("%s loads %s", page.file.src_uri, url)
    return output


def on_post_build(config: Any) -> None:
    """Warn about each file that a style sheet loads from another host."""
    for path in Path(config.site_dir).rglob("*.css"):
        text = path.read_text()
        if "url(http" in text or "url(//" in text or "@import" in text:
            log.warning("%s loads a file from another host", path.name)


class _Resources(HTMLParser):
    """Collects the addresses on other hosts that a browser loads with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            loaded = name in ("src", "srcset", "poster", "data") or (name == "href" and tag in ("link", "use", "image"))
            if loaded and value and ("://" in value or value.startswith("//")):
                self.foreign.append(value)
