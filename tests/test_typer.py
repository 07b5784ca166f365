"""The command line is the same on the lowest and on the newest Typer, and imports pydantic on neither."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from mreg.cli import app
from tests.conftest import ROOT
from tests.environments import installed, lowest_environment, newest_environment

ENDS = {"lowest": lowest_environment, "newest": newest_environment}

LINES = {
    "--version": 0,
    "push model.pkl -n m --accuracy 0.9 --tag a=b --tag c=d": 0,
    "push model.pkl -n m --accuracy 0.8": 0,
    "list --limit 1 --format plain": 0,
    "list --limit x": 2,
    "list --no-such-option": 2,
    "lst": 2,
    "list --profile": 2,
    "promote": 2,
    "policy": 2,
    "tag --help": 0,
    "policy --help": 0,
    "show m 1 --json": 0,
    "compare m 1 2 --fail-on-regression": 3,
    "promote m@1 --to staging -q": 0,
    "policy show --model m": 0,
    "serve --port 65536": 2,
    "verify m@1": 0,
}
"""Command lines and their exit codes."""

TESTS = (
    "test_a_mistake_has_its_exit_code_and_its_next_step",
    "test_mreg_alone_shows_its_help",
    "test_with_json_an_error_is_an_object",
)

WATCHED = (
    "import sys\nfrom mreg.cli.app import run\ncode = run(sys.argv[1:])\n"
    "sys.exit('pydantic was imported' if 'pydantic' in sys.modules else code)"
)


@pytest.fixture(params=ENDS)
def python(request: pytest.FixtureRequest) -> Path:
    """The Python of an environment with this Typer."""
    return ENDS[request.param]()


def run(python: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [str(python), "-W", "error", *words], capture_output=True, text=True, check=False, timeout=120, env=env
    )


def stated(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)))


def test_typer_has_a_lower_bound_and_no_upper_one() -> None:
    line = next(line for line in (ROOT / "pyproject.toml").read_text().splitlines() if '"typer' in line)
    assert re.match(r'  "typer>=0\.26",', line)
    assert stated(installed(newest_environment())["typer"]) >= (0, 29, 2)
    assert stated(installed(lowest_environment())["typer"])[:2] == (0, 26)


def test_each_command_line_ends_as_it_should_without_pydantic(python: Path) -> None:
    Path("model.pkl").write_bytes(b"x")
    for line, code in LINES.items():
        done = run(python, "-c", WATCHED, *line.split())
        assert done.returncode == code, (line, done.stdout, done.stderr)
        assert "unexpected" not in done.stderr, (line, done.stderr)


def test_words_are_completed(python: Path) -> None:
    for words, found in {
        "li": ["list", "lineage"],
        "list --format j": ["json"],
        "promote m --to st": ["staging"],
    }.items():
        done = run(python, "-m", "mreg", *words.split(), _MREG_COMPLETE="fish")
        assert set(done.stdout.split()) >= set(found), (words, done.stdout, done.stderr)


def test_the_tests_of_usage_errors_and_help_pass(python: Path) -> None:
    done = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"),
        "--rootdir", str(ROOT), *(f"{ROOT}/tests/cli/test_commands.py::{name}" for name in TESTS),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr


def functions(table: dict[str, tuple[str, str, str]]) -> Iterator[Callable[..., None]]:
    for module, name, _ in table.values():
        found = getattr(import_module(f"mreg.cli.{module}"), name)
        yield from functions(found) if isinstance(found, dict) else [found]


@pytest.mark.parametrize("function", [*functions(app.COMMANDS), app._declared])
def test_each_parameter_is_text_or_a_flag(function: Callable[..., None]) -> None:
    # Typer would have to convert others, which its releases do in different ways, and with pydantic.
    allowed = {str, str | None, bool, list[str], list[str] | None, typer.Context, None.__class__}
    for name, hint in get_type_hints(function).items():
        assert hint in allowed, name
