"""The serving examples: a storage initializer as a process, manifests for Kubernetes, and a switch under load."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import joblib
import pytest
import yaml
from sklearn.dummy import DummyRegressor

from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.registry.test_forced_pulls import files_in, fill
from tests.serving import serving

SERVING = Path(__file__).parent.parent.parent / "examples/serving"
SCRIPT = SERVING / "storage-initializer.sh"
NET = {"config.json": "{}", "sub/weights.bin": "one"}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """``churn@1`` in Production, a model that predicts 1; ``churn@2`` predicts 2; and a folder, ``team/net@1``."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    with local_registry() as opened:
        for number in (1, 2):
            model = DummyRegressor(strategy="constant", constant=number).fit([[0.0]], [0.0])
            joblib.dump(model, tmp_path / "model.joblib")
            opened.push(tmp_path / "model.joblib", name="churn")
        fill(tmp_path / "net", NET)
        opened.push(tmp_path / "net", name="team/net")
        opened.promote("churn@1", to="production")
        yield opened


def initialize(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(SCRIPT), *words], capture_output=True, text=True, check=False, timeout=100)


# The storage initializer


def test_the_storage_initializer_takes_the_arguments_of_kserve(registry: LocalRegistry, tmp_path: Path) -> None:
    models = tmp_path / "mnt/models"
    done = initialize("mreg://churn@production", str(models))
    assert done.returncode == 0, done.stderr
    assert files_in_bytes(models) == {"model.joblib": registry.path("churn@1").read_bytes()}
    assert initialize("mreg://churn@production", str(models)).returncode == 0  # a restarted container
    registry.promote("churn@2", to="production")
    assert initialize("mreg://churn@production", str(models)).returncode == 0
    assert files_in_bytes(models) == {"model.joblib": registry.path("churn@2").read_bytes()}


def test_the_storage_initializer_reads_from_a_server(
    tmp_path: Path, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served", {"MREG_CATALOG": str(tmp_path / "served/catalog.db")}) as served:
        monkeypatch.setenv("MREG_SERVER", served.url)
        monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
        fill(tmp_path / "net", NET)
        assert command("push", str(tmp_path / "net"), "--name", "net").code == 0
        monkeypatch.setenv("MREG_TOKEN", command("token", "create", "pods", "--models", "net", "-q").out.strip())
        done = initialize("mreg://net@1", str(tmp_path / "models"))
    assert (done.returncode, files_in(tmp_path / "models")) == (0, NET), done


def files_in_bytes(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_storage_initializer_takes_several_models_folders_and_files(
    registry: LocalRegistry, tmp_path: Path
) -> None:
    one, two, three = (str(tmp_path / f"a path/{number}") for number in range(3))
    done = initialize("mreg://team/net@1", one, "mreg://team/net@latest/sub/weights.bin", two, "mreg://churn@1/", three)
    assert done.returncode == 0, done.stderr
    assert files_in(Path(one)) == NET
    assert files_in(Path(two)) == {"sub/weights.bin": "one"}
    assert list(files_in_bytes(Path(three))) == ["model.joblib"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2), (["mreg://churn@1"], 2), (["mreg://churn@1", "a", "b"], 2), (["s3://bucket/x", "d"], 2), (["churn@1", "d"], 2),
        (["mreg://churn", "d"], 2), (["mreg://@1", "d"], 2), (["mreg://churn@", "d"], 2), (["mreg://-rf@1", "d"], 2),
        (["mreg://nobody@1", "d"], 4), (["mreg://churn@9", "d"], 4), (["mreg://team/net@1/none", "d"], 4),
        (["mreg://$(touch hacked)@1", "d"], 2), (["mreg://churn@1;touch hacked", "d"], 2),
        (["mreg://team/net@1/`touch hacked`", "d"], 4), (["mreg://team/net@1/../../x", "d"], 4),
    ],
)  # fmt: skip
def test_the_storage_initializer_refuses_other_addresses(registry: LocalRegistry, words: list[str], code: int) -> None:
    done = initialize(*words)
    assert done.returncode == code, done.stderr
    assert done.stderr
    assert os.listdir() == []


def test_the_script_is_for_every_shell_and_executable() -> None:
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
    assert os.access(SCRIPT, os.X_OK)
    assert subprocess.run(["sh", "-n", str(SCRIPT)], check=False).returncode == 0


# Kubernetes


@pytest.mark.parametrize("name", ["kserve.yaml", "init-container.yaml"])
def test_the_manifests_are_valid_and_name_what_is_there(name: str, registry: LocalRegistry) -> None:
    documents = list(yaml.safe_load_all((SERVING / name).read_text()))
    assert all({"apiVersion", "kind", "metadata", "spec"} == set(document) for document in documents)
    variables = {"MREG_CATALOG", "MREG_ARTIFACTS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    if name == "kserve.yaml":
        storage, service = documents
        assert storage["spec"]["container"]["name"] == "storage-initializer"
        assert {variable["name"] for variable in storage["spec"]["container"]["env"]} == variables
        prefix = storage["spec"]["supportedUriFormats"][0]["prefix"]
        uri = service["spec"]["predictor"]["model"]["storageUri"]
        assert uri.startswith(prefix)
        assert initialize(uri, "models").returncode == 0
        return
    (deployment,) = documents
    pod = deployment["spec"]["template"]["spec"]
    (pull,), (server,) = pod["initContainers"], pod["containers"]
    assert {variable["name"] for variable in pull["env"]} == variables
    mounts = {mount["name"] for container in (pull, server) for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    *command, destination = pull["command"]
    assert subprocess.run([*command, f"here{destination}"], check=False, capture_output=True).returncode == 0
    assert list(files_in_bytes(Path("here/models/churn"))) == ["model.joblib"]


# The service


class Client(threading.Thread):
    """Sends requests on one connection until it is stopped, and keeps each answer."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.answers: list[tuple[int, Any]] = []
        self.failure: BaseException | None = None
        self.enough = threading.Event()
        self.switched = threading.Event()
        self.stopped = threading.Event()

    def run(self) -> None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
                while not self.stopped.is_set():
                    body = json.dumps({"rows": [[0.0], [1.0]]})
                    connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    answer = json.loads(response.read())
                    self.answers.append((response.status, answer))
                    if len(self.answers) == 20:
                        self.enough.set()
                    if answer["version"] == 2:
                        self.switched.set()
        except BaseException as error:
            self.failure = error
            self.enough.set()
            self.switched.set()


@pytest.fixture
def service(registry: LocalRegistry) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port of the service, and its process."""
    process = subprocess.Popen(
        [sys.executable, str(SERVING / "service.py")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MODEL": "churn@production", "PORT": "0", "INTERVAL": "0.05"},
    )
    assert process.stderr is not None
    port = 0
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
            break
    assert port, "".join(lines)
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    yield port, process
    process.terminate()
    process.wait(timeout=60)
    drain.join()
    process.stderr.close()


def test_a_promotion_under_load_drops_no_request(
    registry: LocalRegistry, service: tuple[int, subprocess.Popen[str]]
) -> None:
    clients = [Client(service[0]) for _ in range(4)]
    for client in clients:
        client.start()
    assert all(client.enough.wait(60) for client in clients)
    registry.promote("churn@2", to="production")
    assert all(client.switched.wait(60) for client in clients)
    for client in clients:
        client.stopped.set()
    for client in clients:
        client.join()
    assert [client.failure for client in clients] == [None] * 4
    answers = [answer for client in clients for answer in client.answers]
    assert {status for status, _ in answers} == {200}
    assert all(answer["predictions"] == [answer["version"]] * 2 for _, answer in answers)
    for client in clients:
        versions = [answer["version"] for _, answer in client.answers]
        assert versions == sorted(versions)
        assert set(versions) == {1, 2}


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_and_the_next_is_taken(
    registry: LocalRegistry, service: tuple[int, subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "broken.joblib").write_text("no model")
    registry.push(tmp_path / "broken.joblib", name="churn", stage="production")

    def served() -> int:
        with closing(http.client.HTTPConnection("127.0.0.1", service[0], timeout=60)) as connection:
            connection.request("GET", "/health")
            return int(json.loads(connection.getresponse().read())["version"])

    assert served() == 1
    registry.promote("churn@2", to="production")
    while served() != 2:
        assert service[1].poll() is None
