"""What is a bucket's own: lost races and answers, copies, stores that can't, damage, crashes."""

from __future__ import annotations

import gzip
import os
import random
import shlex
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import mreg
from mreg.catalog import object_database
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.database import Connection, Database
from mreg.catalog.local_copy import Copy
from mreg.catalog.schema import SCHEMA
from mreg.domain.digest import Digest
from mreg.stores.bucket import Bucket
from mreg.stores.probing import ConditionalWritesUnsupported
from mreg.testing.database import add_event, count
from tests.conftest import EVERY_PROVIDER, EVERY_STORE, Mreg, counted_pauses, local_registry
from tests.forking import SCRIPT, forked_mreg
from tests.proxy import Proxy
from tests.servers import BUCKET, READER, Place, bucket_of

KEY = "catalog.db"
COMPAT = Path(__file__).parent.parent / "compat"


@pytest.fixture
def opened(place: Place, tmp_path: Path) -> Iterator[Callable[..., BucketDatabase]]:
    databases: list[BucketDatabase] = []

    def one(machine: str = "mine", endpoint: str = "") -> BucketDatabase:
        databases.append(BucketDatabase(bucket_of(place, endpoint), KEY, str(tmp_path / "machines" / machine)))
        return databases[-1]

    yield one
    for database in databases:
        database.close()


Opened = Callable[..., BucketDatabase]


def read_and_write(opened: Opened) -> tuple[Callable[[], object], ...]:
    """Return a read and a write, each on a database that is opened for it."""
    return lambda: opened().read(count), lambda: opened().write(add_event)


def test_the_object_is_the_sqlite_file_compressed(place: Place, opened: Opened) -> None:
    opened().write(add_event)
    Path("catalog.db").write_bytes(gzip.decompress(place.read(KEY)))
    raw = sqlite3.connect("catalog.db")
    assert raw.execute("SELECT count(*) FROM events").fetchone() == (1,)
    raw.close()


def test_a_copy_that_is_still_the_buckets_is_not_fetched_again(bucket: Place, proxy: Proxy, opened: Opened) -> None:
    database = opened(endpoint=proxy.endpoint)
    database.write(lambda connection: [add_event(connection) for _ in range(2000)])
    size = len(bucket.read(KEY))
    proxy.heal()
    assert [opened(endpoint=proxy.endpoint).read(count) for _ in range(5)] == [2000] * 5
    assert proxy.down < size / 4
    opened("another", proxy.endpoint).read(count)
    assert proxy.down > size


def test_a_write_after_a_write_fetches_nothing(bucket: Place, proxy: Proxy, opened: Opened) -> None:
    database = opened(endpoint=proxy.endpoint)
    database.write(add_event)
    proxy.requests.clear()
    database.write(add_event)
    assert [line.split()[0] for line in proxy.requests] == ["PUT"]


@EVERY_STORE
def test_what_another_machine_wrote_is_seen_by_a_write_that_expected_nothing(opened: Opened) -> None:
    mine, other = opened("mine"), opened("other")
    mine.write(add_event)
    other.write(add_event)
    assert mine.write(add_event) == 3  # put on the old copy in vain, then again
    other.write(add_event)

    def refuse(connection: Connection) -> None:
        if count(connection) < 4:
            raise mreg.NotFound("not there yet")

    mine.write(refuse)  # a refusal is never what an old copy says


@EVERY_STORE
@pytest.mark.parametrize("times", [1, 2])
def test_a_put_whose_answer_is_lost_is_made_once(proxy: Proxy, opened: Opened, times: int) -> None:
    database = opened(endpoint=proxy.endpoint)
    database.write(add_event)
    left = [times]

    def lose(line: str) -> bool:
        left[0] -= line.startswith("PUT")
        return line.startswith("PUT") and left[0] >= 0

    proxy.lose_answer = lose
    tries = []

    def fn(connection: Connection) -> int:
        tries.append(1)
        return add_event(connection)

    assert database.write(fn) == 2
    assert database.read(count) == 2
    assert len(tries) == 1


def test_a_put_that_never_arrives_is_told_as_not_known(
    proxy: Proxy, opened: Opened, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    database = opened(endpoint=proxy.endpoint)
    database.write(add_event)
    proxy.lose_answer = lambda line: line.startswith("PUT")

    def cut_for_good(connection: Connection) -> int:
        seq = add_event(connection)
        proxy.stop()
        return seq

    with pytest.raises(mreg.Unavailable, match="it is unknown whether the change was made"):
        database.write(cut_for_good)
    proxy.start()
    proxy.heal()
    assert database.read(count) == 1


@pytest.mark.parametrize("ignored", ["If-Match", "If-None-Match"])
def test_a_store_that_ignores_a_condition_is_refused_when_the_catalog_is_made(
    place: Place, opened: Opened, monkeypatch: pytest.MonkeyPatch, ignored: str
) -> None:
    real = Bucket.swap

    def swap(self: Bucket, key: str, data: bytes, digest: Digest, etag: str) -> str:
        if (ignored == "If-Match") == bool(etag):
            self.put(key, data, digest)
            return '"whatever"'
        return real(self, key, data, digest, etag)

    monkeypatch.setattr(Bucket, "swap", swap)
    with pytest.raises(mreg.Unavailable, match="the store ignores If-None-Match or If-Match"):
        opened().write(add_event)
    assert place.keys() == []


def test_the_check_of_a_profile_tells_of_a_store_that_ignores_conditions(
    bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    assert command("profile", "check").code == 0
    real = Bucket.swap
    monkeypatch.setattr(
        Bucket, "swap", lambda self, *words: self.put(*words[:3]) and '"x"' if words[3] else real(self, *words)
    )
    done = command("profile", "check")
    assert (done.code, "the store ignores If-None-Match or If-Match" in done.err) == (8, True), done
    assert bucket.keys() == []


def test_a_store_that_knows_no_conditions_is_refused(bucket: Place, proxy: Proxy, opened: Opened) -> None:
    xml = "<Error><Code>NotImplemented</Code><Message>A header you provided</Message></Error>"

    def answer(line: str) -> tuple[str, str, str] | None:
        if line.startswith("PUT") and b"if-none-match" in proxy.head.lower():
            return "501 Not Implemented", "application/xml", xml
        return None

    proxy.answer = answer
    with pytest.raises(mreg.Unavailable, match="the store does not support the request"):
        opened(endpoint=proxy.endpoint).write(add_event)
    assert bucket.keys() == []


def test_a_catalog_that_was_there_and_is_gone_is_not_begun_anew(place: Place, opened: Opened) -> None:
    opened().write(add_event)
    place.delete(KEY)
    for work in read_and_write(opened):
        time.sleep(0)
        with pytest.raises(mreg.Corrupt, match="is missing") as caught:
            work()
    assert place.keys() == []
    copy = str(caught.value).partition(" is missing; a copy on this machine is ")[2]
    with closing(sqlite3.connect(copy)) as raw:
        assert raw.execute("SELECT count(*) FROM events").fetchone() == (1,)
    os.unlink(copy)
    for one in Path(copy).parent.glob("*.db"):
        one.unlink()
    assert opened().write(add_event) == 1  # meant to be gone


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>a proxy</html>",
        gzip.compress(b"no database", mtime=0),
        gzip.compress(b"SQLite format 3\0" + b"x" * 5000, mtime=0),
    ],
)
def test_an_object_that_is_no_catalog_is_told_and_left(place: Place, opened: Opened, data: bytes) -> None:
    place.write(KEY, data)
    for work in read_and_write(opened):
        with pytest.raises(mreg.Corrupt):
            work()
    assert place.read(KEY) == data


def test_an_object_that_is_cut_is_told(place: Place, opened: Opened) -> None:
    opened("another").write(add_event)
    whole = place.read(KEY)
    place.write(KEY, whole[:-20])
    with pytest.raises(mreg.Corrupt, match="its gzip data is incomplete"):
        opened().read(count)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
def test_a_file_of_any_release_may_be_put_there(place: Place, opened: Opened, packed: bool, schema: int) -> None:
    data = (COMPAT / f"schema-{schema}" / "catalog.db").read_bytes()
    place.write(KEY, gzip.compress(data) if packed else data)
    before = opened().read(count)
    assert gzip.decompress(place.read(KEY)) == data if packed else place.read(KEY) == data  # reading changes nothing
    opened().upgrade()
    assert opened().write(add_event) == before + 1
    assert opened("another").read(count) == before + 1


def test_a_newer_schema_is_refused_untouched(place: Place, opened: Opened) -> None:
    shutil.copy(COMPAT / f"schema-{SCHEMA}" / "catalog.db", "c.db")
    raw = sqlite3.connect("c.db")
    raw.execute("PRAGMA journal_mode = DELETE")
    raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    raw.close()
    place.write(KEY, Path("c.db").read_bytes())
    for work in read_and_write(opened):
        with pytest.raises(mreg.Unavailable, match=f"has schema {SCHEMA + 1}, which is newer than this mreg supports"):
            work()
    assert place.read(KEY) == Path("c.db").read_bytes()


def test_who_may_only_read_reads_and_is_refused_writing(
    place: Place, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened("another").write(add_event)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER[1])
    assert opened().read(count) == 1
    with pytest.raises(mreg.Unavailable, match="permission denied"):
        opened().write(add_event)
    assert opened().read(count) == 1


def test_a_machine_that_can_keep_no_copy_works_all_the_same(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for _ in range(2):
        database: Database = BucketDatabase(bucket_of(place), KEY, str(tmp_path / "file" / "below"))
        database.write(add_event)
        assert database.read(count) == database.write(add_event) - 1
        database.close()


def test_a_copy_that_is_removed_or_spoiled_meanwhile_is_fetched_again(opened: Opened, tmp_path: Path) -> None:
    database = opened()
    database.write(add_event)
    for copy in (tmp_path / "machines").rglob("*.db"):
        copy.unlink()
    assert database.read(count) == 1
    assert database.write(add_event) == 2
    shutil.rmtree(tmp_path / "machines")
    assert opened().write(add_event) == 3


def spoil(copy: Path, how: str) -> None:
    data = copy.read_bytes()
    if how == "cut":
        copy.write_bytes(data[: len(data) // 2])
    elif how == "edited":
        assert data.count(b"tester") or data.count(b"someone")
        copy.write_bytes(data.replace(b"someone", b"anybody").replace(b"tester", b"cheats"))
    else:
        copy.write_bytes(b"")


@pytest.mark.parametrize("how", ["cut", "edited", "emptied"])
@pytest.mark.parametrize("young", [True, False])
def test_a_copy_that_was_damaged_here_is_fetched_again_and_never_written_back(
    bucket: Place, monkeypatch: pytest.MonkeyPatch, how: str, young: bool
) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")

    def damage() -> None:
        (copy,) = (Path(os.environ["HOME"]) / ".cache/mreg/catalogs").rglob("*.db")
        spoil(copy, how)
        if not young:
            os.utime(copy, (time.time() - 10,) * 2)

    with local_registry() as registry:
        registry.register("m")
        registry.backup("backup.db")
    damage()
    with local_registry() as registry:
        assert [one.model.created_by for one in registry.models()] == ["tester"]
    damage()
    with local_registry() as registry:
        registry.register("n")
        assert {one.actor for one in registry.history()} == {"tester"}
        registry.verify_audit()
    damage()
    with local_registry() as registry:
        assert {one.state for one in registry.examine()} == {"fine"}
    damage()
    with local_registry() as registry:
        assert registry.restore("backup.db").set_aside == ""
    assert bucket.keys() == [KEY]


def test_a_copy_that_is_damaged_while_it_is_open_is_fetched_again(opened: Opened, tmp_path: Path) -> None:
    opened("another").write(lambda connection: [add_event(connection) for _ in range(2000)])
    database = opened()
    assert database.read(lambda connection: 1) == 1
    (copy,) = (tmp_path / "machines" / "mine").rglob("*.db")
    copy.write_bytes(b"x" * copy.stat().st_size)
    assert database.read(count) == 2000


def test_a_machine_that_never_saw_a_lost_catalog_does_not_begin_a_new_one(
    bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert command("backup", "b.db").code == 0
    bucket.delete(KEY)
    shutil.rmtree(Path(os.environ["HOME"]) / ".cache")
    for words in (
        ["list"],
        ["push", "model.pkl", "--name", "m"],
        ["gc", "--grace", "0s", "--remove", "--yes"],
        ["register", "x"],
    ):
        done = command(*words)
        assert (done.code, "is missing" in done.err, "mreg restore" in done.err) == (6, True, True), (words, done)
    assert not bucket.keys(KEY)
    assert command("restore", "b.db", "--yes").code == 0
    assert command("list", "-q").out == "m\n"
    assert command("verify").code == 0


def test_the_first_use_of_a_place_asks_once_what_else_is_there(
    bucket: Place, proxy: Proxy, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    assert command("list").code == 0
    assert sum("list-type=2" in line for line in proxy.requests) == 1
    proxy.requests.clear()
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert sum("list-type=2" in line for line in proxy.requests) == 1
    puts = [line for line in proxy.requests if line.startswith("PUT")]
    first_blob = next(number for number, line in enumerate(puts) if "/blobs/" in line)
    assert any(f"/{KEY} " in line for line in puts[:first_blob])  # so that bytes without a catalog tell of a loss
    proxy.requests.clear()
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert not any("list-type=2" in line for line in proxy.requests)


@EVERY_PROVIDER
def test_the_first_pushes_of_many_machines_at_once_make_one_catalog(
    bucket: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    Path("model.pkl").write_text("x")
    workers = [
        subprocess.Popen(
            [forked_mreg(), "push", "model.pkl", "--name", f"m{number}"],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / f"machine{number}")},
            stderr=subprocess.PIPE,
        )
        for number in range(5)
    ]
    for worker in workers:
        _, said = worker.communicate()
        assert worker.returncode == 0, said
    with local_registry() as registry:
        assert len(registry.models()) == 5
        registry.verify_audit()


def test_old_copies_do_not_pile_up(opened: Opened, tmp_path: Path) -> None:
    database = opened()
    for _ in range(3):
        database.write(add_event)
    for copy in (tmp_path / "machines").rglob("*.db"):
        os.utime(copy, (1, 1))
    database.write(add_event)
    # The last one, and the one before it, which was used a moment ago.
    assert len(list((tmp_path / "machines").rglob("*.db"))) <= 2


WRITE_FOR_EVER = """
import os, sys
from mreg.catalog.bucket import BucketDatabase
from mreg.stores.bucket import Bucket
from mreg.stores.settings import StoreSettings
from mreg.testing.database import add_event

print(os.getpid(), flush=True)
url, endpoint, key, folder = sys.argv[1:]
database = BucketDatabase(Bucket(url, StoreSettings(endpoint_url=endpoint), print), key, folder)
while True:
    database.write(add_event)
"""


@EVERY_STORE
def test_writers_that_are_killed_leave_nothing_that_blocks(place: Place, opened: Opened, tmp_path: Path) -> None:
    folder = str(tmp_path / "machines" / "mine")
    for _ in range(4):
        worker = subprocess.Popen(
            [forked_mreg(), place.url, place.endpoint, KEY, folder],
            stdout=subprocess.PIPE,
            env={**os.environ, SCRIPT: WRITE_FOR_EVER},
        )
        assert worker.stdout is not None
        number = int(worker.stdout.readline())
        before = 0
        while not before:
            before = opened("another").read(count)
            time.sleep(0.05)
        time.sleep(0.05 * (1 + os.urandom(1)[0] % 8))
        os.kill(number, signal.SIGKILL)
        assert worker.wait() == -signal.SIGKILL
        worker.stdout.close()
        with counted_pauses() as pauses:
            seq = opened("mine").write(add_event)
        assert len(pauses) <= 2  # it waits neither for a lock nor for a lost race
        assert opened("another").read(count) == seq
    # One that is killed while it tries the store can leave its probe, which the next gc removes.
    for key in (f"{KEY}.probe-{'0' * 16}", f"probes/{'0' * 16}", "probes/mine"):
        place.write(key, b"probe")
    database = opened("mine")
    for probe in list(database.abandoned()):
        database.discard(probe)
    assert sorted(place.keys("")) == [KEY, "probes/mine"]


def test_by_its_command(bucket: Place, monkeypatch: pytest.MonkeyPatch, command: Mreg) -> None:
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m", "-q").out == "m@1\n"
    assert [one.partition("/")[0] for one in bucket.keys()]  # noqa: SIM118 == ["blobs", KEY]
    monkeypatch.delenv("MREG_CATALOG")
    monkeypatch.setenv("MREG_ARTIFACTS", bucket.url)
    assert command("show", "m@1", "-q").out == "m@1\n"
    monkeypatch.setenv("MREG_CATALOG", bucket.url.rpartition("/")[0])
    assert command("profile", "show").code == 2


@pytest.fixture
def in_bucket(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A registry with its catalog and its artifacts in a bucket, by variables."""
    monkeypatch.delenv("MREG_ARTIFACTS")
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    return bucket


def local_copy() -> Path:
    """The only copy of a catalog on this machine."""
    (copy,) = (Path(os.environ["HOME"]) / ".cache/mreg/catalogs").rglob("*.db")
    return copy


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "not a catalog": lambda _: b"<html>a proxy</html>",
    "cut": lambda data: data[:-20],
    "overwritten pages": lambda data: gzip.compress(
        (raw := gzip.decompress(data))[:4096] + b"x" * 8192 + raw[12288:], mtime=0
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_restore_keeps_the_damaged_object_under_another_name(in_bucket: Place, command: Mreg, damage: str) -> None:
    assert command("register", "m").code == 0
    assert command("backup", "b.db").code == 0
    damaged = DAMAGES[damage](in_bucket.read(KEY))
    in_bucket.write(KEY, damaged)
    done = command("restore", "b.db", "--yes")
    assert done.code == 0, done
    (aside,) = [key for key in in_bucket.keys() if key != KEY]  # noqa: SIM118  a list of names
    assert aside.startswith(f"{KEY}.damaged-2")
    assert f"the damaged catalog is at {in_bucket.url}/{aside}" in done.err
    assert in_bucket.read(aside) == damaged
    assert command("list", "-q").out == "m\n"
    assert command("register", "n").code == 0


def test_restore_sets_aside_a_damaged_object_with_the_local_copy_that_was_made_of_it(
    in_bucket: Place, command: Mreg
) -> None:
    assert command("register", "m").code == 0
    assert command("backup", "b.db").code == 0
    in_bucket.write(KEY, DAMAGES["overwritten pages"](in_bucket.read(KEY)))
    assert command("list").code in (0, 6)  # this machine now has a copy of the damaged object
    copies = list((Path(os.environ["HOME"]) / ".cache/mreg/catalogs").rglob("*.db"))
    assert command("restore", "b.db", "--yes").code == 0
    assert not [copy for copy in copies if copy.exists()]
    assert command("list", "-q").out == "m\n"


@pytest.mark.parametrize("damage", ["gone", "gone, without a copy here", *DAMAGES])
def test_the_check_of_a_profile_finds_a_catalog_that_is_lost_or_damaged(
    in_bucket: Place, command: Mreg, damage: str
) -> None:
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    if damage in DAMAGES:
        in_bucket.write(KEY, DAMAGES[damage](in_bucket.read(KEY)))
    else:
        in_bucket.delete(KEY)
    if damage == "gone, without a copy here":
        shutil.rmtree(Path(os.environ["HOME"]) / ".cache")
    done = command("profile", "check")
    assert (done.code, "failed" in done.out.splitlines()[1]) == (8, True), done
    assert ("is missing" in done.err) == damage.startswith("gone")
    assert "mreg restore" in done.err
    assert not in_bucket.keys(f"{KEY}.probe")
    if damage != "overwritten pages":  # of which a probe beside the object knows nothing
        with local_registry() as registry, pytest.raises(mreg.Corrupt):
            registry._session.catalog.try_writing()
    assert in_bucket.keys(KEY) == ([KEY] if damage in DAMAGES else [])


def test_the_hint_of_a_lost_catalog_restores_the_copy_on_this_machine(in_bucket: Place, command: Mreg) -> None:
    assert command("register", "m").code == 0
    in_bucket.delete(KEY)
    done = command("list")
    assert done.code == 6
    hint = done.err.splitlines()[1].strip().partition("; ")[0]
    assert shlex.split(hint) == ["mreg", "restore", str(local_copy())]
    assert command(*shlex.split(hint)[1:], "--yes").code == 0
    assert command("list", "-q").out == "m\n"


@pytest.mark.parametrize("how", ["cut", "emptied"])
def test_the_hint_of_a_lost_catalog_does_not_offer_a_damaged_copy(in_bucket: Place, command: Mreg, how: str) -> None:
    assert command("register", "m").code == 0
    in_bucket.delete(KEY)
    spoil(local_copy(), how)
    done = command("list")
    assert (done.code, "  restore a backup: mreg restore FILE; " in done.err) == (6, True), done


def test_pauses_after_lost_races_grow_and_stay_within_bounds() -> None:
    random.seed(7)
    longest = []
    for losses in (1, 2, 3, 4, 5, 10, 40, 100, 1024, 10**6):
        pauses = [object_database._pause(losses) for _ in range(200)]
        assert min(pauses) >= object_database.FIRST_PAUSE / 2, losses
        assert max(pauses) <= object_database.LONGEST_PAUSE, losses
        assert max(pauses) > 1.5 * min(pauses), losses  # so that the losers of one race do not meet again
        longest.append(max(pauses))
    assert longest[:4] == sorted(longest[:4])
    assert longest[1] > 1.5 * longest[0]
    assert all(one >= object_database.SHORTEST_PAUSE / 2 for one in longest[5:])
    assert max(longest[6:]) < max(longest)  # the longest loser is let in first


def test_pauses_double_up_to_the_longest_and_then_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: bounds.append((low, high)))
    for losses in range(1, 13):
        object_database._pause(losses)
    assert [high for _, high in bounds] == pytest.approx(
        [0.06, 0.12, 0.24, 0.48, 0.8, 0.6, 0.45, 0.3375, 0.253125, 0.2, 0.2, 0.2]
    )
    assert [low * 2 for low, _ in bounds] == [high for _, high in bounds]


@pytest.mark.usefixtures("courteous")
def test_a_write_soon_after_another_one_lets_other_machines_write_first(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened()
    bounds: list[tuple[float, float]] = []

    def longest(low: float, high: float) -> float:
        bounds.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", longest)
    with counted_pauses() as pauses:
        database.write(add_event)
        assert (bounds, pauses) == ([], [])
        for age, expected in ((0.25, []), (0.15, [(0, 0.15)])):
            copy = database._local.last()
            assert copy is not None
            now = os.stat(copy.path).st_mtime + age
            monkeypatch.setattr("mreg.catalog.local_copy.time", SimpleNamespace(time=lambda now=now: now))
            database.write(add_event)
            assert bounds == expected, age
    assert pauses == [0.15]


def test_a_writer_that_loses_every_race_does_not_hammer_the_store(
    place: Place, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened()
    database.write(add_event)
    now, puts = [0.0], [0]
    file, client = gzip.decompress(place.read(KEY)), place.server.client()

    class Clock:
        """A clock that only pauses move, so that the test needs no minute."""

        monotonic = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds: float) -> None:
            now[0] += seconds

    def lose(self: Bucket, *_words: object) -> str:
        puts[0] += 1
        assert puts[0] < 1000
        faster = gzip.compress(file, 1, mtime=puts[0])
        client.put_object(Bucket=BUCKET, Key=f"{place.prefix}/{KEY}", Body=faster)
        return ""

    monkeypatch.setattr(object_database, "time", Clock)
    monkeypatch.setattr(Bucket, "swap", lose)
    with pytest.raises(mreg.Conflict, match=r"is busy: \d+ attempts lost against other writers"):
        database.write(add_event)
    assert 60 <= now[0] < 60.5
    assert puts[0] < 600
    now[0], puts[0] = 0.0, 0
    monkeypatch.setattr(object_database, "_pause", lambda _losses: object_database.SECONDS / 4)
    with pytest.raises(
        mreg.Conflict, match="is busy: 5 attempts lost against other writers"
    ):  # the last of them in time
        database.write(add_event)


def test_an_upgrade_of_a_current_or_missing_catalog_makes_no_backup(place: Place, opened: Opened) -> None:
    assert (opened().upgrade(), place.keys()) == ("", [])
    opened().write(add_event)
    assert (opened().upgrade(), place.keys()) == ("", [KEY])


def test_a_write_soon_after_reading_an_older_schema_does_not_upgrade_it(place: Place, opened: Opened) -> None:
    data = (COMPAT / f"schema-{SCHEMA - 1}" / "catalog.db").read_bytes()
    place.write(KEY, data)
    database = opened()
    database.read(count)
    with pytest.raises(mreg.MregError, match="it has schema"):
        database.write(add_event)
    assert place.read(KEY) == data


def test_restore_sets_aside_the_local_copy_of_a_lost_catalog(opened: Opened, place: Place) -> None:
    database = opened()
    database.write(add_event)
    place.delete(KEY)
    aside = database.set_aside()
    with closing(sqlite3.connect(aside)) as raw:
        assert raw.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_a_marker_over_which_no_catalog_can_be_made_is_reported(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Bucket.swap
    monkeypatch.setattr(Bucket, "revives", False)
    monkeypatch.setattr(Bucket, "swap", lambda self, key, *words: "" if key == KEY else real(self, key, *words))
    with (
        counted_pauses(),
        pytest.raises(
            ConditionalWritesUnsupported, match="the store refuses a new object over the delete marker"
        ) as caught,
    ):
        opened().write(add_event)
    assert caught.value.versioned


def test_a_put_that_is_refused_although_nobody_was_faster_is_told_at_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = opened()
    database.write(add_event)
    real = Bucket.swap

    def refuse(self: Bucket, key: str, data: bytes, digest: Digest, etag: str) -> str:
        return "" if etag else real(self, key, data, digest, etag)

    monkeypatch.setattr(Bucket, "swap", refuse)
    with (
        counted_pauses() as pauses,
        pytest.raises(mreg.Unavailable, match="as a catalog: the store refuses If-Match even with the right"),
    ):
        database.write(add_event)
    assert len(pauses) < 3


def test_the_check_before_a_push_creates_nothing_once_the_catalog_is_known(
    bucket: Place, proxy: Proxy, opened: Opened
) -> None:
    opened("another").write(add_event)
    database = opened(endpoint=proxy.endpoint)
    for expected in (["GET"], [], []):  # a catalog that this machine had no copy of
        proxy.requests.clear()
        database.begin()
        assert [line.split()[0] for line in proxy.requests] == expected
    proxy.requests.clear()
    opened(endpoint=proxy.endpoint).begin()  # another process, which finds the copy
    assert [line.split()[0] for line in proxy.requests] == ["GET"]
    database.close()
    proxy.requests.clear()
    database.begin()
    assert [line.split()[0] for line in proxy.requests] == ["GET"]


def test_the_check_before_a_push_creates_the_catalog_once_and_says_so(place: Place, tmp_path: Path) -> None:
    said: list[str] = []
    database = BucketDatabase(bucket_of(place), KEY, str(tmp_path / "copies"), notice=said.append)
    for _ in range(2):
        database.begin()
        assert (place.keys(), said) == ([KEY], [f"created the registry {place.url}/{KEY}"])
    assert database.read(count) == 0
    database.close()


@pytest.mark.parametrize("known", [True, False])
def test_the_check_before_a_push_refuses_an_older_catalog(place: Place, opened: Opened, known: bool) -> None:
    data = (COMPAT / f"schema-{SCHEMA - 1}" / "catalog.db").read_bytes()
    place.write(KEY, data)
    if known:
        opened().read(count)
    database = opened()
    for _ in range(2):
        with pytest.raises(mreg.MregError, match=f"it has schema {SCHEMA - 1}"):
            database.begin()
    assert place.read(KEY) == data


@pytest.mark.parametrize("kept", [True, False])
def test_a_catalog_that_was_read_is_lost_although_it_could_be_new_before(
    place: Place, tmp_path: Path, kept: bool
) -> None:
    """The first check permits a new catalog; a catalog that was read after it cannot be new any more."""
    folder = tmp_path / "copies"
    orphans = [""]
    if not kept:
        folder.write_text("no folder")
    database = BucketDatabase(bucket_of(place), KEY, str(folder), lambda: orphans[0])
    assert database.read(count) == 0
    other = BucketDatabase(bucket_of(place), KEY, str(folder if kept else tmp_path / "other"))
    other.write(add_event)
    other.close()
    assert database.read(count) == 1
    place.delete(KEY)
    if kept:
        shutil.rmtree(folder)
    orphans[0] = "s3://elsewhere/artifacts"
    with pytest.raises(mreg.Corrupt, match="is missing, but its artifacts are still in s3://elsewhere/artifacts"):
        database.read(count)
    with pytest.raises(mreg.Corrupt, match="is missing, but its artifacts are still in s3://elsewhere/artifacts"):
        database.write(add_event)
    assert place.keys() == []
    database.permit_new()
    assert database.write(add_event) == 1
    database.close()


@pytest.mark.parametrize("schema", [SCHEMA - 1, SCHEMA])
def test_a_read_does_not_load_the_copy_on_disk_into_memory(
    place: Place, opened: Opened, monkeypatch: pytest.MonkeyPatch, schema: int
) -> None:
    place.write(KEY, (COMPAT / f"schema-{schema}" / "catalog.db").read_bytes())
    loads: list[bool] = []
    whole = Copy.whole

    def counting(self: Copy, *, loaded: bool) -> Copy | None:
        loads.append(loaded)
        return whole(self, loaded=loaded)

    monkeypatch.setattr(Copy, "whole", counting)
    database = opened()
    assert database.schema() == schema
    expected = database.read(count)
    assert opened().read(count) == expected  # from the copy
    assert True not in loads
