"""Many requests of one client leave room for those of others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mreg.registry import push, query, staged_uploads, uploads
from mreg.registry.local import LocalRegistry
from mreg.server.concurrency import THREADS, TURNS, Turns
from mreg.server.download import _Steps
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile
from tests.server.conftest import Served, Tokens

MODEL = "/models/m"
DIGEST = f"sha256:{'0' * 64}"
VERSION = {"files": {"model_file": b"x"}}

SLOW: dict[str, tuple[ModuleType, str, str, str, dict[str, Any]]] = {
    "a search": (query, "search", "GET", "/search", {}),
    "a question about missing blobs": (
        uploads, "missing_blobs", "POST", f"{MODEL}/blobs/missing", {"json": {"blobs": []}},
    ),
    "a question about an upload": (uploads, "look_at_upload", "GET", f"{MODEL}/blobs/{DIGEST}", {}),
    "the begin of a staged upload": (
        staged_uploads, "should_hash_first", "POST", f"{MODEL}/uploads/{'0' * 32}", {"json": {"size": 1}},
    ),
    "an upload": (uploads, "store_blob", "PUT", f"{MODEL}/blobs/{DIGEST}", {"data": b"x"}),
    "a part of an upload": (
        uploads, "begin_upload", "PATCH", f"{MODEL}/blobs/{DIGEST}",
        {"data": b"x", "headers": {"Upload-Offset": "0", "Upload-Length": "1"}},
    ),
    "the model of an upload": (query, "model", "POST", f"{MODEL}/versions", VERSION),
    "the version of an upload": (push, "push_upload", "POST", f"{MODEL}/versions", VERSION),
}  # fmt: skip
"""The function that is slow, and a request that runs it in a thread."""


@pytest.mark.parametrize("what", SLOW)
def test_many_slow_requests_of_a_client_do_not_delay_another(
    what: str, team: Team, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name, method, path, options = SLOW[what]
    registry.register("m")
    slow = Slow(getattr(module, name))
    monkeypatch.setattr(module, name, slow)
    assert crowd(team, slow, method, path, **options) & {200, 201, 400, 409}


def test_many_slow_downloads_of_a_client_do_not_delay_another(
    team: Team, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("m.bin").write_bytes(b"x" * (2 << 20))
    registry.push("m.bin", name="m")
    begun, real = set[_Steps](), _Steps.next
    slow = Slow(real)

    def read(steps: _Steps) -> bytes:
        if steps in begun:
            chunk: bytes = slow(steps)
            return chunk
        begun.add(steps)
        return real(steps)

    monkeypatch.setattr(_Steps, "next", read)
    assert crowd(team, slow, "GET", f"{MODEL}/versions/1/artifact") == {200}


Team = tuple[Served, Served]


@pytest.fixture
def team(in_process: Callable[..., Served], tokens: Tokens) -> Team:
    """A server as a writer and as a reader."""
    server = in_process(ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None)))
    return tuple(Served(server.url, server.process, server.log, tokens.secrets[name]) for name in ("writer", "reader"))  # type: ignore[return-value]


def crowd(team: Team, slow: Slow, method: str, path: str, **options: Any) -> set[int]:
    """Send more requests at once than the server has threads, while another client is served; return their statuses."""
    client, other = team
    with ThreadPoolExecutor(THREADS + 5) as pool:
        asked = [pool.submit(client.ask, method, path, **options) for _ in range(THREADS + 5)]
        slow.wait_for(TURNS)
        assert other.get("/models").status_code == 200
        slow.end()
        statuses = {one.result().status_code for one in asked}
    assert slow.most == TURNS
    return statuses


class Slow:
    """A function whose calls wait for `end`."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self._real, self._go, self._lock = real, threading.Event(), threading.Lock()
        self._active = self.most = 0

    def __call__(self, *words: Any, **options: Any) -> Any:
        with self._lock:
            self._active += 1
            self.most = max(self.most, self._active)
        assert self._go.wait(60)
        with self._lock:
            self._active -= 1
        return self._real(*words, **options)

    def wait_for(self, count: int) -> None:
        """Wait until so many calls are in progress."""
        while self._active < count:
            self._go.wait(0.01)

    def end(self) -> None:
        """Let all calls go on."""
        self._go.set()


def test_turns_come_in_order_and_end_once() -> None:
    async def run() -> list[str]:
        turns, done = Turns(2), list[str]()

        async def work(name: str, client: str) -> None:
            turn = await turns.take(client)
            done.append(name)
            await asyncio.sleep(0)
            turn.end()
            turn.end()

        first, second = await turns.take("ada"), await turns.take("ada")
        waiting = [asyncio.create_task(work(name, "ada")) for name in "abc"]
        await asyncio.gather(work("other", "eve"))
        waiting[1].cancel()
        await asyncio.sleep(0)
        assert done == ["other"]
        first.end()
        first.end()
        await asyncio.gather(*waiting, return_exceptions=True)
        second.end()
        assert (turns._clients, turns._requests) == ({}, {})
        return done

    assert asyncio.run(run()) == ["other", "a", "c"]
