"""What the processes of a race between pushes and garbage collections do; see test_gc.py."""

from __future__ import annotations

import os
import random
import time
from datetime import timedelta
from pathlib import Path

import mreg
from mreg.catalog import removals
from mreg.registry import gc


def _soon() -> None:
    removals.DEAD_AFTER = timedelta(seconds=2)
    gc.LEASE_SECONDS = 1.0


def collect(number: int, place: str) -> None:
    """Collect until the file ``stop`` exists. The file ``collecting-N`` says that the first run is over."""
    _soon()
    with mreg.open_registry(user="collector") as registry:
        while not Path(place, "stop").exists():
            registry.gc(grace=timedelta(0), remove=True)
            Path(place, f"collecting-{number}").touch()


def push_and_delete(number: int, rounds: int, place: str) -> None:
    """Push ``rounds`` times while others collect. Every new version must have its bytes at once and at the end."""
    _soon()
    chance = random.Random(number)
    os.makedirs(f"p{number}/d", exist_ok=True)
    os.chdir(f"p{number}")
    while not Path(place, "collecting-1").exists():
        time.sleep(0.01)
    with mreg.open_registry(user=f"p{number}") as registry:
        for _ in range(rounds):
            text = f"content {chance.randrange(4)}"
            path = Path("d") if chance.random() < 0.5 else Path("file")
            (path / "x" if path.is_dir() else path).write_text(text)
            version = registry.push(path, name=f"m{number}")
            if problems := registry.verify(version.reference).problems:
                raise SystemExit(f"{version.reference}: {problems}")
            if chance.random() < 0.9:
                registry.delete(version.reference)
