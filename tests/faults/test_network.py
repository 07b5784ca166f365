"""A bucket behind a bad network: no version without its bytes, nothing half done, and the next try succeeds."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.artifacts import download
from mreg.domain.text import size_text
from mreg.stores import retry
from tests.conftest import FULL, SEED, Done, Mreg, local_registry
from tests.faults.test_kill import check, killed
from tests.proxy import SLOW_DOWN, Proxy
from tests.servers import WRITER, Place, S3Server, new_place

PART = 8 << 20
SIZE = 3 * PART + 12_345
POINTS = 20
"""A transfer is cut after each of as many equal parts of it."""
CUTS = range(POINTS) if FULL else (0, *sorted(random.Random(SEED).sample(range(1, POINTS - 1), 3)), POINTS - 1)
BUFFERED = 7_000_000
"""What the systems on both sides may hold of a connection, which a reset throws away."""


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges are asked for one after the other, so that what has arrived at a cut is known."""
    monkeypatch.setattr(download, "AT_ONCE", 1)
    monkeypatch.setattr(download, "SMALL_AT_ONCE", 1)


def random_file(name: str, size: int = SIZE) -> Path:
    path = Path(name)
    path.write_bytes(os.urandom(size))
    return path


def settle() -> None:
    """Wait for threads of a call that failed: they end by themselves, and must not use the healed network."""
    deadline = time.monotonic() + 30
    while any("ThreadPool" in thread.name for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)


def without_waiting(notes: list[str]) -> list[str]:
    """The notes, without those about a new registry and a slow answer: a busy machine can be that slow."""
    return [note for note in notes if not note.startswith(("waiting for ", "created the registry "))]


def nothing_in_sight(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("point", CUTS)
def test_an_upload_that_is_cut_once_goes_through(point: int, proxy: Proxy, place: Place) -> None:
    data = random_file("big.bin").read_bytes()
    proxy.cut_up_after = 1 + point * (SIZE + 4000) // POINTS
    with local_registry() as registry:
        version = registry.push("big.bin", name="m")
        assert place.read(place.keys("blobs/")[0]) == data
        assert [found.version for found in check(registry)] == [version.version]
    assert proxy.up < SIZE + 2 * PART + 100_000  # the parts under way at the cut, at most
    assert place.uploads() == []


@pytest.mark.parametrize("point", CUTS)
def test_an_upload_that_is_cut_for_good_leaves_no_version_and_is_resumed(
    point: int, proxy: Proxy, place: Place, impatient: None
) -> None:
    random_file("big.bin")
    proxy.cut_up_after = 1 + point * (SIZE + 4000) // POINTS
    proxy.cut_for_good = True
    said: list[str] = []
    with local_registry(notice=said.append) as registry:
        with pytest.raises(mreg.Unavailable):
            registry.push("big.bin", name="m")
        with pytest.raises(mreg.NotFound):
            registry.show("m")
        assert place.keys("blobs/") == []
        client = place.server.client()
        uploads = client.list_multipart_uploads(Bucket="models", Prefix=place.prefix).get("Uploads", ())
        parts = [client.list_parts(Bucket="models", Key=one["Key"], UploadId=one["UploadId"]) for one in uploads]
        arrived = sum(part["Size"] for listed in parts for part in listed.get("Parts", ()))
        settle()
        proxy.heal()
        registry.push("big.bin", name="m")
        assert proxy.up < SIZE - arrived + 100_000
        kept = [f"resumed: {size_text(arrived)} of {size_text(SIZE)} had arrived before"] if arrived else []
        assert without_waiting(said) == kept
        check(registry)


@pytest.mark.parametrize("point", CUTS)
def test_a_download_that_is_cut_once_goes_through(point: int, proxy: Proxy, tmp_path: Path) -> None:
    data = random_file("big.bin").read_bytes()
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        proxy.heal()
        proxy.cut_down_after = 1 + point * SIZE // POINTS
        registry.pull("m", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert proxy.down < SIZE + PART  # what was in the cut connection's buffers, at most


@pytest.mark.parametrize("point", CUTS)
def test_a_download_that_is_cut_for_good_leaves_nothing_in_sight_and_is_resumed(
    point: int, proxy: Proxy, tmp_path: Path, impatient: None, one_by_one: None
) -> None:
    data = random_file("big.bin").read_bytes()
    said: list[str] = []
    with local_registry(notice=said.append) as registry:
        registry.push("big.bin", name="m")
        proxy.heal()
        proxy.cut_down_after = 1 + point * SIZE // POINTS
        proxy.cut_for_good = True
        with pytest.raises(mreg.Unavailable) as caught:
            registry.pull("m@1", tmp_path / "out")
        assert nothing_in_sight(tmp_path)
        kept = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert kept >= proxy.down - BUFFERED or proxy.down < PART + BUFFERED
        assert ("repeat the command to resume" in caught.value.hint) == bool(kept)
        assert kept == 0 or kept >= PART
        settle()
        proxy.heal()
        registry.pull("m@1", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == data
        assert proxy.down < SIZE - kept + 100_000
        assert without_waiting(said) == (
            [f"resumed: {size_text(kept)} of {size_text(SIZE)} had arrived before"] if kept else []
        )
        assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_kept_and_is_damaged_is_fetched_again(
    proxy: Proxy, tmp_path: Path, impatient: None, one_by_one: None
) -> None:
    data = random_file("big.bin").read_bytes()
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        proxy.heal()
        proxy.cut_down_after = 2 * PART + 1000
        proxy.cut_for_good = True
        with pytest.raises(mreg.Unavailable):
            registry.pull("m", tmp_path / "out")
        (kept,) = tmp_path.iterdir()
        with kept.open("r+b") as stream:
            stream.write(b"damage")
        settle()
        proxy.heal()
        registry.pull("m", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_a_folder_whose_pull_was_cut_is_resumed(
    proxy: Proxy, tmp_path: Path, impatient: None, one_by_one: None
) -> None:
    folder = Path("folder")
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.bin").write_bytes(os.urandom(PART // 2 - 1))
    with local_registry() as registry:
        registry.push("folder", name="m")
        proxy.heal()
        proxy.cut_down_after = 5 * PART // 2
        proxy.cut_for_good = True
        with pytest.raises(mreg.Unavailable):
            registry.pull("m", tmp_path / "out")
        assert nothing_in_sight(tmp_path)
        settle()
        proxy.heal()
        registry.pull("m", tmp_path / "out")
    assert proxy.down < PART + 200_000  # the four files that had arrived whole are kept
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_store_that_asks_for_patience_gets_it_and_a_person_hears_of_it(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "NOTICE_AFTER_SECONDS", 0.5)
    random_file("big.bin")
    until = time.monotonic() + 4
    proxy.answer = lambda _line: SLOW_DOWN if time.monotonic() < until else None
    said: list[str] = []
    with local_registry(notice=said.append) as registry:
        registry.push("big.bin", name="m")
        until = time.monotonic() + 2
        registry.pull("m@1", tmp_path / "out")
    assert time.monotonic() > until
    assert len(said) >= 1
    assert re.search(
        r"asks for fewer requests \((SlowDown|503)\)(; the store says: Reduce your rate)?; retrying for \d+ s more",
        said[0],
    )


def test_a_slow_network_is_only_slow(proxy: Proxy, tmp_path: Path) -> None:
    random_file("big.bin", 1000)
    proxy.delay = 0.7
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        registry.pull("m", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size == 1000


def test_refused_connections_are_told_and_change_nothing(proxy: Proxy, tmp_path: Path, impatient: None) -> None:
    random_file("big.bin", 1000)
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        proxy.stop()
        with pytest.raises(mreg.Unavailable) as caught:
            registry.push(random_file("other.bin", 1000), name="m")
        assert caught.value.message.startswith(f"cannot reach {proxy.endpoint}: ")
        with pytest.raises(mreg.Unavailable):
            registry.pull("m", tmp_path / "out")
        assert list(tmp_path.iterdir()) == []
        proxy.start()
        assert registry.push("other.bin", name="m").version == 2
        check(registry)


def test_refused_connections_that_pass_are_waited_for(proxy: Proxy, tmp_path: Path) -> None:
    random_file("big.bin")
    with local_registry() as registry:
        registry.push("big.bin", name="m")
        proxy.stop()
        threading.Timer(1.0, proxy.start).start()
        registry.pull("m", tmp_path / "out")
        check(registry)


@pytest.mark.parametrize("what", ["PUT small", "PUT part", "POST begin", "POST complete"])
def test_an_answer_that_is_lost_after_the_server_acted_does_no_harm(what: str, proxy: Proxy, place: Place) -> None:
    signs = {"PUT small": "PUT /", "PUT part": "partNumber=2", "POST begin": "?uploads", "POST complete": "POST"}
    lost: list[str] = []

    def lose(line: str) -> bool:
        matches = signs[what] in line and not (what == "POST complete" and "uploadId" not in line)
        if matches and not lost:
            lost.append(line)
            return True
        return False

    proxy.lose_answer = lose
    data = random_file("file.bin", 1000 if what == "PUT small" else SIZE).read_bytes()
    with local_registry() as registry:
        registry.push("file.bin", name="m")
        assert lost
        assert place.read(place.keys("blobs/")[0]) == data
        check(registry)


def test_a_server_that_is_killed_and_started_again_in_the_middle_is_waited_for(
    people: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = S3Server()
    server.start()
    try:
        place = new_place(server)
        for name, value in (
            ("AWS_ACCESS_KEY_ID", WRITER[0]),
            ("AWS_SECRET_ACCESS_KEY", WRITER[1]),
            ("MREG_CATALOG", str(tmp_path / "catalog.db")),
            ("MREG_ARTIFACTS", place.url),
            ("MREG_ENDPOINT_URL", server.endpoint),
        ):
            monkeypatch.setenv(name, value)
        data = random_file("big.bin", 96 << 20).read_bytes()
        (tmp_path / "out").mkdir()
        with local_registry() as registry:
            registry.push(random_file("first.bin", 1000), name="m")
            for action in (
                lambda: registry.push("big.bin", name="m"),
                lambda: registry.pull("m@2", tmp_path / "out" / "big.bin"),
            ):
                working = threading.Thread(target=action)
                working.start()
                time.sleep(0.5)
                server.kill()
                time.sleep(0.5)
                ports = list(server.ports)
                server.start()
                assert server.ports == ports
                working.join(120)
                assert not working.is_alive()
            assert (tmp_path / "out" / "big.bin").read_bytes() == data
            assert len(check(registry)) == 2
    finally:
        server.stop()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a wrong byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-1],
    "empty": lambda _data: b"",
    "extra bytes": lambda data: data + b"x",
    "other content": lambda _data: b"something else",
}


@pytest.mark.parametrize("size", [1000, SIZE], ids=["small", "large"])
@pytest.mark.parametrize("damage", [*DAMAGES, "missing"])
def test_an_object_that_is_not_what_it_should_be_is_never_given_out(
    damage: str, size: int, proxy: Proxy, place: Place, command: Mreg, tmp_path: Path
) -> None:
    random_file("model.bin", size)
    assert command("push", "model.bin", "-n", "m").code == 0
    (key,) = place.keys("blobs/")
    if damage == "missing":
        place.delete(key)
    else:
        place.write(key, DAMAGES[damage](place.read(key)))
    (tmp_path / "out").write_text("mine")
    digest = "sha256:" + key.removeprefix("blobs/sha256/").replace("/", "")
    for words in (["pull", "m@1", str(tmp_path / "out"), "--force"], ["pull", "m@1", "new"]):
        done = command(*words)
        assert done.code == 6
        assert digest in done.err
        assert "m@1" in done.err
        assert "push the model again from its source" in done.err
        assert ("remove s3://" in done.err) == (damage != "missing")
    assert (tmp_path / "out").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert not [path for path in Path().iterdir() if "new" in path.name]
    # The way out that the message shows.
    if damage != "missing":
        place.delete(key)
    assert command("push", "model.bin", "-n", "m").code == 0
    assert command("pull", "m@1", "new").code == 0


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_a_client_that_is_killed_leaves_everything_consistent_and_the_next_try_succeeds(
    proxy: Proxy, place: Place, process: Mreg, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    random_file("big.bin")
    seconds = {}  # of the last run of each action that was not killed: the machine can be busy

    def complete(action: str, *arguments: str) -> Done:
        began = time.monotonic()
        done = process(action, *arguments)
        seconds[action] = time.monotonic() - began
        assert done.code == 0, done.err
        return done

    complete("push", "big.bin", "-n", "m")
    complete("pull", "m@1", str(tmp_path / "first"))
    (tmp_path / "first").unlink()
    died = {"push": 0, "pull": 0}
    with local_registry() as registry:
        reported = 1
        for number in range(100 if FULL else 12):
            action = ("push", "pull")[number % 2]
            delay = chance.uniform(0.1, 1.1) * seconds[action]
            if action == "push":
                with Path("big.bin").open("r+b") as stream:
                    stream.seek(chance.randrange(SIZE - 16))
                    stream.write(os.urandom(16))
                died[action] += killed(["push", "big.bin", "-n", "m"], delay) != 0
                found = check(registry)
                assert len(found) >= reported
                proxy.heal()
                done = complete("push", "big.bin", "-n", "m")
                if resumed := re.search(r"resumed: ([\d.]+) ([kM])B of", done.err):
                    kept = float(resumed[1]) * {"k": 1e3, "M": 1e6}[resumed[2]]
                    assert proxy.up < SIZE - kept + 200_000
                reported = len(check(registry))
            else:
                out = tmp_path / f"out-{number}"
                died[action] += killed(["pull", "m@1", str(out)], delay) != 0
                if out.exists():
                    assert registry.pull("m@1", out).unchanged
                else:
                    complete("pull", "m@1", str(out))
                assert [path.name for path in tmp_path.iterdir()] == [out.name]
                out.unlink()
    assert all(died.values()), died
