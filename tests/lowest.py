"""An environment with the lowest version of each dependency that pyproject.toml allows."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.conftest import ROOT

TOOLS = ("boto3", "hypothesis", "pytest", "pytest-timeout", "requests")
"""The packages that the tests of the server need, in the newest versions that fit."""

EXTRAS = ("plot", "postgres", "server")


def requirements() -> list[str]:
    """The dependencies of mreg with all extras for users, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]


def lowest_environment() -> Path:
    """The Python of a virtual environment with the lowest versions; made once for each state of pyproject.toml."""
    wanted = "\n".join(sorted(requirements()))
    name = hashlib.sha256(f"{sys.version}\n{wanted}\n{TOOLS}".encode()).hexdigest()[:16]
    place = ROOT / ".venv" / "lowest" / name
    python = place / "bin" / "python"
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "lock").open("w") as lock:
        if os.name == "posix":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)  # other workers wait, and find it made
        if (place / "complete").exists():
            return python
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        install = ("pip", "install", "--quiet", "--python", str(python))
        _uv(*install, "--resolution", "lowest-direct", *requirements())
        versions = _uv("pip", "freeze", "--quiet", "--python", str(python))
        constraints = place / "constraints.txt"
        constraints.write_text(versions)
        _uv(*install, "--constraint", str(constraints), *TOOLS)
        (place / "complete").touch()
    return python


def installed(python: Path) -> dict[str, str]:
    """The version of each package of an environment, by its name in lower case."""
    lines = _uv("pip", "freeze", "--quiet", "--python", str(python)).splitlines()
    return {name.lower(): version for name, _, version in (line.partition("==") for line in lines)}


def _uv(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, f"uv {' '.join(words)}: {done.stderr}"
    return done.stdout
