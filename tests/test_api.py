"""The names of the Python API: complete, lazy, and known to type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.errors import MregError
from mreg.results import SUBJECTS
from tests.conftest import ROOT

SOURCE = ast.parse((ROOT / "mreg/__init__.py").read_text())


@pytest.mark.parametrize("name", mreg.__all__)
def test_each_name_can_be_imported(name: str) -> None:
    value: Any = getattr(mreg, name)
    assert name == "__version__" or value.__name__ == name
    assert getattr(mreg, name) is value


def test_the_api_has_every_result_and_every_error() -> None:
    results = {
        name
        for subject in SUBJECTS
        for name, value in vars(import_module(f"mreg.results.{subject}")).items()
        if isinstance(value, type) and value.__module__ == f"mreg.results.{subject}"
    }
    errors = {
        name for name, value in vars(mreg.errors).items() if isinstance(value, type) and issubclass(value, MregError)
    }
    assert results | errors <= set(mreg.__all__)


def test_the_reference_lists_each_name() -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    listed = {line.removeprefix("::: mreg.") for line in page.splitlines() if line.startswith("::: mreg.")}
    errors = {name for name, value in vars(mreg.errors).items() if isinstance(value, type)}
    assert listed - {"errors"} == {*mreg.__all__} - errors - {"__version__"}


def test_dir_lists_the_api() -> None:
    assert dir(mreg) == sorted(mreg.__all__)


def test_a_type_checker_sees_the_same_names_in_the_same_modules() -> None:
    block = next(node for node in SOURCE.body if isinstance(node, ast.If))
    declared = {
        alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert declared == {name: home for home, names in mreg._HOMES.items() for name in names}
    assert sorted([*declared, "__version__"]) == sorted(mreg.__all__)


def test_importing_mreg_imports_nothing_else_of_it() -> None:
    code = "import mreg, sys; dir(mreg); print(*(name for name in sys.modules if name.startswith('mreg')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mreg"]


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mreg' has no attribute 'ModelVersoin'"):
        mreg.ModelVersoin  # type: ignore[attr-defined]  # noqa: B018


PROGRAM = """\
from datetime import datetime

import mreg
from mreg import Comparison, Event, ModelSummary, ModelVersion, NotFound, Page, Registry


def best(registry: Registry) -> ModelVersion | None:
    found: Page[ModelVersion] = registry.search("accuracy > 0.9", sort="-accuracy")[:10]
    reveal_type(found[0])
    comparison: Comparison = registry.compare(found[0], found[1].reference)
    document: dict[str, object] = comparison.to_dict()
    models: list[ModelSummary] = list(registry.models())
    events: Page[Event] = registry.history(found[0])
    at: datetime = events[0].at
    print(document, models, at, found.to_pandas(), found.to_dicts(), hash(found[0]))
    try:
        return registry.version("churn@production")
    except NotFound as error:
        print(error.hint)
        return None


with mreg.open_registry() as registry:
    best(registry)
    registry.promote(1)
    registry.version("churn").metrics["accuracy"] = 1
"""


def test_a_type_checker_checks_a_program_of_a_user(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\nfollow_imports = silent\n")
    options = ["--config-file", str(config), "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    lines = [line.partition("program.py:")[2] for line in done.stdout.splitlines()]
    assert [line.split(":")[0] for line in lines] == ["9", "25", "26"], done.stdout
    assert 'note: Revealed type is "mreg.domain.model.ModelVersion"' in lines[0]
    assert "[arg-type]" in lines[1]
    assert "[index]" in lines[2]
