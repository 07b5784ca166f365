"""Reading an object over connections that can break."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from mreg.stores.client import Body
from mreg.stores.failures import Failure
from mreg.stores.retry import RetryPolicy

if TYPE_CHECKING:
    from typing_extensions import Buffer

Get = Callable[[int, int | None], Body]
"""Returns a response with the bytes from an offset: a number of bytes, or all (None)."""


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
        self._body: Body | None = None
        self._piece = memoryview(b"")
        self._ended = False
        self.found = True
        try:
            retry.run(self._open, expected=lambda failure: failure.is_missing)
        except Failure:
            self.found = False

    def _open(self) -> None:
        length = None if self._end is None else self._end - self._position
        if length == 0:
            self._ended = True
            return
        try:
            self._body = self._get(self._position, length)
        except Failure as failure:
            if failure.code != "InvalidRange" and failure.status != 416:
                raise
            self._ended = True  # the object ends before this offset

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if not self._piece and len(view) > 0:
            self._piece = self._retry.run(self._next)
        count = min(len(view), len(self._piece))
        view[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _next(self) -> memoryview:
        """Return the next piece of the object; empty at its end."""
        if self._body is None and not self._ended:
            self._open()
        if self._ended or self._body is None:
            return memoryview(b"")
        try:
            piece = self._body.read()
        except BaseException:
            self._drop()
            raise
        self._position += len(piece)
        self._ended = not piece
        return piece

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        self._drop()
        super().close()
