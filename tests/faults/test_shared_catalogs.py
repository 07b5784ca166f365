"""Twenty writers on one shared catalog while its server dies and comes back: nothing that was said is untrue."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.catalog import Catalog
from mreg.catalog.database import Database
from mreg.catalog.postgresql import PostgresqlDatabase
from mreg.catalog.redis import RedisDatabase
from mreg.catalog.sqlite import SqliteDatabase
from mreg.catalog.writer import Writer
from mreg.domain.digest import Digest
from mreg.domain.events import first_broken
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage
from mreg.domain.names import ModelName
from mreg.domain.redis_url import parse_redis_url
from mreg.errors import MregError
from mreg.registry.promote import enter_stage
from mreg.testing.catalog import AT
from tests.conftest import EVERY_PROVIDER, FULL
from tests.proxy import Proxy
from tests.servers import (
    WRITER,
    Place,
    PostgresqlServer,
    RedisServer,
    S3Server,
    Store,
    bucket_of,
    free_ports,
    new_place,
)
from tests.stores import refuse_missing

WRITERS, SECONDS = 20, 30 if FULL else 5
REST_SECONDS = 3 if FULL else 2
"""The server is there for the last seconds."""
M = ModelName("m")

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(400), pytest.mark.usefixtures("courteous")]


@dataclass
class Said:
    """What writers were told of their writes, by the id that each write leaves behind."""

    done: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def push_and_promote(writer: Writer, run_id: str, *, promote: bool) -> int:
    """A version, at times straight into Production."""
    digest = Digest.sha256(f"{random.getrandbits(256):064x}")
    artifact = ModelArtifact(kind=ArtifactKind.FILE, name="m", path="", size_bytes=1, digest=digest, format="pickle")
    model = writer.model(M) or writer.register(name=M)
    version = writer.add_version(model, artifact=artifact, metadata=VersionMetadata(run_id=run_id))
    if promote:
        enter_stage(writer, version, ModelStage.PRODUCTION, reason="it is new")
    return version.version


def write_on(database: Database, number: int, end: float, said: Said, errors: list[BaseException]) -> None:
    chance = random.Random(number)
    catalog = Catalog(database, lambda digest: str(digest))
    count = 0
    try:
        while time.monotonic() < end:
            run_id, promote = f"{number}-{count}", chance.random() < 0.4
            count += 1
            try:
                work = partial(push_and_promote, run_id=run_id, promote=promote)
                said.done[run_id] = catalog.write(work, actor=f"w{number}", at=AT)
            except MregError as error:
                (said.unknown if "it is unknown" in error.message else said.failed).append(run_id)
    except BaseException as error:
        errors.append(error)
    finally:
        catalog.close()


def run(open_one: Callable[[int], Database], trouble: Callable[[float], None], seconds: float = SECONDS) -> None:
    """Let the writers write while there is trouble; then hold what they were told against what is there."""
    said, errors = Said(), []  # type: tuple[Said, list[BaseException]]
    databases = [open_one(number) for number in range(WRITERS)]
    for database in databases:
        database.read(lambda connection: connection.one("events.last"))  # the server is there before it goes
    end = time.monotonic() + seconds
    writers = [
        threading.Thread(target=write_on, args=(database, number, end, said, errors))
        for number, database in enumerate(databases)
    ]
    for writer in writers:
        writer.start()
    trouble(end)
    for writer in writers:
        writer.join()
    assert errors == []
    catalog = Catalog(open_one(WRITERS), lambda digest: str(digest))
    versions = catalog.read(lambda reader: reader.versions(reader.model(M)))  # type: ignore[arg-type]
    events = catalog.read(lambda reader: reader.events(newest_first=False))
    catalog.close()
    there = {version.run_id: version.version for version in versions}
    assert sorted(there.values()) == list(range(1, len(versions) + 1))
    assert len(there) == len(versions)  # no write was made twice
    assert [version.stage for version in versions].count(ModelStage.PRODUCTION) == 1
    assert first_broken(events) is None
    assert said.done.items() <= there.items()
    assert not set(said.failed) & set(there)
    assert set(there) <= set(said.done) | set(said.unknown)
    assert len(said.done) > seconds  # they did write, and not only wait


@pytest.fixture
def own_postgresql() -> Iterator[PostgresqlServer]:
    server = PostgresqlServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    refuse_missing("redis")
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", WRITER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", WRITER[1])
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    server = S3Server()
    server.start()
    yield server
    server.stop()


def test_a_file(tmp_path: Path) -> None:
    run(lambda _number: SqliteDatabase(tmp_path / "catalog.db"), lambda _end: None, SECONDS / 2)


def test_postgresql_that_is_killed_and_started(own_postgresql: PostgresqlServer) -> None:
    url = own_postgresql.new_catalog()
    name = url.partition("@/")[2].partition("?")[0]

    def trouble(end: float) -> None:
        chance = random.Random(1)
        backends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND random() < 0.3"
        while time.monotonic() < end - REST_SECONDS:
            for _ in range(4):
                time.sleep(chance.uniform(0.1, 0.5))
                own_postgresql.sql(backends)
            own_postgresql.kill()
            time.sleep(chance.uniform(0, 0.5))
            own_postgresql.restart()

    run(lambda _number: PostgresqlDatabase(url), trouble)


def test_a_bucket_that_is_killed_and_started(own_s3: S3Server, tmp_path: Path) -> None:
    place = new_place(own_s3)

    def trouble(end: float) -> None:
        time.sleep(SECONDS / 4)
        own_s3.kill()
        own_s3.start()

    run(lambda number: BucketDatabase(bucket_of(place), "catalog.db", str(tmp_path / str(number % 10))), trouble)
    assert place.keys() == ["catalog.db"]


@pytest.mark.parametrize("gone", [0.5, 0.0], ids=["for half a second", "for an instant"])
def test_redis_that_is_killed_and_started(own_redis: RedisServer, tmp_path: Path, gone: float) -> None:
    url, _ = parse_redis_url(own_redis.new_catalog())

    def trouble(end: float) -> None:
        while time.monotonic() < end - REST_SECONDS:
            time.sleep(1)
            own_redis.kill()
            time.sleep(gone)
            own_redis.start()

    run(lambda number: RedisDatabase(url, str(tmp_path / str(number % 10))), trouble, SECONDS * 0.8)
    assert own_redis.run("KEYS", "*") == [url.key.encode()]


def test_redis_behind_a_network_that_loses_answers(redis_server: RedisServer, tmp_path: Path) -> None:
    proxy = Proxy(redis_server.port)
    parts, _ = parse_redis_url(redis_server.new_catalog())
    url, chance, lost = replace(parts, port=proxy.port), random.Random(1), []

    def lose(line: str) -> bool:
        if line == "EXEC" and chance.random() < 0.2:
            lost.append(line)
            return True
        return False

    proxy.lose_answer = lose

    def cut(end: float) -> None:
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.2, 1))
            proxy.cut_down_after = chance.randrange(20_000)
            proxy.cut_up_after = chance.randrange(200_000)

    try:
        run(lambda number: RedisDatabase(url, str(tmp_path / str(number % 10))), cut)
    finally:
        proxy.stop()
    assert lost
    assert redis_server.run("KEYS", f"{url.key}*") == [url.key.encode()]


def test_redis_whose_replica_takes_over(own_redis: RedisServer, tmp_path: Path) -> None:
    """Each write waits for the replica before the failover, so that nothing that was confirmed is lost."""
    replica = RedisServer()
    replica.start()
    proxy = Proxy(own_redis.port)
    url = replace(parse_redis_url(own_redis.new_catalog())[0], port=proxy.port)

    def trouble(end: float) -> None:
        replica.run("REPLICAOF", "127.0.0.1", own_redis.port)
        time.sleep(SECONDS / 4)
        proxy.target = free_ports(1)[0]  # as a load balancer does that takes the primary away
        proxy.stop()
        proxy.start()
        own_redis.run("WAIT", 1, 30_000)
        deadline = time.monotonic() + 30
        while own_redis.run("GET", url.key) != replica.run("GET", url.key) and time.monotonic() < deadline:
            time.sleep(0.02)
        replica.run("REPLICAOF", "NO", "ONE")
        own_redis.run("REPLICAOF", "127.0.0.1", replica.port)
        proxy.target = replica.port

    try:
        run(lambda number: RedisDatabase(url, str(tmp_path / str(number % 10))), trouble)
        assert replica.run("KEYS", "*") == [url.key.encode()]
    finally:
        proxy.stop()
        replica.stop()


@EVERY_PROVIDER
def test_a_bucket_behind_a_network_that_loses_answers(object_store: Store, place: Place, tmp_path: Path) -> None:
    seconds = SECONDS if FULL or isinstance(object_store, S3Server) else SECONDS / 2
    proxy = Proxy(place.server.port)
    chance = random.Random(1)
    one_at_a_time = threading.Lock()
    lost = []

    def lose(line: str) -> bool:
        with one_at_a_time:
            if line.startswith("PUT") and chance.random() < 0.2:
                lost.append(line)
                return True
        return False

    proxy.lose_answer = lose

    def cut(end: float) -> None:
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.2, 1))
            proxy.cut_down_after = chance.randrange(20_000)
            proxy.cut_up_after = chance.randrange(200_000)

    def opened(number: int) -> Database:
        return BucketDatabase(
            bucket_of(place, object_store.endpoint_at(proxy.port)), "catalog.db", str(tmp_path / str(number % 10))
        )

    try:
        run(opened, cut, seconds)
    finally:
        proxy.stop()
    assert lost
    assert os.listdir(tmp_path)
    database = BucketDatabase(bucket_of(place), "catalog.db", str(tmp_path / "gc"))
    for probe in list(database.abandoned()):  # a probe stays if its connection is cut, until the next gc
        database.discard(probe)
    assert place.keys() == ["catalog.db"]
