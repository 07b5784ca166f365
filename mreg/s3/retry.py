"""How long a store that does not answer is waited for, and how a person hears of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from mreg.domain.told import attributed
from mreg.errors import MregError, Unavailable
from mreg.s3.failures import FAILURES, SILENCE, damaged, passing, throttled, translated
from mreg.waiting import Watch

T = TypeVar("T")

FIRST_SECONDS = 3.0
"""Patience with a store that has not answered yet: its address may be wrong, and a person is waiting."""

SECONDS = 60.0
"""Patience with a store that has answered before, or that asks for patience."""

LONGEST_PAUSE = 5.0
SAID_AFTER = 2.0


class RetryPolicy:
    """Repeats what fails in passing, with growing pauses, until it succeeds or patience is at its end.

    Safe for threads. A try is one request; where it ends in silence it was waiting from its beginning, so that patience
    and one silence bound the whole. A person hears of what lasts.

    Args:
        notice: Told, once for each time of trouble, that something is being waited for.
    """

    def __init__(self, url: str, endpoint: str, notice: Callable[[str], None]) -> None:
        self.url = url
        self.endpoint = endpoint
        self.secrets: tuple[str, ...] = ()
        self._notice = notice
        self._answered = False
        self._said_at = float("-inf")
        self._watch = Watch(self._say_waiting)

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
            tried = time.monotonic()
            try:
                with self._watch.over():
                    result = work()
            except FAILURES as error:
                if expected(error):
                    self._answered = True
                    raise
                now = time.monotonic()
                if began is None:
                    began = tried if isinstance(error, SILENCE) else now
                left = began + self._seconds(error) - now
                if not passing(error) or left <= 0:
                    raise self.translated(error) from error
                self._say(error, left, now - began)
                time.sleep(min(pause * random.uniform(0.5, 1.5), left))  # noqa: S311  so that not all come at once
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered = True
                return result

    def first(self, work: Callable[[], T], otherwise: T) -> T:
        """What a first try gives that `run` follows; ``otherwise`` where it ended in silence and there is time left.

        Raises:
            MregError: There is none.
        """
        tried = time.monotonic()
        try:
            with self._watch.over():
                return work()
        except SILENCE as error:
            if time.monotonic() - tried >= self._seconds(error):
                raise self.translated(error) from error
            return otherwise

    def _seconds(self, error: Exception) -> float:
        return SECONDS if self._answered or throttled(error) else FIRST_SECONDS

    def _say_waiting(self, waited: float) -> None:
        now = time.monotonic()
        if now - self._said_at > SECONDS:
            self._said_at = now
            self._notice(f"waiting for {self.endpoint}, {waited:.0f} s by now")

    def _say(self, error: Exception, left: float, waited: float) -> None:
        now = time.monotonic()
        if waited >= SAID_AFTER and now - self._said_at > SECONDS:
            self._said_at = now
            self._notice(f"{self.translated(error).message}; trying again for {left:.0f} s more")

    def translated(self, error: Exception) -> MregError:
        """The error of mreg for a failure of this store."""
        return translated(error, self.url, self.endpoint, self.secrets)

    def damaged(self, code: str = "", said: str = "") -> Unavailable:
        """The error for an upload that arrived with other bytes.

        Args:
            code: Of the store's refusal; empty where mreg found it.
            said: What the store said of it.
        """
        return damaged(self.url, code, attributed("the store", said, self.secrets))
