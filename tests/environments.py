"""Virtual environments with other versions of the dependencies than the one that runs the tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT

TOOLS = ("boto3", "hypothesis", "pytest", "pytest-timeout", "requests")
"""The packages that the tests need, in the newest versions that fit."""

EXTRAS = ("plot", "postgres", "redis", "server")


def requirements() -> list[str]:
    """The dependencies of mreg with all extras for users, as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]


def lowest_environment() -> Path:
    """The Python of an environment with the lowest allowed version of each dependency."""
    return _environment("lowest", "--resolution", "lowest-direct")


def newest_environment() -> Path:
    """The Python of an environment with the newest allowed versions; Typer is upgraded at each call."""
    python = _environment("newest")
    _uv("pip", "install", "--quiet", "--python", str(python), "--upgrade-package", "typer", *requirements())
    return python


def hub_client(release: str) -> Path:
    """The Python of an environment with huggingface_hub alone: this release, or the newest for an empty text."""
    packages = (f"huggingface_hub=={release}" if release else "huggingface_hub",)
    return _environment(f"hub-{release or 'newest'}", packages=packages, tools=())


def transformers() -> Path:
    """The Python of an environment with transformers, without torch: its packages would take gigabytes."""
    return _environment("transformers", packages=("transformers",), tools=())


def _environment(name: str, *resolution: str, packages: Sequence[str] = (), tools: Sequence[str] = TOOLS) -> Path:
    """Return the Python of an environment that is made once for each set of packages (default: the requirements)."""
    packages = packages or requirements()
    wanted = "\n".join(sorted(packages))
    digest = hashlib.sha256(f"{sys.version}\n{wanted}\n{tools}".encode()).hexdigest()[:16]
    place = ROOT / ".venv" / name / digest
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
        _uv(*install, *resolution, *packages)
        if tools:
            constraints = place / "constraints.txt"
            constraints.write_text(_uv("pip", "freeze", "--quiet", "--python", str(python)))
            _uv(*install, "--constraint", str(constraints), *tools)
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
    if "error sending request" in done.stderr:
        pytest.skip(f"the package registry is unreachable: {done.stderr.strip().splitlines()[-1].strip()}")
    assert done.returncode == 0, f"uv {' '.join(words)}: {done.stderr}"
    return done.stdout
