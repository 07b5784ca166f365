"""The manual pages are those of the commands, and a manual reader shows them without a warning."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from mreg.cli import app
from mreg.cli.topics import TOPICS
from tests.conftest import ROOT

FOLDER = ROOT / "man"
MAN = runpy.run_path(str(ROOT / "docs" / "man.py"))
PAGES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("man?/*"))


def shown(*paths: str) -> subprocess.CompletedProcess[str]:
    """What a manual reader shows of pages, with all warnings."""
    program = shutil.which("groff")
    if program is None:
        pytest.skip("groff is not installed")
    words = [program, "-man", "-ww", "-Tascii", "-P-cbou", *(str(FOLDER / path) for path in paths)]
    return subprocess.run(words, capture_output=True, text=True, check=True)


def test_the_pages_are_those_that_the_script_writes() -> None:
    """After a change of a help text: ``python docs/man.py``."""
    assert {name: (FOLDER / name).read_text() for name in PAGES} == MAN["pages"]()


def test_every_command_and_topic_has_a_page() -> None:
    assert {f"man1/mreg-{name}.1" for name in app.COMMANDS} <= set(PAGES)
    assert {"man1/mreg.1", "man1/mreg-policy-apply.1", *(f"man7/mreg-{name}.7" for name in TOPICS)} <= set(PAGES)


def test_no_page_has_a_warning() -> None:
    assert shown(*PAGES).stderr == ""


def test_a_page_shows_the_options_and_examples_as_they_are_typed() -> None:
    text = shown("man1/mreg-push.1").stdout
    for line in (
        "mreg-push - upload a file or folder as a new version",
        "mreg push [OPTIONS] PATH",
        "-n, --name NAME",
        "mreg push model.pkl --name churn --metrics-file metrics.json --tag team=crm",
    ):
        assert f" {line}\n" in text
    assert "cost <= production.cost * 1.1" in shown("man7/mreg-expressions.7").stdout
    assert "metrics.accuracy > 0.9 and stage = 'Staging'" in shown("man1/mreg-search.1").stdout


def test_each_page_that_a_page_refers_to_exists() -> None:
    for page in PAGES:
        text = (FOLDER / page).read_text().replace("\\-", "-")
        for name, section in re.findall(r"^\\fB(mreg[a-z-]*)\\fR\((\d)\)", text, re.MULTILINE):
            assert (FOLDER / f"man{section}" / f"{name}.{section}").exists(), (page, name)


def test_escapes_keep_a_text_as_it_is(tmp_path: Path) -> None:
    hostile = ".so /etc/passwd \\n(.x 'quoted' `x` ^ ~ -- \\"
    page = tmp_path / "x.1"
    page.write_text(f'.TH X 1 "" "" ""\n.SH NAME\nx \\- y\n.SH TEXT\n{MAN["escaped"](hostile)}\n')
    done = shown(str(page))
    assert done.stderr == ""
    assert f" {hostile}\n" in done.stdout


def test_the_wheel_installs_the_pages_and_the_completions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    data = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert data["man"] == "share/man"
    assert all((ROOT / path).exists() for path in data)
    assert {"man", "completions"} <= set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
