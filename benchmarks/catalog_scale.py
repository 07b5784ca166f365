"""A catalog of a million versions: what the same questions cost beside a catalog of a thousand."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mreg
from benchmarks.generate import PER_MODEL, generate, model_name
from benchmarks.measure import MREG, Figure, against, in_turn, run

SEARCHES = {
    "search of three conditions --limit 50": (
        "metrics.accuracy > 0.9 and tags.team = 'fraud' and stage = 'Staging'",
        None,
    ),
    "search --sort -metrics.accuracy --limit 50": ("stage = 'Production'", "-metrics.accuracy"),
    "search that few meet": ("metrics.accuracy > 0.9999 and tags.team = 'mail'", None),
    "search by a commit": (f"git_commit = '{7:040x}'", None),
    "search by an old time --limit 50": ("created_at < '2025-01-01T00:05'", None),
}

COMMANDS = {
    "show NAME": ["show", model_name(50)],
    "list --limit 50": ["list", "--limit", "50"],
    "search ... --limit 50": ["search", SEARCHES["search of three conditions --limit 50"][0], "--limit", "50"],
    "search ... --sort ... --limit 50": [
        "search",
        "stage = 'Production'",
        "--sort",
        "-metrics.accuracy",
        "--limit",
        "50",
    ],
}


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Each question to both catalogs in turn, every time by a registry that is opened anew."""
    sizes = (1_000, 5_000) if quick else (1_000, 1_000_000)
    began = time.perf_counter()
    for versions in sizes:
        generate(folder / str(versions) / "catalog.db", versions // PER_MODEL)
    yield Figure(
        name=f"making catalogs of {sizes[0]:,} and {sizes[1]:,} versions", value=time.perf_counter() - began, unit="s"
    )
    chance = random.Random(7)

    def name(versions: int) -> str:
        return model_name(chance.randrange(versions // PER_MODEL))

    questions: dict[str, Callable[[mreg.Registry, int], object]] = {
        "show NAME": lambda registry, size: registry.show(name(size)),
        "show NAME@3": lambda registry, size: registry.show(f"{name(size)}@3"),
        "list --limit 50": lambda registry, _: registry.models(limit=50),
        "NAME@latest": lambda registry, size: registry.version(f"{name(size)}@latest"),
        "NAME@production": lambda registry, size: registry.version(f"{name(size)}@production"),
        "NAME@best": lambda registry, size: registry.version(f"{name(size)}@best"),
        "metric names": lambda registry, _: registry.metric_names(),
        "completion of a name": lambda registry, size: registry.completions(name(size)[:12]),
    }
    for title, question in questions.items():
        small, large = _both(folder, sizes, question)
        yield against(f"{title} at {sizes[1]:,}", large * 1000, small * 1000, 2.0, unit="ms", note="in process")
    for title, (where, sort) in SEARCHES.items():
        small, large = _both(folder, sizes, partial(_search, where, sort))
        few, many = (_count(folder, size, where, sort) for size in sizes)
        note = f"in process; {many} rows against {few}, so no limit"
        yield Figure(name=f"{title} at {sizes[1]:,}", value=large * 1000, unit="ms", ratio=large / small, note=note)
    for title, words in COMMANDS.items():
        commands = [[*MREG, *words] for _ in sizes]
        works = [
            partial(run, command, env=_environment(folder, size)) for command, size in zip(commands, sizes, strict=True)
        ]
        small, large = in_turn(works, 2 if quick else 9)
        yield against(f"mreg {title} at {sizes[1]:,}", large, small, 2.0, note="whole command")


def _search(where: str, sort: str | None, registry: mreg.Registry, _size: int) -> object:
    return registry.search(where, sort=sort, limit=50)


def _environment(folder: Path, size: int) -> dict[str, str]:
    return {**os.environ, "MREG_CATALOG": str(folder / str(size) / "catalog.db")}


def _count(folder: Path, size: int, where: str, sort: str | None) -> int:
    with mreg.open_registry(catalog=str(folder / str(size) / "catalog.db")) as registry:
        return len(registry.search(where, sort=sort, limit=50))


def _both(folder: Path, sizes: tuple[int, int], question: Callable[[mreg.Registry, int], object]) -> list[float]:
    """Median seconds on each catalog."""
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(31):
        for size in sizes:
            began = time.perf_counter()
            with mreg.open_registry(catalog=str(folder / str(size) / "catalog.db")) as registry:
                question(registry, size)
            if number:
                times[size].append(time.perf_counter() - began)
    return [sorted(times[size])[len(times[size]) // 2] for size in sizes]
