"""What every test stands on: no variable, folder or repository of the person who runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import mreg
from mreg.cli import app

FULL = bool(os.environ.get("MREG_TEST_FULL"))
"""Whether the long fault campaigns run whole, and not only a seeded share of them."""

settings.register_profile("mreg", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("mreg")

SCRUBBED = ("MREG_", "AWS_", "GIT_", "GITHUB_", "GITLAB_", "CI_", "CIRCLE", "BUILDKITE", "BUILD_", "XDG_", "_MREG")


@pytest.fixture(autouse=True)
def _a_person_of_the_tests(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(SCRUBBED) and name != "MREG_TEST_FULL":
            monkeypatch.delenv(name)
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR", "CLICOLOR_FORCE", "COLUMNS", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MREG_USER", "tester")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))


@pytest.fixture
def registry() -> Iterator[mreg.Registry]:
    """A registry over the default store of the test's own home."""
    with mreg.open_registry() as opened:
        yield opened


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A small file that is a pickle by its bytes."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04K\x01.")
    return path


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Mreg = Callable[..., Done]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Mreg:
    """Runs one command line in this process, its output not on a terminal."""

    def run(*words: str) -> Done:
        capfd.readouterr()
        code = app.run([str(word) for word in words])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def process() -> Mreg:
    """Runs one command line as a process of its own."""

    def run(*words: str, **options: object) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "mreg", *map(str, words)], capture_output=True, check=False, timeout=120, **options
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
