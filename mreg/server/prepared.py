"""Files that wait for their clients: a bundle or backup was prepared for one caller, who downloads it with ranges."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mreg.errors import NotFound
from mreg.server.download import send_prepared
from mreg.server.operations import result_events
from mreg.server.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from mreg.registry.prepared import PreparedFile
    from mreg.server.guard import Caller

WAITING_SECONDS = 3600.0
"""Time after which a file is removed, since it was prepared or last used."""

COMPLETE_SECONDS = 60.0
"""The same once its last byte was sent; the client can have lost it."""

PER_CALLER, TOTAL = 4, 32
"""Maximum number of files: a further one removes the oldest of the same caller."""


@dataclass(slots=True)
class _Waiting:
    caller: Caller
    file: PreparedFile
    timer: asyncio.TimerHandle
    downloads: int = 0


class PreparedFiles:
    """The prepared files of a server, used by its event loop."""

    def __init__(self) -> None:
        self._files: dict[str, _Waiting] = {}

    def add(self, caller: Caller, file: PreparedFile) -> str:
        """Keep a file for a caller, and return its id, which cannot be guessed.

        Raises:
            Refused: The files of other callers are too many; the file is closed.
        """
        own = [one for one, waiting in self._files.items() if waiting.caller == caller]
        if len(own) >= PER_CALLER:
            self._remove(own[0])
        if len(self._files) >= TOTAL:
            file.close()
            raise Refused(
                503, "busy", f"too many prepared files: {TOTAL}", hint="retry later", headers={"Retry-After": "60"}
            )
        one = secrets.token_urlsafe(24)
        self._files[one] = _Waiting(caller, file, self._timer(one, WAITING_SECONDS))
        return one

    async def send(self, request: Request, one: str) -> Response:
        """Return the response with a file of the caller.

        Raises:
            NotFound: The caller has no such file, or it was removed.
        """
        caller: Caller = request.scope["mreg.caller"]
        waiting = self._files.get(one)
        if waiting is None or waiting.caller != caller:
            raise NotFound("file not found: it was removed, or belongs to another client", hint="request it again")
        waiting.timer.cancel()
        waiting.downloads += 1
        loop = asyncio.get_running_loop()
        return await send_prepared(
            request, waiting.file, lambda complete: _call(loop, partial(self._ended, one, complete=complete))
        )

    def close(self) -> None:
        """Remove all files."""
        for one in tuple(self._files):
            self._remove(one)

    def _ended(self, one: str, *, complete: bool) -> None:
        waiting = self._files.get(one)
        if waiting is not None:
            waiting.downloads -= 1
            waiting.timer.cancel()
            if complete:
                waiting.file.note_sent()
            if not waiting.downloads:
                waiting.timer = self._timer(one, COMPLETE_SECONDS if complete else WAITING_SECONDS)

    def _timer(self, one: str, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._remove, one)

    def _remove(self, one: str) -> None:
        waiting = self._files.pop(one, None)
        if waiting is not None:
            waiting.timer.cancel()
            waiting.file.close()


def _call(loop: asyncio.AbstractEventLoop, function: partial[None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)


def offered(request: Request, result: object, file: PreparedFile) -> Iterator[tuple[str, Any]]:
    """Yield the last events of an operation that prepared a file: the file to download, and the result."""
    files: PreparedFiles = request.app.state.prepared
    one = files.add(request.scope["mreg.caller"], file)
    yield (
        "file",
        {
            "path": f"/prepared/{one}",
            "name": file.name,
            "digest": str(file.digest),
            "size_bytes": file.size_bytes,
        },
    )
    yield from result_events(request, result)


async def sent_at_once(request: Request, file: PreparedFile) -> Response:
    """Return the response with a file that is removed at its end."""
    return await send_prepared(request, file, lambda _complete: file.close())
