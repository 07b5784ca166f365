"""One of several processes that write to one catalog at once: ``python -m benchmarks.crowd WORK NUMBER COUNT START``.

It begins at a time that all were told, and prints as JSON how long each write took and how often it was begun again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mreg.catalog.database import Connection, Database
from mreg.profile.load import load_profile
from mreg.registry.open import open_local


class Tries:
    """Counts how often a database runs what it is given to write."""

    def __init__(self, database: Database) -> None:
        self.count = 0
        write = database.write

        def counted(fn: Callable[[Connection], object]) -> object:
            def once(connection: Connection) -> object:
                self.count += 1
                return fn(connection)

            return write(once)

        database.write = counted  # type: ignore[method-assign, assignment]


def main() -> None:
    """Do the work of one process."""
    work, number, count, start = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    registry = open_local(load_profile(user=f"w{number}"))
    registry.models(limit=1)
    tries = Tries(registry._session.catalog._database)
    path = Path(f"model-{number}")
    time.sleep(max(0.0, start - time.time()))
    seconds: list[float] = []

    def once(turn: int) -> None:
        began = time.perf_counter()
        if work == "promote":
            registry.promote(f"crowd@{1 + (number * 7 + turn) % 20}", to="production")
        elif work == "write":
            registry.tag("team-00/model-000000", add={f"w{number}": str(turn)})
        else:
            path.write_text(f"{number} {turn}")
            registry.push(path, name="crowd")
        seconds.append(time.perf_counter() - began)

    turn = 0
    while turn < count if work != "write" else time.time() < start + count:
        once(turn)
        turn += 1
    registry.close()
    print(json.dumps({"seconds": seconds, "retries": tries.count - len(seconds), "end": time.time()}))


def crowd(work: str, processes: int, count: float, *, homes: Sequence[Path] = ()) -> tuple[float, list[float], int]:
    """Let processes write at once; writes a second in all, the seconds of each, and how often one was begun again.

    Args:
        count: Writes of each process; of the work ``write`` seconds.
        homes: A home for each, as of people on machines of their own; else all are one person's.
    """
    start = time.time() + 1 + processes * 0.2
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crowd", work, str(number), str(count), str(start)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **({"HOME": str(homes[number])} if homes else {})},
        )
        for number in range(processes)
    ]
    told = [json.loads(process.communicate()[0]) for process in running]
    seconds = sorted(one for each in told for one in each["seconds"])
    return len(seconds) / (max(each["end"] for each in told) - start), seconds, sum(each["retries"] for each in told)


if __name__ == "__main__":
    main()
