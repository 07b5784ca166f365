"""A large catalog, made fast: rows go straight into the schema, with one audit event for all of them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mreg.catalog.embedded import migrate
from mreg.catalog.rows import event_values
from mreg.catalog.statements import statement
from mreg.domain.events import chained, time_text

START = datetime(2025, 1, 1, tzinfo=UTC)
TEAMS = ("fraud", "mail", "search", "ads", "risk", "shop", "maps", "voice", "text", "vision")
PER_MODEL = 10


def model_name(number: int) -> str:
    """The name of the model of that number, from 0."""
    return f"team-{number % 100:02d}/model-{number:06d}"


def generate(path: Path, models: int) -> None:
    """Make a catalog of so many models with `PER_MODEL` versions each, every version with metrics, a tag, a parameter.

    Of each model one version is in Production, one in Staging, half of the rest archived. The same numbers every time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = OFF")
    raw.execute("PRAGMA synchronous = OFF")
    raw.execute("PRAGMA cache_size = -1000000")
    migrate(raw)
    indexes = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    for name, _ in indexes:
        raw.execute(f"DROP INDEX {name}")
    raw.execute("BEGIN")
    event = chained(None, at=START, actor="generator", action="catalog.generated", details={"models": models})
    raw.execute(statement("events.insert"), event_values(event))
    raw.executemany("INSERT INTO models VALUES (?, ?, '', '', ?, ?, ?, ?, 'generator')", _models(models))
    raw.executemany(
        "INSERT INTO versions VALUES (?, ?, ?, ?, 1, 'ready', '', ?, 'model.pkl', 'pickle', ?, '', NULL, ?, 'main', '',"
        " 0, '', '{}', ?, ?, NULL, 'generator')",
        _versions(models),
    )
    total = models * PER_MODEL
    raw.executemany(
        "INSERT INTO artifacts VALUES (?, 'file', ?, ?, 1)", ((n, f"{n:064x}", 1000 + n) for n in range(1, total + 1))
    )
    raw.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?)", _metrics(models))
    raw.executemany(
        "INSERT INTO version_tags VALUES (?, 'team', ?)",
        ((n, TEAMS[n % len(TEAMS)]) for n in range(1, total + 1)),
    )
    raw.executemany(
        "INSERT INTO parameters VALUES (?, 'lr', ?, ?)",
        ((n, f"0.{n % 97:02d}", n % 97 / 100) for n in range(1, total + 1)),
    )
    raw.execute("COMMIT")
    for _, sql in indexes:
        raw.execute(sql)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()


def _at(number: int) -> str:
    return time_text(START + timedelta(seconds=number))


def _models(models: int) -> Iterator[tuple[object, ...]]:
    for number in range(models):
        last = (number + 1) * PER_MODEL
        yield number + 1, model_name(number), PER_MODEL, PER_MODEL, _at(number * PER_MODEL), _at(last)


def _versions(models: int) -> Iterator[tuple[object, ...]]:
    stages = ["Archived"] * 4 + ["None"] * 4 + ["Production", "Staging"]
    for number in range(models * PER_MODEL):
        at = _at(number)
        yield (
            number + 1, number // PER_MODEL + 1, number % PER_MODEL + 1, stages[number % PER_MODEL], number + 1,
            f"run-{number}", f"{number:040x}", at, at,
        )  # fmt: skip


def _metrics(models: int) -> Iterator[tuple[object, ...]]:
    chance = random.Random(1)
    for number in range(models * PER_MODEL):
        model = number // PER_MODEL + 1
        for name, value in (
            ("accuracy", round(chance.random(), 6)),
            ("latency_ms", round(chance.expovariate(0.02), 3)),
        ):
            yield number + 1, model, name, value, repr(value)
