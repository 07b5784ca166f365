"""Bytes: push and pull beside a process that hashes and writes the same file, and beside ``cp`` and ``sha256sum``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, change_pages, in_turn, peak_memory, remove_cold, run


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """A large file, its second push, its pull, and a folder of small files."""
    yield from _large_file(folder, 64 if quick else 1024)
    yield from _small_files(folder, 500 if quick else 10_000)


def _large_file(folder: Path, mebibytes: int) -> Iterator[Figure]:
    big, copy, pulled = folder / "big.bin", folder / "copy.bin", folder / "pulled.bin"
    with big.open("wb") as stream:
        for _ in range(mebibytes):
            stream.write(os.urandom(1 << 20))
    number = iter(range(1000))

    def push_new() -> float:
        change_pages(big, next(number))
        remove_cold(folder / "data/mreg/artifacts/blobs")
        return run([*MREG, "push", str(big), "--name", "big"])

    def pull() -> float:
        remove_cold(pulled)
        return run([*MREG, "pull", "big", str(pulled)])

    def hash_and_write(*options: str) -> float:
        remove_cold(copy)
        return run([sys.executable, "-m", "benchmarks.hash_and_write", str(big), str(copy), *options])

    base, ahead, pushing, pulling, again, hashing = in_turn(
        [
            hash_and_write,
            lambda: hash_and_write("--ahead"),
            push_new,
            pull,
            lambda: run([*MREG, "push", str(big), "--name", "big"]),
            lambda: _hash_seconds(big),
        ],
        5,
        settle=True,
    )
    size = f"{mebibytes} MiB"
    yield Figure(name=f"a process that hashes and writes {size}", value=base, unit="s")
    yield Figure(name="the same, written to the disk from the start", value=ahead, unit="s")
    for name, seconds in (("push", pushing), ("pull", pulling)):
        note = f"{mebibytes / seconds:.0f} MiB/s; {seconds / ahead:.2f} times the second process"
        yield against(f"mreg {name} of {size}", seconds, base, 1.25, note=note)
    yield Figure(name=f"hashlib's sha256 of {size}, read and hashed in turn", value=hashing, unit="s")
    yield against(f"mreg push of the same {size} again", again, hashing, 1.25, note="limit: hashing alone")
    change_pages(big, next(number))
    memory = peak_memory([*MREG, "push", str(big), "--name", "big"])
    yield Figure(name=f"peak memory of that push of {size}", value=memory, unit="MiB", limit=100)
    pulled.unlink()
    memory = peak_memory([*MREG, "pull", "big", str(pulled)])
    yield Figure(name=f"peak memory of that pull of {size}", value=memory, unit="MiB", limit=100)
    for file in (big, copy, pulled):
        file.unlink()


def _hash_seconds(path: Path) -> float:
    import hashlib

    began = time.perf_counter()
    with path.open("rb", buffering=0) as stream:
        hashlib.file_digest(stream, "sha256")
    return time.perf_counter() - began


def _small_files(folder: Path, count: int) -> Iterator[Figure]:
    # Nothing is deleted on the way: ext4 passes over inodes that were freed in the last seconds, one by one, and
    # whoever makes files next would pay for it.
    many: list[Path] = []

    def fill() -> Path:
        root = folder / f"many-{len(many)}"
        for place in range(count):
            path = root / f"{place % 100:02d}" / f"{place:05d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{len(many)} {place} ".encode() * 64)
        many.append(root)
        os.sync()
        return root

    def push() -> float:
        return run([*MREG, "push", str(fill()), "--name", "many"])

    def cp() -> float:
        return run(["cp", "-r", str(many[-1]), f"{many[-1]}-copy"])

    def hashing() -> float:
        return run(["sh", "-c", 'find "$0" -type f -print0 | xargs -0 sha256sum', str(many[-1])])

    pushing, copying, summing = in_turn([push, cp, hashing], 3, settle=True)
    base = copying + summing
    yield Figure(name=f"cp -r of {count} small files", value=copying, unit="s")
    yield Figure(name=f"sha256sum of {count} small files", value=summing, unit="s")
    yield against(f"mreg push of {count} small files", pushing, base, 2.0, note="limit: 2 x (cp -r + sha256sum)")
