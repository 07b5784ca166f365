"""What every test stands on: no variable, folder or repository of the person who runs them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

import mreg
from mreg.catalog import object_database
from mreg.catalog.database import Database
from mreg.cli import app
from mreg.registry.local import LocalRegistry
from mreg.registry.registry import Registry
from tests.forking import forked_mreg
from tests.mlflow_source import Server, Source, seed
from tests.proxy import Proxy
from tests.scoped import Template, new_template
from tests.servers import Place, PostgresqlServer, RedisServer, Store, new_place
from tests.stores import STORES, refuse_missing, running

# A shell starts a background job with SIGINT ignored, and the processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

P = ParamSpec("P")

FULL = bool(os.environ.get("MREG_TEST_FULL"))
"""Whether the long fault campaigns run whole, and not only a seeded share of them."""

SEED = int(os.environ.get("MREG_TEST_SEED", "20261126"))
"""Seed of the fault campaigns: another one makes other cases."""

IN_CI = bool(os.environ.get("CI"))
"""Whether continuous integration runs them: then what Hypothesis makes up is the same each time."""

ROOT = Path(__file__).parent.parent

set_hypothesis_home_dir(ROOT / ".hypothesis")  # each test has a working folder of its own
settings.register_profile(
    "default", deadline=None, derandomize=IN_CI, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("default")

FAILED = pytest.StashKey[bool]()
"""Whether a step of a test failed."""

SCRUBBED = (
    "MREG_", "_MREG", "_TYPER", "AWS_", "AZURE_", "GOOGLE_", "GIT_", "GITHUB_", "GITLAB_", "CI_", "CIRCLE", "BUILDKITE", "BUILD_", "JENKINS_",
    "AGENT_", "BITBUCKET_", "DRONE", "SYSTEM_", "TEAMCITY_", "TF_BUILD", "XDG_", "MLFLOW_", "WANDB_",
)  # fmt: skip
SCRUBBED_NAMES = (
    "CI", "VIRTUAL_ENV", "CONDA_PREFIX", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES",
    "PYTHONDONTWRITEBYTECODE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip
GIT_CONFIG = {"user.name": "A Tester", "user.email": "tester@example.com", "init.defaultBranch": "main",
              "commit.gpgSign": "false"}  # fmt: skip
"""What git is told by variables: enough to commit, without a file."""


def _scrub(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if (name.startswith(SCRUBBED) or name in SCRUBBED_NAMES) and not name.startswith("MREG_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which each test has a person's; what serves several tests is started without the variables, too."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _scrub(monkeypatch)
        yield tmp_path_factory.mktemp("people")


@pytest.fixture(autouse=True)
def _a_person_of_the_tests(people: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A home and a working folder of its own, which a test's ``monkeypatch.undo()`` keeps; no variable outlives it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _scrub(monkeypatch)
        person = tempfile.mkdtemp(dir=people)  # tmp_path_factory looks through all earlier ones each time
        for folder in ("home", "here", "tmp"):
            os.mkdir(os.path.join(person, folder))
        monkeypatch.setenv("TMPDIR", os.path.join(person, "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", os.path.join(person, "tmp"))
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, os.path.join(person, "home"))
        monkeypatch.setenv("MREG_USER", "tester")
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(GIT_CONFIG)))
        for place, (key, value) in enumerate(GIT_CONFIG.items()):
            monkeypatch.setenv(f"GIT_CONFIG_KEY_{place}", key)
            monkeypatch.setenv(f"GIT_CONFIG_VALUE_{place}", value)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.chdir(os.path.join(person, "here"))
        before = _variables()
        yield
        left = {name for name, _ in before.items() ^ _variables().items()}
        for name in left:
            os.environ.pop(name, None)
        os.environ.update(before)
    assert not left, f"the test left variables changed: {', '.join(sorted(left))}"
    if not request.node.stash.get(FAILED, False):
        shutil.rmtree(person, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note whether a test failed: its files stay then."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


_databases: list[Database] = []


def _remembered(kind: type[Database], *_args: object, **_settings: object) -> Database:
    _databases.append(object.__new__(kind))
    return _databases[-1]


Database.__new__ = _remembered  # type: ignore[assignment, method-assign]


@pytest.fixture(autouse=True)
def _databases_of_a_test_are_closed() -> Iterator[None]:
    """A test may leave a registry open: from Python 3.13 on the interpreter warns about each open connection.

    Connections that a database itself forgets are still found.
    """
    _databases.clear()
    yield
    for database in _databases:
        database.close()
    _databases.clear()


COURTESY = object_database.COURTESY
object_database.COURTESY = 0.0  # of writes right after another one, as most writes of tests are: 75 ms on average


@pytest.fixture
def courteous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers to a catalog in one object wait for others, as they do outside of tests: for tests with many writers."""
    monkeypatch.setattr(object_database, "COURTESY", COURTESY)


def _variables() -> dict[str, str]:
    # scikit-learn sets variables of OpenMP (KMP_) when it is loaded.
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KMP_"))}


def _local(opened: Callable[P, Registry]) -> Callable[P, LocalRegistry]:
    def open_local(*names: P.args, **settings: P.kwargs) -> LocalRegistry:
        registry = opened(*names, **settings)
        assert isinstance(registry, LocalRegistry)
        return registry

    return open_local


local_registry = _local(mreg.open_registry)
"""`mreg.open_registry` where no server is named: the registry has methods beyond the interface."""

TEMPORARY = tempfile.gettempdir()
"""The folder for temporary files outside of the tests: what serves several tests is not kept in the first one's."""


def _store(kind: str) -> Iterator[Store]:
    refuse_missing(kind)
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(tempfile, "tempdir", TEMPORARY)
            monkeypatch.setenv("TMPDIR", TEMPORARY)
            store = stack.enter_context(running(STORES[kind]()))
        yield store


@pytest.fixture(scope="session")
def s3_server(people: Path) -> Iterator[Store]:
    """SeaweedFS, one for each process that runs tests."""
    yield from _store("seaweedfs")


@pytest.fixture(scope="session")
def radosgw(people: Path) -> Iterator[Store]:
    """Ceph, one for all processes that run tests."""
    yield from _store("radosgw")


@pytest.fixture(scope="session")
def moto(people: Path) -> Iterator[Store]:
    """moto, one for each process that runs tests."""
    yield from _store("moto")


@pytest.fixture(scope="session")
def s3rver(people: Path) -> Iterator[Store]:
    """s3rver, one for each process that runs tests."""
    yield from _store("s3rver")


@pytest.fixture(scope="session")
def azurite(people: Path) -> Iterator[Store]:
    """Azure Blob Storage, one for each process that runs tests."""
    yield from _store("azurite")


@pytest.fixture
def object_store(request: pytest.FixtureRequest) -> Store:
    """The object store of a test: SeaweedFS, or another one that the test is parametrized with."""
    kind = getattr(request, "param", "seaweedfs")
    found: Store = request.getfixturevalue("s3_server" if kind == "seaweedfs" else kind)
    return found


EVERY_STORE = pytest.mark.parametrize("object_store", ["seaweedfs", "radosgw", "moto"], indirect=True)
"""Runs a test on each S3 store that has parts and conditional writes."""

EVERY_PROVIDER = pytest.mark.parametrize("object_store", ["seaweedfs", "radosgw", "moto", "azurite"], indirect=True)
"""The same, and on the stores of other providers."""

ON_AZURE = pytest.mark.parametrize("object_store", ["azurite"], indirect=True)
"""Runs a test on Azure Blob Storage."""


@pytest.fixture(scope="session")
def postgresql(people: Path) -> Iterator[PostgresqlServer]:
    """A real PostgreSQL server, one for each process that runs tests."""
    server = PostgresqlServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(people: Path) -> Iterator[RedisServer]:
    """Redis, one for each process that runs tests; it keeps what it confirmed."""
    refuse_missing("redis")
    server = RedisServer(folder=Path(tempfile.mkdtemp(prefix="mreg-redis-", dir=TEMPORARY)))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mlflow_source(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A SQLite database of MLflow with three models, one for each process that runs tests; it is only read."""
    source = Source(tmp_path_factory.mktemp("mlflow"))
    seed(source.uri, source.place)
    return source


@pytest.fixture(scope="session")
def mlflow_folder(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file store of MLflow with the same models; it is only read."""
    place = tmp_path_factory.mktemp("mlruns")
    seed((place / "mlruns").as_uri(), place)
    return place / "mlruns"


@pytest.fixture(scope="session")
def mlflow_server(mlflow_source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tracking server of MLflow over a copy of the database, one for each process that runs tests."""
    server = Server(mlflow_source, tmp_path_factory.mktemp("mlflow-server"))
    yield server
    server.stop()


@pytest.fixture
def place(object_store: Store, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty place in a bucket, and in the environment the credentials of one who may read and write there."""
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    return new_place(object_store)


@pytest.fixture
def bucket(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A registry with its artifacts in that place, by variables."""
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", place.url)
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    return place


@pytest.fixture
def proxy(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The same with a proxy before the server, which can do what a bad network does."""
    proxy = Proxy(bucket.server.port)
    monkeypatch.setenv("MREG_ENDPOINT_URL", bucket.server.endpoint_at(proxy.port))
    yield proxy
    proxy.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up soon, so that a network that is gone for good is told in time."""
    from mreg.stores import retry

    monkeypatch.setattr(retry, "SECONDS", 0.5)
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.5)


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    """A registry over the default store of the test's own home."""
    with local_registry() as opened:
        yield opened


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A small file that is a pickle by its bytes."""
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04K\x01.")
    return path


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Mreg = Callable[..., Done]


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Mreg:
    """Runs one command line in this process, its output not on a terminal."""

    def run(*words: str) -> Done:
        capfd.readouterr()
        code = app.run([str(word) for word in words])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


def _runs(*program: str | Path) -> Mreg:
    def run(*words: str, **options: Any) -> Done:
        done = subprocess.run([*program, *map(str, words)], capture_output=True, check=False, timeout=120, **options)
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def process() -> Mreg:
    """Runs one command line as a process of its own, which is forked."""
    return _runs(forked_mreg())


@pytest.fixture
def interpreter() -> Mreg:
    """Runs one command line in a new interpreter, which has its own encoding and looks for modules again."""
    return _runs(sys.executable, "-m", "mreg")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, so that none of them is left to one process while the others have nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("campaign") is None)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test fails the run: what is skipped there is tested nowhere."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not IN_CI or reporter is None or hasattr(session.config, "workerinput"):
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == 0:
        for report in skipped:
            reporter.write_line(f"skipped in CI: {report.nodeid}: {report.longrepr}")
        session.exitstatus = 1


@contextmanager
def counted_pauses() -> Iterator[list[float]]:
    """Return the pauses that this thread asks for. Each of them is skipped; those of other threads are not."""
    real, mine, pauses = time.sleep, threading.current_thread(), list[float]()

    def sleep(seconds: float) -> None:
        if threading.current_thread() is mine:
            pauses.append(seconds)
        else:
            real(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", sleep)
        yield pauses


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, people: Path) -> Template:
    """The registry of tests of limited clients, made once: each test has a copy."""
    folder = tmp_path_factory.mktemp("template")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("MREG_USER", "tester")
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.chdir(folder)
        return new_template(folder)
