"""Hints and notes on a terminal: broken at spaces, and every command can be pasted."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg import streams
from mreg.domain.text import COMMAND, COMMAND_IN_TEXT


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "is_terminal", lambda _name: True)
    monkeypatch.setenv("COLUMNS", "60")


LONG = "team-a/*,team-b/*,team-c/*,team-d/*,team-e/*,team-f/*,team-g/*"

HINTS = [
    ("short: mreg list", ["  short: mreg list"]),
    (
        "use letters, digits, '.', '_', '-' and '/' between parts, beginning with a letter",
        ["  use letters, digits, '.', '_', '-' and '/' between parts,", "  beginning with a letter"],
    ),
    (
        "choose another name, or revoke it first: mreg token revoke lead/ci",
        ["  choose another name, or revoke it first:", "  mreg token revoke lead/ci"],
    ),
    (
        "use https://h, or in a network that you trust: mreg login http://h --insecure; or ask",
        ["  use https://h, or in a network that you trust:", "  mreg login http://h --insecure; or ask"],
    ),
    (
        f"limit it: mreg token create lead/x --role reader --models '{LONG}' --expires 90d",
        [
            "  limit it:",
            "  mreg token create lead/x --role reader --models \\",
            f"    '{LONG}' \\",
            "    --expires 90d",
        ],
    ),
    (
        "mreg deploy NAME@production, or mreg deploy --pending, or nothing of all this",
        ["  mreg deploy NAME@production, or mreg deploy --pending, or", "  nothing of all this"],
    ),
    (
        "local: env -u MREG_SERVER MREG_CATALOG=copy.db mreg import hf:org/model",
        ["  local:", "  env -u MREG_SERVER MREG_CATALOG=copy.db mreg import \\", "    hf:org/model"],
    ),
    ("  indented: TMPDIR=FOLDER mreg serve --port 8000 --allow-host models", ["    indented:", "    TMPDIR=FOLDER mreg serve --port 8000 --allow-host models"]),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "lines"), HINTS)
def test_a_hint_is_broken_at_spaces_and_never_within_a_command(hint: str, lines: list[str]) -> None:
    assert streams.wrapped(hint, commands=COMMAND, indent="  ") == "\n".join(lines)


def test_a_note_keeps_its_command_together() -> None:
    note = "MREG_SERVER overrides the registry of this profile; to use it: unset MREG_SERVER"
    assert streams.wrapped(note, commands=COMMAND_IN_TEXT).splitlines()[-1] == "it: unset MREG_SERVER"


def test_a_command_that_a_text_is_about_is_broken_like_other_words() -> None:
    text = "error: mreg restore needs direct access to the catalog, but MREG_SERVER is set"
    assert streams.wrapped(text).splitlines() == [
        "error: mreg restore needs direct access to the catalog, but", "MREG_SERVER is set"
    ]  # fmt: skip
    note = "mreg verify tells whether the bytes of all its versions are there"
    assert len(streams.wrapped(note, commands=COMMAND_IN_TEXT).splitlines()) == 2


WORDS = st.text(st.sampled_from("ab/@*- ;:,'"), min_size=1, max_size=30).map(shlex.quote)


@given(st.lists(WORDS, min_size=1, max_size=12))
def test_a_command_of_any_length_can_be_pasted(words: list[str]) -> None:
    command = " ".join(["mreg", "token", "revoke", *words])
    for hint in (command, f"or so: {command}"):
        pasted = streams.wrapped(hint, commands=COMMAND, indent="  ").replace("\\\n", "")
        if (found := re.search(COMMAND, command)) and found[0] == command:  # no quote within quotes
            assert shlex.split(re.sub(r"^ *(or so:\s+)?", "", pasted)) == shlex.split(command)
