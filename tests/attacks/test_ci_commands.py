"""CI platforms run lines of a job's log as commands: stored text must not become one of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg import streams
from mreg.cli import app

Run = Callable[..., tuple[int, str, str]]

COMMANDS = (
    "::set-output name=reference::evil",
    "##[set-output name=reference;]evil",
    "##vso[task.prependpath]evil",
    "##teamcity[setParameter name='env.PATH' value='evil']",
)
PLATFORMS = {"GITHUB_ACTIONS": "true", "TF_BUILD": "True", "TEAMCITY_VERSION": "2026.1"}

LINES = (
    "files x@1", "files x@1 --quiet", "files x@1 --json", "files x@1 --format csv", "files x@1 --format md", "show x@1",
    "show x@1 --json", "show x@1 --format csv", "compare x@1 x@2", "compare x@1 x@2 --json", "history x", "show ::x",
    "pull x@1 out --dry-run", "pull x@1 out --include ##vso[x --json", "search tag.a=1", "push --name ##vso[x]y model",
)  # fmt: skip


def is_command(line: str) -> bool:
    """Whether a runner takes a line as a command: ``::`` at its start, the others anywhere in it."""
    return line.lstrip().startswith("::") or re.search(r"##(?:vso|teamcity)?\[", line, re.IGNORECASE) is not None


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs one command line in this process."""

    def run_words(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = app.run(words)
        out, err = capfd.readouterr()
        return code, out, err

    return run_words


@pytest.fixture(autouse=True)
def _model(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("store/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))
    os.mkdir("model")
    for name in COMMANDS:
        (Path("model") / name).write_text(name)
    words = [f"--{kind}=k{place}={text}" for kind in ("tag", "param") for place, text in enumerate(COMMANDS)]
    assert run("push", "model", "-n", "x", "--description", "\n".join(["a", *COMMANDS]), *words)[0] == 0
    (Path("model") / "w.bin").write_text("x")
    words = [f"--param=k{place}={text}!" for place, text in enumerate(COMMANDS)]
    assert run("push", "model", "-n", "x", *words)[0] == 0


@pytest.mark.parametrize("variable", PLATFORMS)
def test_stored_text_is_not_a_command_in_the_log_of_a_job(
    variable: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, PLATFORMS[variable])
    for line in LINES:
        code, out, err = run(*line.split())
        assert code in (0, 2, 4)
        found = [shown for shown in f"{out}\n{err}".split("\n") if is_command(shown)]
        assert not found, f"mreg {line}: {found}"


def test_json_has_the_same_value_in_a_job(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, before, _ = run("show", "x@1", "--json")
    monkeypatch.setenv("TF_BUILD", "True")
    _, after, _ = run("show", "x@1", "--json")
    assert before != after
    assert json.loads(before) == json.loads(after)


def test_outside_of_a_job_text_is_shown_as_it_is(run: Run) -> None:
    _, out, _ = run("files", "x@1", "--quiet")
    assert out.splitlines() == sorted(COMMANDS)


def test_the_outputs_of_ci_stay_commands(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    monkeypatch.setenv("AGENT_TEMPDIRECTORY", str(tmp_path))
    _, _, err = run("push", "model", "-n", "x", "--ci")
    assert "##vso[task.setvariable variable=reference;isOutput=true]x@3\n" in err
    assert "##vso[task.uploadsummary]" in err


@given(st.text(st.sampled_from("#:[] vsoVSOteamcity\n\t\x1bm3"), max_size=40))
def test_no_text_is_a_command(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        safe = streams._safe(text)
    assert not any(map(is_command, safe.split("\n")))
