"""Random changes of catalogs, journals, logs, schemas and objects: documented errors alone, in time, and no side effect."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import mreg
from mreg.catalog.local_copy import LocalCopy
from mreg.catalog.packing import pack, unpack
from mreg.errors import MregError
from tests.attacks.sqlite_files import Files, killed_writer, make_catalog, with_super_journal
from tests.conftest import FULL
from tests.hostile import attack, bounded, plant, untouched

EXAMPLES = 1500 if FULL else 15
PROCESSES = 60 if FULL else 2
SEED = 20261126

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(1800 if FULL else 300)]

INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Files]:
    folder = tmp_path_factory.mktemp("files")
    make_catalog(folder / "plain" / "catalog.db", models=12)
    return {
        "": Files((folder / "plain" / "catalog.db").read_bytes(), b""),
        "-journal": killed_writer(folder / "hot", "DELETE"),
        "-wal": killed_writer(folder / "logged", "WAL"),
    }


def mutated(data: bytes, rng: random.Random, page: int = 4096) -> bytes:
    """Some random changes: bits, fields of headers, pages exchanged, copied or zeroed, cut, longer."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if not found:
            break
        place = rng.choice([rng.randrange(len(found)), rng.randrange(min(len(found), 120))])
        match rng.randrange(7):
            case 0:
                found[place] ^= 1 << rng.randrange(8)
            case 1:
                new = rng.choice(INTERESTING)
                found[place : place + len(new)] = new
            case 2:
                found[place : place + 8] = rng.randbytes(8)
            case 3 if len(found) > 2 * page:
                one, two = (rng.randrange(len(found) // page) * page for _ in range(2))
                found[one : one + page], found[two : two + page] = found[two : two + page], found[one : one + page]
            case 4 if len(found) > 2 * page:
                one, two = (rng.randrange(len(found) // page) * page for _ in range(2))
                found[one : one + page] = found[two : two + page]
            case 5 if rng.random() < 0.3:
                del found[place:]
            case 6:
                found += rng.randbytes(rng.randrange(5000))
    return bytes(found)


def use(path: Path) -> str:
    """Whether all operations of a catalog end in a result or a documented error, in time."""
    outcome = "read"
    for work in OPERATIONS:
        with bounded(path), mreg.open_registry(catalog=str(path)) as registry:
            try:
                work(registry)
            except MregError as error:
                assert error.message
                outcome = type(error).__name__
    return outcome


OPERATIONS: tuple[Callable[[mreg.Registry], object], ...] = (
    lambda registry: registry.models(),
    lambda registry: registry.model("one0"),
    lambda registry: registry.completions(""),
    lambda registry: registry.verify_audit(),
    lambda registry: registry.tag("one0@1", add={"a": "b"}),
)


def lay(path: Path, files: Files, ending: str, rng: random.Random, victim: Path) -> None:
    """A catalog with a mutated file beside it, or with a mutated catalog."""
    for one in path.parent.iterdir():
        if one.name.startswith(path.name):
            one.unlink()
    beside = files.beside
    if ending:
        if rng.random() < 0.1:
            beside = rng.randbytes(rng.randrange(9000))
        elif rng.random() < 0.8:
            beside = mutated(beside, rng, 4104 if ending == "-journal" else 4120)
        if ending == "-journal" and rng.random() < 0.5:
            beside = with_super_journal(beside, os.fsencode(victim))
            if rng.random() < 0.3:
                beside = mutated(beside, rng)
        Path(f"{path}{ending}").write_bytes(beside)
    path.write_bytes(mutated(files.catalog, rng) if not ending or rng.random() < 0.3 else files.catalog)


@pytest.mark.parametrize("ending", ["", "-journal", "-wal"])
def test_random_changes_of_files_end_in_documented_errors(ending: str, files: dict[str, Files], tmp_path: Path) -> None:
    rng = random.Random(f"{SEED}{ending}")
    plant(tmp_path / "person")
    victim = tmp_path / "person" / "documents" / "thesis.txt"
    path = tmp_path / "work" / "catalog.db"
    path.parent.mkdir()
    outcomes = set()
    for number in range(EXAMPLES):
        lay(path, files[ending], ending, rng, victim)
        with untouched(tmp_path / "person"):
            if number < PROCESSES:
                attack("list", env={**os.environ, "MREG_CATALOG": str(path)})
            else:
                outcomes.add(use(path))
    assert "Corrupt" in outcomes


KINDS = (
    "CREATE VIEW {n} AS SELECT {e} FROM events",
    "CREATE TRIGGER {n} AFTER INSERT ON {t} BEGIN DELETE FROM {t}; END",
    "CREATE INDEX {n} ON {t} ({e})",
    "CREATE TABLE {n} (x DEFAULT ({e}), CHECK ({e}))",
    "CREATE TABLE {n} (x, y AS ({e}))",
    "CREATE VIRTUAL TABLE {n} USING fts5(x)",
    "CREATE VIRTUAL TABLE {n} USING rtree(a, b, c)",
    "ALTER TABLE {t} ADD COLUMN {n} CHECK ({e})",
    "ALTER TABLE {t} RENAME TO {n}",
    "DROP TABLE {t}",
    "ANALYZE",
    "PRAGMA user_version = {k}",
)
TABLES = ("models", "versions", "events", "artifacts", "aliases", "metrics")
EXPRESSIONS = ("1", "abs(-9223372036854775808)", "'x' || 'y'", "hex(zeroblob(100))", "length('x')")


def test_random_schemas_are_refused(files: dict[str, Files], tmp_path: Path) -> None:
    rng = random.Random(SEED)
    path = tmp_path / "catalog.db"
    for _ in range(EXAMPLES):
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{ending}").unlink(missing_ok=True)
        path.write_bytes(files[""].catalog)
        raw = sqlite3.connect(path, isolation_level=None)
        before = raw.execute("SELECT * FROM sqlite_master").fetchall(), raw.execute("PRAGMA user_version").fetchone()
        for _ in range(rng.randint(1, 3)):
            sql = rng.choice(KINDS).format(
                n=f"o{rng.randrange(10**6)}", e=rng.choice(EXPRESSIONS), t=rng.choice(TABLES), k=rng.randint(-9, 9)
            )
            try:
                raw.execute(sql)
            except sqlite3.Error:
                continue
        now = raw.execute("SELECT * FROM sqlite_master").fetchall(), raw.execute("PRAGMA user_version").fetchone()
        raw.close()
        assert (use(path) in ("Corrupt", "Unavailable")) == (before != now)


def test_random_changes_of_objects_end_in_documented_errors(files: dict[str, Files], tmp_path: Path) -> None:
    rng = random.Random(SEED)
    packed = pack(files[""].catalog)
    copy = LocalCopy(str(tmp_path), "s3://b/c")
    for _ in range(EXAMPLES * 4):
        data = mutated(packed, rng)
        try:
            received = copy.receive('"1"', partial(unpack, data, "s3://b/c"))
        except MregError:
            continue
        assert Path(received.path).stat().st_size <= 100 * len(data) + (16 << 20)
    assert not [name for name in os.listdir(copy.folder) if name.endswith(".tmp")]
