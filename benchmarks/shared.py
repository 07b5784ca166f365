"""The three catalogs side by side: a file, PostgreSQL, a bucket alone; each server on this machine."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import mreg
from benchmarks.crowd import crowd
from benchmarks.generate import PER_MODEL, generate, model_name
from benchmarks.measure import Figure, against
from mreg.artifacts.hashing import digest_of
from mreg.catalog.copying import copy_rows
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.catalog.sqlite import SqliteDatabase
from mreg.stores.bucket import Bucket
from mreg.stores.settings import StoreSettings
from tests.proxy import Proxy
from tests.servers import WRITER, PostgresqlServer, S3Server, new_place

WRITERS = 20
WANTED_RATE = 15.0


def measure(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Everything on all three, in one run."""
    s3, postgresql = S3Server(), PostgresqlServer()
    s3.start()
    postgresql.start()
    os.environ.update(AWS_ACCESS_KEY_ID=WRITER[0], AWS_SECRET_ACCESS_KEY=WRITER[1], AWS_EC2_METADATA_DISABLED="true")
    os.environ.update(MREG_ENDPOINT_URL=s3.endpoint, MREG_ARTIFACTS=str(folder / "artifacts"))

    def fresh(make: Callable[[], str]) -> Callable[[], str]:
        def new() -> str:
            # Bytes of another catalog in its store would look as if its own had been lost.
            os.environ["MREG_ARTIFACTS"] = str(folder / f"artifacts-{os.urandom(4).hex()}")
            return make()

        return new

    places = {
        "file": fresh(lambda: str(folder / f"catalog-{os.urandom(4).hex()}" / "catalog.db")),
        "postgresql": fresh(postgresql.new_catalog),
        "bucket": fresh(lambda: f"{new_place(s3).url}/catalog.db"),
    }
    try:
        yield from _crowds(places, quick=quick)
        yield from _reads(folder, places, (1_000, 10_000) if quick else (1_000, 100_000))
        yield from _bytes_moved(folder, s3, (1_000,) if quick else (1_000, 10_000, 50_000))
        yield from _writers(folder, s3, 3 if quick else 15)
        yield from _million(folder, postgresql, (1_000, 20_000) if quick else (1_000, 1_000_000))
    finally:
        postgresql.stop()
        s3.stop()


def _crowds(places: dict[str, Callable[[], str]], *, quick: bool) -> Iterator[Figure]:
    processes, count = (4, 5) if quick else (8, 25)
    for kind, new in places.items():
        os.environ["MREG_CATALOG"] = new()
        rate, seconds, retries = crowd("push", processes, count)
        with mreg.open_registry() as registry:
            numbers = sorted(version.version for version in registry.show("crowd").versions)  # type: ignore[union-attr]
        consecutive = numbers == list(range(1, processes * count + 1))
        note = f"{retries} retries, longest {seconds[-1]:.2f} s, numbers {'' if consecutive else 'NOT '}consecutive"
        yield Figure(name=f"{kind}: {processes} processes x {count} pushes", value=rate, unit="/s", note=note)
        rate, seconds, retries = crowd("promote", processes, count)
        with mreg.open_registry() as registry:
            stages = [version.stage.value for version in registry.show("crowd").versions]  # type: ignore[union-attr]
        note = f"{retries} retries, longest {seconds[-1]:.2f} s, {stages.count('Production')} in Production"
        yield Figure(name=f"{kind}: {processes} processes x {count} promotes", value=rate, unit="/s", note=note)


def _filled(folder: Path, versions: int) -> Path:
    path = folder / f"generated-{versions}" / "catalog.db"
    if not path.exists():
        generate(path, versions // PER_MODEL)
    return path


def _load(folder: Path, kind: str, place: str, versions: int) -> None:
    path = _filled(folder, versions)
    if kind == "file":
        os.makedirs(os.path.dirname(place))
        shutil.copy(path, place)
    elif kind == "bucket":
        packed = gzip.compress(path.read_bytes(), 1)
        _bucket_of(place).put("catalog.db", packed, digest_of(packed))
    else:
        copy_rows(SqliteDatabase(path), PostgresqlDatabase(place))


def _reads(folder: Path, places: dict[str, Callable[[], str]], sizes: tuple[int, int]) -> Iterator[Figure]:
    for kind, new in places.items():
        found = []
        for versions in sizes:
            place = new()
            _load(folder, kind, place, versions)
            began = time.perf_counter()
            _show(place)
            first = time.perf_counter() - began
            found.append((first, _median(partial(_show, place))))
        note = f"at {sizes[0]:,} {found[0][1] * 1000:.1f} ms; the first one {found[1][0] * 1000:.0f} ms"
        name = f"{kind}: show NAME@3 at {sizes[1]:,}, registry opened anew"
        yield Figure(name=name, value=found[1][1] * 1000, unit="ms", ratio=found[1][1] / found[0][1], note=note)


def _show(place: str) -> None:
    with mreg.open_registry(catalog=place, artifacts=os.environ["MREG_ARTIFACTS"]) as registry:
        registry.show(f"{model_name(50)}@3")


def _median(work: Callable[[], object], rounds: int = 31) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[rounds // 2]


def _bytes_moved(folder: Path, s3: S3Server, sizes: tuple[int, ...]) -> Iterator[Figure]:
    proxy = Proxy(s3.port)
    model = folder / "model.bin"
    try:
        for versions in sizes:
            place = f"{new_place(s3).url}/catalog.db"
            _load(folder, "bucket", place, versions)
            os.environ.update(MREG_CATALOG=place, MREG_ENDPOINT_URL=proxy.endpoint)
            for title, work in (
                ("the first show", partial(_show, place)),
                ("a show after it", partial(_show, place)),
                ("a push", partial(_push, model)),
            ):
                proxy.up = proxy.down = 0
                began = time.perf_counter()
                work()
                note = f"{time.perf_counter() - began:.2f} s; {proxy.up / 1000:.1f} kB up"
                name = f"bucket at {versions:,}: {title}, bytes moved"
                yield Figure(name=name, value=(proxy.up + proxy.down) / 1000, unit="kB", note=note)
    finally:
        proxy.stop()
        os.environ["MREG_ENDPOINT_URL"] = s3.endpoint


def _push(path: Path) -> None:
    path.write_bytes(os.urandom(8))
    with mreg.open_registry() as registry:
        registry.push(path, name="new")


def _writers(folder: Path, s3: S3Server, seconds: int) -> Iterator[Figure]:
    """20 writers on 20 machines (with copies of their own), and on one."""
    homes = [folder / f"home-{number}" for number in range(WRITERS)]
    for home in homes:
        home.mkdir(exist_ok=True)
    for title, theirs in (("20 machines", homes), ("one machine", [])):
        place = f"{new_place(s3).url}/catalog.db"
        _load(folder, "bucket", place, 1_000)
        os.environ["MREG_CATALOG"] = place
        rate, took, retries = crowd("write", WRITERS, seconds, homes=theirs)
        note = f"{'ok' if rate >= WANTED_RATE else 'BELOW'}: at least {WANTED_RATE:g}; {retries} retries, median "
        note += f"{took[len(took) // 2]:.2f} s, longest {took[-1]:.2f} s"
        yield Figure(name=f"bucket at 1,000: {WRITERS} writers on {title}", value=rate, unit="/s", note=note)


def _million(folder: Path, postgresql: PostgresqlServer, sizes: tuple[int, int]) -> Iterator[Figure]:
    places = {size: postgresql.new_catalog() for size in sizes}
    for size, place in places.items():
        began = time.perf_counter()
        _load(folder, "postgresql", place, size)
        seconds = time.perf_counter() - began
        database = place.partition("@/")[2].partition("?")[0]
        postgresql.sql("VACUUM ANALYZE", database=database)  # what autovacuum does within a minute
    yield Figure(name=f"mreg catalog copy of {sizes[1]:,} versions to postgresql", value=seconds, unit="s")
    questions: dict[str, Callable[[mreg.Registry], object]] = {
        "show NAME": lambda registry: registry.show(model_name(50)),
        "show NAME@3": lambda registry: registry.show(f"{model_name(50)}@3"),
        "NAME@best": lambda registry: registry.version(f"{model_name(50)}@best"),
        "list --limit 50": lambda registry: registry.models(limit=50),
        "search of three conditions --limit 50": lambda registry: registry.search(
            "metrics.accuracy > 0.9 and tags.team = 'fraud' and stage = 'Staging'", limit=50
        ),
        "search --sort -metrics.accuracy --limit 50": lambda registry: registry.search(
            "stage = 'Production'", sort="-metrics.accuracy", limit=50
        ),
        "search by a commit": lambda registry: registry.search(f"git_commit = '{7:040x}'", limit=50),
    }
    for title, question in questions.items():
        small, large = (_median(partial(_ask, place, question)) for place in places.values())
        yield against(f"postgresql: {title} at {sizes[1]:,}", large * 1000, small * 1000, 2.0, unit="ms")


def _ask(place: str, question: Callable[[mreg.Registry], object]) -> None:
    with mreg.open_registry(catalog=place, artifacts=os.environ["MREG_ARTIFACTS"]) as registry:
        question(registry)


def _bucket_of(place: str) -> Bucket:
    settings = StoreSettings(endpoint_url=os.environ["MREG_ENDPOINT_URL"])
    return Bucket(place.rpartition("/")[0], settings, print)
