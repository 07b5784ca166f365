"""Responses of a server, with bodies that are read as they arrive."""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from mreg.remote import problems
from mreg.remote.documents import InvalidDocument, check_size, count_values, decode_document
from mreg.wire.protocol import DOCUMENT_BYTES

if TYPE_CHECKING:
    from types import TracebackType

    from mreg.errors import Unavailable

JSON_SECONDS = 600.0
"""Timeout of a JSON answer, however slowly it arrives."""

TOO_SLOW = "no complete response in time"

CHUNK = 1 << 18

DRAIN_BYTES = 1 << 16
"""Maximum number of bytes that are read of a body that is not needed."""

LINE_LIMIT = 4096
"""Maximum length of the line before a chunk."""

EXCESS_LIMIT = 16 << 10
CHUNK_ALLOWANCE = 16
"""Maximum number of bytes that the lines before chunks have beyond the bytes of the chunks and an allowance for each.

The rule of Go's net/http, against a server that sends a few bytes in endless extensions (CVE-2023-39326).
"""

TRAILERS_LIMIT = 100

LENGTH_DIGITS = 16
"""Maximum number of hexadecimal digits in the length of a chunk."""

INTERIM_LIMIT = 20
"""Maximum number of interim responses, such as 100 and 103, before the response; Go's net/http accepts 5."""


class _Head:
    """The lines of the head of a response; a connection that ends in them is lost.

    `http.client` takes the end of the connection for the end of the headers, and loses those that did not arrive.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        if self._begun and not line.endswith(b"\n") and (limit < 0 or len(line) < limit):
            raise http.client.IncompleteRead(line)
        self._begun = True
        return line

    def close(self) -> None:
        self._stream.close()


class Answer(http.client.HTTPResponse):
    """A response of `http.client`, which alone skips any number of 100, and takes other interim ones for the last."""

    def begin(self) -> None:
        stream = self.fp
        self.fp = _Head(stream)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = stream

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM_LIMIT + 1):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            self._skip_headers()
        raise http.client.HTTPException(f"got more than {INTERIM_LIMIT} interim responses")

    def _skip_headers(self) -> None:
        http.client.parse_headers(self.fp)


class Response:
    """A response; as a context manager, it gives its connection back if the body was read to its end.

    Attributes:
        status: HTTP status.
        reason: Reason phrase of the server.
        headers: Headers; names are compared without regard to case.
        is_mreg: Whether a server of mreg answered, and not a proxy or another server.
        values: Upper bound of the number of values and keys in the JSON that was read.
        allow_silence: Function that sets the timeout in seconds of a server that sends nothing.

    Args:
        server: URL of the server, for messages.
        deadline: Time of the monotonic clock after which no more is read.
        done: Called once at the end; True if the body was read completely.
        failure: Returns the error for a body that is cut off.
        allow_silence: The attribute.
    """

    def __init__(
        self,
        answer: http.client.HTTPResponse,
        *,
        server: str,
        deadline: float,
        done: Callable[[bool], None],
        failure: Callable[[Exception], Unavailable],
        allow_silence: Callable[[float], None],
    ) -> None:
        self.status = answer.status
        self.reason = answer.reason
        self.headers: Mapping[str, str] = answer.headers  # type: ignore[assignment]
        self.is_mreg = False
        self.values = 0
        self._answer, self._server, self._deadline = answer, server, deadline
        self._done, self._failure = done, failure
        self.allow_silence = allow_silence
        self._open = True
        self._body = _body_of(answer, deadline)

    def __enter__(self) -> Response:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters; empty if the header is missing."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """The number of bytes of the body that the server announced, None if it announced none."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() and len(text) < 20 else None

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes of the body, at most ``size``; empty at its end.

        Raises:
            Unavailable: The body is cut off, or the server is silent; ``details["cut"]`` is true.
        """
        try:
            _check_time(self._deadline)
            return self._body.read(size)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._fail(error)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Yield the bytes of the body as they arrive.

        Raises:
            Unavailable: As `read`.
        """
        while chunk := self.read(size):
            yield chunk

    def json(self, limit: int = DOCUMENT_BYTES) -> Any:
        """Read and return the body as JSON.

        Raises:
            Unavailable: The body is cut off, or not JSON; or it is too large, and ``details["too_large"]`` is true.
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise problems.unexpected_answer(self.status, self._server, "its body is encoded")
        self._limit_time(JSON_SECONDS)
        try:
            check_size(self.length or 0, limit)
            data = bytearray()
            for chunk in self.chunks():
                data += chunk
                check_size(len(data), limit)
            self.values = count_values(data)
            return decode_document(data)
        except InvalidDocument as error:
            self.close()
            raise problems.invalid_document(error, self.status, self._server) from None

    def drain(self) -> None:
        """Read a body that is not needed, so that the connection can be used again; of a long one only the beginning.

        Raises:
            Unavailable: As `read`.
        """
        self._limit_time(JSON_SECONDS)
        left = DRAIN_BYTES
        while left > 0 and (chunk := self.read(left)):
            left -= len(chunk)

    def _limit_time(self, seconds: float) -> None:
        """Read nothing after that time."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)
        self._body.deadline = self._deadline

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        if not self._open:
            return
        self._open = False
        self._done(self._body.ended)
        self._answer.close()

    def _fail(self, error: Exception) -> NoReturn:
        self._open = False
        self._answer.close()
        self._done(False)
        raise self._failure(error) from error


class _Body:
    """The body of a response; `http.client` does not tell a body that was cut off from a complete one.

    Attributes:
        ended: Whether the last byte was read.
        deadline: Time of the monotonic clock after which no more is read.
    """

    deadline = float("inf")

    def __init__(self, stream: io.BufferedIOBase, length: int | None) -> None:
        self._stream, self._left = stream, length
        self.ended = length == 0

    def read(self, size: int) -> bytes:
        """Return the next bytes as they arrive; empty at the end."""
        if self.ended:
            return b""
        found = self._stream.read1(size if self._left is None else min(size, self._left))
        if self._left is not None:
            if not found:
                raise http.client.IncompleteRead(b"", self._left)
            self._left -= len(found)
        self.ended = not found or self._left == 0
        return bytes(found)


class _ChunkedBody:
    """A body in chunks (RFC 9112, 7.1).

    Attributes:
        ended: Whether the last byte was read, with the trailers.
        deadline: Time of the monotonic clock after which no more is read.
    """

    def __init__(self, stream: io.BufferedReader, deadline: float) -> None:
        self._stream = stream
        self._chunk: _Body | None = None
        self._excess = 0
        self.ended = False
        self.deadline = deadline

    def read(self, size: int) -> bytes:
        """Return the next bytes as they arrive; empty at the end."""
        while not self.ended:
            if self._chunk is None:
                line = self._line()
                length = _length_of(line)
                if length == 0:
                    self._read_trailers()
                    break
                self._excess = max(self._excess + len(line) + 2 - CHUNK_ALLOWANCE - 2 * length, 0)
                if self._excess > EXCESS_LIMIT:
                    raise ValueError("the lines before its chunks are too long")
                self._chunk = _Body(self._stream, length)
            found = self._chunk.read(size)
            if self._chunk.ended:
                self._chunk = None
                if self._line().strip():
                    raise ValueError("a chunk is longer than its length")
            if found:
                return found
        return b""

    def _read_trailers(self) -> None:
        for _ in range(TRAILERS_LIMIT):
            if not self._line().strip():
                self.ended = True
                return
        raise ValueError("too many trailers")

    def _line(self) -> bytes:
        """Read a line. Each call of ``peek`` waits for at most one packet, so that slow bytes reach the deadline."""
        line = b""
        while not line.endswith(b"\n"):
            arrived = self._stream.peek(1)
            if not arrived or len(line) > LINE_LIMIT:
                raise http.client.IncompleteRead(line)
            line += self._stream.read(min(arrived.find(b"\n") + 1 or len(arrived), LINE_LIMIT))
            _check_time(self.deadline)
        return line


def _length_of(line: bytes) -> int:
    """Return the length of a chunk from the line before it."""
    digits = line.partition(b";")[0].strip()
    if not digits.isalnum() or len(digits) > LENGTH_DIGITS:  # int() takes signs and underscores, too
        raise ValueError("a chunk has no length")
    return int(digits, 16)


def _check_time(deadline: float) -> None:
    """Check the time.

    Raises:
        TimeoutError: The deadline is over.
    """
    if time.monotonic() > deadline:
        raise TimeoutError(TOO_SLOW)


def _body_of(answer: http.client.HTTPResponse, deadline: float) -> _Body | _ChunkedBody:
    stream: io.BufferedReader | None = answer.fp
    if stream is None:  # http.client closes a response without a body at once
        return _Body(io.BytesIO(), 0)
    return _ChunkedBody(stream, deadline) if answer.chunked else _Body(stream, answer.length)
