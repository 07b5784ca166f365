"""Completion in the shells themselves: what is typed and completed there is then run there."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mreg.cli.completion import _described
from mreg.cli.shells import SHELLS, script
from tests.conftest import Mreg
from tests.forking import forked_mreg

FOLDER = Path(__file__).parent.parent.parent / "completions"

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


def needs(shell: str) -> str:
    """The shell's program; where it is missing the test is skipped, and in CI a skip fails the run."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    return program


@pytest.fixture(autouse=True)
def _story(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{forked_mreg().parent}{os.pathsep}{os.environ['PATH']}")
    Path("model.pkl").write_bytes(b"x")
    command(
        "push",
        "model.pkl",
        "-n",
        "classifier",
        "--accuracy",
        "0.9",
        "--stage",
        "production",
        "--alias",
        "champ",
        "--tag",
        "team=a",
    )
    command("push", "model.pkl", "-n", "team/ranker", "--metric", "ndcg=0.5")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_those_that_mreg_prints(shell: str, command: Mreg) -> None:
    assert (FOLDER / f"mreg.{shell}").read_text() == script(shell)
    assert command("completion", shell).out == script(shell)


def typed(shell: str, *lines: str, awaited: tuple[str, ...] = ()) -> str:
    """What the screen of an interactive shell shows after some keys.

    Args:
        awaited: What the completion of each line shows: a shell shows nothing while there are further keys.
    """
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
        for text in awaited[number : number + 1]:
            wait_for(text.encode())
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


@pytest.mark.parametrize(
    "line",
    ["import mod", "import --name x mod", "restore mod", "policy apply mod", "pull classifier@1 mod",
     "push x --metrics-file mod", "export classifier -o mod", "list --config mod", "profile add x --catalog mod"],
)  # fmt: skip
def test_fish_offers_files_where_a_file_is_meant(line: str) -> None:
    assert in_fish(f"mreg {line}") == ["model.pkl"]


def test_fish_offers_files_with_unusual_names_as_they_are() -> None:
    for name in ("-rf", "a b", "$(touch PWNED)"):
        Path(name).write_bytes(b"x")
    assert {"-rf", "a b", "$(touch PWNED)", "model.pkl"} <= set(in_fish("mreg import "))
    assert not Path("PWNED").exists()


def described(shell: str, *words: str) -> dict[str, str]:
    """The words that mreg offers to a shell, with their descriptions."""
    done = subprocess.run(
        [forked_mreg(), *words], capture_output=True, text=True, check=True,
        env={**os.environ, "_MREG_COMPLETE": shell},
    )  # fmt: skip
    assert done.stderr == ""
    return {word: text for word, _, text in (line.partition("\t") for line in done.stdout.splitlines())}


def test_words_have_descriptions() -> None:
    assert described("fish", "pu") == {
        "push": "Upload a file or folder as a new version.", "pull": "Download the artifact of a version and verify it.",
    }  # fmt: skip
    assert described("fish", "policy", "a") == {"apply": "Apply the policy of a file to a model, or as the default."}
    assert described("fish", "list", "--lim") == {"--limit": "Maximum number of rows."}
    assert described("fish", "gc", "--gr") == {
        "--grace": "Keep blobs that are younger, such as 90m or 7d (default: 24h)."
    }
    found = described("fish", "show", "classifier@")
    assert re.fullmatch(r"Production, accuracy 0\.9, \d{4}-\d\d-\d\d", found["classifier@1"])
    assert found["classifier@champ"].startswith("version 1: Production, accuracy 0.9, ")
    assert found["classifier@best"] == "version with the best accuracy"
    assert described("fish", "help", "ref") == {"references": "How to name a model or a version."}
    # zsh gets each line as it is shown.
    assert described("zsh", "pu") == {
        "push": "push  -- Upload a file or folder as a new version.",
        "pull": "pull  -- Download the artifact of a version and verify it.",
    }


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_description_is_text_on_one_line(shell: str) -> None:
    (line,) = _described(shell, ["m@1"], {"m@1": "Production, a\tb\n\x1b[31mc\u202e 1"})
    assert line.count("\n") == line.count("\t") == 1
    assert line.replace("\t", "").removesuffix("\n").isprintable()


def test_fish_shows_the_descriptions() -> None:
    code = f"source {FOLDER}/mreg.fish; complete -C 'mreg show classifier@1'"
    done = subprocess.run([needs("fish"), "--no-config", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("classifier@1\tProduction, accuracy 0.9, ")


def test_zsh_shows_the_descriptions() -> None:
    screen = typed("zsh", "mreg pu\t", "mreg show classifier@\t", awaited=("new version.", "accuracy 0.9"))
    assert re.search(r"push +-- Upload a file or folder as a new version\.", screen), screen
    assert re.search(r"classifier@1 +-- Production, accuracy 0\.9", screen), screen


def test_the_names_of_the_commands_import_no_module_of_a_command() -> None:
    code = (
        "import sys\nfrom mreg.cli.app import run\nrun(['pu'])\n"
        "print(*(name for name in sys.modules if name.startswith('mreg.cli.')), file=sys.stderr)"
    )
    env = {**os.environ, "_MREG_COMPLETE": "fish"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert {"push", "pull"} <= {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert "mreg.cli.push" not in done.stderr.split()


def offered(words: str, process: Mreg) -> list[str]:
    environment = {
        **os.environ, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), "_MREG_COMPLETE": "complete_bash",
    }  # fmt: skip
    done = process(env=environment)
    assert done.err == ""
    return done.out.split()


REFERENCES = ["classifier@latest", "classifier@best", "classifier@production", "classifier@champ", "classifier@1"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mreg rol", ["rollback"]),
        ("mreg profile li", ["list"]),
        ("mreg show c", ["classifier"]),
        ("mreg show classifier@", REFERENCES),
        ("mreg promote classifier p", ["production"]),
        ("mreg promote classifier@1 --to st", ["staging"]),
        ("mreg promote classifier@1 --to St", ["Staging"]),
        ("mreg alias classifier --remove c", ["champ"]),
        ("mreg push x --metric nd", ["ndcg"]),
        ("mreg search --sort metrics.a", ["metrics.accuracy"]),
        ("mreg list --profile l", ["local"]),
        ("mreg profile use l", ["local"]),
        ("mreg list --format m", ["md"]),
        ("mreg tag classifier@", REFERENCES),
        ("mreg tag classifier@1 t", ["team="]),
        ("mreg tag classifier@1 --remove ", ["team"]),
        ("mreg edit classifier --primary-metric ", ["accuracy"]),
        ("mreg edit classifier@1 --direction ", ["accuracy"]),
        ("mreg edit --primary-metric ", ["accuracy", "ndcg"]),
        ("mreg edit classifier --parent te", ["team/ranker"]),
        ("mreg show team/ranker --plot ", ["ndcg"]),
        ("mreg push x -n team/ranker --metric ", ["ndcg"]),
        ("mreg push x -n new --metric ", ["accuracy", "ndcg"]),
        ("mreg push x -n classifier --alias ", ["champ"]),
        ("mreg register new --primary-metric n", ["ndcg"]),
        ("mreg rollback classifier --to ", REFERENCES),
        ("mreg rollback classifier --to classifier@pro", ["classifier@production"]),
        ("mreg rollback classifier --stage s", ["staging"]),
        ("mreg approve classifier@1 --to ", ["None", "Staging", "Production", "Archived", "champ"]),
        ("mreg lineage classifier --graph m", ["mermaid"]),
        ("mreg completion ", ["bash", "zsh", "fish"]),
        ("mreg import x --name cl", ["classifier"]),
        ("mreg help pol", ["policy"]),
        ("mreg help policy a", ["apply"]),
        ("mreg help ex", ["export", "expressions", "exit-codes"]),
        ("mreg policy a", ["apply"]),
        (
            "mreg pull -",
            [
                "--stdout",
                "--force",
                "--include",
                "--exclude",
                "--dry-run",
                "--if-changed",
                "--help",
                "-h",
                "--format",
                "--json",
                "--quiet",
                "-q",
                "--debug",
                "--profile",
                "--config",
                "--trust-project",
            ],
        ),
        ("mreg show nobody@", []),
        ("mreg show \x1b[2J", []),
    ],
)
def test_words_come_from_the_catalog(words: str, expected: list[str], process: Mreg) -> None:
    assert offered(words, process) == expected
