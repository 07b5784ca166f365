"""What every request must pass before anything is done for it."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from mreg.errors import MregError
from mreg.results.tokens import Role, Token
from mreg.server.problems import Refused, of_http
from mreg.server.settings import BODY_LIMIT, IDLE_SECONDS, SLOWEST, TARGET_LIMIT
from mreg.server.tokens import find_token

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mreg.server.settings import ServerSettings

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("/healthz", "/readyz")
"""Paths that anybody may ask for: who watches over a server has no token."""

ONCE = (
    *(b"host", b"origin", b"referer", b"authorization", b"content-type"),
    *(b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"),
)
"""Headers that are refused if given twice, since a proxy might read the other one."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
UPLOAD = re.compile(r"/models/[^/]+/versions")

BEARER = {"WWW-Authenticate": "Bearer"}
RETRY = {"Retry-After": "5"}

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
API_POLICY = b"default-src 'none'; frame-ancestors 'none'; sandbox"
"""Nothing that the API gives is a page, whatever a browser makes of it."""

PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request."""

    name: str
    role: Role
    token: Token | None = None


class Guard:
    """Lets through what comes from known hosts, origins and callers, in bodies of bounded size and time.

    A path is decoded nowhere but in its route, once, part by part: ``%2F`` within a part stays within it.

    Args:
        everybody: Who everybody is where there are no tokens.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, everybody: str) -> None:
        self._app = app
        self._settings = settings
        self._everybody = Caller(everybody, Role.ADMIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["path"] = _raw_path(scope)
        page = scope["path"] == "/ui" or scope["path"].startswith("/ui/")
        head = scope["method"] == "HEAD"
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                started = True
                headers = message.setdefault("headers", [])
                headers += HEADERS
                headers.append((b"content-security-policy", PAGE_POLICY if page else API_POLICY))
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
            await send(message)

        try:
            self._admit(scope, page=page)
        except Refused as refused:
            await of_http(Request(scope), refused)(scope, receive, guarded)
            return
        limit = BODY_LIMIT
        if scope["method"] == "POST" and UPLOAD.fullmatch(scope["path"]):
            limit = self._settings.upload_limit
        # HEAD may be asked wherever GET may, as HTTP has it; a download sees that nobody wants its bytes.
        inner = {**scope, "method": "GET", "mreg.head": True} if head else scope
        caller: Caller = scope["mreg.caller"]
        inner["mreg.revoked"] = scope["mreg.revoked"] = lambda: self._is_revoked(caller)
        body = _Body(receive, scope, limit)
        try:
            await self._app(inner, body.receive, guarded)
        except asyncio.CancelledError:
            # The time is over that requests have when the server is stopped.
            if not started:
                stopping = Refused(503, "stopping", "the server was stopped", headers={"Connection": "close"})
                await of_http(Request(scope), stopping)(scope, receive, guarded)
        finally:
            body.close()
            scope["route"] = inner.get("route")

    def _is_revoked(self, caller: Caller) -> bool:
        return caller.token is not None and not self._settings.still_valid(caller.token)

    def _admit(self, scope: Scope, *, page: bool) -> None:
        """Nothing, if the request may be served.

        Raises:
            Refused: It may not.
        """
        headers: dict[bytes, bytes] = dict(scope["headers"])
        names = [name for name, _ in scope["headers"]]
        if any(names.count(once) > 1 for once in ONCE):
            raise Refused(400, "header_twice", "a header is given twice that may be given once")
        if len(scope["path"]) + len(scope["query_string"]) > TARGET_LIMIT:
            raise Refused(414, "target_too_long", f"the path and query are longer than {TARGET_LIMIT} bytes")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = _HOST.fullmatch(host)
        if name is None or not self._settings.knows_host(name[1]):
            raise Refused(
                421, "foreign_host", "this server is not called by that name", hint="mreg serve --allow-host NAME"
            )
        if _is_foreign(headers, host, visit=page and scope["method"] in ("GET", "HEAD")):
            raise Refused(403, "foreign_origin", "a page of another origin may not ask for this")
        if scope["path"] in OPEN:
            scope["mreg.caller"] = Caller("", Role.READER)
            return
        caller = self._caller(headers, page=page)
        scope["mreg.caller"] = caller
        if scope["method"] in SAFE:
            return
        if self._settings.read_only:
            raise Refused(403, "read_only", "this server is read-only")
        if caller.role < Role.WRITER:
            raise may_not(caller, Role.WRITER)

    def _caller(self, headers: MutableMapping[bytes, bytes], *, page: bool) -> Caller:
        if not self._settings.needs_token:
            return self._everybody
        scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        secret = ""
        if scheme.lower() == "bearer":
            secret = value.strip()
        elif scheme.lower() == "basic" and page:  # of a browser: any name, and the token for a password
            try:
                secret = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                secret = ""
        token = None
        if secret:
            try:
                token = find_token(self._settings.current_tokens(), secret)
            except MregError:  # only the log names the file and the reason
                raise Refused(
                    503, "unavailable", "the server cannot read its tokens", hint="its log says more", headers=RETRY
                ) from None
        if token is None:
            raise Refused(
                401,
                "no_token",
                "the token is not known" if secret else "this needs a token",
                hint="send it as Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Basic realm="mreg: any name, and the token"' if page else "Bearer"},
            )
        return Caller(token.name, token.role, token)


def may_not(caller: Caller, needed: Role) -> Refused:
    """The refusal of a caller whose role is too low."""
    return Refused(403, "role_too_low", f"{caller.name} is a {caller.role}, and this needs a {needed} at least")


def _raw_path(scope: Scope) -> str:
    """The path as it came, so that what it encodes is decoded once and stays within its part."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return bytes(raw).partition(b"?")[0].decode("latin-1")


def _host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_foreign(headers: MutableMapping[bytes, bytes], host: str, *, visit: bool) -> bool:
    """Whether a page of another origin made a browser send a request.

    A browser says so by any of three headers; a client that is not a browser sends none of them. A header that cannot
    be read counts as foreign.

    Args:
        visit: The request can come from a link to the page at /ui. It changes nothing, and the page with the link
            cannot read the answer.
    """
    origin = headers.get(b"origin")
    if origin is not None and _host_of(origin.decode("latin-1")) != host:
        return True
    site = headers.get(b"sec-fetch-site", b"none")
    if site not in (b"same-origin", b"none"):
        return not (visit and _is_visit(headers))
    referer = headers.get(b"referer")
    return referer is not None and _host_of(referer.decode("latin-1")) != host and not visit


def _is_visit(headers: MutableMapping[bytes, bytes]) -> bool:
    """Whether a browser asks for a whole page, and not for a part of another page."""
    return headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"


class _Body:
    """A request's body as it comes, with limits to its size, to silence in its middle, and to slowness on the whole.

    One timer looks after a request now and then: one for each message would cost as much as the message.
    """

    def __init__(self, receive: Receive, scope: Scope, limit: int) -> None:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        self._announced = int(length) if length.isdigit() and len(length) < 20 else 0
        self._receive = receive
        self._revoked: Callable[[], bool] = scope["mreg.revoked"]
        self._limit = limit
        self._count = 0
        self._whole = self._silent = False
        self._loop = asyncio.get_running_loop()
        self._began = self._asked = self._loop.time()
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self) -> Message:
        """The next message.

        Raises:
            Refused: A limit is passed.
        """
        if self._announced > self._limit:
            raise _too_large(self._limit)
        if self._whole:
            return await self._receive()
        message = await self._in_time()
        if message["type"] != "http.request":
            return message
        if self._revoked():
            raise Refused(401, "no_token", "the token was revoked", headers={"Connection": "close", **BEARER})
        self._count += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._count > self._limit:
            raise _too_large(self._limit)
        elapsed = self._loop.time() - self._began
        if not self._whole and elapsed > IDLE_SECONDS and self._count < elapsed * SLOWEST:
            raise Refused(408, "too_slow", f"the body came with less than {SLOWEST} bytes a second")
        return message

    async def _in_time(self) -> Message:
        self._asked = self._loop.time()
        self._waiting = asyncio.current_task()
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_SECONDS, self._look)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._silent or self._waiting is None:
                raise
            self._waiting.uncancel()
            raise Refused(408, "too_slow", f"nothing came for {IDLE_SECONDS:.0f} seconds") from None
        finally:
            self._waiting = None

    def _look(self) -> None:
        left = self._asked + IDLE_SECONDS - self._loop.time()
        if self._waiting is not None and left <= 0:
            self._silent = True
            self._waiting.cancel()
            return
        self._timer = self._loop.call_later(left if left > 0 else IDLE_SECONDS, self._look)

    def close(self) -> None:
        """Look no longer."""
        if self._timer is not None:
            self._timer.cancel()


def _too_large(limit: int) -> Refused:
    return Refused(413, "too_large", f"the body is larger than {limit} bytes", headers={"Connection": "close"})
