"""Serving: what a path costs when its files are in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, in_turn, run


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """``path`` of a file and of a folder of 100 files with a warm cache, in turn with ``show`` of the same version."""
    (folder / "served.bin").write_bytes(b"m" * (1 << 20))
    (folder / "served").mkdir()
    for number in range(100):
        (folder / f"served/{number}.bin").write_bytes(f"{number}".encode() * 1000)
    run([*MREG, "push", "served.bin", "--name", "served-file"])
    run([*MREG, "push", "served", "--name", "served-folder"])
    show, file, whole = in_turn(
        [
            lambda: run([*MREG, "show", "served-file@1"]),
            lambda: run([*MREG, "path", "served-file@1"]),
            lambda: run([*MREG, "path", "served-folder@1"]),
        ],
        5 if quick else 25,
    )
    yield Figure(name="mreg show NAME@1", value=show, unit="s")
    yield against("mreg path NAME@1 of a file, cached", file, show, 1.3)
    yield against("mreg path NAME@1 of 100 files, cached", whole, show, 1.3)
