"""Many at once: processes that push small versions to one model."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure

LOOP = """
for number in $(seq "$2"); do
    printf '%s %s' "$1" "$number" > "model-$1.bin"
    {mreg} push "model-$1.bin" --name crowd -q
done
"""


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """8 processes of 25 pushes each: the rate, and whether every number came once."""
    processes, pushes = (4, 2) if quick else (8, 25)
    script = folder / "loop.sh"
    script.write_text(LOOP.replace("{mreg}", " ".join(MREG)))
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            ["sh", str(script), str(number), str(pushes)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(processes)
    ]
    outputs = [process.communicate() for process in running]
    seconds = time.perf_counter() - began
    pushed = [line for out, _ in outputs for line in out.split()]
    errors = "".join(err for _, err in outputs)
    shown = json.loads(subprocess.run([*MREG, "show", "crowd", "--json"], check=True, capture_output=True).stdout)
    numbers = sorted(version["version"] for version in shown["versions"])
    wanted = processes * pushes
    consecutive = numbers == list(range(1, wanted + 1)) and len(set(pushed)) == wanted
    yield Figure(
        name=f"{processes} processes x {pushes} pushes of one model",
        value=wanted / seconds,
        unit="/s",
        note=f"{'all' if consecutive else 'NOT all'} {wanted} numbers once and consecutive, "
        f"{errors.count('locked')} times 'database is locked'",
    )
