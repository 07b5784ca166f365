"""Clients of a server that are killed in a push, and many that push to one model at once."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

import mreg
from tests.conftest import FULL, SEED
from tests.faults.test_kill import duration, killed
from tests.serving import Serving

ROUNDS = 100 if FULL else 6
CLIENTS = 20


def numbers(registry: mreg.Registry, name: str) -> list[int]:
    found = registry.show(name)
    assert isinstance(found, mreg.ModelVersions)
    return sorted(version.version for version in found.versions)


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_a_client_that_is_killed_in_a_push_leaves_no_half_version(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    chance = random.Random(SEED)
    Path("big.bin").write_bytes(os.urandom(24 << 20))
    Path("net").mkdir()
    for number in range(60):
        Path("net", str(number)).write_bytes(os.urandom(20_000))
    seconds = {what: duration(["push", what, "-n", "killed"]) for what in ("big.bin", "net")}
    reported, died = 2, 0
    with mreg.open_registry() as registry:
        for number in range(ROUNDS):
            what = ("big.bin", "net")[number % 2]
            with (Path("net/0") if what == "net" else Path(what)).open("r+b") as stream:
                stream.write(os.urandom(16))
            code = killed(["push", what, "-n", "killed"], chance.uniform(0.2, 1.1) * seconds[what])
            died += code != 0
            reported += code == 0
            found = numbers(registry, "killed")
            # What was reported is there; what was killed may have been done before it could say so.
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= reported
            reported = len(found)
        assert died
        assert registry.verify("killed").problems == ()
        last = registry.push("big.bin", name="killed").version  # the server continues what the last one began
        assert numbers(registry, "killed") == list(range(1, last + 1))
        assert last - reported in (1, 2)  # the server can still be creating the version of a client that was killed
        store = Path(served.variables["MREG_ARTIFACTS"])
        for path in (*(store / "tmp").rglob("*"), *(store / "uploads").rglob("*")):
            os.utime(path, (0, 0))  # gc keeps uploads of the last days: they can be continued
        registry.gc(grace=timedelta(0), remove=True)
        assert registry.gc(grace=timedelta(0)) == ()
        registry.verify_audit()
        assert registry.verify("killed").problems == ()
    assert [path for top in ("tmp", "uploads") for path in (store / top).rglob("*") if path.is_file()] == []


def test_twenty_clients_push_to_one_model_at_once(served: Serving) -> None:
    contents = [os.urandom(300_000 + number * 300_000) for number in range(CLIENTS)]
    for number, content in enumerate(contents):
        Path(f"net-{number}").mkdir()
        Path(f"net-{number}/own.bin").write_bytes(content)
        Path(f"net-{number}/shared.bin").write_bytes(b"s" * 5_000_000)
    start = threading.Barrier(CLIENTS)

    def push(number: int) -> mreg.ModelVersion:
        with mreg.open_registry(server=served.url, token=served.secrets["ada"]) as registry:
            start.wait()
            return registry.push(f"net-{number}", name="crowd", description=str(number))

    with ThreadPoolExecutor(CLIENTS) as pool:
        made = list(pool.map(push, range(CLIENTS)))
    assert sorted(version.version for version in made) == list(range(1, CLIENTS + 1))
    with mreg.open_registry(server=served.url, token=served.secrets["ben"]) as registry:
        assert numbers(registry, "crowd") == list(range(1, CLIENTS + 1))
        assert registry.verify("crowd").problems == ()
        for number in (0, CLIENTS - 1):
            registry.pull(made[number], f"back-{number}")
            assert Path(f"back-{number}/own.bin").read_bytes() == contents[number]
        pushed = [event for event in registry.history("crowd") if event.action == "version.pushed"]
        assert len(pushed) == CLIENTS
