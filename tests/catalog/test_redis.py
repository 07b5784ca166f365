"""What is Redis's own: lost answers, settings that lose a catalog, replicas, clusters, crashes."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import mreg
from mreg import waiting
from mreg.catalog import redis_connection
from mreg.catalog.database import Connection
from mreg.catalog.redis import RedisDatabase
from mreg.domain.password import Password
from mreg.domain.redis_url import parse_redis_url
from mreg.testing.database import add_event, count
from tests.conftest import Mreg, counted_pauses
from tests.proxy import Proxy
from tests.servers import RedisServer, free_ports

Opened = Callable[..., RedisDatabase]


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return redis_server.new_catalog()


@pytest.fixture
def key(url: str) -> str:
    return url.rpartition("/")[2]


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Opened:
    def one(machine: str = "mine", place: str = "", said: list[str] | None = None) -> RedisDatabase:
        parts, login = parse_redis_url(place or url)
        notice = (lambda _text: None) if said is None else said.append
        folder = str(tmp_path / "machines" / machine)
        return RedisDatabase(parts, folder, notice=notice, password=Password(login.password))

    return one


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(redis_server.port)
    yield proxy
    proxy.stop()


@pytest.fixture
def behind(proxy: Proxy, redis_server: RedisServer, key: str) -> str:
    """The URL of the catalog through the proxy."""
    return redis_server.url(key, proxy.port)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, which it starts."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def second() -> Iterator[RedisServer]:
    """Another one."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_connection, "SECONDS", 0.5)
    monkeypatch.setattr(redis_connection, "FIRST_SECONDS", 0.5)


@pytest.fixture
def by_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes a URL the catalog of the commands of a test."""

    def use(url: str) -> None:
        (tmp_path / "artifacts").mkdir(exist_ok=True)
        monkeypatch.setenv("MREG_CATALOG", url)
        monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "artifacts"))

    return use


Use = Callable[[str], None]


def test_the_value_is_the_sha256_and_the_sqlite_file_compressed(
    redis_server: RedisServer, key: str, opened: Opened
) -> None:
    opened().write(add_event)
    head, _, data = redis_server.run("GET", key).partition(b"\n")
    assert len(head) == 64
    Path("catalog.db").write_bytes(gzip.decompress(data))
    with closing(sqlite3.connect("catalog.db")) as raw:
        assert raw.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_a_copy_that_is_still_the_servers_is_not_fetched_again(
    redis_server: RedisServer, key: str, proxy: Proxy, behind: str, opened: Opened
) -> None:
    opened(place=behind).write(lambda connection: [add_event(connection) for _ in range(5000)])
    size = len(redis_server.run("GET", key))
    proxy.heal()
    assert opened(place=behind).read(count) == 5000
    assert proxy.down < size / 4
    opened("another", behind).read(count)
    assert proxy.down > size


def test_what_another_machine_wrote_is_seen_by_a_write_that_expected_nothing(opened: Opened) -> None:
    mine, other = opened("mine"), opened("other")
    mine.write(add_event)
    other.write(add_event)
    assert mine.write(add_event) == 3  # swapped on the old copy in vain, then again


@pytest.mark.parametrize("times", [1, 2])
def test_a_swap_whose_answer_is_lost_is_made_once(proxy: Proxy, behind: str, opened: Opened, times: int) -> None:
    database = opened(place=behind)
    database.write(add_event)
    left = [times]

    def lose(line: str) -> bool:
        left[0] -= line == "EXEC"
        return line == "EXEC" and left[0] >= 0

    proxy.lose_answer = lose
    tries = []

    def fn(connection: Connection) -> int:
        tries.append(1)
        return add_event(connection)

    assert database.write(fn) == 2
    assert (database.read(count), len(tries)) == (2, 1)
    assert left[0] < times


def test_a_swap_whose_answer_is_lost_and_overtaken_is_found_by_its_id(
    proxy: Proxy, behind: str, opened: Opened
) -> None:
    database, other = opened(place=behind), opened("other")
    database.write(add_event)
    first = [True]

    def lose(line: str) -> bool:
        if line == "EXEC" and first:
            first.clear()
            threading.Thread(target=write_after, args=(other, 2)).start()
            return True
        return False

    proxy.lose_answer = lose
    assert database.write(add_event) == 2
    assert other.write(lambda connection: None) is None
    deadline = time.monotonic() + 20
    while database.read(count) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert database.read(count) == 3


def write_after(database: RedisDatabase, events: int) -> None:
    """Write once there are so many events."""
    while database.read(count) < events:
        pass
    database.write(add_event)


def test_a_swap_that_never_arrives_is_told_as_not_known(
    proxy: Proxy, behind: str, opened: Opened, impatient: None
) -> None:
    database = opened(place=behind)
    database.write(add_event)

    def lose(line: str) -> bool:
        if line == "EXEC":
            threading.Thread(target=proxy.stop).start()
        return line == "EXEC"

    proxy.lose_answer = lose
    with pytest.raises(mreg.Unavailable, match="it is unknown whether the change was made") as caught:
        database.write(add_event)
    assert "mreg history" in caught.value.hint
    assert opened("other").read(count) in (1, 2)


def test_a_server_that_cannot_be_reached_before_a_swap_changed_nothing(
    proxy: Proxy, behind: str, opened: Opened, impatient: None
) -> None:
    database = opened(place=behind)
    database.write(add_event)
    proxy.stop()
    with pytest.raises(mreg.Unavailable) as caught:
        database.write(add_event)
    assert "unknown" not in caught.value.message


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_connection_that_is_cut_is_made_again(proxy: Proxy, behind: str, opened: Opened, way: str) -> None:
    writer = opened(place=behind)
    writer.write(lambda connection: [add_event(connection) for _ in range(500)])
    for number, limit in enumerate((1, 100, 1000, 3000, 5000)):
        proxy.heal()
        setattr(proxy, f"cut_{way}_after", limit)
        assert writer.write(add_event) == 501 + number
        setattr(proxy, f"cut_{way}_after", proxy.down + limit)
        assert opened(f"m{number}", behind).read(count) == 501 + number


def test_a_server_that_falls_silent_is_told_and_given_up(
    proxy: Proxy, behind: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "NOTICE_AFTER_SECONDS", 0.5)
    monkeypatch.setattr(redis_connection, "SILENCE_SECONDS", 1.5)
    said: list[str] = []
    database = opened(place=behind, said=said)
    database.write(add_event)
    proxy.silent = True
    works: tuple[Callable[[], object], ...] = (lambda: database.read(count), lambda: database.write(add_event))
    for work in works:
        with pytest.raises(mreg.Unavailable, match="it does not respond") as caught:
            work()
        assert "unknown" not in caught.value.message
    assert any(one.startswith("waiting for redis://127.0.0.1") for one in said)


def test_a_slow_server_is_waited_for(
    proxy: Proxy, behind: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connection, "SILENCE_SECONDS", 2)
    monkeypatch.setattr(redis_connection, "PIECE", 100)
    proxy.delay = 0.3
    database = opened(place=behind)
    database.write(lambda connection: [add_event(connection) for _ in range(500)])
    assert opened("another", behind).read(count) == 500


def test_a_catalog_that_was_there_and_is_gone_is_not_begun_anew(
    redis_server: RedisServer, key: str, opened: Opened
) -> None:
    opened().write(add_event)
    redis_server.run("DEL", key)
    works: tuple[Callable[[], object], ...] = (lambda: opened().read(count), lambda: opened().write(add_event))
    for work in works:
        with pytest.raises(mreg.Corrupt, match="is missing; a copy on this machine is"):
            work()
    assert redis_server.run("EXISTS", key) == 0


def test_a_machine_that_never_saw_a_lost_catalog_does_not_begin_a_new_one(
    redis_server: RedisServer, url: str, key: str, by_command: Use, command: Mreg
) -> None:
    by_command(url)
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert command("backup", "b.db").code == 0
    redis_server.run("DEL", key)
    shutil.rmtree(Path(os.environ["HOME"]) / ".cache")
    for words in (["list"], ["push", "model.pkl", "--name", "m"], ["register", "x"]):
        done = command(*words)
        assert (done.code, "is missing" in done.err, "mreg restore" in done.err) == (6, True, True), (words, done)
    assert command("restore", "b.db", "--yes").code == 0
    assert command("list", "-q").out == "m\n"


KILLED = {
    "an append-only file": ({}, 1),
    "snapshots only": ({"appendonly": "no", "save": "3600 1"}, 0),
    "nothing": ({"appendonly": "no", "save": ""}, 0),
}


@pytest.mark.parametrize("persistence", KILLED)
def test_a_server_that_is_killed_keeps_what_it_can(server: RedisServer, opened: Opened, persistence: str) -> None:
    server.options, kept = KILLED[persistence]
    server.start()
    database = opened(place=server.url())
    database.write(add_event)
    server.kill()
    back = threading.Timer(0.3, server.start)
    back.start()
    if kept:
        assert database.write(add_event) == 2  # it waits for the server
        assert opened("other", server.url()).read(count) == 2
    else:
        with pytest.raises(mreg.Corrupt, match="is missing; a copy on this machine is") as caught:
            database.read(count)
        assert "mreg restore" in caught.value.hint
    back.join()


def test_a_missing_extra_is_told_with_the_command_that_adds_it(
    url: str, by_command: Use, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_command(url)
    monkeypatch.setitem(sys.modules, "mreg.catalog.redis", None)
    done = command("list")
    assert (done.code, f"cannot open the catalog {url}: the package redis is not installed" in done.err) == (8, True)
    assert "'mreg[redis]'" in done.err


REMARKS = [
    ({}, []),
    ({"appendfsync": "everysec"}, ["appendfsync everysec: a power failure of the server can lose the last second"]),
    ({"appendfsync": "no"}, ["appendfsync no: a power failure of the server can lose the last writes"]),
    (
        {"appendonly": "no", "save": "3600 1 300 100"},
        [
            "appendonly no: if the server crashes, it loses the writes since the last snapshot (save 3600 1 300 100); to "
            "keep it: {cli} CONFIG SET appendonly yes, and set it in the configuration file"
        ],
    ),
    (
        {"appendonly": "no", "save": ""},
        [
            "appendonly no, and save is empty: if the server stops, it loses the catalog; to keep it: {cli} CONFIG SET "
            "appendonly yes, and set it in the configuration file"
        ],
    ),
    (
        {"appendonly": "no", "rename-command": "CONFIG FORBIDDEN"},
        [
            "appendonly no, and CONFIG is not allowed, so mreg cannot check save: if the server crashes, it loses the "
            "writes that it did not save"
        ],
    ),
    (
        {"rename-command": "CONFIG FORBIDDEN"},
        ["CONFIG is not allowed, so mreg cannot check appendfsync: a power failure can lose the last writes"],
    ),
    (
        {"rename-command": "INFO FORBIDDEN"},
        ["INFO is not allowed, so mreg cannot check role, maxmemory-policy, appendonly and cluster-enabled"],
    ),
]


@pytest.mark.parametrize(("options", "remarks"), REMARKS)
def test_the_check_of_a_profile_tells_what_the_server_can_lose(
    server: RedisServer, options: dict[str, str], remarks: list[str], by_command: Use, command: Mreg
) -> None:
    server.options = options
    server.start()
    by_command(server.url())
    remarks = [remark.replace("{cli}", f"redis-cli -h 127.0.0.1 -p {server.port} -n 0") for remark in remarks]
    done = command("profile", "check", "--format", "csv")
    assert done.code == 0, done
    rows = [line for line in done.out.splitlines() if line.startswith("settings of the server")]
    assert len(rows) == len(remarks)
    for row, remark in zip(rows, remarks, strict=True):
        assert remark in row
    assert server.run("DBSIZE") == 0
    Path("model.pkl").write_text("x")
    assert command("push", "model.pkl", "--name", "m").code == 0
    assert all(remark in command("doctor", "--format", "csv").out for remark in remarks)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_a_server_that_evicts_keys_is_read_and_not_written(
    server: RedisServer, policy: str, by_command: Use, command: Mreg
) -> None:
    server.start()
    by_command(server.url())
    assert command("register", "m").code == 0
    server.run("CONFIG", "SET", "maxmemory-policy", policy)
    assert command("register", "n").code == 0  # without a limit, nothing is evicted
    server.run("CONFIG", "SET", "maxmemory", "100mb")
    assert sorted(command("list", "-q").out.split()) == ["m", "n"]
    assert command("backup", "b.db").code == 0  # so that the catalog can be moved
    message = f"the server removes keys when its memory is full (maxmemory-policy {policy})"
    for words in (["register", "o"], ["profile", "check"]):
        done = command(*words)
        assert (done.code, message in done.err) == (8, True), done
        remedy = f"redis-cli -h 127.0.0.1 -p {server.port} -n 0 CONFIG SET maxmemory-policy noeviction, "
        assert f"  {remedy}" in done.err
    server.run("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    assert command("register", "o").code == 0


def test_a_full_server_is_told_and_changes_nothing(server: RedisServer, by_command: Use, command: Mreg) -> None:
    server.options = {"maxmemory-policy": "noeviction"}
    server.start()
    by_command(server.url())
    assert command("register", "m").code == 0
    before = server.run("GET", "mreg")
    server.run("CONFIG", "SET", "maxmemory", "1")
    for words in (["register", "n"], ["profile", "check"]):
        done = command(*words)
        assert (done.code, "the server is full (maxmemory)" in done.err) == (8, True), done
        assert "unknown whether" not in done.err
    assert command("list", "-q").out == "m\n"
    server.run("CONFIG", "SET", "maxmemory", "0")
    assert server.run("GET", "mreg") == before


def test_a_key_with_an_expiry_is_told_with_the_remedy(
    redis_server: RedisServer, url: str, key: str, by_command: Use, command: Mreg
) -> None:
    by_command(url)
    assert command("register", "m").code == 0
    redis_server.run("EXPIRE", key, 1000)
    for words in (["list"], ["register", "n"], ["profile", "check"]):
        done = command(*words)
        assert (done.code, f"the key {key} has an expiry (EXPIRE)" in done.err) == (8, True), done
        assert f"  redis-cli -h 127.0.0.1 -p {redis_server.port} -n 0 PERSIST {key}\n" in done.err
    redis_server.run("PERSIST", key)
    assert command("register", "n").code == 0
    assert redis_server.run("TTL", key) == -1


def test_a_key_of_another_type_is_told_and_set_aside_by_a_restore(
    redis_server: RedisServer, url: str, key: str, by_command: Use, command: Mreg
) -> None:
    by_command(url)
    assert command("register", "m").code == 0
    assert command("backup", "b.db").code == 0
    redis_server.run("DEL", key)
    redis_server.run("RPUSH", key, "a", "b")
    shutil.rmtree(Path(os.environ["HOME"]) / ".cache")
    for words in (["list"], ["register", "n"]):
        done = command(*words)
        assert (done.code, f"the key {key} has a value of another type" in done.err) == (6, True), done
    done = command("restore", "b.db", "--yes")
    assert done.code == 0, done
    (aside,) = redis_server.run("KEYS", f"{key}.damaged-*")
    assert f"the damaged catalog is at {url.rpartition('/')[0]}/{aside.decode()}" in done.err
    assert redis_server.run("LRANGE", aside, 0, -1) == [b"a", b"b"]
    assert command("list", "-q").out == "m\n"


def test_a_wrong_password_is_told_and_not_shown(
    server: RedisServer, by_command: Use, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.options = {"requirepass": "right-one"}
    server.start()
    by_command(server.url())
    monkeypatch.setenv("REDISCLI_AUTH", "hunter2-wrong")
    with counted_pauses() as pauses:
        done = command("list")
    assert (done.code, "wrong user name or password" in done.err, pauses) == (8, True, []), done
    monkeypatch.setenv("MREG_CATALOG", f"redis://:hunter2-wrong@127.0.0.1:{server.port}")
    said = command("list", "--debug").err
    assert "hunter2" not in done.err + said
    monkeypatch.setenv("MREG_CATALOG", server.url())
    monkeypatch.delenv("REDISCLI_AUTH")
    done = command("list")
    assert (done.code, "the server requires a password" in done.err, "REDISCLI_AUTH" in done.err) == (8, True, True)
    monkeypatch.setenv("REDISCLI_AUTH", "right-one")
    assert command("register", "m").code == 0
    monkeypatch.delenv("REDISCLI_AUTH")
    monkeypatch.setenv("MREG_CATALOG", f"redis://:right-one@127.0.0.1:{server.port}")
    done = command("list", "-q")
    assert (done.code, done.out) == (0, "m\n")
    server.run("CONFIG", "SET", "requirepass", "")
    done = command("list")
    assert (done.code, "the server has no password" in done.err) == (8, True), done


def test_a_user_with_the_documented_permissions_can_do_everything(
    server: RedisServer, by_command: Use, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    rights = (Path(__file__).parents[2] / "docs/how-to/redis.md").read_text().split("ACL SETUSER ")[1:]
    for line in rights[:2]:
        words = line.partition("\n")[0].replace("'", "").replace("\\|", "|").split()
        server.run("ACL", "SETUSER", *[word.replace("PASSWORD", f"secret-of-{words[0]}") for word in words])
    by_command(server.url())
    Path("model.pkl").write_text("x")
    monkeypatch.setenv("MREG_CATALOG", f"redis://mreg:secret-of-mreg@127.0.0.1:{server.port}")
    assert command("push", "model.pkl", "--name", "m").code == 0
    done = command("profile", "check")
    assert done.code == 0, done
    assert command("backup", "b.db").code == 0
    server.run("SET", "mreg", "damaged")
    assert command("restore", "b.db", "--yes").code == 0
    monkeypatch.setenv("MREG_CATALOG", f"redis://mreg-reader:secret-of-mreg-reader@127.0.0.1:{server.port}")
    assert command("list", "-q").out == "m\n"
    done = command("register", "n")
    assert (done.code, "permission denied" in done.err, "unknown whether" in done.err) == (8, True, False), done
    monkeypatch.setenv("MREG_CATALOG", f"redis://mreg:secret-of-mreg@127.0.0.1:{server.port}/0/other")
    done = command("list")
    assert (done.code, "permission denied" in done.err) == (8, True), done


def certificates(folder: Path) -> None:
    """Make a certificate authority, and a certificate for ``localhost`` that it signed."""
    for words in (
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca",
         "-addext", "keyUsage=critical,keyCertSign"],
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt",
         "-extfile", "ext"],
    ):  # fmt: skip
        (folder / "ext").write_text("subjectAltName=DNS:localhost\nauthorityKeyIdentifier=keyid\n")
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def test_tls_is_verified(server: RedisServer, by_command: Use, command: Mreg, tmp_path: Path) -> None:
    certificates(tmp_path)
    port, server.options = server.port, {
        "tls-cert-file": str(tmp_path / "server.crt"), "tls-key-file": str(tmp_path / "server.key"),
        "tls-ca-cert-file": str(tmp_path / "ca.crt"), "tls-port": str(server.port), "port": "0", "tls-auth-clients": "optional",
    }  # fmt: skip
    server.start()
    trusting = f"rediss://localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca.crt'}"
    by_command(trusting)
    assert command("register", "m").code == 0
    assert command("list", "-q").out == "m\n"
    own = f"&ssl_certfile={tmp_path / 'server.crt'}&ssl_keyfile={tmp_path / 'server.key'}"
    by_command(trusting + own)
    assert command("list", "-q").out == "m\n"
    by_command(f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=none")
    assert command("list").code == 0
    for place, message in (
        (f"rediss://localhost:{port}/0", f"cannot trust the certificate of localhost:{port}: "),
        (trusting.replace("localhost", "127.0.0.1"), f"cannot trust the certificate of 127.0.0.1:{port}: "),
        (trusting.replace("ca.crt", "missing.crt"), "cannot read a file of TLS: No such file or directory"),
    ):
        by_command(place)
        with counted_pauses() as pauses:
            done = command("list")
        assert (done.code, message in done.err, pauses) == (8, True, []), done


@pytest.mark.parametrize("tls", [True, False])
def test_the_wrong_scheme_is_told(
    server: RedisServer,
    by_command: Use,
    command: Mreg,
    tmp_path: Path,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    tls: bool,
) -> None:
    if tls:
        certificates(tmp_path)
        server.options = {
            "tls-cert-file": str(tmp_path / "server.crt"), "tls-key-file": str(tmp_path / "server.key"),
            "tls-ca-cert-file": str(tmp_path / "ca.crt"), "tls-port": str(server.port), "port": "0",
        }  # fmt: skip
    server.start()
    monkeypatch.setattr(redis_connection, "SILENCE_SECONDS", 1)
    by_command(f"redis{'' if tls else 's'}://127.0.0.1:{server.port}")
    done = command("list")
    assert (done.code, f"write redis{'s' if tls else ''}://127.0.0.1:{server.port}" in done.err) == (8, True), done


@pytest.mark.parametrize(
    ("place", "remedy"),
    [
        ("redis://127.0.0.1:1", "redis-cli -h 127.0.0.1 -p 1 -n 0 PING"),
        ("redis://nowhere.invalid", "redis-cli -h nowhere.invalid -p 6379 -n 0 PING"),
        ("redis://[::1]:1/2", "redis-cli -h ::1 -p 1 -n 2 PING"),
        ("rediss://127.0.0.1:1", "redis-cli -h 127.0.0.1 -p 1 --tls -n 0 PING"),
    ],
)
def test_a_server_that_is_not_there_is_told_soon(
    place: str, remedy: str, by_command: Use, command: Mreg, impatient: None
) -> None:
    by_command(place)
    done = command("list")
    assert done.code == 8
    assert f"cannot use the catalog {place}" in done.err
    assert f"check that the server runs at this address: {remedy}" in done.err


def test_a_database_that_the_server_does_not_have_is_told(url: str, by_command: Use, command: Mreg) -> None:
    by_command(url.replace("/0/", "/99/"))
    done = command("list")
    assert (done.code, "the server has no database 99" in done.err) == (8, True), done


def replicate(primary: RedisServer, replica: RedisServer) -> None:
    """Return once the replica has what the primary has."""
    replica.run("REPLICAOF", "127.0.0.1", primary.port)
    deadline = time.monotonic() + 30
    while b"master_link_status:up" not in replica.run("INFO", "replication") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert primary.run("WAIT", 1, 10_000) == 1


def test_a_replica_is_neither_read_nor_written(
    server: RedisServer, second: RedisServer, by_command: Use, command: Mreg
) -> None:
    server.start()
    second.start()
    by_command(server.url())
    assert command("register", "m").code == 0
    replicate(server, second)
    by_command(second.url())
    for words in (["list"], ["register", "n"], ["profile", "check"]):
        done = command(*words)
        message = f"the server is a replica of 127.0.0.1:{server.port} (replicaof), and its data can be old"
        remedy = f"redis-cli -h 127.0.0.1 -p {second.port} -n 0 REPLICAOF NO ONE"
        assert (done.code, message in done.err, remedy in done.err) == (8, True, True), done


@pytest.mark.parametrize("arrived", [True, False])
def test_a_failover_in_the_middle_of_a_write_loses_no_confirmed_write(
    server: RedisServer, second: RedisServer, opened: Opened, arrived: bool
) -> None:
    """The write is in progress when the primary fails, and goes on at the replica that was promoted."""
    server.start()
    second.start()
    proxy = Proxy(server.port)
    database = opened(place=server.url(port=proxy.port))
    database.write(add_event)
    replicate(server, second)

    before = second.run("GET", "mreg")

    def fail(line: str) -> bool:
        if line != "EXEC" or proxy.target != server.port:
            return False
        proxy.target = free_ports(1)[0]  # nothing answers until the replica is promoted
        if not arrived:
            server.kill()
        threading.Thread(target=promote).start()
        return True

    def promote() -> None:
        deadline = time.monotonic() + 20
        while arrived and second.run("GET", "mreg") == before and time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
        second.run("REPLICAOF", "NO", "ONE")
        proxy.target = second.port

    proxy.lose_answer = fail
    try:
        assert database.write(add_event) == 2
        assert database.read(count) == 2
        assert opened("other", second.url()).read(count) == 2
    finally:
        proxy.stop()


def test_a_primary_that_became_a_replica_is_waited_for_until_the_new_one_answers(
    server: RedisServer, second: RedisServer, opened: Opened
) -> None:
    server.start()
    second.start()
    proxy = Proxy(server.port)
    database = opened(place=server.url(port=proxy.port))
    try:
        database.write(add_event)
        replicate(server, second)
        second.run("REPLICAOF", "NO", "ONE")
        server.run("REPLICAOF", "127.0.0.1", second.port)
        change = threading.Timer(0.5, lambda: setattr(proxy, "target", second.port))
        change.start()
        assert database.write(add_event) == 2
        assert database.read(count) == 2
        change.join()
    finally:
        proxy.stop()


def test_what_a_failover_lost_is_not_brought_back(
    server: RedisServer, second: RedisServer, opened: Opened, tmp_path: Path
) -> None:
    """The documented limit: the replica had not received the last write when it was promoted."""
    server.start()
    second.start()
    proxy = Proxy(server.port)
    database = opened(place=server.url(port=proxy.port))
    try:
        database.write(add_event)
        replicate(server, second)
        second.run("REPLICAOF", "NO", "ONE")
        assert database.write(add_event) == 2
        server.kill()
        proxy.target = second.port
        assert database.read(count) == 1
        assert database.write(add_event) == 2
        assert opened("other", second.url()).read(count) == 2
    finally:
        proxy.stop()


def test_a_redirect_of_a_cluster_is_told(
    server: RedisServer, second: RedisServer, by_command: Use, command: Mreg
) -> None:
    for node in (server, second):
        node.options = {"cluster-enabled": "yes", "cluster-require-full-coverage": "no"}
        node.start()
    server.run("CLUSTER", "ADDSLOTSRANGE", 0, 100)
    second.run("CLUSTER", "ADDSLOTSRANGE", 101, 16383)
    server.run("CLUSTER", "MEET", "127.0.0.1", second.port)
    deadline = time.monotonic() + 30
    while server.run("CLUSTER", "INFO").count(b"cluster_slots_ok:16384") == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    by_command(server.url())
    done = command("list")
    assert (done.code, "a node of a cluster (cluster-enabled)" in done.err, "MOVED" in done.err) == (8, True, False), (
        done
    )
    by_command(second.url())
    assert command("register", "m").code == 0
    done = command("profile", "check")
    assert (done.code, "cluster-enabled yes" in done.out) == (0, True), done
