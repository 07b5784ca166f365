"""Addresses in Markdown: the ones of a run, a repository and data are links, and no text makes a link of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mreg.cli.table import Link, Rendering, Table, markdown, markdown_link
from mreg.cli.views import render
from mreg.domain.model import Source
from mreg.registry.compare import compare_versions
from tests.registry.test_comparison import version

PARSER = MarkdownIt("commonmark").enable("table")


def inline(text: str) -> list[Token]:
    return [child for token in PARSER.parse(text) for child in token.children or ()]


def links(text: str) -> list[object]:
    return [token.attrs["href"] for token in inline(text) if token.type == "link_open"]


def in_a_table(address: str) -> str:
    row = (Link(address), "[x](https://elsewhere) <b>")
    return markdown(Rendering(tables=(Table(columns=("a", "b"), rows=(row,)),), flat=Table(columns=("a",), rows=())))


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("https://ci.example/runs/7", "https://ci.example/runs/7"),
        ("http://localhost:8080/job/x?b=1&c=%20#d", "http://localhost:8080/job/x?b=1&c=%20#d"),
        ("HTTPS://CI.example", "HTTPS://CI.example"),
        ("https://x/a b|c(d)[e]<f>`g`*h*", "https://x/a%20b%7Cc%28d%29%5Be%5D%3Cf%3E%60g%60%2Ah%2A"),
        ("https://x/\\>)[y](javascript:z)", "https://x/%5C%3E%29%5By%5D%28javascript:z%29"),
        ("https://x/é\x1b\n\u202e", "https://x/%C3%A9%1B%0A%E2%80%AE"),
        ("https://x/&lt;&colon;", "https://x/&lt;&colon;"),
        ("https://x/$y$", "https://x/%24y%24"),
    ],
)
def test_an_http_address_is_one_link(address: str, target: str) -> None:
    assert links(in_a_table(address)) == [target]


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)", "JavaScript://x/%0aalert(1)", "data:text/html,x", "file:///etc/passwd", "vbscript:x", "//x/y",
        "ssh://git@x/y", "git@x:y.git", "s3://bucket/key", "https://", "https://user@evil.example/", "https://good\u002eevil@x",
        "https://\u0435xample.com/", "https://[::1]/", "https://x:y/", " https://x/", "\nhttps://x/", "https:/x", "",
        "https://x\\@y/", "https://x>y", "https://x`/",
    ],
)  # fmt: skip
def test_any_other_address_is_text(address: str) -> None:
    assert links(in_a_table(address)) == []


@given(
    st.text(max_size=80), st.sampled_from(["", "https://", "http://x/", "https://x:1?", "javascript:", "https://x/](<"])
)
def test_an_address_is_never_more_than_one_link_and_has_no_markup(text: str, start: str) -> None:
    address = start + text
    found = inline(in_a_table(address))
    hrefs = [str(token.attrs["href"]) for token in found if token.type == "link_open"]
    assert len(hrefs) <= 1
    assert all(href.lower().startswith(("http://", "https://")) and href.isascii() for href in hrefs)
    assert {token.type for token in found} <= {"link_open", "link_close", "text", "text_special"}
    assert markdown_link(address).count("\n") == 0


def test_run_repository_and_data_are_links_and_other_text_is_not() -> None:
    source = Source(run_url="https://ci/7", git_remote="https://git/x.git", git_branch="https://branch/")
    data = {"train": "https://data/x", "test": "https://data/y@sha256:" + "0" * 64, "lake": "s3://b/k"}
    first = version(1, {}, source=source, data=data, description="https://d/", tags={"a": "https://t/"})
    assert links(markdown(render(first))) == ["https://data/x", "https://ci/7", "https://git/x.git"]
    second = version(2, {}, data={"train": "javascript:x"}, parameters={"git_remote": "https://p/"})
    changed = markdown(render(compare_versions(first, second, directions={})))
    assert links(changed) == ["https://data/x", "https://git/x.git"]
