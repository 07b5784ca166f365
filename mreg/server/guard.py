"""The checks of every request before its route runs."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request

from mreg import __version__
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.domain.text import quoted
from mreg.results.tokens import Role, Token
from mreg.server.access import Access, Client, Unreadable, WrongToken
from mreg.server.concurrency import TURNS, Turns, client_of
from mreg.server.hub_errors import HUB_PATH, MISSING_TOKEN, add_error_headers
from mreg.server.places import SEE_LOG
from mreg.server.problems import Refused, http_error_response, too_large, unexpected_response
from mreg.server.proxy import place_request
from mreg.server.receiving import is_json
from mreg.server.settings import BODY_LIMIT, IDLE_SECONDS, MINIMUM_RATE, TARGET_LIMIT
from mreg.wire.protocol import API, API_HEADER, OLDEST_API

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mreg.server.settings import ServerSettings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PUBLIC_PATHS = ("/healthz", "/readyz")
"""Paths that need no token, for monitoring."""

SINGLE_HEADERS = (
    *(b"host", b"origin", b"referer", b"authorization", b"content-type"),
    *(b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"),
    *(b"idempotency-key", b"upload-offset", b"upload-length", b"content-encoding", b"range"),
)
"""Headers that must not be repeated: a proxy might read the other one."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
UPLOAD_PATH = re.compile(r"/models/[^/]+/versions|/import")
BLOB_PATH = re.compile(r"/models/[^/]+/(?:blobs|uploads)/[^/]+")
BATCH_PATH = re.compile(r"/models/[^/]+/blobs")

LONG_BODIES = {"/gc": 64 << 20}
"""Maximum sizes of bodies that are longer than `BODY_LIMIT`, by path; their routes check the role first."""

BEARER = {"WWW-Authenticate": "Bearer"}
RETRY = {"Retry-After": "5"}

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (API_HEADER.lower().encode(), str(API).encode()),
)
API_POLICY = b"default-src 'none'; frame-ancestors 'none'; sandbox"
"""A browser must not treat any response of the API as a page."""

PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The client of a request, by its token."""

    name: str
    role: Role
    client: Client | None = None

    @property
    def token(self) -> Token | None:
        """The token of the client; None on a server without tokens."""
        return None if self.client is None else self.client.token

    @property
    def scope(self) -> ModelScope:
        """The models that the client may see and change."""
        return EVERYTHING if self.client is None else self.client.token.scope


class Guard:
    """Middleware that checks host, origin and caller, and limits the size and duration of bodies.

    Only a route decodes its path: once, and each segment by itself, so that ``%2F`` never separates segments.

    Args:
        anonymous: Name of the caller on a server without tokens.
        reserved: First segments of routes, which cannot begin a prefix.
        roles: Method, pattern of the path, and role of the routes that need a higher role than writer.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        anonymous: str,
        access: Access,
        reserved: Collection[str] = (),
        roles: Collection[tuple[str, re.Pattern[str], Role]] = (),
    ) -> None:
        self._app = app
        self._settings = settings
        self._access = access
        self._reserved = reserved
        self._roles = roles
        self._turns = Turns(TURNS)
        self._anonymous = Caller(anonymous, Role.ADMIN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        started = page = False
        path = ""

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
            path = place_request(scope, self._settings.root_path, self._settings.trusted_proxies, self._reserved)
            page = path == "/ui" or path.startswith("/ui/")
            await self._check(scope, page=page)
        except Refused as refused:
            response = http_error_response(Request(scope), refused)
            if HUB_PATH.fullmatch(path):
                add_error_headers(response)
            await response(scope, receive, guarded)
            return
        except Exception as error:
            await unexpected_response(Request(scope), error)(scope, receive, guarded)
            raise  # to the log
        is_upload = _is_upload(scope, path)
        limit = self._settings.upload_limit if is_upload else LONG_BODIES.get(path, BODY_LIMIT)
        # Every GET route answers HEAD too; a download then reads no bytes.
        inner = {**scope, "method": "GET", "mreg.head": True} if head else scope
        caller: Caller = scope["mreg.caller"]
        inner["mreg.revoked"] = lambda: self._access.is_refused(caller.client)
        body = _Body(receive, scope, limit, lambda: self._access.is_refused_now(caller.client))
        needs_turn = caller.token is not None and not is_upload  # uploads have other limits
        answer = self._answer_in_turn if needs_turn else self._app
        try:
            await answer(inner, body.receive, guarded)
        except asyncio.CancelledError:
            # The server is stopping and the grace period of its requests is over.
            if not started:
                stopping = Refused(503, "stopping", "the server is stopping", headers={"Connection": "close"})
                await http_error_response(Request(scope), stopping)(scope, receive, guarded)
        except Exception as error:
            # Starlette's own response, outside of this class, would not have the headers.
            if not started:
                await unexpected_response(Request(scope), error)(scope, receive, guarded)
            raise  # to the log
        finally:
            body.close()
            scope["route"] = inner.get("route")

    async def _answer_in_turn(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request when its client has a turn. Sending a long response takes none: it needs no thread."""
        turn = scope["mreg.turn"] = await self._turns.take(client_of(scope))

        async def send_and_end(message: Message) -> None:
            turn.end()
            await send(message)

        try:
            await self._app(scope, receive, send_and_end)
        finally:
            turn.end()

    async def _check(self, scope: Scope, *, page: bool) -> None:
        """Check host, origin, token and role of a request.

        Raises:
            Refused: The request is not allowed.
        """
        headers: dict[bytes, bytes] = dict(scope["headers"])
        names = [name for name, _ in scope["headers"]]
        repeated = [name.decode() for name in SINGLE_HEADERS if names.count(name) > 1]
        if repeated:
            raise Refused(400, "header_twice", f"repeated header {repeated[0]}", hint="send it once")
        if len(scope["path"]) + len(scope["query_string"]) > TARGET_LIMIT:
            raise Refused(414, "target_too_long", f"path and query are too long: the maximum is {TARGET_LIMIT} bytes")
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = _HOST.fullmatch(host)
        if name is None or not self._settings.knows_host(name[1]):
            raise Refused(
                421, "foreign_host", "unknown host name in the Host header", hint="mreg serve --allow-host NAME"
            )
        if _is_foreign(headers, host, navigation=page and scope["method"] in ("GET", "HEAD")):
            raise Refused(403, "foreign_origin", "requests from pages of other origins are refused")
        _check_api(headers)
        path = scope["path"][len(scope.get("root_path", "")) :]
        if path in PUBLIC_PATHS:
            scope["mreg.caller"] = Caller("", Role.READER)
            return
        caller = await self._caller(headers, page=page)
        scope["mreg.caller"] = caller
        if scope["method"] in SAFE_METHODS:
            return
        if self._settings.read_only:
            raise Refused(403, "read_only", "this server is read-only")
        if caller.role < Role.WRITER:
            # The route would refuse this caller, too, but only after it has read the body.
            declared = (role for method, place, role in self._roles if method == scope["method"] and place.match(path))
            raise role_too_low(caller, next(declared, Role.WRITER))

    async def _caller(self, headers: MutableMapping[bytes, bytes], *, page: bool) -> Caller:
        scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        secret = ""
        if scheme.lower() == "bearer":
            secret = value.strip()
        elif scheme.lower() == "basic" and page:  # from a browser: any user name, and the token as password
            try:
                secret = base64.b64decode(value, validate=True).decode().partition(":")[2]
            except ValueError:
                secret = ""
        try:
            client = await self._access.client(secret)
        except Unreadable:  # only the log may name the place and the reason
            raise Refused(
                503, "unavailable", "the server cannot read its tokens", hint=SEE_LOG, headers=RETRY
            ) from None
        except WrongToken as error:
            raise Refused(
                401,
                "no_token",
                str(error) or MISSING_TOKEN,
                hint="send the header Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Basic realm="mreg: the token is the password"' if page else "Bearer"},
            ) from None
        return self._anonymous if client is None else Caller(client.token.name, client.token.role, client)


def _is_upload(scope: Scope, path: str) -> bool:
    """Return whether the body of a request is an artifact or a blob.

    Args:
        path: The path without the prefix of a proxy.
    """
    if scope["method"] == "POST" and UPLOAD_PATH.fullmatch(path):
        content_type = dict(scope["headers"]).get(b"content-type", b"")
        return not is_json(content_type.decode("latin-1"))
    if scope["method"] == "POST" and BATCH_PATH.fullmatch(path):
        return True
    return scope["method"] in ("PUT", "PATCH") and BLOB_PATH.fullmatch(path) is not None


def role_too_low(caller: Caller, needed: Role) -> Refused:
    """Return the 403 error for a caller whose role is too low."""
    return Refused(403, "role_too_low", f"{caller.name} has role {caller.role}; this needs role {needed}")


def _check_api(headers: MutableMapping[bytes, bytes]) -> None:
    """Check that this server still serves the API version of mreg's own client; other clients send none.

    Raises:
        Refused: The client is too old.
    """
    text = headers.get(API_HEADER.lower().encode(), b"").decode("latin-1")
    if text and (not text.isdecimal() or int(text[:9]) < OLDEST_API):
        raise Refused(
            400,
            "client_too_old",
            f"this server needs a client with API version {OLDEST_API} or later; the client has {quoted(text)}",
            hint=f"install mreg {__version__} or later",
        )


def _origin_host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_foreign(headers: MutableMapping[bytes, bytes], host: str, *, navigation: bool) -> bool:
    """Return whether a page of another origin made a browser send a request.

    A browser sends at least one of three headers; other clients send none of them. A header that cannot be parsed
    counts as foreign.

    Args:
        navigation: Whether a link to the page at /ui may cause this request. Such a request changes nothing, and the
            page with the link cannot read the response.
    """
    origin = headers.get(b"origin")
    if origin is not None and _origin_host(origin.decode("latin-1")) != host:
        return True
    site = headers.get(b"sec-fetch-site", b"none")
    if site not in (b"same-origin", b"none"):
        return not (navigation and _is_navigation(headers))
    referer = headers.get(b"referer")
    return referer is not None and _origin_host(referer.decode("latin-1")) != host and not navigation


def _is_navigation(headers: MutableMapping[bytes, bytes]) -> bool:
    """Return whether a browser navigates to a page, rather than loads a part of another page."""
    return headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"


def token_revoked(scope: Scope, headers: Mapping[str, str] | None = None) -> Refused:
    """Return the refusal of a running request whose token was revoked."""
    caller: Caller = scope["mreg.caller"]
    message = f"the token {quoted(caller.name)} was revoked"
    return Refused(401, "no_token", message, headers={**(headers or {}), **BEARER})


class _Body:
    """A request body that is received with limits to its size, to pauses, and to its average rate.

    One timer per request checks for pauses; a timer per message would cost as much as the message.
    """

    def __init__(self, receive: Receive, scope: Scope, limit: int, revoked: Callable[[], Awaitable[bool]]) -> None:
        length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        self._announced = int(length) if length.isdigit() and len(length) < 20 else 0
        self._receive = receive
        self._scope = scope
        self._revoked = revoked
        self._limit = limit
        self._count = 0
        self._whole = self._silent = False
        self._loop = asyncio.get_running_loop()
        self._began = self._asked = self._loop.time()
        self._waiting: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            Refused: A limit is exceeded, or the token was revoked.
        """
        if self._announced > self._limit:
            raise too_large(self._limit)
        if self._whole:
            return await self._receive()
        message = await self._in_time()
        if message["type"] != "http.request":
            return message
        if await self._revoked():
            raise token_revoked(self._scope, {"Connection": "close"})
        self._count += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._count > self._limit:
            raise too_large(self._limit)
        elapsed = self._loop.time() - self._began
        if not self._whole and elapsed > IDLE_SECONDS and self._count < elapsed * MINIMUM_RATE:
            raise Refused(408, "too_slow", f"the body is too slow: the minimum is {MINIMUM_RATE} bytes per second")
        return message

    async def _in_time(self) -> Message:
        self._asked = self._loop.time()
        self._waiting = asyncio.current_task()
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_SECONDS, self._check_idle)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._silent or self._waiting is None:
                raise
            self._waiting.uncancel()
            raise Refused(408, "too_slow", f"no data for {IDLE_SECONDS:.0f} seconds") from None
        finally:
            self._waiting = None

    def _check_idle(self) -> None:
        left = self._asked + IDLE_SECONDS - self._loop.time()
        if self._waiting is not None and left <= 0:
            self._silent = True
            self._waiting.cancel()
            return
        self._timer = self._loop.call_later(left if left > 0 else IDLE_SECONDS, self._check_idle)

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
