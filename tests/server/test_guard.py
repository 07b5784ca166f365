"""The guard without a server: an application behind it, and the messages of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mreg.server import guard
from mreg.server.guard import API_POLICY, PAGE_POLICY, Guard
from mreg.server.problems import Refused
from mreg.server.settings import BODY_LIMIT, ServerSettings

Message = dict[str, Any]


def scope_of(path: str = "/models", method: str = "GET", **headers: str) -> Message:
    found = {"host": "localhost", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in found.items()],
    }


class Loop:
    """A clock that the test moves, and the timers that were started by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.delays: list[float] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, _call: Callable[[], None]) -> None:
        self.delays.append(delay)


class Task:
    """A task that records whether it was cancelled."""

    cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


def ask(app: Any, scope: Message, *body: Message) -> tuple[list[Message], list[asyncio.TimerHandle]]:
    """Return the messages of a response, and the timers of the request."""
    sent: list[Message] = []
    timers: list[asyncio.TimerHandle] = []
    waiting = list(body)

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        real = loop.call_later

        def call_later(*words: Any) -> asyncio.TimerHandle:
            timers.append(real(*words))
            return timers[-1]

        loop.call_later = call_later  # type: ignore[method-assign, assignment]
        await Guard(app, ServerSettings(), "everybody")(scope, receive, send)  # type: ignore[arg-type]

    asyncio.run(run())
    return sent, timers


def part(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


async def answering(scope: Message, receive: Any, send: Any) -> None:
    """Read the body and answer with its length."""
    count, more = 0, True
    while more:
        message = await receive()
        count += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % count})


def test_a_request_leaves_no_timer_behind() -> None:
    sent, timers = ask(answering, scope_of(method="POST"), part(b"12", more=True), part(b"345"))
    assert sent[-1]["body"] == b"5"
    assert len(timers) == 1
    assert timers[0].cancelled()


@pytest.mark.parametrize(("path", "policy"), [("/ui", PAGE_POLICY), ("/ui/x", PAGE_POLICY), ("/uix", API_POLICY)])
def test_the_page_and_the_api_have_policies_of_their_own(path: str, policy: bytes) -> None:
    sent, _ = ask(answering, scope_of(path), part())
    headers = dict(sent[0]["headers"])
    assert (headers[b"content-security-policy"], headers[b"cache-control"]) == (policy, b"no-store")


def test_head_is_get_without_a_body() -> None:
    methods = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        methods.append((scope["method"], scope["mreg.head"]))
        await answering(scope, receive, send)

    sent, _ = ask(app, scope_of(method="HEAD"), part())
    assert methods == [("GET", True)]
    assert (sent[0]["status"], sent[-1]["body"]) == (200, b"")


def test_a_websocket_is_closed_and_other_scopes_pass() -> None:
    assert ask(answering, {"type": "websocket"})[0] == [{"type": "websocket.close", "code": 1008}]
    seen = []

    async def app(scope: Message, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    ask(app, {"type": "lifespan"})
    assert seen == ["lifespan"]


@pytest.mark.parametrize("started", [False, True])
def test_a_request_that_is_stopped_gets_503_unless_its_response_has_begun(started: bool) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    sent, _ = ask(app, scope_of(), part())
    assert [message["status"] for message in sent if "status" in message] == ([200] if started else [503])
    if not started:
        assert dict(sent[0]["headers"])[b"connection"] == b"close"
        assert b'"code":"stopping"' in sent[1]["body"]


def test_a_visit_needs_both_headers_of_a_browser() -> None:
    for mode, dest, status in (("navigate", "document", 200), ("navigate", "iframe", 403), ("cors", "document", 403)):
        scope = scope_of("/ui", sec_fetch_site="cross-site", sec_fetch_mode=mode, sec_fetch_dest=dest)
        assert ask(answering, scope, part())[0][0]["status"] == status, (mode, dest)


def limits(scope: Message, *body: Message) -> list[object]:
    """Return what an application receives: the lengths of the parts, or the status of the refusal."""
    found: list[object] = []

    async def app(_scope: Message, receive: Any, _send: Any) -> None:
        try:
            for _ in body:
                message = await receive()
                found.append(len(message["body"]))
        except Refused as refused:
            found.append(refused.status_code)

    ask(app, scope, *body)
    return found


def test_a_body_is_refused_from_the_first_byte_beyond_its_limit() -> None:
    for method, path, limit in (("PUT", "/policy", BODY_LIMIT), ("POST", "/models/m/versions/1/x", BODY_LIMIT)):
        full = limits(scope_of(path, method), part(b"x" * limit, more=True), part(b""), part(b""))
        assert full == [limit, 0, 0]
        assert limits(scope_of(path, method), part(b"x" * limit, more=True), part(b"x")) == [limit, 413]
        announced = scope_of(path, method, content_length=str(limit))
        assert limits(announced, part(b"x")) == [1]
        assert limits(scope_of(path, method, content_length=str(limit + 1)), part(b"x")) == [413]
    assert limits(scope_of("/models/m/versions", "POST"), part(b"x" * (BODY_LIMIT + 1))) == [BODY_LIMIT + 1]


def body_of(loop: Loop, *messages: Message, revoked: bool = False) -> guard._Body:
    waiting = list(messages)

    async def receive() -> Message:
        loop.now += waiting[0].pop("seconds", 0)
        return waiting.pop(0)

    async def make() -> guard._Body:
        return guard._Body(receive, {**scope_of(), "mreg.revoked": lambda: revoked}, 1 << 30)

    body = asyncio.run(make())
    body._loop = loop  # type: ignore[assignment]
    body._began = body._asked = 0.0
    return body


def test_a_client_is_cut_off_when_it_sent_nothing_for_the_idle_time() -> None:
    loop, task = Loop(), Task()
    body = body_of(loop)
    for now, asked, waiting, delay in (
        (60.0, 0.0, False, 60.0),  # the application does not read
        (120.0, 60.5, True, 0.5),
        (120.5, 90.0, True, 29.5),
        (150.5, 90.0, False, 60.0),
    ):
        loop.now, body._asked = now, asked
        body._waiting = task if waiting else None  # type: ignore[assignment]
        body._check_idle()
        assert loop.delays.pop() == delay
        assert not task.cancelled
    loop.now, body._waiting = 150.0, task  # type: ignore[assignment]
    body._check_idle()
    assert task.cancelled
    assert loop.delays == []


@pytest.mark.parametrize(
    ("seconds", "count", "more", "refused"),
    [
        (60, 1, True, False),  # not slower than the idle time
        (61, 61 * 1024 - 1, True, True),
        (61, 61 * 1024, True, False),
        (61, 1, False, False),  # complete
    ],
)
def test_a_slow_body_is_refused_while_it_is_incomplete(seconds: int, count: int, more: bool, refused: bool) -> None:
    body = body_of(Loop(), {**part(b"x" * count, more=more), "seconds": seconds})
    if refused:
        with pytest.raises(Refused, match="the minimum is 1024 bytes per second") as caught:
            asyncio.run(body.receive())
        assert caught.value.status_code == 408
    else:
        assert len(asyncio.run(body.receive())["body"]) == count


def test_a_complete_body_is_neither_timed_nor_checked_for_its_token() -> None:
    loop = Loop()
    body = body_of(loop, part(b"x"), {"type": "http.disconnect", "seconds": 9999})
    assert asyncio.run(body.receive())["body"] == b"x"
    body._revoked = lambda: True
    assert asyncio.run(body.receive())["type"] == "http.disconnect"
    assert loop.delays == [60.0]


def test_a_body_is_refused_once_its_token_is_revoked() -> None:
    with pytest.raises(Refused, match="the token was revoked") as caught:
        asyncio.run(body_of(Loop(), part(b"x", more=True), revoked=True).receive())
    assert (caught.value.status_code, caught.value.headers) == (
        401,
        {"Connection": "close", "WWW-Authenticate": "Bearer"},
    )


def test_a_disconnect_is_passed_on() -> None:
    assert asyncio.run(body_of(Loop(), {"type": "http.disconnect"}).receive()) == {"type": "http.disconnect"}
