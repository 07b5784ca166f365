"""A connection to a Redis server that is made again after a loss, with timeouts and notices."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import redis

from mreg.catalog.redis_failures import passing, translated
from mreg.domain.password import Password
from mreg.domain.redis_url import RedisUrl
from mreg.waiting import Watch

T = TypeVar("T")

CONNECT_SECONDS = 10

SILENCE_SECONDS = 60
"""Timeout for the start of an answer and between its packets, and for the server to take a piece of a request."""

FIRST_SECONDS = 3.0
"""Time for retries with a server that never responded; its address can be wrong."""

SECONDS = 60.0
"""Time for retries with a server that responded before; it can be restarting, or another one takes over."""

NOTICE_AFTER_SECONDS = 2.0

PIECE = 1 << 16
"""Bytes of a request that the server must take within the timeout."""

ANSWERS_BYTES = 4 << 20
"""Maximum size of the answers to the commands of one request, apart from the ranges that they ask for."""

UNREADABLE = (ValueError, TypeError, IndexError, AttributeError, RecursionError)
"""Errors that redis-py raises for an answer in another format."""

Command = tuple[str | bytes | int, ...]


class _BoundedSocket:
    """A socket from which only so many bytes are read: redis-py reads an answer of any length into memory."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.left = ANSWERS_BYTES  # of the login

    def recv(self, *words: Any) -> bytes:
        data: bytes = self._inner.recv(*words)
        self._count(len(data))
        return data

    def recv_into(self, *words: Any) -> int:
        count: int = self._inner.recv_into(*words)
        self._count(count)
        return count

    def _count(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise redis.InvalidResponse("the answer is longer than what was asked for")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Bounded:
    """Reads answers of a limited size, and sends large values in pieces.

    The timeout of a socket limits the time of each call.
    """

    def _connect(self) -> Any:
        return _BoundedSocket(super()._connect())  # type: ignore[misc]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Override redis-py's method."""
        super().send_packed_command(_pieces(command), check_health)  # type: ignore[misc]


class _Plain(_Bounded, redis.Connection):
    pass


class _Tls(_Bounded, redis.SSLConnection):
    pass


def _longest(commands: tuple[Command, ...]) -> int:
    """Return the maximum size of the answers to commands."""
    ranges = (command[2:4] for command in commands if command[0] == "GETRANGE")
    return ANSWERS_BYTES + sum(int(last) - int(first) + 1 for first, last in ranges)


def _pieces(command: Any) -> Iterator[Any]:
    for item in [command] if isinstance(command, str | bytes) else command:
        if len(item) <= PIECE or isinstance(item, str):
            yield item
        else:
            view = memoryview(item)
            yield from (view[start : start + PIECE] for start in range(0, len(view), PIECE))


class RedisConnection:
    """One connection to a server, made on first use; safe for threads, which take turns by `retry`.

    Args:
        notice: Called with messages for the user while the server does not respond.
    """

    def __init__(self, url: RedisUrl, password: Password, notice: Callable[[str], None]) -> None:
        self._url = url
        self._password = password
        self._notice = notice
        self._line: Any = None
        self._answered = False
        self._lock = threading.RLock()
        self._watch = Watch(lambda waited: notice(f"waiting for {url.place} ({waited:.0f} s so far)"))

    def ask(self, *commands: Command) -> list[Any]:
        """Send commands in one go, and return the answer to each; an error is returned as an exception.

        Raises:
            redis.InvalidResponse: The answer is not from a Redis server, or is longer than what was asked for.
            redis.ConnectionError: The server cannot be reached, refuses the password, or the connection was lost.
            redis.TimeoutError: The server does not respond in time.
        """
        with self._watch.over():
            try:
                line = self._connected()
                line._sock.left = _longest(commands)
                line.send_packed_command(line.pack_commands(commands))
                answers = [_answer(line) for _ in commands]
            except UNREADABLE as error:
                raise redis.InvalidResponse(str(error)) from error
        self._answered = True
        return answers

    def retry(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``, which is repeated while the server is lost, restarting or without a primary.

        After an error, the connection is closed.

        Raises:
            MregError: ``work`` raised it, or it is the translation of its last error.
        """
        with self._lock:
            began = time.monotonic()
            noticed, pause = False, 0.05
            while True:
                try:
                    return work()
                except redis.RedisError as error:
                    self.close()
                    waited = time.monotonic() - began
                    left = (SECONDS if self._answered else FIRST_SECONDS) - waited
                    failure = translated(error, self._url, self._password)
                    if not passing(error) or left <= 0:
                        raise failure from error
                    if not noticed and waited >= NOTICE_AFTER_SECONDS and left >= 1:
                        noticed = True
                        self._notice(f"{failure.message}; retrying for {left:.0f} s more")
                    time.sleep(min(pause * random.uniform(0.5, 1.5), left))  # noqa: S311  spreads out the clients
                    pause = min(2 * pause, 2.0)
                except BaseException:
                    self.close()  # an answer can be pending, and a key watched
                    raise

    def close(self) -> None:
        """Close the connection; idempotent."""
        with self._lock:
            if self._line is not None:
                self._line.disconnect()
                self._line = None

    def _connected(self) -> Any:
        if self._line is None:
            url = self._url
            settings: dict[str, Any] = {
                "host": url.host.strip("[]"),
                "port": url.port,
                "db": url.database,
                "username": url.user or None,
                "password": self._password.reveal() or None,
                "protocol": 2,
                "socket_timeout": SILENCE_SECONDS,
                "socket_connect_timeout": CONNECT_SECONDS,
                "socket_keepalive": True,
            }
            if url.tls:
                settings |= {
                    "ssl_cert_reqs": "required" if url.verified else "none",
                    "ssl_check_hostname": url.verified,
                    "ssl_ca_certs": url.ssl_ca_certs or None,
                    "ssl_certfile": url.ssl_certfile or None,
                    "ssl_keyfile": url.ssl_keyfile or None,
                }
            line: Any = (_Tls if url.tls else _Plain)(**settings)
            try:
                line.connect()
            except BaseException:
                line.disconnect()
                raise
            self._line = line
        return self._line


def _answer(line: Any) -> Any:
    """Return the next answer; an error of the command as an exception."""
    try:
        return line.read_response()
    except redis.ResponseError as error:
        return error
