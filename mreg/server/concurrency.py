"""How many of a kind may be under way at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mreg.server.problems import Refused


class ConcurrencyLimit:
    """Places for what holds memory or files while it lasts; of one process, and of its event loop alone.

    Args:
        what: What it is called, such as ``uploads``.

    Attributes:
        limit: How many there may be; who comes beyond is asked to come again.
        under_way: How many there are.
    """

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self.limit = limit
        self.under_way = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, as long as it is needed.

        Raises:
            Refused: There is none.
        """
        if self.under_way >= self.limit:
            raise Refused(
                503,
                "busy",
                f"{self.limit} {self._what} are under way",
                hint="try again soon",
                headers={"Retry-After": "5"},
            )
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
