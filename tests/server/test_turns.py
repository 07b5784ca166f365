"""Many requests of one client leave room for those of others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from mreg.registry import query
from mreg.server.concurrency import Turns
from mreg.server.guard import TURNS
from mreg.server.settings import ServerSettings
from mreg.server.tokens import TokenFile
from tests.server.conftest import Served, Tokens


def test_many_slow_requests_of_a_client_do_not_delay_another(
    in_process: Callable[..., Served], tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, lock, active, most = threading.Event(), threading.Lock(), [0], [0]
    real = query.search

    def slow(*words: Any, **options: Any) -> Any:
        with lock:
            active[0] += 1
            most[0] = max(most[0], active[0])
        assert go.wait(60)
        with lock:
            active[0] -= 1
        return real(*words, **options)

    monkeypatch.setattr(query, "search", slow)
    server = in_process(ServerSettings(token_file=TokenFile(str(tokens.file), lambda _warning: None)))

    def ask(user: str, path: str) -> int:
        headers = {"Authorization": f"Bearer {tokens.secrets[user]}"}
        return requests.get(server.url + path, headers=headers, timeout=60).status_code

    count = 45  # more than the server has threads
    with ThreadPoolExecutor(count) as pool:
        slow_ones = [pool.submit(ask, "reader", "/search") for _ in range(count)]
        while active[0] < TURNS:
            go.wait(0.01)
        assert ask("writer", "/models") == 200
        assert not any(one.done() for one in slow_ones)
        go.set()
        assert [one.result() for one in slow_ones] == [200] * count
    assert most == [TURNS]


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
