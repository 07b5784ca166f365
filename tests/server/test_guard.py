"""The guard without a server: an application behind it, and the messages of one request."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.scope import EVERYTHING
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server import guard
from mreg.server.access import Access, Client, Unreadable
from mreg.server.guard import API_POLICY, PAGE_POLICY, SINGLE_HEADERS, Caller, Guard
from mreg.server.problems import Refused
from mreg.server.settings import BODY_LIMIT, ServerSettings
from mreg.server.tokens import TokenFile

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


def guard_of(app: Any, settings: ServerSettings) -> Guard:
    """Return the guard of a registry whose catalog does not exist yet."""
    registry = mreg.open_registry()
    assert isinstance(registry, LocalRegistry)
    return Guard(app, settings, "everybody", Access(settings, registry))


def ask(
    app: Any, scope: Message, *body: Message, settings: ServerSettings | None = None
) -> tuple[list[Message], list[asyncio.TimerHandle]]:
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
        await guard_of(app, settings or ServerSettings())(scope, receive, send)  # type: ignore[arg-type]

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


def answering_with(value: bool) -> Callable[[], Awaitable[bool]]:
    async def revoked() -> bool:
        return value

    return revoked


def body_of(loop: Loop, *messages: Message, revoked: bool = False) -> guard._Body:
    waiting = list(messages)

    async def receive() -> Message:
        loop.now += waiting[0].pop("seconds", 0)
        return waiting.pop(0)

    async def make() -> guard._Body:
        return guard._Body(
            receive, {**scope_of(), "mreg.caller": guard.Caller("ci", Role.WRITER)}, 1 << 30, answering_with(revoked)
        )

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
    body._revoked = answering_with(True)
    assert asyncio.run(body.receive())["type"] == "http.disconnect"
    assert loop.delays == [60.0]


def test_a_body_is_refused_once_its_token_is_revoked() -> None:
    with pytest.raises(Refused, match="the token 'ci' was revoked") as caught:
        asyncio.run(body_of(Loop(), part(b"x", more=True), revoked=True).receive())
    assert (caught.value.status_code, caught.value.headers) == (
        401,
        {"Connection": "close", "WWW-Authenticate": "Bearer"},
    )


def test_a_disconnect_is_passed_on() -> None:
    assert asyncio.run(body_of(Loop(), {"type": "http.disconnect"}).receive()) == {"type": "http.disconnect"}


# Who may send what


SECRETS = {role: new_token(str(role), role) for role in Role}


def answer(scope: Message, settings: ServerSettings) -> Refused | Caller:
    """Return the refusal of a request, or its caller."""
    try:
        asyncio.run(guard_of(answering, settings)._check(scope, page=scope["path"].startswith("/ui")))
    except Refused as refused:
        return refused
    found = scope["mreg.caller"]
    assert isinstance(found, Caller)
    return found


def code(found: Refused | Caller) -> object:
    return found.status_code if isinstance(found, Refused) else found.name


@pytest.mark.parametrize("path", ["/models", "/ui", "/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("read_only", [False, True])
def test_the_role_of_a_token_decides_what_a_client_may_send(path: str, method: str, read_only: bool) -> None:
    settings = ServerSettings(tokens=tuple(one.token for one in SECRETS.values()), read_only=read_only)
    public, safe = path in ("/healthz", "/readyz"), method in ("GET", "HEAD", "OPTIONS")
    for role, made in SECRETS.items():
        found = answer(scope_of(path, method, authorization=f"Bearer {made.secret}"), settings)
        if public:
            assert found == Caller("", Role.READER)
            assert (found.token, found.scope) == (None, EVERYTHING)
        elif safe or (role >= Role.WRITER and not read_only):
            assert found == Caller(str(role), role, Client(made.token, stored=False))
            assert (found.token, found.scope) == (made.token, made.token.scope)
        else:
            assert isinstance(found, Refused)
            assert (found.status_code, found.code, found.detail) == (
                (403, "read_only", "this server is read-only")
                if read_only
                else (403, "role_too_low", "reader has role reader; this needs role writer")
            )
    assert code(answer(scope_of(path, method), settings)) == ("" if public else 401)
    without = answer(scope_of(path, method), ServerSettings(read_only=read_only))
    assert code(without) == ("" if public else "everybody" if safe or not read_only else 403)


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


CREDENTIALS: dict[str, tuple[str, object, object]] = {
    "no header": ("", "missing token", "missing token"),
    "bearer": (f"Bearer {SECRETS[Role.READER].secret}", "reader", "reader"),
    "bearer in capitals and with spaces": (f"BEARER   {SECRETS[Role.READER].secret} ", "reader", "reader"),
    "bearer without a token": ("Bearer ", "missing token", "missing token"),
    "another token": ("Bearer mreg_other", "unknown token", "unknown token"),
    "basic": (basic("anybody", SECRETS[Role.ADMIN].secret), "missing token", "admin"),
    "basic in lower case": (basic("", SECRETS[Role.ADMIN].secret).replace("Basic", "basic"), "missing token", "admin"),
    "the token as the user": (basic(SECRETS[Role.ADMIN].secret, ""), "missing token", "missing token"),
    "basic with another password": (basic("a", "b:c"), "missing token", "unknown token"),
    "basic that is not base64": (
        f"Basic !{basic('a', SECRETS[Role.ADMIN].secret)[6:]}",
        "missing token",
        "missing token",
    ),
    "basic that is not UTF-8": ("Basic /w==", "missing token", "missing token"),
    "another scheme": (f"Digest {SECRETS[Role.READER].secret}", "missing token", "missing token"),
    "the token alone": (SECRETS[Role.READER].secret, "missing token", "missing token"),
}


@pytest.mark.parametrize("given", CREDENTIALS)
def test_a_token_is_sent_as_bearer_and_to_the_page_also_as_a_password(given: str) -> None:
    header, api, page = CREDENTIALS[given]
    settings = ServerSettings(tokens=tuple(one.token for one in SECRETS.values()))
    for path, expected, scheme in (
        ("/models", api, "Bearer"),
        ("/ui", page, 'Basic realm="mreg: the token is the password"'),
    ):
        found = answer(scope_of(path, authorization=header) if header else scope_of(path), settings)
        if isinstance(found, Refused):
            assert (found.status_code, found.code, found.detail) == (401, "no_token", expected)
            assert found.headers == {"WWW-Authenticate": scheme}
        else:
            assert found.name == expected


def test_every_token_is_refused_while_the_token_file_is_not_valid(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    made = SECRETS[Role.WRITER]
    file.write_text(made.token.line)
    settings = ServerSettings(token_file=TokenFile(str(file), print))
    scope = scope_of(authorization=f"Bearer {made.secret}")
    assert code(answer(scope, settings)) == "writer"
    file.write_text("broken")
    found = answer(scope, settings)
    assert isinstance(found, Refused)
    assert (found.status_code, found.code, found.headers) == (503, "unavailable", {"Retry-After": "5"})
    assert found.detail == "the server cannot read its tokens"
    assert code(answer(scope_of(), settings)) == 401


@pytest.mark.parametrize("valid", [True, False])
def test_only_a_token_can_be_revoked(valid: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerSettings, "still_valid", lambda *_: valid)
    access = guard_of(answering, ServerSettings())._access
    for client, refused in ((None, False), (Client(SECRETS[Role.ADMIN].token, stored=False), not valid)):
        assert access.is_refused(client) is refused
        assert asyncio.run(access.is_refused_now(client)) is refused


@pytest.mark.parametrize("name", [name.decode() for name in SINGLE_HEADERS])
def test_a_header_that_a_proxy_could_read_differently_is_sent_once(name: str) -> None:
    scope = scope_of()
    scope["headers"] = [(b"host", b"localhost"), (b"x-other", b"1"), (b"x-other", b"2")]
    if name != "host":
        scope["headers"].append((name.encode(), b"http://localhost" if name in ("origin", "referer") else b"none"))
    assert code(answer(scope, ServerSettings())) == "everybody"
    scope["headers"].append((name.encode(), b"localhost"))
    found = answer(scope, ServerSettings())
    assert isinstance(found, Refused)
    assert (found.status_code, found.code, found.detail) == (400, "header_twice", f"repeated header {name}")


def test_path_and_query_together_have_a_longest_length() -> None:
    for path, query, status in ((8 << 10, 0, "everybody"), (8000, 192, "everybody"), (8000, 193, 414), (8193, 0, 414)):
        scope = {**scope_of("/" + "x" * (path - 1)), "query_string": b"q" * query}
        found = answer(scope, ServerSettings())
        assert code(found) == status, (path, query)
    assert isinstance(found, Refused)
    assert (found.code, found.detail) == ("target_too_long", "path and query are too long: the maximum is 8192 bytes")


HOSTS = {
    "localhost": True, "LOCALHOST:8000": True, "127.0.0.1": True, "[::1]:8000": True, "10.0.0.1:1": True,
    "models.example": True, "Models.Example:443": True, "other.example": False, "localhost.other.example": False,
    "": False, "localhost:": False, "localhost:123456": False, "localhost/": False, "a b": False, "[::1": False,
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_only_a_known_host_name_is_served(host: str) -> None:
    found = answer(scope_of(host=host), ServerSettings(hosts=("Models.example",)))
    assert isinstance(found, Refused) is not HOSTS[host]
    if isinstance(found, Refused):
        assert (found.status_code, found.code) == (421, "foreign_host")
    assert code(answer({**scope_of(), "headers": []}, ServerSettings())) == 421


VISIT = {"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
ORIGINS: list[tuple[dict[str, str], bool, bool]] = [  # headers; refused by the API; a visit of the page is refused
    ({}, False, False),
    ({"origin": "http://localhost"}, False, False),
    ({"origin": "HTTPS://LocalHost"}, False, False),
    ({"origin": "http://localhost:8000"}, True, True),
    ({"origin": "http://other.example"}, True, True),
    ({"origin": "null"}, True, True),
    ({"origin": ""}, True, True),
    ({"origin": "http://[::1"}, True, True),
    ({"sec_fetch_site": "same-origin"}, False, False),
    ({"sec_fetch_site": "none"}, False, False),
    ({"sec_fetch_site": "same-site"}, True, True),
    ({"sec_fetch_site": "cross-site"}, True, True),
    ({"sec_fetch_site": "cross-site", **VISIT}, True, False),
    ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, True, True),
    ({"sec_fetch_site": "cross-site", **VISIT, "origin": "http://other.example"}, True, True),
    ({"referer": "http://localhost/ui"}, False, False),
    ({"referer": "http://other.example/"}, True, False),
    ({"referer": "http://[::1"}, True, False),
    ({"referer": "http://other.example/", "sec_fetch_site": "same-origin"}, True, False),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "api", "page"), ORIGINS)
def test_pages_of_other_origins_send_nothing_and_link_to_the_page_only(
    headers: dict[str, str], api: bool, page: bool
) -> None:
    for path, method, refused in (
        ("/models", "GET", api),
        ("/models", "POST", api),
        ("/healthz", "GET", api),
        ("/ui", "GET", page),
        ("/ui/models", "HEAD", page),
        ("/ui", "POST", api),
    ):
        found = answer(scope_of(path, method, **headers), ServerSettings())
        assert isinstance(found, Refused) is refused, (path, method)
        if isinstance(found, Refused):
            assert (found.status_code, found.code) == (403, "foreign_origin")


def test_the_path_is_the_one_that_was_sent_and_not_decoded() -> None:
    seen = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await answering(scope, receive, send)

    for raw in (b"/models/a%2Fb?x=/y", b"/models/\xff", None):
        ask(app, {**scope_of("/models/a/b"), "raw_path": raw}, part())
    assert seen == ["/models/a%2Fb", "/models/\xff", "/models/a/b"]


def test_a_refusal_has_the_headers_of_every_response(tmp_path: Path) -> None:
    sent, timers = ask(answering, scope_of(host="other.example"))
    assert sent[0]["status"] == 421
    assert set(guard.HEADERS) < set(sent[0]["headers"])
    assert timers == []


def test_a_response_keeps_its_own_cache_control() -> None:
    async def app(_scope: Message, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=9")]})
        await send({"type": "http.response.body", "body": b""})

    sent, _ = ask(app, scope_of())
    assert [value for name, value in sent[0]["headers"] if name == b"cache-control"] == [b"max-age=9"]


@pytest.mark.parametrize(
    ("length", "refused"), [("5", False), ("6", True), ("", False), ("x", False), ("-6", False), ("9" * 20, False)]
)
def test_an_announced_length_beyond_the_limit_is_refused_at_once(length: str, refused: bool) -> None:
    settings = ServerSettings(upload_limit=5)
    found: list[object] = []

    async def app(_scope: Message, receive: Any, _send: Any) -> None:
        try:
            found.append(await receive())
        except Refused as error:
            found.append((error.status_code, error.detail, error.headers))

    scope = scope_of("/models/m/versions", "POST", content_length=length)
    ask(app, scope, part(b"x"), settings=settings)
    close = {"Connection": "close"}
    assert found == [(413, "the body is too large: the maximum is 5 bytes", close) if refused else part(b"x")]


def test_a_client_that_is_silent_in_a_body_gets_408_and_other_cancellations_pass() -> None:
    async def receive() -> Message:
        await asyncio.sleep(0)
        raise AssertionError("the client sent something")

    async def run(*, silent: bool) -> None:
        body = guard._Body(receive, scope_of(), 9, answering_with(False))
        loop = Loop()
        body._loop = loop  # type: ignore[assignment]
        reading = asyncio.ensure_future(body.receive())
        await asyncio.sleep(0)
        if silent:
            loop.now = 1e9
            body._check_idle()
        else:
            reading.cancel()
        await reading

    with pytest.raises(Refused) as caught:
        asyncio.run(run(silent=True))
    assert (caught.value.status_code, caught.value.code) == (408, "too_slow")
    assert caught.value.detail == "no data for 60 seconds"
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run(silent=False))


BLOB, LIMIT = "/models/a%2Fb/blobs/sha256:00", BODY_LIMIT + 7
LIMITS = [
    ("POST", "/models/m/versions", "", LIMIT),
    ("POST", "/models/m/versions", "multipart/form-data; boundary=x", LIMIT),
    ("POST", "/models/m/versions", "application/json", BODY_LIMIT),
    ("POST", "/models/m/versions", "application/json; charset=utf-8", BODY_LIMIT),
    ("PUT", "/models/m/versions", "", BODY_LIMIT),
    ("POST", "/models/m/versions/1", "", BODY_LIMIT),
    ("POST", "/models/a/b/versions", "", BODY_LIMIT),
    ("POST", "/import", "", LIMIT),
    ("POST", "/import/x", "", BODY_LIMIT),
    ("PUT", BLOB, "", LIMIT),
    ("PUT", BLOB, "application/json", LIMIT),
    ("PATCH", BLOB, "", LIMIT),
    ("POST", BLOB, "", BODY_LIMIT),
    ("PUT", f"{BLOB}/x", "", BODY_LIMIT),
    ("PATCH", "/models/m/uploads/x", "", LIMIT),
    ("POST", "/models/m/uploads/x", "", BODY_LIMIT),
    ("POST", "/models/m/uploads/x/finish", "", BODY_LIMIT),
    ("POST", "/models/m/blobs", "", LIMIT),
    ("PUT", "/models/m/blobs", "", BODY_LIMIT),
    ("POST", "/models/m/blobs/missing", "application/json", BODY_LIMIT),
    ("POST", "/gc", "application/json", 64 << 20),
    ("POST", "/gc/x", "application/json", BODY_LIMIT),
    ("POST", "/models", "application/json", BODY_LIMIT),
]


@pytest.mark.parametrize("prefix", ["", "/mreg"])
@pytest.mark.parametrize(("method", "path", "content_type", "limit"), LIMITS)
def test_the_limit_of_a_body_is_that_of_its_route(
    method: str, path: str, content_type: str, limit: int, prefix: str
) -> None:
    headers = {"content_type": content_type} if content_type else {}
    settings = ServerSettings(upload_limit=LIMIT, root_path=prefix)
    for length in (limit, limit + 1):
        scope = scope_of(prefix + path, method, content_length=str(length), **headers)
        taken: list[bool] = []

        async def app(_scope: Message, receive: Any, send: Any, taken: list[bool] = taken) -> None:
            try:
                await receive()
                taken.append(True)
            except Refused as refused:
                assert (refused.status_code, refused.code) == (413, "too_large")
                taken.append(False)

        ask(app, scope, part(), settings=settings)
        assert taken == [length == limit], length


@pytest.mark.parametrize(
    ("api", "status"),
    [("", 200), ("1", 200), ("2", 200), ("999999999999", 200), ("0", 400), ("-1", 400), ("x", 400), ("1.5", 400)],
)
def test_a_client_of_an_api_version_that_is_not_served_any_more_is_refused(api: str, status: int) -> None:
    sent, _ = ask(answering, scope_of(**{"mreg-api": api}), part())
    assert sent[0]["status"] == status
    if status == 400:
        assert b'"code":"client_too_old"' in sent[1]["body"]
        assert b"this server needs a client with API version 1 or later; the client has '" in sent[1]["body"]
        assert b'"hint":"install mreg ' in sent[1]["body"]


def test_a_client_is_asked_to_come_back_while_the_tokens_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreadable(_access: Access, _secret: str) -> Client | None:
        raise Unreadable("cannot read /srv/secret/catalog.db")

    monkeypatch.setattr(Access, "client", unreadable)
    sent, _ = ask(answering, scope_of(), part())
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"retry-after"]) == (503, b"5")
    assert b'"detail":"the server cannot read its tokens"' in sent[1]["body"]
    assert b"secret" not in sent[1]["body"]
    for path in ("/healthz", "/readyz"):  # these need no token
        assert ask(answering, scope_of(path), part())[0][0]["status"] == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_the_whole_path_of_a_check_is_public(path: str) -> None:
    settings = ServerSettings(tokens=(new_token("ci").token,), root_path="/mreg")
    for given, status in ((path, 200), (f"/mreg{path}", 200), (f"{path}/", 401), (f"/x{path}", 401), (path[:-1], 401)):
        assert ask(answering, scope_of(given), part(), settings=settings)[0][0]["status"] == status, given


@pytest.mark.parametrize("where", ["route", "guard"])
def test_an_unexpected_failure_has_the_headers_of_every_response(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: object, **_options: object) -> None:
        raise ZeroDivisionError("secret")

    if where == "guard":
        monkeypatch.setattr(Guard, "_check", failing)
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    with pytest.raises(ZeroDivisionError):  # for the log
        asyncio.run(guard_of(failing, ServerSettings())(scope_of(), receive, send))
    start, body = sent
    assert start["status"] == 500
    assert dict(start["headers"]).items() >= {*guard.HEADERS, (b"cache-control", b"no-store")}
    assert b'"code":"unexpected"' in body["body"]
    assert b"secret" not in body["body"]


def test_a_failure_after_the_beginning_of_a_response_adds_nothing_to_it() -> None:
    async def failing(_scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(ZeroDivisionError):
        asyncio.run(guard_of(failing, ServerSettings())(scope_of(), receive, send))
    assert [message["type"] for message in sent] == ["http.response.start"]
