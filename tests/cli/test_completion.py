"""Completion in the shells themselves: what is typed and completed there is then run there."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mreg.cli.shells import SHELLS, script
from tests.conftest import Mreg

FOLDER = Path(__file__).parent.parent.parent / "completions"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


def needs(shell: str) -> str:
    """The shell's program; where it is missing the test is skipped, and in CI a skip fails the run."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    return program


@pytest.fixture(autouse=True)
def _story(process: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    Path("model.pkl").write_bytes(b"x")
    process("push", "model.pkl", "-n", "classifier", "--accuracy", "0.9", "--stage", "production", "--alias", "champ")
    process("push", "model.pkl", "-n", "team/ranker", "--metric", "ndcg=0.5")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_those_that_mreg_prints(shell: str, command: Mreg) -> None:
    assert (FOLDER / f"mreg.{shell}").read_text() == script(shell)
    assert command("completion", shell).out == script(shell)


def typed(shell: str, *lines: str) -> str:
    """What the screen of an interactive shell shows after some keys."""
    program = needs(shell)
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(PS1="> ", TERM="dumb", COLUMNS="200")
        os.execv(program, [program, *options])
    setup = {"bash": "", "zsh": "autoload -Uz compinit && compinit -u -D; "}[shell]
    screen = b""

    def wait_for(mark: bytes) -> None:
        nonlocal screen
        deadline = time.monotonic() + 20
        while mark not in screen and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.5)[0]:
                try:
                    screen += os.read(terminal, 65536)
                except OSError:
                    return

    os.write(terminal, f"{setup}source {FOLDER}/mreg.{shell}; echo rea''dy\n".encode())
    wait_for(b"ready")
    for number, line in enumerate(lines):
        os.write(terminal, line.encode())
        time.sleep(1.2)  # the shell completes before the line goes on
        os.write(terminal, f"; echo do''ne{number}\n".encode())
        wait_for(f"done{number}".encode())
    os.write(terminal, b"exit\n")
    os.close(terminal)
    os.waitpid(child, 0)
    return screen.decode(errors="replace")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_references_complete_and_then_work(shell: str) -> None:
    screen = typed(
        shell, "mreg show classifier@produ\t -q", "mreg show team/r\t --format js\t", "mreg sho\tclassifier@ch\t -q"
    )
    assert screen.count("classifier@1") == 2, screen
    assert '"name": "team/ranker"' in screen, screen


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_files_complete_where_a_file_is_meant(shell: str) -> None:
    screen = typed(shell, "mreg push mode\t -n fromshell -q")
    assert "fromshell@1" in screen, screen


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_no_error_reaches_the_prompt(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Path("broken.yaml")
    broken.write_text("profiles: [")
    monkeypatch.setenv("MREG_CONFIG", str(broken.resolve()))
    screen = typed(shell, "mreg show class\t >/dev/null 2>&1")
    assert "error" not in screen
    assert "Traceback" not in screen


def in_fish(line: str) -> list[str]:
    program = needs("fish")
    code = f"source {FOLDER}/mreg.fish; complete -C '{line}'"
    done = subprocess.run([program, "--no-config", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [word.split("\t")[0] for word in done.stdout.splitlines()]


def test_fish_offers_what_mreg_knows() -> None:
    assert in_fish("mreg show clas") == ["classifier"]
    assert in_fish("mreg show classifier@pro") == ["classifier@production"]
    assert "push" in in_fish("mreg pu")
    assert "model.pkl" in in_fish("mreg push mod")


def offered(words: str, process: Mreg) -> list[str]:
    environment = {
        **os.environ, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_MREG_COMPLETE": "complete_bash",
    }  # fmt: skip
    done = process(env=environment)
    assert done.err == ""
    return done.out.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mreg rol", ["rollback"]),
        ("mreg profile li", ["list"]),
        ("mreg show c", ["classifier"]),
        (
            "mreg show classifier@",
            ["classifier@latest", "classifier@best", "classifier@production", "classifier@champ", "classifier@1"],
        ),
        ("mreg promote classifier p", ["production"]),
        ("mreg promote classifier@1 --to st", ["staging"]),
        ("mreg promote classifier@1 --to St", ["Staging"]),
        ("mreg alias classifier --remove c", ["champ"]),
        ("mreg push x --metric nd", ["ndcg"]),
        ("mreg search --sort metrics.a", ["metrics.accuracy"]),
        ("mreg list --profile l", ["local"]),
        ("mreg profile use l", ["local"]),
        ("mreg list --format m", ["md"]),
        ("mreg show nobody@", []),
        ("mreg show \x1b[2J", []),
    ],
)
def test_words_come_from_the_catalog(words: str, expected: list[str], process: Mreg) -> None:
    assert offered(words, process) == expected
