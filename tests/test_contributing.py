"""The example in CONTRIBUTING.md is code of mreg."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

(DIFF,) = re.findall(r"^```diff\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
FILES = dict(re.findall(r"^\+\+\+ (\S+)\n((?:\+(?!\+\+ ).*\n)+)", DIFF, re.MULTILINE))


@pytest.mark.parametrize("path", FILES)
def test_the_lines_of_the_example_are_in_their_file(path: str) -> None:
    lines = (ROOT / path).read_text().splitlines()
    assert [line[1:] for line in FILES[path].splitlines() if line[1:] not in lines] == []
