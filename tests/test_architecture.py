"""The house as architecture.md draws it: who may import whom, and what stays out."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "mreg"
MODULES = sorted(ROOT.rglob("*.py"))
LEVELS = {
    "errors": set(),
    "domain": {"errors"},
    "linux": set(),
    "files": {"linux"},
    "durability": {"files", "linux"},
    "processes": set(),
    "results": {"errors", "domain"},
    "documents": {"errors", "domain", "files"},
    "sharing": {"files"},
    "installation": set(),
    "folders": {"errors", "domain", "sharing", "files", "durability", "linux"},
    "profile": {"errors", "domain", "results", "documents", "folders", "files", "durability", "processes"},
    "waiting": set(),
    "streams": {"domain"},
    "stores": {"errors", "domain", "waiting", "folders", "files"},
    "catalog": {
        "errors",
        "domain",
        "results",
        "stores",
        "waiting",
        "folders",
        "sharing",
        "files",
        "durability",
        "installation",
    },
    "artifacts": {"errors", "domain", "stores", "folders", "sharing", "files", "durability", "linux"},
    "sources": {"errors", "domain"},
    "wire": {"errors", "domain", "results"},
    "remote": {"errors", "domain", "results", "wire", "artifacts", "documents", "waiting", "streams"},
    "notebook": {"errors", "domain", "results", "wire"},
    "hooks": {"errors", "domain", "wire", "processes"},
    "testing": {"errors", "domain", "results", "catalog", "artifacts", "registry", "wire"},
    "registry": {
        "errors",
        "domain",
        "results",
        "stores",
        "catalog",
        "artifacts",
        "documents",
        "hooks",
        "profile",
        "sharing",
        "files",
        "processes",
        "installation",
        "sources",
        "remote",
        "wire",
        "waiting",
    },
    "cli": {
        "errors",
        "domain",
        "results",
        "documents",
        "profile",
        "registry",
        "wire",
        "server",
        "streams",
        "files",
        "processes",
        "installation",
    },
    "filesystem": {"errors", "domain", "results", "registry"},
    "server": {"errors", "domain", "results", "documents", "registry", "wire", "streams"},
    "mlflow": {"errors", "domain", "results", "registry", "files"},
}
"""What each room may import beside itself: at its top, within a function, or for type checking."""

PRESENTED = {"domain/value.py": {"mreg.wire", "mreg.notebook.html", "mreg.notebook.frames"}}
"""What the methods of a value import from higher rooms when they are called: a value can present itself."""

ONLY_IN = {
    "typer": ("cli",),
    "rich": ("cli",),
    "pandas": ("notebook/frames", "domain/value"),
    "fsspec": ("filesystem",),
    "plotext": ("cli",),
    "matplotlib": ("cli",),
    "fastapi": ("server",),
    "starlette": ("server",),
    "uvicorn": ("server",),
    "pydantic": ("server",),
    "python_multipart": ("server/upload", "server/form"),
    "prometheus_client": ("server/monitoring",),
    "jinja2": ("server/ui",),
    "mlflow": ("mlflow", "sources/mlflow"),
    "sqlparse": ("mlflow/search",),
    "pytest": ("testing",),
    "hypothesis": ("testing",),
    "yaml": ("documents",),
    "platformdirs": ("profile",),
    "keyring": ("profile/keyring",),
    "pathspec": ("documents/patterns",),
    "subprocess": ("registry/git_changes", "hooks", "processes"),
    "sqlite3": ("catalog", "sources/mlflow"),
    "requests": ("sources/mlflow",),
    "huggingface_hub": ("sources/huggingface",),
    "psycopg": ("catalog/postgresql", "catalog/postgresql_connection", "catalog/postgresql_failures"),
    "redis": ("catalog/redis", "catalog/redis_connection", "catalog/redis_failures"),
    "obstore": ("stores/client",),
    "boto3": ("stores/boto",),
    "botocore": ("stores/boto",),
}
"""Where alone a package may be imported: a room, or one module of it."""

NEVER = {"click", "pickle", "cloudpickle", "dill", "joblib", "torch", "marshal", "shelve", "sqlalchemy"}


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The names of the modules that a module imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_obey_the_arrows(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == "mreg" and rest:
            there = rest.split(".")[0]
            if name in PRESENTED.get(path.relative_to(ROOT).as_posix(), ()):
                continue
            assert there == here or there in LEVELS[here], f"{here} imports {name}"
        elif top in ONLY_IN:
            module = path.relative_to(ROOT).with_suffix("").as_posix()
            assert any(module == place or module.startswith(f"{place}/") for place in ONLY_IN[top]), f"imports {name}"
        assert top not in NEVER, f"{here} imports {name}"


def test_only_the_opening_of_a_registry_reads_the_profile() -> None:
    readers = {
        path.name
        for path in MODULES
        if room(path) == "registry"
        for name in imports(path)
        if name.startswith("mreg.profile")
    }
    assert readers <= {"open.py", "pull_cache.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import mreg.catalog.sqlite",
        "def f():\n    from mreg.catalog import sqlite",
        "if TYPE_CHECKING:\n    from mreg.catalog import sqlite",
    ],
)
def test_an_import_is_seen_within_a_function_and_for_type_checking(tmp_path: Path, source: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    assert [name.startswith("mreg.catalog") for name in imports(path)] == [True]


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) == "domain"], ids=lambda path: path.name)
def test_the_domain_is_pure(path: Path) -> None:
    names = {name.split(".")[0] for name in imports(path)}
    assert not names & {"os", "sys", "time", "io", "pathlib", "random", "secrets", "logging", "subprocess", "threading"}
    assert not re.search(r"\b(?<!no I/)(open|print|input)\((?!\))|\.now\(|\.today\(|os\.environ", path.read_text())


def test_nothing_runs_what_it_is_given() -> None:
    for path in MODULES:
        text = path.read_text()
        found = re.search(r"shell=True|yaml\.(unsafe_)?load\(|\beval\(|\bexec\(|os\.(system|popen)\(", text)
        assert not found, f"{path}: {found}"


UNPORTABLE = {"open", "link", "fsync", "fdatasync", "sync", "pread", "pwrite", "replace", "unlink", "remove", "statvfs", "symlink",
              "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "O_BINARY", "killpg"}  # fmt: skip
"""Names in `os` that Windows lacks, or behind which a rule of `mreg.files` or `mreg.durability` is needed."""


def unportable(source: str) -> set[str]:
    """The calls of a module on files that differ between systems; a question whether one is there is none."""
    tree = ast.parse(source)
    return {
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os" and node.attr in UNPORTABLE
    } | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if "fcntl" in (alias.name, getattr(node, "module", ""))
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_calls_that_differ_between_systems_are_in_modules_of_their_own(path: Path) -> None:
    allowed = {"processes.py": {"os.killpg"}, "sharing.py": {"os.statvfs"}}.get(path.name, set())
    if path.relative_to(ROOT).as_posix() not in ("files.py", "durability.py", "linux.py"):
        assert unportable(path.read_text()) <= allowed


@pytest.mark.parametrize("source", ["import os\nos.open('x', 0)", "def f():\n    import fcntl", "x = os.O_NOFOLLOW"])
def test_an_unportable_call_is_seen(source: str) -> None:
    assert unportable(source)


STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
PRINTERS = {"echo", "secho", "echo_via_pager", "print_exc", "print_exception", "print_stack", "print_tb", "excepthook"}


def writes(source: str) -> list[str]:
    """What a module does to reach standard output or standard error by itself."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id == "sys" and node.attr in STREAMS) or node.attr in PRINTERS:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            found += [name.name for name in node.names if name.name in STREAMS | PRINTERS]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            screens = [ast.unparse(word.value) for word in node.keywords if word.arg == "file"]
            if node.func.id in ("print", "input"):
                found.append(node.func.id)
            if node.func.id == "Console" and not (screens and screens[0].startswith("streams.screen(")):
                found.append("Console without a screen")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_one_module_writes_to_standard_output_and_standard_error(path: Path) -> None:
    if path != ROOT / "streams.py":
        assert writes(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["print(1)", "sys.stderr.write('')", "from sys import stdout", "typer.echo('')", "traceback.print_exception(e)",
     "Console()", "Console(file=sys.stdout)", "def f():\n    sys.stdout.buffer.write(b'')"],
)  # fmt: skip
def test_another_way_to_these_streams_is_seen(source: str) -> None:
    assert writes(source)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if path.name != "__main__.py":
        assert ast.get_docstring(tree), path
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{path}: {node.name}"
        for member in node.body if isinstance(node, ast.ClassDef) else []:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith(
                ("_", "test_")
            ):
                # A method keeps the promise of the contract that it implements, and inherits its words.
                documented = ast.get_docstring(member) or inherits_promise(path, node.name, member.name)
                assert documented, f"{path}: {node.name}.{member.name}"


def inherits_promise(path: Path, holder: str, member: str) -> bool:
    """Whether a base class says what a method does, or the method is one that a framework calls."""
    module = importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
    above = [base for base in getattr(module, holder).__mro__[1:] if member in vars(base)]
    return any(inspect.getdoc(vars(base)[member]) or not base.__module__.startswith("mreg") for base in above)


COMMANDS = {
    "--version": ["--version"],
    "show": ["show", "m@1", "--json"],
    "list": ["list"],
    "push": ["push", "model.pkl", "--name", "m", "--accuracy", "0.9"],
    "promote": ["promote", "m@1", "--to", "production"],
    "pull": ["pull", "m@1", "out.pkl"],
    "compare": ["compare", "m", "1", "1", "--json"],
}
HEAVY = "boto3 botocore rich yaml psycopg redis asyncio pydantic logging concurrent matplotlib plotext http ssl email tempfile".split()
ALLOWED = {"push": {"subprocess"}}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_only_what_it_uses(name: str) -> None:
    code = (
        "import sys\nfrom mreg.cli.app import run\n"
        "code = run(sys.argv[1:])\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    if name not in ("--version", "push"):
        subprocess.run([sys.executable, "-m", "mreg", *COMMANDS["push"]], check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS[name]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.split("\n")[-2].split())
    plain = subprocess.run(
        [sys.executable, "-c", "import sys, typer\nprint(*{name.split('.')[0] for name in sys.modules})"],
        capture_output=True,
        text=True,
        check=True,
    )
    own = loaded - set(plain.stdout.split())
    assert own & set(HEAVY) <= ALLOWED.get(name, set())
    if name == "--version":
        assert own <= {"mreg", "__future__"}
    if name in ("show", "list", "promote"):
        assert "hashlib" not in own or name == "promote"
