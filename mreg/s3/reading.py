"""Reading an object over connections that can break."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from mreg.s3.failures import code_of, status_of
from mreg.s3.retry import RetryPolicy

if TYPE_CHECKING:
    from typing_extensions import Buffer

Get = Callable[[int, int | None], Any]
"""Returns a response body with the bytes from an offset: a number of bytes, or all (None)."""


class ObjectReader(io.RawIOBase):
    """The bytes of an object as a stream; if the connection breaks, it is resumed at the next byte.

    Attributes:
        found: The object exists.
    """

    def __init__(self, retry: RetryPolicy, get: Get, start: int, length: int | None) -> None:
        self._retry = retry
        self._get = get
        self._position = start
        self._end = None if length is None else start + length
        self._body: Any | None = None
        self._ended = False
        self.found = True
        try:
            retry.run(self._open, expected=_is_missing)
        except ClientError:
            self.found = False

    def _open(self) -> None:
        length = None if self._end is None else self._end - self._position
        if length == 0:
            self._ended = True
            return
        try:
            self._body = self._get(self._position, length)
        except ClientError as error:
            if code_of(error) != "InvalidRange" and status_of(error) != 416:
                raise
            self._ended = True  # the object ends before this offset

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        return self._retry.run(lambda: self._readinto(view))

    def _readinto(self, view: memoryview) -> int:
        if self._ended:
            return 0
        if self._body is None:
            self._open()
        if self._body is None:
            return 0
        try:
            count = _read_into(self._body, view)
        except Exception:
            self._drop()
            raise
        self._position += count
        self._ended = not count and len(view) > 0
        return count

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        self._drop()
        super().close()


def _read_into(body: Any, view: memoryview) -> int:
    """Read into a buffer; the response bodies of botocore 1.36 have no ``readinto``."""
    if hasattr(body, "readinto"):
        return int(body.readinto(view))
    data = body.read(len(view))
    view[: len(data)] = data
    return len(data)


def _is_missing(error: Exception) -> bool:
    return code_of(error) in ("NoSuchKey", "404")
