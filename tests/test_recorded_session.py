"""The picture of a terminal session in the README shows commands that work, with the output that they print."""

from __future__ import annotations

import html
import re
import sys
from runpy import run_path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


def text_of(picture: str) -> str:
    """Return the characters that a picture shows, without spaces."""
    return re.sub(r"\s", "", html.unescape("".join(re.findall(r"<text[^>]*>(.*?)</text>", picture))))


def test_the_recorded_session_is_up_to_date_and_loads_nothing_from_elsewhere() -> None:
    script = run_path(str(ROOT / "docs/record_session.py"))
    recorded = script["draw"](script["record"]())
    assert re.findall(r"(?:https?:)?//[^\s\"')]+", recorded) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@font-face|@import|url\((?!#)", recorded)
    assert text_of(script["PICTURE"].read_text()) == text_of(recorded), "run: python docs/record_session.py"
