"""`mreg profile check` measures latency and throughput, so that a slow store can be seen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mreg.artifacts import speed
from mreg.artifacts.local import LocalBackend
from tests.conftest import Mreg, local_registry
from tests.proxy import Proxy
from tests.servers import READER, Place

LATENCY = 0.2


def checks(command: Mreg, code: int = 0) -> dict[str, dict[str, Any]]:
    done = command("profile", "check", "--json")
    assert done.code == code, done
    return {one["name"]: one for one in json.loads(done.out)}


def files() -> list[Path]:
    return sorted(path for path in Path(os.environ["HOME"]).rglob("*") if path.is_file())


def test_a_check_measures_catalog_and_store_and_leaves_nothing(command: Mreg, model_file: Path) -> None:
    assert command("push", str(model_file), "-n", "m").code == 0
    before = files()
    found = checks(command)
    assert list(found)[2] == "catalog latency"
    assert list(found)[-2:] == ["store latency", "store throughput"]
    assert found["catalog latency"]["latency_seconds"] > 0
    assert found["store latency"]["latency_seconds"] > 0
    assert found["store throughput"]["upload_bytes_per_second"] > 0
    assert found["store throughput"]["download_bytes_per_second"] > 0
    assert found["list"]["latency_seconds"] is None
    assert files() == before


def test_the_table_shows_latency_and_throughput(command: Mreg) -> None:
    rows = {line.split("\t")[0]: line.split("\t")[2:] for line in command("profile", "check").out.splitlines()}
    for name in ("catalog latency", "store latency"):
        outcome, message = rows[name]
        assert (outcome, message.split()[1]) == ("works", "ms")
    outcome, message = rows["store throughput"]
    assert outcome == "works"
    assert [part.split()[-1] for part in message.split(", ")] == ["up", "down"]


def test_a_slow_store_is_visibly_slower(proxy: Proxy, bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    with local_registry() as registry:
        fast = {check.name: check for check in registry.check()}
        proxy.latency = LATENCY
        store = registry._session.artifacts()
        assert store.latency() > LATENCY > 2 * (fast["store latency"].latency or LATENCY)
        assert 2 * (fast["catalog latency"].latency or LATENCY) < LATENCY
        up, down = store.throughput()
        assert up < (fast["store throughput"].upload or 0)
        assert down < (fast["store throughput"].download or 0)
    assert bucket.keys() == []


def test_a_measurement_of_a_very_slow_store_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(speed, "SECONDS", 0)
    speed.latency(lambda: asked.append(1))
    assert asked == [1]
    backend = LocalBackend(tmp_path / "store")
    up, down = speed.throughput(backend)
    assert min(up, down) > 0
    assert list(backend.list("blobs/")) == []


def test_who_may_only_read_sees_the_latency_and_writes_nothing(
    bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    found = checks(command, code=8)
    assert found["store latency"]["latency_seconds"] > 0
    assert "store throughput" not in found
    assert bucket.keys() == []
