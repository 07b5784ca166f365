"""The tables of `tests.mutants` name modules, tests and mutants that exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants import EQUIVALENT, MODULES, ROOT, Normal, chosen_tests, equivalents, mutants


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


def test_the_part_of_some_tests_has_their_lines_and_times() -> None:
    ids = [
        "tests/a.py::test_x",
        "tests/a.py::test_x[1-a]",
        "tests/a.py::test_xy",
        "tests/a.py::TestC::test_x",
        "tests/ab.py::test_x",
    ]
    normal = Normal(
        {("m", 1): set(ids), ("m", 2): {ids[4]}}, dict(zip(ids, (1.0, 2.0, 3.0, 4.0, 50.0), strict=True)), 60.0
    )
    part = normal.of(["tests/a.py::test_x", "tests/missing.py"])
    assert part.covering == {("m", 1): set(ids[:2]), ("m", 2): set()}
    assert (part.limit, part.whole_limit) == (20.0, 620.0)
    assert normal.of(["tests/a.py"]).seconds == dict(zip(ids[:4], (1.0, 2.0, 3.0, 4.0), strict=True))
    assert normal.of(["tests/missing.py"]).limit == 10.0


def test_a_function_runs_once_if_its_file_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODULES, "a", "tests/a.py tests/b.py::test_b tests/c.py::test_c")
    monkeypatch.setitem(MODULES, "b", "tests/b.py tests/a.py")
    assert chosen_tests(["a", "b"]) == ["tests/a.py", "tests/c.py::test_c", "tests/b.py"]
    assert chosen_tests(["a"]) == ["tests/a.py", "tests/b.py::test_b", "tests/c.py::test_c"]
