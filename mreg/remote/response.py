"""Responses of a server, with bodies that are read as they arrive."""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from mreg.domain.text import size_text
from mreg.remote import problems

if TYPE_CHECKING:
    from types import TracebackType

    from mreg.errors import Unavailable

JSON_LIMIT = 256 << 20
"""Maximum size of a JSON answer in bytes."""

TOO_SLOW = "no complete response in time"

CHUNK = 1 << 18

LINE_LIMIT = 4096
"""Maximum length of the line before a chunk."""

TRAILERS_LIMIT = 100


class Response:
    """A response; as a context manager, it gives its connection back if the body was read to its end.

    Attributes:
        status: HTTP status.
        reason: Reason phrase of the server.
        headers: Headers; names are compared without regard to case.
        is_mreg: Whether a server of mreg answered, and not a proxy or another server.
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
        self._answer, self._server, self._deadline = answer, server, deadline
        self._done, self._failure = done, failure
        self.allow_silence = allow_silence
        self._open = True
        self._body = _body_of(answer)

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
        if time.monotonic() > self._deadline:
            self._fail(TimeoutError(TOO_SLOW))
        try:
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

    def json(self, limit: int = JSON_LIMIT) -> Any:
        """Read and return the body as JSON.

        Raises:
            Unavailable: The body is cut off, too large, or not JSON.
        """
        if self.headers.get("Content-Encoding", "identity") != "identity":
            raise problems.unexpected_answer(self.status, self._server, "its body is encoded")
        parts, count = [], 0
        for chunk in self.chunks():
            parts.append(chunk)
            count += len(chunk)
            if count > limit:
                self.close()
                raise problems.unexpected_answer(self.status, self._server, f"it is larger than {size_text(limit)}")
        try:
            return json.loads(b"".join(parts).decode(), parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise problems.unexpected_answer(self.status, self._server, "it is not JSON") from None

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
    """

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
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._chunk: _Body | None = None
        self.ended = False

    def read(self, size: int) -> bytes:
        """Return the next bytes as they arrive; empty at the end."""
        while not self.ended:
            if self._chunk is None:
                length = int(_line_of(self._stream).partition(b";")[0].strip(), 16)
                if length < 0:
                    raise ValueError("negative length of a chunk")
                if length == 0:
                    self._read_trailers()
                    break
                self._chunk = _Body(self._stream, length)
            found = self._chunk.read(size)
            if self._chunk.ended:
                self._chunk = None
                if _line_of(self._stream).strip():
                    raise ValueError("a chunk is longer than its length")
            if found:
                return found
        return b""

    def _read_trailers(self) -> None:
        for _ in range(TRAILERS_LIMIT):
            if not _line_of(self._stream).strip():
                self.ended = True
                return
        raise ValueError("too many trailers")


def _line_of(stream: io.BufferedIOBase) -> bytes:
    line = stream.readline(LINE_LIMIT)
    if not line.endswith(b"\n"):
        raise http.client.IncompleteRead(line)
    return line


def _body_of(answer: http.client.HTTPResponse) -> _Body | _ChunkedBody:
    stream: io.BufferedIOBase | None = answer.fp
    if stream is None:  # http.client closes a response without a body at once
        return _Body(io.BytesIO(), 0)
    return _ChunkedBody(stream) if answer.chunked else _Body(stream, answer.length)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
