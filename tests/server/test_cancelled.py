"""Requests whose task is cancelled while a thread works for them: the server cancels them when it stops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from mreg.registry.local import LocalRegistry
from mreg.results.tokens import Role
from mreg.server.app import build_app
from mreg.server.concurrency import TransferThreads
from mreg.server.download import begin
from mreg.server.guard import Caller
from mreg.server.operations import Operation
from mreg.server.settings import ServerSettings


class Work:
    """Work of a thread that lasts until `go` is set."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.closed: list[object] = []

    def do(self) -> None:
        self.begun.set()
        assert self.go.wait(60)

    def chunks(self, before: int) -> Generator[bytes]:
        try:
            for _ in range(before):
                yield b"x"
            self.do()
            yield b"y"
        finally:
            self.closed.append("file")

    async def cancel(self, request: Coroutine[Any, Any, object]) -> None:
        """Cancel a request in the middle of the work, which then goes on; wait until both have ended."""
        task = asyncio.create_task(request)
        task.add_done_callback(lambda _task: self.begun.set())
        await asyncio.to_thread(self.begun.wait)
        assert not task.done(), await task
        task.cancel()
        await asyncio.sleep(0)  # the task has been cancelled, and its thread still works
        self.go.set()
        with suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()


def scope(**more: Any) -> dict[str, Any]:
    caller, app = Caller("ada", Role.ADMIN), FastAPI()
    app.state.transfer_threads = TransferThreads(1)
    return {
        "type": "http", "app": app, "headers": [], "mreg.caller": caller, "mreg.revoked": lambda: False, **more
    }  # fmt: skip


async def receive() -> Any:
    await asyncio.Event().wait()


async def send(_message: Any) -> None:
    pass


@pytest.mark.parametrize("before", [0, 1])
def test_a_cancelled_download_closes_its_file_after_the_chunk_that_is_being_read(before: int) -> None:
    work = Work()

    async def download() -> None:
        response = await begin(work.chunks(before), 200, {}, work.closed.append)
        await response(scope(), receive, send)

    asyncio.run(work.cancel(download()))
    assert work.closed == ["file", False]


def test_the_result_of_a_cancelled_operation_is_dropped(registry: LocalRegistry) -> None:
    work = Work()

    def do(_operation: Operation[str]) -> str:
        work.do()
        return "result"

    app = build_app(registry, ServerSettings())

    async def operate() -> None:
        request = Request(scope(app=app), receive)
        await Operation(request, do, nullcontext(), work.closed.append).run(lambda _events: asyncio.sleep(0))

    asyncio.run(work.cancel(operate()))
    assert work.closed == ["result"]
