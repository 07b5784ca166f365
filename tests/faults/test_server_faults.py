"""A server that is killed, loses its disk or refuses its client in the middle of a push or a pull."""

from __future__ import annotations

import os
import random
import resource
import threading
from pathlib import Path

import pytest

import mreg
from mreg.artifacts import partial
from mreg.registry.remote import RemoteRegistry
from tests.conftest import FULL, SEED
from tests.faults.test_remote_transfers import count, write
from tests.proxy import Proxy
from tests.serving import OpenClient, Serving, serving

SIZE = 24 << 20
SHARES = [0.05, 0.5, 0.95] if FULL else [0.5]
"""Shares of a transfer after which the server is killed."""


@pytest.fixture
def registry(open_client: OpenClient) -> RemoteRegistry:
    return open_client()


def restart(served: Serving, line: Proxy) -> None:
    """Kill the server and start it again; its clients wait at the door."""
    line.passing.clear()
    served.kill()
    served.start()
    line.passing.set()


def folder(files: int = 300) -> dict[str, bytes]:
    return {f"net/{number}.bin": write(20_000, f"net/{number}.bin") for number in range(files)}


def content(place: str) -> dict[str, bytes]:
    return {f"net/{path.name}": path.read_bytes() for path in Path(place).iterdir()}


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_push_continues_with_a_server_that_was_killed(
    registry: RemoteRegistry, served: Serving, line: Proxy, name: str, what: str, share: float
) -> None:
    files = {"net/0.bin": write(SIZE, "net/0.bin")} if what == "file" else folder()
    size = sum(map(len, files.values()))
    registry.models(limit=1)
    line.when_up, first = (line.up + int(size * share), lambda: restart(served, line)), served.process.pid
    version = registry.push("net", name=name)
    assert served.process.pid != first
    assert (version.version, count(registry, name)) == (1, 1)
    registry.pull(version, "back")
    assert content("back") == files


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_pull_continues_with_a_server_that_was_killed(
    registry: RemoteRegistry, served: Serving, line: Proxy, name: str, what: str, share: float
) -> None:
    files = {"net/0.bin": write(SIZE, "net/0.bin")} if what == "file" else folder()
    version = registry.push("net", name=name)
    size, first = sum(map(len, files.values())), served.process.pid
    line.when_down = (line.down + int(size * share), lambda: restart(served, line))
    registry.pull(version, "back")
    assert served.process.pid != first
    assert content("back") == files


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_command_that_lost_its_server_completes_when_it_is_repeated(
    registry: RemoteRegistry, served: Serving, line: Proxy, name: str, way: str
) -> None:
    files = {"net/large.bin": write(SIZE, "net/large.bin"), **folder(20)}
    if way == "pull":
        registry.push("net", name=name)
        line.when_down = (line.down + SIZE // 2, served.kill)
    else:
        registry.models(limit=1)
        line.when_up = (line.up + SIZE // 2, served.kill)
    with pytest.raises(mreg.Unavailable) as raised:
        registry.push("net", name=name) if way == "push" else registry.pull(f"{name}@1", "back")
    assert line.endpoint in raised.value.message
    assert raised.value.hint
    served.process.poll()
    assert served.process.returncode == -9
    assert not Path("back").exists()
    served.start()
    if way == "push":
        with pytest.raises(mreg.NotFound):
            registry.model(name)
        before = line.up
        registry.push("net", name=name)
        assert line.up - before < SIZE * 3 // 4
    registry.pull(f"{name}@1", "back")
    assert content("back") == files
    assert count(registry, name) == 1
    assert registry.verify(name).problems == ()
    assert [path for path in Path().iterdir() if path.name.startswith(".")] == []


@pytest.mark.timeout(1200 if FULL else 300)
def test_a_server_that_is_killed_while_it_creates_a_version_creates_it_once(
    registry: RemoteRegistry, served: Serving, line: Proxy, name: str
) -> None:
    chance = random.Random(SEED)
    rounds = 40 if FULL else 2
    killing: list[threading.Timer] = []

    def kill_soon(request: str) -> None:
        if request.startswith(f"POST /models/{name}/versions ") and not killing:
            killing.append(threading.Timer(chance.uniform(0, 0.03), restart, (served, line)))
            killing[0].start()

    line.answer = kill_soon
    for number in range(rounds):
        write(300_000)
        assert registry.push("model.bin", name=name).version == number + 1
        assert killing
        killing.pop().join()
    assert [version.version for version in reversed(registry.show(name).versions)] == list(range(1, rounds + 1))  # type: ignore[union-attr]
    assert registry.verify(name).problems == ()
    events = [event for event in registry.history(name) if event.action == "version.pushed"]
    assert len(events) == rounds


@pytest.mark.parametrize(
    ("way", "what", "kept"),
    [("push", "file", False), ("push", "folder", False), ("pull", "file", False), ("pull", "file", True)],
)
def test_a_token_that_is_revoked_in_the_middle_ends_the_transfer(
    open_client: OpenClient,
    registry: RemoteRegistry,
    line: Proxy,
    name: str,
    way: str,
    what: str,
    kept: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # How many bytes of a download arrive is left to the buffers of the system: none are enough to keep, or all.
    monkeypatch.setattr(partial, "KEEP_BYTES", 0 if kept else 1 << 30)
    with open_client() as admin:
        secret = admin.create_token(name, role="writer").secret
        client = open_client(secret=secret)
        # More than the buffers of the system hold of a download.
        files = {"net/0.bin": write(80 << 20, "net/0.bin")} if what == "file" else folder(1_000)
        if way == "pull":
            client.push("net", name=name)
            line.when_down = (line.down + 2_000_000, lambda: _revoke(admin, name, open_client(secret=secret)))
        else:
            client.models(limit=1)
            line.when_up = (line.up + 2_000_000, lambda: _revoke(admin, name, open_client(secret=secret)))
        with pytest.raises(mreg.MregError) as raised:
            client.push("net", name=name) if way == "push" else client.pull(f"{name}@1", "back")
    assert raised.value.details["status"] == 401
    assert raised.value.message.startswith(f"{line.endpoint} did not accept the request: ")
    resumed = "\nrepeat the command to resume: the bytes that arrived are kept" if kept else ""
    ask = f"for a new token, ask an administrator of the server: mreg token create {name} --role ROLE"
    assert raised.value.hint == f"mreg login {line.endpoint}\n{ask}{resumed}"
    assert len(os.listdir()) == 1 + kept
    if way == "push":
        with pytest.raises(mreg.NotFound):
            registry.model(name)
        registry.push("net", name=name)
    registry.pull(f"{name}@1", "back")
    assert (count(registry, name), content("back")) == (1, files)
    assert sorted(os.listdir()) == ["back", "net"]


def _revoke(admin: RemoteRegistry, name: str, again: RemoteRegistry) -> None:
    """Revoke a token, and wait until the server knows it: it would send what it has until then."""
    admin.revoke_token(name)
    with pytest.raises(mreg.Unavailable):
        again.whoami()


def test_a_push_to_a_server_with_a_full_disk_says_so_and_continues_later(
    registry: RemoteRegistry, served: Serving, name: str
) -> None:
    write(SIZE)
    none = resource.RLIM_INFINITY
    registry.models(limit=1)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (12 << 20, none))
    try:
        with pytest.raises(mreg.Unavailable, match="File too large"):
            registry.push("model.bin", name=name)
    finally:
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (none, none))
    with pytest.raises(mreg.NotFound):
        registry.model(name)
    version = registry.push("model.bin", name=name)
    registry.pull(version, "back.bin")
    assert Path("back.bin").read_bytes() == Path("model.bin").read_bytes()
    assert count(registry, name) == 1


def test_a_push_to_a_server_without_its_object_store_says_so_and_continues_later(
    proxy: Proxy, people: Path, tmp_path: Path
) -> None:
    """The proxy is between the server and its bucket."""
    large = write(6 << 20)
    names = ("MREG_CATALOG", "MREG_ARTIFACTS", "MREG_ENDPOINT_URL")
    with (
        serving(tmp_path, {name: os.environ[name] for name in names}) as served,
        mreg.open_registry(server=served.url, token=served.secrets["ada"]) as registry,
    ):
        proxy.stop()
        with pytest.raises(mreg.Unavailable) as raised:
            registry.push("model.bin", name="m")
        assert os.environ["MREG_ENDPOINT_URL"].partition("//")[2] in raised.value.message
        with pytest.raises(mreg.NotFound):
            registry.model("m")
        proxy.start()
        version = registry.push("model.bin", name="m")
        registry.pull(version, "back.bin")
        assert (Path("back.bin").read_bytes(), count(registry, "m")) == (large, 1)
