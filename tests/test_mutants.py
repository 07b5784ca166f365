"""The tables of `tests.mutants` name modules, tests and mutants that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import EQUIVALENT, MODULES, ROOT, equivalents, mutants


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_and_its_tests_exist(module: str) -> None:
    assert (ROOT / "mreg" / f"{module}.py").is_file()
    tests = MODULES[module].split()
    assert tests
    for file, _, function in (test.partition("::") for test in tests):
        assert (ROOT / file).is_file(), file
        assert not function or function in functions(ROOT / file), function


@pytest.mark.parametrize("module", MODULES)
def test_an_equivalent_mutant_is_one_that_can_be_drawn(module: str) -> None:
    entered = {place for place in equivalents() if place.startswith(f"{module} | ")}
    assert not entered or entered <= {mutant.place for mutant in mutants(module)}


def test_an_equivalent_mutant_has_a_module_and_a_reason() -> None:
    for row in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            module, function, change, reason = row.split(" | ")
            assert module in MODULES, row
            assert function, row
            assert " => " in change, row
            assert reason, row
