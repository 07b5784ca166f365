"""The package that is published: its version, its URLs and its description."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

import mreg
from tests.conftest import ROOT


def metadata_of_a_build(folder: Path, *, source: Path = ROOT) -> Message:
    """Return the metadata of the wheel that this environment builds from a source tree."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_version_is_stated_once(tmp_path: Path) -> None:
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    metadata = metadata_of_a_build(tmp_path)
    assert metadata["Version"] == mreg.__version__
    assert metadata.get_all("Project-URL") is None
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def test_a_build_in_github_actions_links_to_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/models")
    metadata = metadata_of_a_build(tmp_path)
    urls = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert urls["Source"] == "https://git.example/ada/models"
    assert urls["Issues"] == "https://git.example/ada/models/issues"
    description = str(metadata.get_payload())
    links = re.findall(r"\]\(([^)]+)\)", description)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in links:
        if link.startswith("https://git.example/ada/models/"):
            kind, _, path = link.removeprefix("https://git.example/ada/models/").partition("/main/")
            assert kind in ("blob", "raw")
            assert (ROOT / path.partition("#")[0]).exists(), link


def test_the_wheel_builds_from_the_source_distribution(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(tmp_path / "source", filter="data")
    (tree,) = (tmp_path / "source").iterdir()
    assert not {".git", ".venv", ".hypothesis"} & set(os.listdir(tree))
    assert metadata_of_a_build(tmp_path / "wheel", source=tree)["Version"] == mreg.__version__
