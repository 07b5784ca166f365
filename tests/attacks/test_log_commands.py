"""Stored text in the log of a CI platform that carries out the commands in a log."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg import streams
from mreg.streams import CI_VARIABLES
from tests.conftest import Mreg

COMMANDS = (
    "##vso[task.setvariable variable=x]y",
    "##VSO[task.complete]",
    "##teamcity[buildStop]",
    "##[add-path]/x",
    "::add-mask::x",
)
CARRIED_OUT = re.compile(r"##vso\[|##teamcity\[|##\[|^\s*::", re.IGNORECASE | re.MULTILINE)


@pytest.fixture
def pushed(command: Mreg) -> Mreg:
    Path("m.pkl").write_bytes(b"x")
    tags = [word for number, text in enumerate(COMMANDS) for word in ("--tag", f"t{number}={text}")]
    assert command("push", "m.pkl", "--name", "m", "--description", COMMANDS[-1], *tags).code == 0
    return command


@pytest.mark.parametrize("variable", CI_VARIABLES)
def test_a_stored_text_is_no_command_in_a_log(pushed: Mreg, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    texts = []
    for words in (
        ("show", "m@1"), ("show", "m@1", "--format", "plain"), ("history",), ("search", COMMANDS[0]), ("show", COMMANDS[-1]),
        ("search", "--columns", "description", "--format", "csv"), ("search", "--columns", "description,name"),
        ("list", "--columns", "description", "--format", "markdown"),
    ):  # fmt: skip
        done = pushed(*words)
        texts += [done.out, done.err]
    assert not [text for text in texts if CARRIED_OUT.search(text)]
    assert any(r"\x23#vso[" in text for text in texts)
    shown = pushed("show", "m@1", "--json").out
    assert not CARRIED_OUT.search(shown)
    assert list(json.loads(shown)["tags"].values()) == list(COMMANDS)


def test_elsewhere_a_stored_text_is_shown_as_it_was_stored(pushed: Mreg) -> None:
    assert COMMANDS[0] in pushed("show", "m@1").out


@pytest.mark.parametrize("variable", CI_VARIABLES)
def test_the_name_of_a_file_is_no_command_in_a_log(
    command: Mreg, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("model").mkdir()
    for name in COMMANDS[:3]:
        (Path("model") / name.replace("/", "_")).write_text(name)
    (Path("model") / "::set-output name=reference::evil").write_text("x")
    assert command("push", "model", "--name", "m").code == 0
    (Path("model") / "w.bin").write_text("x")
    monkeypatch.setenv(variable, "1")
    for words in (
        ("push", "model", "--name", "m"), ("push", "model", "--name", "m", "--dry-run"), ("compare", "m@1", "m@2"),
        ("files", "m@1"), ("files", "m@1", "--quiet"), ("files", "m@1", "--json"), ("files", "m@1", "--format", "csv"),
        ("pull", "m@1", "out", "--dry-run"), ("pull", "m@1", "out", "--include", COMMANDS[0]),
    ):  # fmt: skip
        done = command(*words)
        assert not CARRIED_OUT.search(done.out + "\n" + done.err), words


@given(st.text(st.sampled_from("#:[] vsoVSOteamcity\n\t\x1bm3"), max_size=40))
def test_no_text_is_a_command(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CI_VARIABLES[0], "1")
        safe = streams._safe(text)
    assert not CARRIED_OUT.search(safe)
