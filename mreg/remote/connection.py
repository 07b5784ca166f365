"""Connections to a server: JSON calls, and requests whose bodies are streams in both directions.

`http.client` is used and no package: importing urllib3 takes 120 ms, which is more than a whole command on a file.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from mreg import __version__
from mreg.domain.address import Address
from mreg.domain.text import quoted
from mreg.errors import BadInput, MregError, NotFound, Unavailable
from mreg.remote import problems
from mreg.remote.proxies import Proxy, find_proxy
from mreg.remote.response import TOO_SLOW, Answer, Response
from mreg.waiting import NOTICE_AFTER_SECONDS, Call, Watch
from mreg.wire.envelope import Opened, open_envelope
from mreg.wire.protocol import API, API_HEADER, MEDIA_TYPE, OLDEST_API

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS = 10.0
"""Timeout of a new connection, with its TLS handshake."""

SILENCE_SECONDS = 60.0
"""Timeout of a server that sends nothing, and of one that reads nothing."""

CALL_SECONDS = 600.0
"""Timeout of a whole JSON call, however slowly its answer arrives."""

HEAD_SECONDS = 60.0
"""Timeout of status and headers after their first byte, however slowly they arrive."""

PROBLEM_BYTES = 8_000_000
"""Maximum size of an error answer."""

IDLE_LIMIT = 16
"""Maximum number of idle connections that are kept."""

IDLE_SECONDS = 20.0
"""Age at which an idle connection is not used again; the server closes it after 30 seconds."""

FRESH_SECONDS = 3.0
"""Maximum age of an idle connection for a request that cannot be repeated."""

ATTEMPTS = 5
RESTART_ATTEMPTS = 12
"""Number of attempts to reach a server that has answered before: a restart takes seconds, and these last about 13."""

BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF = 8
"""Longest pause without a request of the server, in units of `BACKOFF_SECONDS`."""

LONGEST_PAUSE = 10.0
"""Longest pause before a retry, also if the server asks for a longer one."""

VERSION_PATH = "/version"

REPEATABLE = ("GET", "HEAD")
RETRIED = (502, 503, 504)

Query = Mapping[str, object]
Body = Callable[[], Iterable[bytes]]
"""Returns the chunks of a body from its beginning; called once for each attempt."""


class Connection:
    """A pool of connections to one server, which threads can share.

    No redirect is followed, so that the token is sent to no address but its own.

    Args:
        url: URL of the server, such as ``https://models.example`` or ``https://example.org/mreg``.
        token: Returns the token, or an empty text for none; called for each request.
        notice: Receives notes for the user, such as that the server is slow to answer.
        way_to_replace: Returns how to replace a token that the server refused, from the command to log in (default:
            the command).
        insecure: Whether the token can be sent without TLS to another machine.
        is_mreg: Whether the server must be one of mreg; False for an object store.
        named_by: Connection to the server that named the object store (default: the user did).

    Attributes:
        address: The address of the server.
        server_api: API version of the server, None before its first answer.

    Raises:
        BadInput: The URL is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] | None = None,
        notice: Callable[[str], None] = lambda _text: None,
        way_to_replace: Callable[[str], str] = lambda login: login,
        insecure: bool = False,
        is_mreg: bool = True,
        named_by: Connection | None = None,
    ) -> None:
        self.address = Address.parse(url)
        self.server_api: int | None = None
        self._token = token
        self._insecure = insecure
        self._is_mreg = is_mreg
        self._named_by = named_by
        self._peer = ""
        self._notice = notice
        self._way_to_replace = way_to_replace
        self._stores: dict[str, Connection] = {}
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._proxy: Proxy | None = None
        self._proxy_found = False
        self._context: ssl.SSLContext | None = None
        self._answered = self._has_root = False
        self._closed = False
        self._watch = Watch(lambda seconds: notice(f"waiting for {self.address} ({seconds:.0f} s so far)"))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; does nothing the second time."""
        self._closed = True
        with self._lock:
            idle, self._idle = self._idle, []
            stores, self._stores = self._stores, {}
        for line, _ in idle:
            line.close()
        for store in stores.values():
            store.close()

    def to_store(self, origin: str) -> Connection:
        """Return the connection to an object store that the server named, without the token; closed with this one.

        Args:
            origin: Scheme, host and port, such as ``https://bucket.s3.example``.

        Raises:
            BadInput: The origin is invalid, or a request to it can be read on the network and those to the server not.
        """
        address = Address.parse(origin)
        allowed = self.address.is_loopback if address.is_loopback else self._insecure
        if address.scheme == "http" and not allowed:
            raise BadInput(f"{address} has no TLS")
        with self._lock:
            if self._closed:
                raise Unavailable("the registry is closed")
            if address.origin not in self._stores:
                self._stores[address.origin] = Connection(
                    address.origin, notice=self._notice, is_mreg=False, named_by=self
                )
            return self._stores[address.origin]

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        api: int = OLDEST_API,
    ) -> Opened:
        """Send a request of the API and return the envelope of its answer.

        Args:
            path: Path of the API, such as ``/models``; see `mreg.remote.references`.
            query: Parameters; None is left out, True and False are ``true`` and ``false``.
            body: JSON document (default: no body).
            repeatable: Whether the request is repeated if its answer is lost (default: GET and HEAD only).
            api: Lowest API version of a server that has the route with these parameters; above `OLDEST_API`, the server
                is asked for its version first, since an older one would ignore a parameter.

        Raises:
            MregError: The error of the problem that the server answered; its class is that of a local registry.
            Unavailable: The server cannot be reached, is not mreg or of another API version, or its answer is invalid.
        """
        self.require_api(api)
        given = dict(headers or {})
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
            given["Content-Type"] = "application/json"
        again = method in REPEATABLE if repeatable is None else repeatable
        attempt = 0
        while True:
            attempt += 1
            with self.request(
                method, path, query=query, body=data, headers=given, repeatable=again, seconds=CALL_SECONDS
            ) as response:
                if response.media_type == "text/html":
                    raise problems.no_server(self.address)
                try:
                    document = response.json()
                    break
                except Unavailable as error:
                    if "cut" not in error.details:
                        raise
                    if not again:
                        raise _maybe_done(self.address, error) from error
                    if attempt == ATTEMPTS:
                        raise
            time.sleep(_backoff(attempt))
        if response.media_type != MEDIA_TYPE:
            why = f"its type is {quoted(response.media_type)}"
            raise problems.unexpected_answer(response.status, str(self.address), why)
        try:
            return open_envelope(document, response.values)
        except BadInput as error:
            raise problems.unexpected_answer(response.status, str(self.address), error.message) from error

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes | Body | None = None,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
        accept: str = MEDIA_TYPE,
        expect: Collection[int] = (),
        repeatable: bool | None = None,
        silence: float = SILENCE_SECONDS,
        seconds: float = float("inf"),
    ) -> Response:
        """Send a request and return its response, whose body is not read yet; use it as a context manager.

        A request is repeated with back-off if that is safe: before it was sent, if the server says that it was not
        begun, and if it is repeatable also after its answer was lost, and for 502, 503 and 504. A 503 of mreg itself is
        repeated only with ``Retry-After``. An answer that is cut off in its body is not repeated here. A server that
        has answered before and cannot be reached now is waited for longer, since it can be restarting.

        Args:
            body: The bytes, or a function that returns their chunks; a generator is read again for each attempt.
            length: Number of bytes of the chunks (default: chunked encoding).
            accept: Media type of the answer, such as ``text/event-stream``.
            expect: Statuses of 300 and above that are returned and not raised.
            repeatable: Whether the request is repeated if its answer is lost (default: GET and HEAD only).
            silence: Timeout in seconds of a server that sends nothing.
            seconds: Timeout of the whole request, with its response.

        Raises:
            MregError: The error of the problem that the server answered.
            Unavailable: The server cannot be reached, or the answer is not one of mreg.
        """
        again = method in REPEATABLE if repeatable is None else repeatable
        sent = _Sent(method, self._target(path, query), body, length, self._headers(headers, accept))
        deadline, waited, attempt = time.monotonic() + seconds, 0.0, 0
        while True:
            attempt += 1
            limit = ATTEMPTS
            try:
                response = self._exchange(sent, fresh=attempt > 1 or not again, silence=silence, deadline=deadline)
            except _Lost as lost:
                # A server that has never answered is not tried again if it cannot be reached: the URL can be wrong.
                safe = again if lost.sent else self._answered
                if not lost.sent:
                    limit = self._restart_attempts
                error = self._lost_error(lost, again=again)
                if attempt >= limit or not safe or time.monotonic() > deadline:
                    raise error from lost.cause
                pause, text = 0.0, f"{error.message}; trying again"
            else:
                if response.status < 300 or response.status in expect:
                    return response
                error, asked = self._error_of(response, sent)
                no_route = error.details.get("refused") in problems.NO_ROUTE
                # With a path after the root, each route is that of another thing: GET /models/whoami asks for a model.
                if (no_route or (self.address.path and isinstance(error, NotFound))) and not self._has_version(path):
                    raise problems.no_server(self.address) from error
                retried = response.status in RETRIED and (again or error.details.get("refused") in problems.NOT_DONE)
                if not response.is_mreg:
                    limit = self._restart_attempts
                if attempt >= limit or not retried or asked is None or time.monotonic() > deadline:
                    raise error
                pause, text = asked, f"waiting for {self.address}: {error.message}"
            pause = max(pause, _backoff(attempt))
            if waited < NOTICE_AFTER_SECONDS <= waited + pause:
                self._notice(text)
            waited += pause
            time.sleep(pause)

    @property
    def _restart_attempts(self) -> int:
        """Maximum number of attempts while the server cannot be reached."""
        return ATTEMPTS if self.server_api is None else RESTART_ATTEMPTS

    def require_api(self, api: int) -> None:
        """Check that the server has an API version; ask for it if no answer has told it yet.

        Raises:
            Unavailable: The server is older.
        """
        if api <= OLDEST_API:
            return
        if self.server_api is None:
            self.call("GET", VERSION_PATH)
        if self.server_api is not None and self.server_api < api:
            raise _too_old(self.address, self.server_api, api)

    def _has_version(self, path: str) -> bool:
        """Return whether the server has the route that every release has, after it did not have the path.

        Otherwise the URL has a wrong path, although the server is one of mreg.
        """
        if path == VERSION_PATH or self._has_root:
            return self._has_root
        try:
            with self.request("GET", VERSION_PATH):
                self._has_root = True
                return True
        except MregError as error:
            return not isinstance(error, NotFound) and error.details.get("status") != 404

    def _target(self, path: str, query: Query | None) -> str:
        given = [(name, _query_text(value)) for name, value in (query or {}).items() if value is not None]
        return f"{self.address.path}{path}" + (f"?{urlencode(given)}" if given else "")

    def _headers(self, headers: Mapping[str, str] | None, accept: str) -> dict[str, str]:
        found = {
            "Host": self.address.authority,
            "User-Agent": f"mreg/{__version__}",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        if self._is_mreg:
            found["Accept"] = accept if accept == MEDIA_TYPE else f"{accept}, {MEDIA_TYPE}"
            found[API_HEADER] = str(API)
        token = self._token() if self._token is not None else ""
        if token:
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise BadInput(
                    "the token contains characters that cannot be part of a token", hint=f"mreg login {self.address}"
                )
            if self.address.scheme == "http" and not self.address.is_loopback and not self._insecure:
                allow = f"mreg login {self.address} --insecure"
                raise BadInput(
                    f"the token is not sent to {self.address} without TLS",
                    hint=f"use {self.address.other_scheme()}, or in a network that you trust: {allow}",
                )
            found["Authorization"] = f"Bearer {token}"
        return found

    def _exchange(self, sent: _Sent, *, fresh: bool, silence: float, deadline: float) -> Response:
        """Send a request once.

        Raises:
            _Lost: The connection failed.
        """
        line = self._line(fresh=fresh)
        opened: socket.socket | None = None
        began = False
        watched: Call | None = None
        try:
            with self._watch.over():
                if line.sock is None:
                    line.connect()
                    self._check_peer(line)
            opened = line.sock
            if opened is not None:
                opened.settimeout(silence)
            began = True
            whole = _send(line, *self._line_target(sent), sent)
            seconds = min(deadline - time.monotonic(), silence + HEAD_SECONDS)
            with self._watch.over(seconds, lambda: _shut(line)) as watched:
                answer = line.getresponse()
            if watched.ended or _is_cut(answer):
                answer.close()
                raise TimeoutError(TOO_SLOW) if watched.ended else http.client.IncompleteRead(b"")
        except _BodyFailed as failed:
            line.close()
            raise failed.cause from None
        except BaseException as error:
            line.close()
            if not isinstance(error, (OSError, http.client.HTTPException)):
                raise
            ended = watched is not None and watched.ended
            raise _Lost(TimeoutError(TOO_SLOW) if ended else error, sent=began) from error
        self._answered = True

        def done(complete: bool) -> None:
            if complete and whole and not answer.will_close and not _has_excess(line, answer):
                self._keep(line)
            else:
                line.close()

        def allow_silence(seconds: float) -> None:
            if opened is not None:
                opened.settimeout(seconds)

        response = Response(
            answer,
            server=str(self.address),
            deadline=deadline,
            done=done,
            failure=self._cut_off,
            allow_silence=allow_silence,
        )
        api = response.headers.get(API_HEADER, "")
        response.is_mreg = self._is_mreg and api.isdecimal() and len(api) < 10
        if response.is_mreg:
            self.server_api = int(api)
            if self.server_api < OLDEST_API:
                response.close()
                raise _too_old(self.address, self.server_api, OLDEST_API)
        elif self._is_mreg and response.status < 300:
            response.close()
            raise problems.foreign_answer(response.status, response.reason, response.headers, str(self.address))
        return response

    def _check_peer(self, line: http.client.HTTPConnection) -> None:
        """Check a new connection to a store: it leads to services of this machine only if that to the server does.

        The name or address of the store does not tell: 0.0.0.0 and other names can be this machine, too.

        Raises:
            Unavailable: It leads to this machine, and the server is elsewhere.
        """
        if self._proxy is not None or line.sock is None:
            return
        self._peer = str(line.sock.getpeername()[0])
        if self._named_by is not None and _is_near(self._peer) and not _is_near(self._named_by._peer):
            raise Unavailable(f"{self.address} leads to this machine, and the server is not on it")

    def _error_of(self, response: Response, sent: _Sent) -> tuple[MregError, float | None]:
        """Return the error of a response, and the pause before a retry; None if it must not be repeated."""
        server, status = str(self.address), response.status
        asked = response.headers.get("Retry-After", "")
        pause = min(float(asked), LONGEST_PAUSE) if asked.isdecimal() and len(asked) < 9 else None
        if status in (502, 504) or not response.is_mreg:
            pause = pause or 0.0
        with response:
            if 300 <= status < 400:
                return problems.redirect_error(status, response.headers.get("Location", ""), server), None
            if not response.is_mreg:
                return problems.foreign_answer(status, response.reason, response.headers, server), pause
            if response.media_type == "text/html":  # a page of mreg
                return problems.no_server(self.address), None
            if sent.method == "HEAD" or not response.media_type.endswith("json"):
                return problems.problem_error(status, {"code": "", "detail": response.reason}, server)[0], pause
            document = response.json(PROBLEM_BYTES)
        path = sent.target.removeprefix(self.address.path).partition("?")[0]
        error, notices = problems.problem_error(status, document, server, method=sent.method, path=path)
        code = document.get("code") if isinstance(document, dict) else None
        if code in problems.NOT_DONE:
            error.details["refused"] = code
        error.details.setdefault("notices", list(notices)) if notices else None
        return self.with_way(error), pause

    def with_way(self, error: MregError) -> MregError:
        """Return the error; the hint of one for a refused token tells how to replace the token of this connection."""
        if error.details.get("status") == 401 and error.hint.startswith("mreg login "):
            login, *rest = error.hint.splitlines()
            error.hint = "\n".join((self._way_to_replace(login), *rest))
        return error

    def _lost_error(self, lost: _Lost, *, again: bool) -> MregError:
        from mreg.remote.failures import transport_error

        error = transport_error(lost.cause, self.address, self._proxy)
        return error if again or not lost.sent else _maybe_done(self.address, error)

    def _line(self, *, fresh: bool) -> http.client.HTTPConnection:
        """Return an idle connection that the server has not closed, or a new one that is not open yet."""
        if self._closed:
            raise Unavailable("the registry is closed")
        with self._lock:
            if self._process != os.getpid():  # the parent process uses the connections
                self._idle, self._process = [], os.getpid()
            now = time.monotonic()
            while self._idle:
                line, since = self._idle.pop()
                age = now - since
                if age < (FRESH_SECONDS if fresh else IDLE_SECONDS) and not _is_readable(line):
                    return line
                line.close()
        return self._new_line()

    def _new_line(self) -> http.client.HTTPConnection:
        if not self._proxy_found:
            self._proxy, self._proxy_found = find_proxy(self.address, os.environ), True
        line = self._line_of(self._proxy)
        line.response_class = Answer
        return line

    def _line_of(self, proxy: Proxy | None) -> http.client.HTTPConnection:
        own = self.address
        host, port = (proxy.address.host, proxy.address.port) if proxy else (own.host, own.port)
        if own.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        with self._lock:
            if self._context is None:
                import ssl

                self._context = ssl.create_default_context()
        line = http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self._context)
        if proxy:
            line.set_tunnel(own.host, own.port, proxy.headers())
        return line

    def _line_target(self, sent: _Sent) -> tuple[str, dict[str, str]]:
        """Return target and headers of a request; a proxy without a tunnel gets the whole URL."""
        if self._proxy is None or self.address.scheme == "https":
            return sent.target, sent.headers
        return f"{self.address.origin}{sent.target}", {**sent.headers, **self._proxy.headers()}

    def _keep(self, line: http.client.HTTPConnection) -> None:
        """Keep a connection whose last response was read completely."""
        with self._lock:
            if not self._closed and self._process == os.getpid() and len(self._idle) < IDLE_LIMIT:
                self._idle.append((line, time.monotonic()))
                return
        line.close()

    def _cut_off(self, error: Exception) -> Unavailable:
        """Return the error for a response that is cut off."""
        from mreg.remote.failures import transport_error

        found = transport_error(error, self.address, self._proxy)
        if isinstance(error, http.client.IncompleteRead):
            return Unavailable(f"the response from {self.address} was cut off", hint="try again", cut=True)
        return Unavailable(f"the response from {self.address} was cut off: {found.message}", hint="try again", cut=True)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request, which can be sent more than once."""

    method: str
    target: str
    body: bytes | Body | None
    length: int | None
    headers: dict[str, str]


class _Lost(Exception):
    """A connection failed.

    Attributes:
        cause: The failure.
        sent: Whether the server can have received the request.
    """

    def __init__(self, cause: Exception, *, sent: bool) -> None:
        super().__init__(str(cause))
        self.cause, self.sent = cause, sent


class _BodyFailed(Exception):
    """The caller's body could not be read.

    Attributes:
        cause: The error of the caller.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _is_near(peer: str) -> bool:
    """Return whether an IP address is one of this machine, or of its link, as those of cloud metadata are."""
    from ipaddress import IPv6Address, ip_address

    try:
        found = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_link_local or found.is_unspecified


def _send(line: http.client.HTTPConnection, target: str, headers: Mapping[str, str], sent: _Sent) -> bool:
    """Send a request; return False if the server stopped to read its body, which it can do after an early answer."""
    body = sent.body
    line.putrequest(sent.method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        line.putheader(name, value)
    if body is None or isinstance(body, bytes):
        if body is not None or sent.method not in ("GET", "HEAD", "DELETE"):
            line.putheader("Content-Length", str(len(body or b"")))
    elif sent.length is not None:
        line.putheader("Content-Length", str(sent.length))
    else:
        line.putheader("Transfer-Encoding", "chunked")
    if isinstance(body, bytes):
        line.endheaders()
        return _send_chunks(line, (body,), chunked=False)
    line.endheaders()
    return body is None or _send_chunks(line, _chunks_of(body), chunked=sent.length is None)


def _chunks_of(body: Body) -> Iterator[bytes]:
    try:
        yield from body()
    except Exception as error:
        raise _BodyFailed(error) from error


def _send_chunks(line: http.client.HTTPConnection, chunks: Iterable[bytes], *, chunked: bool) -> bool:
    try:
        for chunk in chunks:
            if chunk:
                line.send(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            line.send(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def _is_readable(line: http.client.HTTPConnection) -> bool:
    """Return whether an idle connection has bytes to read: it was closed, or the server sent more than it should."""
    if line.sock is None:
        return True
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(line.sock, selectors.EVENT_READ)
            return bool(selector.select(0))
    except (OSError, ValueError):
        return True


def _is_cut(answer: http.client.HTTPResponse) -> bool:
    """Return whether the headers of a response have no end: `http.client` takes what was received for all of them."""
    closes = "close" in (answer.headers.get("Connection") or "").lower()
    return answer.version == 11 and answer.length is None and not answer.chunked and not closes


def _has_excess(line: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> bool:
    """Return whether the server sent more than its response, which must not be taken for the next one."""
    stream = answer.fp
    if stream is None or line.sock is None:
        return False
    line.sock.settimeout(0)
    with contextlib.suppress(OSError, ValueError):
        return bool(stream.peek(1))
    return False


def _shut(line: http.client.HTTPConnection) -> None:
    if line.sock is not None:
        with contextlib.suppress(OSError):
            line.sock.shutdown(socket.SHUT_RDWR)


def _backoff(attempt: int) -> float:
    """Return the pause after an attempt in seconds, at random, so that clients do not come back all at once."""
    from random import uniform

    return BACKOFF_SECONDS * min(2.0 ** (attempt - 1), LONGEST_BACKOFF) * uniform(0.5, 1.0)  # noqa: S311


def _query_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _maybe_done(address: Address, error: Unavailable) -> Unavailable:
    """Return the error for a change whose answer was lost."""
    return Unavailable(
        f"the response from {address} was lost, and the change might have been made: {error.message}",
        hint="check the newest events before you repeat the command: mreg history --limit 5",
        sent=True,
    )


def _too_old(address: Address, api: int, needed: int) -> Unavailable:
    return Unavailable(
        f"{address} runs an older release of mreg: expected API version {needed} or newer, got {api}",
        hint="operator of the server: upgrade mreg; or install the release of the server here",
        api=api,
    )
