"""Answers that hold as long as the catalog does not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from mreg.server.places import sees_places
from mreg.server.problems import accepts_envelope

KEPT = ("/models", "/models/{model}", "/models/{model}/production", "/models/{model}/versions/{version}", "/search")
"""GET routes whose results depend only on the catalog, the request, and what the caller may see."""

BYTES = 32 << 20
"""Maximum size of all kept answers in bytes."""

LARGEST = 1 << 20
"""Maximum size of an answer that is kept, in bytes."""

OVERHEAD = 2_000
"""Bytes that a kept answer takes besides its body and its address."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Key = tuple[str, str, bytes, bool, object]


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    size: int


class _Again(Response):
    """A kept answer; middlewares add headers to each response, so it has a separate list."""

    def __init__(self, answer: _Answer) -> None:
        self.status_code = 200
        self.background = None
        self.body = answer.body
        self.raw_headers = list(answer.headers)


class Answers:
    """Answers of one state of the catalog, the last used ones; used by the event loop only.

    Args:
        state: Returns the state of the catalog; see `mreg.catalog.database.Database.state`.
    """

    def __init__(self, state: Callable[[], object]) -> None:
        self._read_state = state
        self._state: object = None
        self._answers: OrderedDict[Key, _Answer] = OrderedDict()
        self._size = 0

    def state(self) -> object:
        """Return the state of the catalog now, None if it is unknown; answers of another state are dropped."""
        state = self._read_state()
        if state != self._state:
            self._state = state
            self._answers.clear()
            self._size = 0
        return state

    def find(self, key: Key) -> Response | None:
        """Return the answer to a request in the state that `state` returned last, or None."""
        found = self._answers.get(key)
        if found is None:
            return None
        self._answers.move_to_end(key)
        return _Again(found)

    def keep(self, key: Key, state: object, response: Response) -> None:
        """Keep an answer whose result was read after a state was returned.

        If the catalog has changed since, the answer is of one of the two states, and is not kept.
        """
        body = bytes(response.body)
        size = len(body) + len(key[1]) + len(key[2]) + OVERHEAD
        if state != self._state or response.status_code != 200 or size > LARGEST or key in self._answers:
            return
        self._answers[key] = _Answer(body, tuple(response.raw_headers), size)
        self._size += size
        while self._size > BYTES:
            self._size -= self._answers.popitem(last=False)[1].size


def kept(handle: Handler) -> Handler:
    """Return the handler of a route of `KEPT`, which reads the catalog only after a change."""

    async def handle_kept(request: Request) -> Response:
        answers: Answers = request.app.state.answers
        state = answers.state()
        if state is None:
            return await handle(request)
        scope = request.scope
        own = accepts_envelope(request)
        caller = scope["mreg.caller"].scope, sees_places(scope)
        key = scope["root_path"], scope["path"], scope["query_string"], own, caller
        found = answers.find(key)
        if found is not None:
            return found
        response = await handle(request)
        said = scope.get("mreg.collected")
        if said is None or not said.notices:
            answers.keep(key, state, response)
        return response

    return handle_kept
