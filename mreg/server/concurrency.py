"""Limits to concurrent uploads and downloads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mreg.server.problems import Refused


class ConcurrencyLimit:
    """A limit to concurrent operations that hold memory or files, for the event loop of one process.

    Args:
        operations: Plural name for messages, such as ``uploads``.

    Attributes:
        limit: Maximum number of operations; further ones are refused with 503 and ``Retry-After``.
        active: Operations in progress.
    """

    def __init__(self, operations: str, limit: int) -> None:
        self._operations = operations
        self.limit = limit
        self.active = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold a slot until the block ends.

        Raises:
            Refused: All slots are taken.
        """
        if self.active >= self.limit:
            raise Refused(
                503,
                "busy",
                f"too many {self._operations}: {self.limit} are in progress",
                hint="retry after 5 seconds",
                headers={"Retry-After": "5"},
            )
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1
