"""Hooks of MkDocs: add the generated pages, and check that the site loads nothing from another host."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent.parent
sys.path.insert(0, str(DOCS.parent))

from docs.generate import command_line, decisions, http_api  # noqa: E402
from docs.generate.resources import in_page, in_style_sheet  # noqa: E402

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
    for url in in_page(output):
        log.warning("%s loads %s", page.file.src_uri, url)
    return output


def on_post_build(config: Any) -> None:
    """Warn about each file that a style sheet loads from another host."""
    for path in Path(config.site_dir).rglob("*.css"):
        for url in in_style_sheet(path.read_text()):
            log.warning("%s loads %s", path.name, url)
