"""The shell lines of the README, the tutorials and the how-to guides run, and print what the pages show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page, problem, run, short_home
from tests.docs.servers import replacements

PAGES = [
    ROOT / "README.md",
    ROOT / "docs/index.md",
    *sorted((ROOT / "docs").glob("tutorials/*.md")),
    *sorted((ROOT / "docs").glob("how-to/*.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_lines_of_a_page_run_and_print_what_it_shows(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page(path)
    with short_home() as home:
        printed = run(page, home, replacements(page.needs, request.getfixturevalue, monkeypatch))
    assert not (found := problem(page, printed)), found
