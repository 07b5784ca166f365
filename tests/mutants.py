"""Make seeded single-point mutants of the core modules and count those that the tests detect.

Each mutant runs in a temporary copy of the project, never in the working tree. The tests that execute the changed lines
run first, the fastest before the others: the tests of all chosen modules run once without a mutant, and coverage.py records
which test executes which line. If none of them fails, all tests of the module run, because coverage.py does not record the
processes that tests start.

A mutant is detected if a test fails with it, fails with it again, and then passes without it, so that a test that fails
now and then, or because the machine is busy, detects nothing. The time limit of a test is a multiple of the time that the
slowest test of the module took in the run without a mutant; a mutant that only exceeds it is reported as such.

mutmut and cosmic-ray do not fit: mutmut skips everything outside functions and cannot draw a seeded sample; cosmic-ray changes
the working tree and needs one server per worker to run mutants in parallel.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "tests/equivalent_mutants.txt"
COPIED = ("mreg", "tests", "docs", "examples", "benchmarks", "completions", "man", "pyproject.toml", "README.md")

_PUSH = (
    "tests/registry/test_registry.py tests/registry/test_capture.py tests/registry/test_rules.py "
    "tests/registry/test_pushed_folders.py"
)
_LIFE = "tests/registry/test_life.py tests/registry/test_rules.py"
_POLICY = "tests/registry/test_policy.py tests/attacks/test_gates.py"
_CATALOG = "tests/contracts/test_sqlite_catalog.py"
_PULL = "tests/registry/test_destinations.py tests/registry/test_forced_pulls.py tests/registry/test_partial_pulls.py"
_STORE = "tests/artifacts/test_store.py"
_WINDOWS = "tests/portability/test_without_posix.py::test_a_file_is_pushed_pulled_and_replaced"
_STDOUT = "tests/integration/test_bucket.py::test_a_file_goes_to_standard_output_after_it_was_verified"

_DECISIONS = (
    "tests/hooks/test_hooks.py::test_a_decision_says_the_state_after_the_hooks "
    "tests/hooks/test_hooks.py::test_a_decision_on_a_version_that_a_hook_deletes_is_as_it_was_made"
)
_TOKENS = "tests/attacks/test_tokens.py::test_a_warning_about_a_token_file_is_logged_once"
_LIMITED = "tests/registry/test_scopes.py::test_operations_on_the_whole_registry_need_all_models"

_CONTRACT = "tests/contracts/test_local_registry.py"
_TRANSFERS = "tests/contracts/test_local_transfers.py"
_BUNDLES = (
    "tests/registry/test_bundle.py::test_what_is_exported_comes_back "
    "tests/registry/test_bundle.py::test_a_bucket_takes_and_gives_bundles "
    "tests/integration/test_speed.py::test_a_check_measures_catalog_and_store_and_leaves_nothing"
)
_PLANTED = "tests/attacks/test_decode.py::test_a_planted_partial_pull_of_a_file_leads_no_write_outside"
_REPEATED = "tests/registry/test_uploads.py::test_a_repeated_request_gives_the_version_that_it_made"

MODULES = {
    "domain/policy": f"tests/domain/test_policy.py {_POLICY} tests/attacks/test_alias_case.py",
    "domain/gates": f"tests/domain/test_policy.py tests/domain/test_directions.py {_POLICY}",
    "domain/transition": f"tests/domain/test_transition.py {_LIFE}",
    "results/comparison": "tests/registry/test_comparison.py tests/registry/test_queries.py",
    "registry/compare": f"tests/registry/test_comparison.py tests/registry/test_queries.py {_CONTRACT}",
    "domain/names": f"tests/domain/test_names.py {_PUSH} tests/attacks/test_alias_case.py {_CONTRACT}",
    "registry/admission": f"{_POLICY} {_LIFE} {_CONTRACT}",
    "registry/approve": f"{_POLICY} {_LIFE} {_DECISIONS} {_CONTRACT}",
    "registry/promote": f"{_LIFE} {_POLICY} tests/cli/test_leaving_production.py tests/hooks/test_hooks.py {_CONTRACT}",
    "registry/stage_changes": f"{_LIFE} {_POLICY} tests/cli/test_leaving_production.py tests/hooks/test_hooks.py {_CONTRACT}",
    "registry/references": f"tests/registry/test_references.py {_LIFE} {_PUSH} tests/attacks/test_alias_case.py {_CONTRACT}",
    "registry/storing": f"tests/upkeep/test_gc.py {_PUSH} tests/registry/test_places.py {_TRANSFERS}",
    "registry/gc": f"tests/upkeep/test_gc.py tests/upkeep/test_commands.py {_LIMITED} {_CONTRACT}",
    "registry/push": f"tests/registry/test_push_notes.py {_PUSH} tests/cli/test_commands.py tests/cli/test_decisive_facts.py {_TRANSFERS} {_REPEATED}",
    "catalog/removals": "tests/upkeep/test_gc.py tests/upkeep/test_commands.py",
    "catalog/writer": f"{_CATALOG} tests/registry/test_audit.py {_LIFE} {_PUSH} {_CONTRACT}",
    "catalog/reader": f"{_CATALOG} tests/registry/test_audit.py tests/registry/test_queries.py tests/registry/test_scopes.py {_LIFE} {_POLICY} {_CONTRACT}",
    "catalog/object_database": "tests/catalog/test_bucket.py tests/contracts/test_bucket_database.py tests/upkeep/test_upgrade.py",
    "artifacts/destination": f"tests/artifacts/test_writing_in_parallel.py {_PLANTED} {_PULL} {_STORE} {_WINDOWS} {_TRANSFERS}",
    "artifacts/placing": f"{_PULL} {_STORE} {_TRANSFERS}",
    "artifacts/replacing": f"{_PULL} {_STORE} {_TRANSFERS}",
    "artifacts/store": f"{_STORE} {_PULL} tests/artifacts/test_cache.py tests/registry/test_uploads.py {_STDOUT} {_TRANSFERS} {_BUNDLES}",
    "server/guard": "tests/server/test_guard.py",
    "server/tokens": f"tests/server/test_token_files.py {_TOKENS}",
    "server/proxy": "tests/server/test_proxy.py",
    "registry/tokens": "tests/registry/test_tokens.py",
    "registry/uploads": "tests/registry/test_uploads.py",
    "catalog/tokens": f"tests/registry/test_tokens.py {_CATALOG}",
    "catalog/requests": f"tests/registry/test_requests.py {_CATALOG}",
    "catalog/scoped": "tests/catalog/test_scoped.py tests/registry/test_scopes.py",
    "remote/connection": "tests/remote/test_connection.py",
}
"""Tests that use a module; of a module of the server, those that need no server."""

SLOWER = 10
"""How much longer than the slowest test without a mutant a test may take with one: less can be a busy machine."""

SECONDS = 10
"""Shortest time limit of a test."""

ATTEMPTS = 3
"""How often the tests run if the one that failed does not fail again."""

LAST_FAILED = "v/cache/lastfailed"
"""File of pytest's cache with the tests that failed."""

TIMED_OUT = b"from pytest-timeout"

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass(frozen=True)
class Normal:
    """A run of tests without a mutant.

    Attributes:
        covering: The tests that execute each line, by module and line.
        seconds: Time of each test.
        whole: Time of all of them.
    """

    covering: dict[tuple[str, int], set[str]]
    seconds: dict[str, float]
    whole: float

    def of(self, tests: Sequence[str]) -> Normal:
        """Return the part of some tests, which are files or functions."""
        beginnings = tuple(test + end for test in tests for end in ("::", "["))

        def among(test: str) -> bool:
            return test in tests or test.startswith(beginnings)

        covering = {line: set(filter(among, found)) for line, found in self.covering.items()}
        return Normal(covering, {test: took for test, took in self.seconds.items() if among(test)}, self.whole)

    @property
    def limit(self) -> float:
        """Time limit of each test with a mutant, in seconds."""
        return max(SECONDS, SLOWER * max(self.seconds.values(), default=0))

    @property
    def whole_limit(self) -> float:
        """Time limit of all tests with a mutant, in seconds."""
        return SLOWER * self.whole + self.limit


class Outcome(Enum):
    SURVIVED = auto()
    FAILED = auto()
    TIMED_OUT = auto()


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
        self.failures = root / "failures"
        self.output = root / "output.txt"
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, root / name)

    def passes(self, tests: Sequence[str], *options: str, seconds: float | None = None) -> bool:
        """Run tests, up to the first that fails, and return whether all pass.

        Args:
            tests: Files or node ids.
            options: Further arguments of pytest.
            seconds: Time limit of the run (default: none).
        """
        if not tests:
            return True
        chosen = self.root / "chosen.txt"
        chosen.write_text("\n".join(tests), encoding="utf-8")
        command = [
            *(sys.executable, "-B", "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly"),
            *("-o", f"cache_dir={self.failures}", "-m", "not campaign", *options, f"@{chosen}"),
        ]
        environment = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                return process.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                output.write(TIMED_OUT)
                return False
            finally:
                with suppress(ProcessLookupError):  # also processes that a mutant left
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def normal(self, tests: Sequence[str]) -> Normal | None:
        """Run the tests without a mutant; return None if one fails."""
        report, began = self.root / "times.xml", time.monotonic()
        if not self.passes(tests, "--cov=mreg", "--cov-context=test", "--cov-report=", f"--junit-xml={report}"):
            return None
        data = CoverageData(str(self.root / ".coverage"))
        data.read()
        found: dict[tuple[str, int], set[str]] = {}
        for file in data.measured_files():
            module = Path(file).relative_to(self.root / "mreg").with_suffix("").as_posix()
            for line, contexts in data.contexts_by_lineno(file).items():
                found[module, line] = {context.rpartition("|")[0] for context in contexts} - {""}
        seconds: dict[str, float] = {}
        for case in ElementTree.parse(report).iter("testcase"):
            words = case.attrib["classname"].split(".")
            names = [word for word in words if word.startswith("Test")]
            test = "::".join(["/".join(words[: len(words) - len(names)]) + ".py", *names, case.attrib["name"]])
            seconds[test] = float(case.attrib["time"])
        return Normal(found, seconds, time.monotonic() - began)

    def outcome(self, mutant: Mutant, normal: Normal) -> Outcome:
        """Run the tests of the module with a mutant."""
        lines = range(mutant.line, mutant.line + mutant.old.count("\n") + 1)
        covering = set().union(*(normal.covering.get((mutant.module, line), set()) for line in lines))
        first = sorted(covering, key=lambda test: (normal.seconds.get(test, 0), test))
        for tests in (first, MODULES[mutant.module].split()):
            for _ in range(ATTEMPTS):
                found = self._outcome(mutant, tests, normal)
                if found is None:
                    break
                if found is not Outcome.SURVIVED:
                    return found
        return Outcome.SURVIVED

    def _outcome(self, mutant: Mutant, tests: Sequence[str], normal: Normal) -> Outcome | None:
        """Return None if the tests pass with a mutant, and `SURVIVED` if a failure is not due to the mutant."""
        shutil.rmtree(self.failures, ignore_errors=True)
        limit = f"--timeout={normal.limit:.0f}"
        file = self.root / "mreg" / f"{mutant.module}.py"
        original = file.read_bytes()
        file.write_bytes(mutant.apply(original))
        try:
            if self.passes(tests, limit, seconds=normal.whole_limit):
                return None
            failed = Outcome.TIMED_OUT if TIMED_OUT in self.output.read_bytes() else Outcome.FAILED
            last = self._last_failed() or tests
            if self.passes(last, limit, seconds=normal.whole_limit):
                return Outcome.SURVIVED
        finally:
            file.write_bytes(original)
        return failed if self.passes(last, limit, seconds=normal.whole_limit) else Outcome.SURVIVED

    def _last_failed(self) -> tuple[str, ...]:
        """Return the tests that failed in the last run; nothing if pytest itself was stopped."""
        file = self.failures / LAST_FAILED
        return tuple(json.loads(file.read_bytes())) if file.exists() else ()


def chosen_tests(modules: Sequence[str]) -> list[str]:
    """Return the tests of modules, each once: a function only if no module has its file."""
    tests = dict.fromkeys(test for module in modules for test in MODULES[module].split())
    return [test for test in tests if "::" not in test or test.partition("::")[0] not in tests]


def equivalents() -> set[str]:
    rows = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return {row.rpartition(" | ")[0] for row in rows if row and not row.startswith("#")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--module", action="append", help="part of a module's name; repeatable (default: all modules)")
    parser.add_argument("--count", type=int, default=10, help="mutants per module (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (default: 1)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that run at the same time (default: 2)")
    parser.add_argument("--list", action="store_true", help="list the sample; run nothing")
    options = parser.parse_args()
    modules = [name for name in MODULES if not options.module or any(part in name for part in options.module)]
    if not modules:
        parser.error("no module matches --module")
    known, rows = equivalents(), []
    samples: dict[str, list[Mutant]] = {}
    for module in modules:
        drawable = [mutant for mutant in mutants(module) if mutant.place not in known]
        samples[module] = random.Random(f"{options.seed} {module}").sample(drawable, min(options.count, len(drawable)))
    if options.list:
        print(
            *(f"mreg/{one.module}.py:{one.line} {one.change}" for found in samples.values() for one in found), sep="\n"
        )
        return 0
    with tempfile.TemporaryDirectory(prefix="mreg-mutants-") as folder, ThreadPoolExecutor(options.jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(options.jobs):
            copies.put(Copy(Path(folder, str(number))))

        def run(mutant: Mutant, normal: Normal) -> Outcome:
            copy = copies.get()
            try:
                return copy.outcome(mutant, normal)
            finally:
                copies.put(copy)

        copy = copies.get()
        normal = copy.normal(chosen_tests(modules))
        copies.put(copy)
        if normal is None:
            rest = copy.output.read_text(encoding="utf-8", errors="replace")[-2000:]
            print(f"{rest}\na test fails without a mutant", file=sys.stderr)
            return 1
        for module, sample in samples.items():
            outcomes = list(pool.map(partial(run, normal=normal.of(MODULES[module].split())), sample))
            left = [mutant for mutant, found in zip(sample, outcomes, strict=True) if found is Outcome.SURVIVED]
            late = f", {slow} by a time limit" if (slow := outcomes.count(Outcome.TIMED_OUT)) else ""
            rows.append((module, len(sample), len(sample) - len(left)))
            print(f"{module:24} {len(sample):4} mutants {len(sample) - len(left):4} detected{late}", flush=True)
            for mutant in left:
                print(f"    mreg/{module}.py:{mutant.line}  {mutant.place}", flush=True)
    total, detected = sum(row[1] for row in rows), sum(row[2] for row in rows)
    print(f"\n{detected} of {total} mutants detected: {100 * detected / total:.0f} %")
    return 1 if detected < total else 0


if __name__ == "__main__":
    sys.exit(main())
