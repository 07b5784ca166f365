"""Make seeded single-point mutants of the core modules and count those that the tests detect.

Each mutant runs in a temporary copy of the project, never in the working tree. First the tests of the module itself run,
then, if the mutant survived, the tests that use it through commands. A mutant that exceeds its time limit counts as killed.

mutmut and cosmic-ray do not fit: mutmut skips everything outside functions and cannot draw a seeded sample; cosmic-ray changes
the working tree and needs one server per worker to run mutants in parallel.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tests/equivalent_mutants.txt"
COPIED = ("mreg", "tests", "docs", "examples", "benchmarks", "completions", "pyproject.toml", "README.md")

_PUSH = "tests/registry/test_registry.py tests/registry/test_capture.py"
_LIFE = "tests/registry/test_life.py"
_POLICY = "tests/registry/test_policy.py tests/attacks/test_gates.py"
_CATALOG = "tests/contracts/test_sqlite_catalog.py"
_PULL = "tests/registry/test_destinations.py tests/registry/test_forced_pulls.py"
_STORE = "tests/artifacts/test_store.py"
_SERVER = "tests/server/test_api.py tests/server/test_safety.py"

# module: the tests of the module itself; the tests that use it
MODULES = {
    "domain/policy": ("tests/domain/test_policy.py", _POLICY),
    "domain/gates": ("tests/domain/test_policy.py tests/domain/test_directions.py", _POLICY),
    "domain/transition": ("tests/domain/test_transition.py", _LIFE),
    "registry/compare": ("tests/registry/test_comparison.py", "tests/registry/test_queries.py"),
    "domain/names": ("tests/domain/test_names.py", f"{_PUSH} tests/attacks/test_alias_case.py"),
    "registry/admission": (_POLICY, _LIFE),
    "registry/approve": (_POLICY, _LIFE),
    "registry/promote": (_LIFE, f"{_POLICY} tests/cli/test_leaving_production.py"),
    "registry/stage_changes": (_LIFE, f"{_POLICY} tests/cli/test_leaving_production.py"),
    "registry/references": (_LIFE, f"{_PUSH} tests/attacks/test_alias_case.py"),
    "registry/storing": ("tests/upkeep/test_gc.py", _PUSH),
    "registry/gc": ("tests/upkeep/test_gc.py", "tests/upkeep/test_commands.py"),
    "registry/push": (_PUSH, "tests/cli/test_commands.py"),
    "catalog/removals": ("tests/upkeep/test_gc.py", "tests/upkeep/test_commands.py"),
    "catalog/writer": (_CATALOG, f"{_LIFE} {_PUSH}"),
    "catalog/reader": (_CATALOG, f"tests/registry/test_queries.py {_LIFE}"),
    "catalog/bucket": ("tests/catalog/test_bucket.py", "tests/contracts/test_bucket_database.py"),
    "artifacts/destination": (_PULL, _STORE),
    "artifacts/placing": (_PULL, _STORE),
    "artifacts/replacing": (_PULL, _STORE),
    "artifacts/store": (_STORE, _PULL),
    "server/guard": ("tests/server/test_guarded_places.py", _SERVER),
    "server/tokens": ("tests/attacks/test_tokens.py", _SERVER),
}

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module: ``start`` to ``end`` are bytes of its text."""

    module: str
    function: str
    line: int
    start: int
    end: int
    old: str
    new: str

    @property
    def change(self) -> str:
        return " ".join(self.old.split()) + " => " + " ".join(self.new.split())

    @property
    def place(self) -> str:
        return f"{self.module} | {self.function} | {self.change}"

    def apply(self, text: bytes) -> bytes:
        return text[: self.start] + self.new.encode() + text[self.end :]


def changes(node: ast.AST) -> Iterator[str]:
    """Return the mutated texts of one node; each replaces the whole node."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=values):
            for at, one in enumerate(ops):
                new = [*ops[:at], COMPARISONS[type(one)](), *ops[at + 1 :]]
                yield f"({ast.unparse(ast.Compare(left, new, values))})"
        case ast.BoolOp(op=op, values=values):
            yield f"({ast.unparse(ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield str(value + 1)
            yield f"({value - 1})"
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "return None"
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Continue():
            yield "pass"
        case ast.Call(func=ast.Name(id="min" | "max" as name), args=args, keywords=words):
            other = ast.Name("max" if name == "min" else "min")
            yield ast.unparse(ast.Call(other, args, words))
        case ast.If(test=test) | ast.IfExp(test=test) if isinstance(test, ast.Name | ast.Call | ast.Attribute):
            yield ""  # negated by `mutants`, which knows the place of the condition


def mutants(module: str) -> list[Mutant]:
    """Return all mutants of a module, except for annotations, decorators, f-strings and imports for type checkers."""
    text = (ROOT / "mreg" / f"{module}.py").read_bytes()
    starts = [0]
    for row in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(row))
    found: list[Mutant] = []

    def add(node: ast.expr | ast.stmt, function: str, new: str) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old = text[start:end].decode()
        found.append(Mutant(module, function, node.lineno, start, end, old, new))

    def walk(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            return
        for new in changes(node):
            if isinstance(node, ast.If | ast.IfExp):
                add(node.test, function, f"(not ({ast.unparse(node.test)}))")
            elif isinstance(node, ast.expr | ast.stmt):
                add(node, function, new)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            function = node.name if function == "module" else f"{function}.{node.name}"
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        walk(child, function)

    walk(ast.parse(text), "module")
    return found


class Copy:
    """A temporary copy of the project in which one mutant at a time runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, root / name)

    def passes(self, tests: str, limit: float) -> bool:
        """Return whether the tests pass within the limit."""
        command = [
            sys.executable,
            "-B",
            "-m",
            "pytest",
            "-x",
            "-q",
            "-n",
            "0",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
        ]
        environment = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(
            [*command, "-m", "not campaign", *tests.split()],
            cwd=self.root, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def survives(self, mutant: Mutant, stages: list[tuple[str, float]]) -> bool:
        file = self.root / "mreg" / f"{mutant.module}.py"
        original = file.read_bytes()
        file.write_bytes(mutant.apply(original))
        try:
            return all(self.passes(tests, limit) for tests, limit in stages)
        finally:
            file.write_bytes(original)


def equivalents() -> set[str]:
    rows = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {row.rpartition(" | ")[0] for row in rows if row and not row.startswith("#")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--module", action="append", help="part of a module's name; repeatable (default: all modules)")
    parser.add_argument("--count", type=int, default=10, help="mutants per module (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that run at the same time (default: 2)")
    parser.add_argument("--quick", action="store_true", help="run only the tests of the module itself")
    parser.add_argument("--list", action="store_true", help="list the sample; run nothing")
    options = parser.parse_args()
    modules = [name for name in MODULES if not options.module or any(part in name for part in options.module)]
    if not modules:
        parser.error("no module matches --module")
    known, rows = equivalents(), []
    with tempfile.TemporaryDirectory(prefix="mreg-mutants-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        free: SimpleQueue[Copy] = SimpleQueue()
        for number in range(0 if options.list else options.jobs):
            free.put(Copy(Path(folder, str(number))))

        def run(mutant: Mutant, stages: list[tuple[str, float]]) -> bool:
            copy = free.get()
            try:
                return copy.survives(mutant, stages)
            finally:
                free.put(copy)

        for module in modules:
            all_of_it = [one for one in mutants(module) if one.place not in known]
            sample = random.Random(f"{options.seed} {module}").sample(all_of_it, min(options.count, len(all_of_it)))
            if options.list:
                print(*(f"mreg/{module}.py:{one.line} {one.change}" for one in sample), sep="\n")
                continue
            stages = []
            for tests in MODULES[module][: 1 if options.quick else 2]:
                copy, began = free.get(), time.monotonic()
                passed = copy.passes(tests, 600)
                free.put(copy)
                if not passed:
                    print(f"{module}: {tests} fails without a mutant", file=sys.stderr)
                    break
                stages.append((tests, max(30.0, 5 * (time.monotonic() - began))))
            else:
                survived = list(pool.map(lambda one, stages=stages: run(one, stages), sample))
                left = [one for one, alive in zip(sample, survived, strict=True) if alive]
                rows.append((module, len(sample), len(sample) - len(left)))
                print(f"{module:24} {len(sample):4} mutants {len(sample) - len(left):4} killed", flush=True)
                for one in left:
                    print(f"    mreg/{module}.py:{one.line}  {one.place}", flush=True)
                continue
            rows.append((module, 0, 0))
    total, killed = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if total:
        print(f"\n{killed} of {total} mutants killed: {100 * killed / total:.0f} %")
    return 1 if any(not row[1] for row in rows) or killed < total else 0


if __name__ == "__main__":
    sys.exit(main())
