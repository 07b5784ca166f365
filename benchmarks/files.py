"""Bytes: push and pull beside ``cp`` and ``sha256sum`` of the same files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import MREG, Figure, against, in_turn, peak_memory, run


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
        with big.open("r+b") as stream:  # other bytes each time, or it would be a second push
            stream.write(f"{next(number):08d}".encode())
        _forget_blobs(folder)
        os.sync()
        return run([*MREG, "push", str(big), "--name", "big"])

    def pull() -> float:
        pulled.unlink(missing_ok=True)
        return run([*MREG, "pull", "big", str(pulled)])

    def cp() -> float:
        copy.unlink(missing_ok=True)
        return run(["cp", str(big), str(copy)])

    copying, hashing, pushing, pulling, again = in_turn(
        [
            cp,
            lambda: run(["sha256sum", str(big)]),
            push_new,
            pull,
            lambda: run([*MREG, "push", str(big), "--name", "big"]),
        ],
        3,
        settle=True,
    )
    hash_here = _hash_seconds(big)
    slower = max(copying, hashing)
    size = f"{mebibytes} MiB"
    yield Figure(name=f"cp of {size}", value=copying, unit="s")
    yield Figure(name=f"sha256sum of {size}", value=hashing, unit="s")
    yield Figure(name=f"hashlib's sha256 of {size}, read and hashed in turn", value=hash_here, unit="s")
    yield against(f"mreg push of {size}", pushing, slower, 1.25, note=f"{mebibytes / pushing:.0f} MiB/s")
    yield against(f"mreg pull of {size}", pulling, slower, 1.25, note=f"{mebibytes / pulling:.0f} MiB/s")
    yield against(f"mreg push of the same {size} again", again, hash_here, 1.25, note="limit: hashing alone")
    with big.open("r+b") as changed:
        changed.write(b"memory!!")
    memory = peak_memory([*MREG, "push", str(big), "--name", "big"])
    yield Figure(name=f"peak memory of that push of {size}", value=memory, unit="MiB", limit=100)
    pulled.unlink()
    memory = peak_memory([*MREG, "pull", "big", str(pulled)])
    yield Figure(name=f"peak memory of that pull of {size}", value=memory, unit="MiB", limit=100)
    for file in (big, copy, pulled):
        file.unlink()


def _forget_blobs(folder: Path) -> None:
    """Remove what was pushed before, as ``cp`` begins without its copy: fresh memory for the page cache can be dear."""
    shutil.rmtree(folder / "data/mreg/artifacts/blobs", ignore_errors=True)


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
