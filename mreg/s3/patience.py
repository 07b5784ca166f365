"""How long a store that does not answer is waited for, and how a person hears of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from mreg.errors import MregError
from mreg.s3.failures import FAILURES, passing, throttled, translated

T = TypeVar("T")

FIRST_SECONDS = 3.0
"""Patience with a store that has not answered yet: its address may be wrong, and a person is waiting."""

SECONDS = 60.0
"""Patience with a store that has answered before, or that asks for patience."""

LONGEST_PAUSE = 5.0
SAID_AFTER = 2.0


class Patience:
    """Repeats what fails in passing, with growing pauses, until it succeeds or patience is at its end.

    Safe for threads. botocore itself repeats a request at once a time or two; this is for what lasts longer.

    Args:
        notice: Told, once for each time of trouble, that something is being waited for.
    """

    def __init__(self, url: str, endpoint: str, notice: Callable[[str], None]) -> None:
        self.url = url
        self.endpoint = endpoint
        self._notice = notice
        self._answered = False
        self._said_at = float("-inf")

    def answered(self) -> None:
        """The store has answered somebody who does not ask through this."""
        self._answered = True

    def run(self, work: Callable[[], T], *, expected: Callable[[Exception], bool] = lambda _error: False) -> T:
        """What the work gives.

        Args:
            work: Run again after a failure that may pass.
            expected: Failures that are answers, given on as they are.

        Raises:
            MregError: It failed for good.
        """
        began: float | None = None
        pause = 0.2
        while True:
            try:
                result = work()
            except FAILURES as error:
                if expected(error):
                    self._answered = True
                    raise
                now = time.monotonic()
                began = now if began is None else began
                left = began + (SECONDS if self._answered or throttled(error) else FIRST_SECONDS) - now
                if not passing(error) or left <= 0:
                    raise self.translated(error) from error
                self._say(error, left, now - began)
                time.sleep(min(pause * random.uniform(0.5, 1.5), left))  # noqa: S311  so that not all come at once
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered = True
                return result

    def _say(self, error: Exception, left: float, waited: float) -> None:
        now = time.monotonic()
        if waited >= SAID_AFTER and now - self._said_at > SECONDS:
            self._said_at = now
            self._notice(f"{self.translated(error).message}; trying again for {left:.0f} s more")

    def translated(self, error: Exception) -> MregError:
        """The error of mreg for a failure of this store."""
        return translated(error, self.url, self.endpoint)
