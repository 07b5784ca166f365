"""Retries of requests to a store, with notices for the user."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from mreg.errors import MregError, Unavailable
from mreg.s3.failures import FAILURES, SILENCE, damaged, passing, throttled, translated
from mreg.waiting import Watch

T = TypeVar("T")

FIRST_SECONDS = 3.0
"""How long requests are retried if the store has never answered: its address can be wrong, and the user is waiting."""

SECONDS = 60.0
"""How long requests are retried if the store has answered before, or throttles requests."""

LONGEST_PAUSE = 5.0
NOTICE_AFTER_SECONDS = 2.0


class RetryPolicy:
    """Retries requests after transient failures with growing pauses, for a limited time; safe for threads.

    The time of a request that times out counts from its start, so the total is at most the limit plus one timeout.

    Args:
        notice: Called with a text for the user, at most once in `SECONDS`, while requests fail or block.
    """

    def __init__(self, url: str, endpoint: str, notice: Callable[[str], None]) -> None:
        self.url = url
        self.endpoint = endpoint
        self.secrets: tuple[str, ...] = ()
        self._notice = notice
        self._answered = False
        self._notified_at = float("-inf")
        self._watch = Watch(self._notify_waiting)

    def answered(self) -> None:
        """Record that the store answered a request which did not go through `run`."""
        self._answered = True

    def run(self, work: Callable[[], T], *, expected: Callable[[Exception], bool] = lambda _error: False) -> T:
        """Return the result of a request, with retries.

        Args:
            work: Sends the request; called again after transient failures.
            expected: Returns whether an exception is raised unchanged, without retries.

        Raises:
            MregError: The request failed, or the time is over.
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
                self._notify(error, left, now - began)
                time.sleep(min(pause * random.uniform(0.5, 1.5), left))  # noqa: S311  clients must not retry in step
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._answered = True
                return result

    def try_once(self, work: Callable[[], T], otherwise: T) -> T:
        """Return the result of a single try before `run`; return `otherwise` if it timed out and time is left.

        Raises:
            MregError: The try timed out and no time is left.
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

    def _notify_waiting(self, waited: float) -> None:
        now = time.monotonic()
        if now - self._notified_at > SECONDS:
            self._notified_at = now
            self._notice(f"waiting for {self.endpoint} ({waited:.0f} s so far)")

    def _notify(self, error: Exception, left: float, waited: float) -> None:
        now = time.monotonic()
        if waited >= NOTICE_AFTER_SECONDS and now - self._notified_at > SECONDS:
            self._notified_at = now
            retrying = f"; retrying for {left:.0f} s more" if left >= 1 else ""
            self._notice(f"{self.translated(error).message}{retrying}")

    def translated(self, error: Exception) -> MregError:
        """Return the `MregError` for a failure of this store."""
        return translated(error, self.url, self.endpoint, self.secrets)

    def damaged(self) -> Unavailable:
        """Return the error for an upload that arrived damaged."""
        return damaged(self.url)
