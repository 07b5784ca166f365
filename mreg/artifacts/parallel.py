"""Several round trips under way at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopped(BaseException):
    """Another thread failed or was interrupted, so that this one's work is not wanted any more."""


class Stoppable:
    """Told of bytes that move, on many threads; once stopped it ends the thread that tells it.

    Not an `Exception`, since a sender would take it for a failure of the network and try again.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._stopped = threading.Event()

    def __call__(self, count: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self._advance(count)

    def __enter__(self) -> Stoppable:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    at_once: int,
    size: Callable[[Item], int] = lambda _item: 0,
    budget: int = 0,
) -> Generator[Result]:
    """The results of the work in the order of the items, several done at once on threads.

    Items are taken as there is room for them: only so many results wait, and only so many bytes. After a failure, or
    when the iterator is closed, nothing more is begun; what is under way is left to end by itself (see `Stoppable`),
    since a person who interrupts must not wait for a network that does not answer.

    Args:
        at_once: How many are done at once; twice as many may wait.
        size: The bytes that an item's result holds.
        budget: How many bytes may be held at once; 0 for any. A single item may hold more.
    """
    pool = ThreadPoolExecutor(at_once)
    waiting: deque[tuple[Future[Result], int]] = deque()
    held = 0
    try:
        for item in items:
            cost = size(item)
            while waiting and (len(waiting) >= 2 * at_once or (budget and held + cost > budget)):
                future, freed = waiting.popleft()
                yield future.result()
                held -= freed
            waiting.append((pool.submit(work, item), cost))
            held += cost
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
