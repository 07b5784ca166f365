"""The generated references have every command, option, route and decision; foreign resources are found."""

from __future__ import annotations

import re

import pytest

from docs.generate import command_line, decisions, http_api
from docs.generate.resources import in_page, in_style_sheet
from mreg.cli.app import COMMANDS, root_command
from tests.conftest import ROOT


def test_each_command_has_a_page_with_its_options() -> None:
    pages = command_line.pages()
    root = root_command()
    for name in COMMANDS:
        text = pages[f"reference/cli/{name}.md"] + pages["reference/cli/index.md"]
        for parameter in root.get_command(None, name).params:  # type: ignore[arg-type]
            if parameter.param_type_name == "option":
                assert all(option in text for option in parameter.opts), (name, parameter.opts)


def test_each_route_is_in_the_reference_once() -> None:
    page = http_api.pages()["reference/http.md"]
    routes = [(method, path) for path, methods in http_api.document()["paths"].items() for method in methods]
    assert re.findall(r"^### `(\w+) (\S+)`", page, re.MULTILINE) == [(m.upper(), path) for m, path in routes]
    anchors = re.findall(r"\{: #(\S+) \}", page)
    assert len(set(anchors)) == len(anchors) == len(routes)
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= set(anchors)


def test_the_index_has_each_decision() -> None:
    folder = ROOT / "docs/decisions"
    index = decisions.pages(folder)["decisions/index.md"]
    assert re.findall(r"\]\((\S+)\)", index) == sorted(path.name for path in folder.glob("0*.md"))


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<img src="http://example/x.png">',
        '<img srcset="https://example/x.png 2x">',
        '<svg><use href="https://example/i.svg#x"/></svg>',
    ],
)
def test_a_page_that_loads_from_another_host_is_found(html: str) -> None:
    assert len(in_page(html)) == 1


def test_links_and_own_files_are_not_foreign() -> None:
    html = '<a href="https://example.com">x</a><link rel="canonical" href="https://x.example/"><img src="../x.png?a=b://c">'
    assert in_page(html) == []
    assert in_style_sheet("a{background:url(x.png)} b{background:url('data:image/svg+xml;utf8,<svg/>')}") == []
    assert len(in_style_sheet("@import url(https://fonts.example/css); c{background:url(//x.example/y)}")) == 2
