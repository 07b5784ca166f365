"""The example of the page on adding a command is code of mreg."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

(DIFF,) = re.findall(
    r"^```diff\n(.*?)^```", (ROOT / "docs/contributing/command.md").read_text(), re.MULTILINE | re.DOTALL
)
FILES = dict(re.findall(r"^\+\+\+ (\S+)\n((?:\+(?!\+\+ ).*\n)+)", DIFF, re.MULTILINE))
PAGES = sorted((ROOT / "docs/contributing").glob("*.md"))
NAMED = re.compile(r"`((?:mreg|tests|docs|examples)/[\w./-]*|[\w-]+\.(?:yml|py|md|toml))`")


@pytest.mark.parametrize("path", FILES)
def test_the_lines_of_the_example_are_in_their_file(path: str) -> None:
    lines = (ROOT / path).read_text().splitlines()
    assert [line[1:] for line in FILES[path].splitlines() if line[1:] not in lines] == []


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *PAGES], ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    for name in NAMED.findall(page.read_text()):
        if "N" not in Path(name).name.split("_")[0]:  # a number that the reader fills in
            assert any((ROOT / folder / name).exists() for folder in ("", ".github/workflows")), name
