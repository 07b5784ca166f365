"""Results in a notebook: complete, short and escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from mreg.registry.local import LocalRegistry
from mreg.results import Page
from tests.conftest import FULL
from tests.wire.test_round_trip import RESULTS

ELEMENTS = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)>&lt;$\\href{javascript:alert(1)}{x}$\x1b[2J\u202e"


class Parsed(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.attributes: set[tuple[str, str, str | None]] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        self.open.append(tag)
        self.attributes.update((tag, name, value) for name, value in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.fixture
def hostile(registry: LocalRegistry, model_file: Path) -> LocalRegistry:
    """A registry with two versions whose texts are HTML, formulas and escape sequences."""
    for accuracy in (0.9, 0.95):
        registry.push(
            model_file, name="churn", metrics={"accuracy": accuracy, "<b>loss</b>": 1}, parameters={"lr": HOSTILE + str(accuracy)},
            tags={"<i>team</i>": HOSTILE}, description=HOSTILE,
        )  # fmt: skip
    return registry


SHOWN = {
    "a version": lambda registry: registry.version("churn@2"),
    "a model": lambda registry: registry.model("churn"),
    "a model with its versions": lambda registry: registry.show("churn"),
    "a list of models": lambda registry: registry.models(),
    "a search": lambda registry: registry.search("accuracy > 0.9"),
    "a search without results": lambda registry: registry.search("accuracy > 1"),
    "a comparison": lambda registry: registry.compare("churn@1", "churn@2"),
    "the history": lambda registry: registry.history("churn"),
    "lineage": lambda registry: registry.lineage("churn@2"),
    "a check": lambda registry: registry.check()[0],
}


@pytest.mark.parametrize("name", SHOWN)
def test_stored_text_is_shown_as_text(hostile: LocalRegistry, name: str) -> None:
    page = SHOWN[name](hostile)._repr_html_()
    parsed = Parsed(page)
    assert {name for _, name, _ in parsed.attributes} <= {"class", "style"}
    assert ("div", "class", "tex2jax_ignore mathjax_ignore") in parsed.attributes
    assert page.isprintable()


def test_a_version_shows_its_metrics_and_tags(hostile: LocalRegistry) -> None:
    text = Parsed(hostile.version("churn@2")._repr_html_()).text
    for word in ("ModelVersion churn@2 accuracy=0.95", "metrics.accuracy", "0.95", "tags.<i>team</i>", "5 bytes"):
        assert word in text
    assert "</td><script>alert(1)</script>" in text
    assert "\\x1b[2J" in text


def test_a_comparison_shows_verdicts_and_other_differences(hostile: LocalRegistry) -> None:
    text = Parsed(hostile.compare("churn@1", "churn@2")._repr_html_()).text
    for word in ("churn@1", "churn@2", "accuracy", "0.9", "0.95", "0.05", "better", "parameters.lr"):
        assert f"{word}\n" in text


def test_a_long_list_is_cut_and_says_so(hostile: LocalRegistry) -> None:
    (version,) = hostile.search(limit=1)
    parsed = Parsed(Page([version] * 60)._repr_html_())
    assert parsed.text.count("churn@2\n") == 50
    assert "10 more rows\n" in parsed.text
    assert "there are more\n" in Parsed(hostile.search(limit=1)._repr_html_()).text


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.__name__)
def test_every_result_has_html(kind: type[Any]) -> None:
    @settings(max_examples=100 if FULL else 5, suppress_health_check=list(HealthCheck))
    @given(RESULTS[kind])
    def check(result: Any) -> None:
        Parsed(result._repr_html_())
        Parsed(Page([result, result])._repr_html_())

    check()


@pytest.fixture
def formatter() -> Iterator[Any]:
    """The formatter with which Jupyter shows values."""
    formatters = pytest.importorskip("IPython.core.formatters")
    yield formatters.DisplayFormatter()


@pytest.mark.parametrize("name", SHOWN)
def test_ipython_shows_html_and_a_short_text(hostile: LocalRegistry, formatter: Any, name: str) -> None:
    value = SHOWN[name](hostile)
    shown, _ = formatter.format(value)
    assert shown["text/html"] == value._repr_html_()
    assert shown["text/plain"] == repr(value)
