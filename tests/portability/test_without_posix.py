"""The whole life of a model in a process that lacks what Windows lacks; see `tests.portability.emulation`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from tests.conftest import ROOT, Done
from tests.hostile import plant, untouched
from tests.portability import emulation

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the emulation looks into /proc/self/fd")


def run(*commands: str, **variables: str) -> list[Done]:
    """Run command lines one after the other in one such process; each must leave no file open."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.portability.emulation"],
        input=json.dumps([command.split() for command in commands]),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["left_open"] for one in found] == [[]] * len(found)
    return [Done(one["code"], one["out"], one["err"]) for one in found]


def succeed(*commands: str, **variables: str) -> list[Done]:
    found = run(*commands, **variables)
    failed = [(command, one) for command, one in zip(commands, found, strict=True) if one.code != 0]
    assert not failed, "\n".join(f"mreg {command}: {one.code}\n{one.out}{one.err}" for command, one in failed)
    return found


def temporary_files(folder: Path = Path()) -> list[str]:
    """What a command made for a moment and should have removed."""
    return [str(path) for path in folder.rglob("*") if ".mreg-" in path.name or path.name.endswith((".tmp", ".aside"))]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry in the working folder, a file whose bytes text mode would change, and a folder."""
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("store/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))
    Path("model.bin").write_bytes(b"first\r\nsecond\nthird\x1afourth\r" * 1_000)
    for name, data in (("config.json", b"{}\n"), ("sub/weights.bin", b"\x1a\r\n" * 500), ("sub/deep/x", b"x")):
        path = Path("folder") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Path()


@pytest.mark.parametrize("check", emulation.CHECKS)
def test_each_thing_that_windows_refuses_is_avoided(here: Path, check: str) -> None:
    """One at a time, so that none hides another; the other tests have all of them."""
    Path("old.bin").write_bytes(b"old")
    Path("old.bin").chmod(0o444)
    Path("empty").mkdir()
    Path("large.bin").write_bytes(os.urandom(5 << 20))
    succeed(
        "push large.bin -n m",
        "pull m@1 old.bin --force",
        "push folder -n m",
        "pull m@2 empty",
        "backup backup.db",
        "delete m@1 --yes",
        MREG_TEST_REFUSED=check,
    )
    for path in Path("store/artifacts/blobs").rglob("*"):
        os.utime(path, (0, 0))
    succeed("gc --remove --yes", "profile add team --catalog team.db --artifacts team", MREG_TEST_REFUSED=check)
    assert not temporary_files()


def test_a_file_is_pushed_pulled_and_replaced(here: Path) -> None:
    Path("old.bin").write_bytes(b"old")
    Path("old.bin").chmod(0o444)
    large = os.urandom(5 << 20)
    Path("large.bin").write_bytes(large)
    succeed(
        "push model.bin -n m --accuracy 0.9",
        "push model.bin -n m",
        "push large.bin -n m",
        "pull m@1 back.bin",
        "pull m@1 back.bin",
        "pull m@3 old.bin --force",
        "promote m 1 --to production",
        "list",
        "show m",
        "history m",
        "verify",
        "doctor",
        "audit verify",
    )
    assert Path("back.bin").read_bytes() == Path("model.bin").read_bytes()
    assert Path("old.bin").read_bytes() == large
    assert not temporary_files()


def test_a_folder_is_pushed_pulled_and_replaced(here: Path) -> None:
    Path("empty").mkdir()
    succeed("push folder -n m", "pull m@1 out", "pull m@1 out", "pull m@1 empty", "pull m@1 kept")
    for name in ("out", "empty", "kept"):
        for path in Path("folder").rglob("*"):
            if path.is_file():
                assert (name / path.relative_to("folder")).read_bytes() == path.read_bytes()
    Path("folder/config.json").write_bytes(b"{1}\n")
    Path("folder/sub/deep/x").unlink()
    Path("kept/mine.txt").write_text("mine")
    Path("kept/config.json").chmod(0o444)
    results = succeed("push folder -n m", "pull m@2 out --force", "pull m@2 kept --force")
    for name in ("out", "kept"):
        assert Path(name, "config.json").read_bytes() == b"{1}\n"
        assert not Path(name, "sub/deep/x").exists()
    assert Path("kept/mine.txt").read_text() == "mine"
    assert "other files are kept" in results[2].err
    assert not temporary_files()


def test_blobs_and_what_killed_pushes_left_are_removed(here: Path) -> None:
    succeed("push model.bin -n m", "push folder -n m", "delete m@1 --yes")
    left = Path("store/artifacts/tmp/0123456789abcdef01234567")
    left.write_bytes(b"x")
    left.chmod(0o444)
    os.utime(left, (0, 0))
    blobs = [path for path in Path("store/artifacts/blobs").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in blobs} == {0o444}
    for path in blobs:
        os.utime(path, (0, 0))
    succeed("gc --remove --yes", "verify")
    assert not left.exists()
    assert len([path for path in Path("store/artifacts/blobs").rglob("*") if path.is_file()]) == len(blobs) - 1


def test_catalogs_and_bundles_go_and_come_back(here: Path) -> None:
    succeed(
        "push model.bin -n m",
        "push folder -n m",
        "backup backup.db",
        "export m -o m.mreg",
        "export m -o m.mreg --force",
        "edit m --description changed",
        "backup backup.db --force",
        "restore backup.db --yes",
        "export --inspect m.mreg",
        "import m.mreg --name other",
        "verify",
    )
    os.mkdir("new")
    elsewhere = {"MREG_CATALOG": os.path.abspath("new/c.db"), "MREG_ARTIFACTS": os.path.abspath("new/a")}
    succeed("import m.mreg", "pull m@1 back.bin", "pull m@2 back", **elsewhere)
    assert Path("back.bin").read_bytes() == Path("model.bin").read_bytes()
    assert not temporary_files()


def test_an_older_and_a_damaged_catalog_are_replaced(here: Path) -> None:
    shutil.copytree(ROOT / "tests/compat/schema-3", "old")
    old = {"MREG_CATALOG": os.path.abspath("old/catalog.db"), "MREG_ARTIFACTS": os.path.abspath("old/artifacts")}
    succeed("list", "upgrade --yes", "verify", "backup good.db", **old)
    assert len(list(Path("old").glob("catalog.db.schema-3-*"))) == 1
    Path("old/catalog.db").write_bytes(b"SQLite format 3\0" + b"\x1a" * 8_000)
    succeed("restore good.db --yes", "list", **old)
    assert len(list(Path("old").glob("catalog.db.damaged-*"))) == 1


def test_profiles_projects_and_trust_are_kept(here: Path) -> None:
    succeed("profile add team --catalog team.db --artifacts team", "profile use team", "profile list", "init --local")
    Path("bucket").mkdir()
    Path("bucket/mreg.yaml").write_text("artifacts: s3://bucket/x\n")
    succeed("trust bucket", "trust --list", "trust --remove bucket")


@pytest.mark.parametrize(("seconds", "timeout", "told"), [(0, 60, '"deployed"'), (60, 1, "timed out after 1 s")])
def test_the_command_of_a_hook_runs_and_is_ended(
    here: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, timeout: int, told: str
) -> None:
    Path("hook.py").write_text(f"import sys, time; sys.stdin.read(); time.sleep({seconds})")
    hook = {"name": "h", "stage": "Production", "command": [sys.executable, "hook.py"], "timeout": timeout}
    profile = {"catalog": os.environ["MREG_CATALOG"], "hooks": [hook]}
    Path("config.yaml").write_text(json.dumps({"profiles": {"own": profile}}))
    for name in ("MREG_CATALOG", "MREG_ARTIFACTS"):
        monkeypatch.delenv(name)
    words = "--config config.yaml --profile own"
    done = run(f"push model.bin -n m {words}", f"promote m 1 --to production {words}", f"deployments m --json {words}")
    assert told in done[2].out, done


def test_a_server_takes_and_gives_files(here: Path) -> None:
    succeed("register m")
    with Path("log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.portability.emulation", "serve", "--port", "0"], stdout=log, stderr=log
        )
    try:
        while not (found := re.search(r"at http://127\.0\.0\.1:(\d+),", Path("log").read_text())):
            assert server.poll() is None, Path("log").read_text()
            time.sleep(0.05)
        at = f"http://127.0.0.1:{found[1]}"
        sent = Path("model.bin").read_bytes()
        pushed = requests.post(f"{at}/models/m/versions", files={"model_file": sent}, timeout=60)
        assert pushed.status_code == 200, pushed.text
        assert requests.get(f"{at}/models/m/versions/1/artifact", timeout=60).content == sent
    finally:
        server.terminate()
        server.wait(60)


def test_a_link_in_the_store_or_at_the_destination_is_not_followed(here: Path, tmp_path: Path) -> None:
    succeed("push folder -n m")
    plant(victim := tmp_path / "victim")
    shutil.rmtree("store/artifacts/blobs/sha256")
    os.symlink(victim, "store/artifacts/blobs/sha256")
    Path("out").mkdir()
    os.symlink(victim, "out/sub")
    Path("new.bin").write_bytes(b"new")
    with untouched(victim):
        pushed, verified, _ = run("push new.bin -n m", "verify", "gc --grace 0s --remove --yes")
    assert (pushed.code, verified.code) == (6, 6), (pushed, verified)
    assert "is a symbolic link, and links are not followed there" in pushed.err
    shutil.rmtree("store")
    Path("store").mkdir()
    with untouched(victim):
        _, pulled = run("push folder -n m", "pull m@1 out --force")
    assert pulled.code != 0, pulled
    assert "'sub': expected a folder, got a symbolic link" in pulled.err


def test_two_pulls_of_the_same_version_never_share_a_partial_file(tmp_path: Path) -> None:
    """Without locks the second would write into the file of the first."""
    script = """
from tests.portability import emulation
emulation.become_windows()
import os, sys
from mreg.artifacts.partial import partial
from mreg.artifacts.destination import _make_file
from mreg.domain.digest import Digest
digest = Digest.sha256("0" * 64)
with partial(sys.argv[1], ".x.mreg-", digest, _make_file, resumable=True) as first:
    with partial(sys.argv[1], ".x.mreg-", digest, _make_file, resumable=True) as second:
        assert first.path != second.path
        assert os.path.exists(first.path)
assert os.listdir(sys.argv[1]) == []
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


def test_a_link_that_appears_in_a_folder_is_not_followed_without_calls_relative_to_it(tmp_path: Path) -> None:
    """Before a use, and between the look and the opening."""
    script = """
import errno, os, sys
from tests.portability import emulation
emulation.become_windows()
from mreg import files
root = sys.argv[1]
os.makedirs(root + "/a/b")
os.makedirs(root + "/victim/c")
with open(root + "/victim/file", "w") as stream:
    stream.write("secret")
def refused(call):
    try:
        call()
    except OSError as error:
        assert error.errno == errno.ELOOP, error
    else:
        raise AssertionError("a link was followed")
files.check_folders(root, "a/b")
os.rmdir(root + "/a/b")
os.symlink(root + "/victim", root + "/a/b")
refused(lambda: files.check_folders(root, "a/b"))
refused(lambda: files.check_folders(root, "a/b/c"))
refused(lambda: files.check_folders(root, "a/b/new", make=True))
assert not os.path.exists(root + "/victim/new")
path, real = root + "/file", os.lstat
with open(path, "w") as stream:
    stream.write("mine")
def lstat(name):
    found = real(name)
    if name == path and os.lstat is lstat:
        os.lstat = real
        os.remove(path)
        os.symlink(root + "/victim/file", path)
    return found
os.lstat = lstat
refused(lambda: files.open_file(path, follow=False))
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


def test_two_pulls_never_share_a_partial_file_where_locks_are_refused(tmp_path: Path) -> None:
    """A network drive may have the call and refuse it."""
    script = """
import errno, fcntl, os, sys
def refuse(descriptor, operation):
    refused.append(operation)
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
refused = []
fcntl.flock = refuse
from mreg.artifacts.partial import partial
from mreg.artifacts.destination import _make_file
from mreg.domain.digest import Digest
digest = Digest.sha256("0" * 64)
with partial(sys.argv[1], ".x.mreg-", digest, _make_file, resumable=True) as first:
    os.write(first.descriptor, b"first")
    with partial(sys.argv[1], ".x.mreg-", digest, _make_file, resumable=True) as second:
        assert first.path != second.path
        assert os.path.getsize(first.path) == 5
assert refused
assert os.listdir(sys.argv[1]) == []
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


def test_a_copy_of_a_catalog_is_removed_once_it_is_closed(here: Path) -> None:
    """It is read through a copy where this user may not write it and a log is pending."""
    script = """
import os, sqlite3, sys, tempfile
from tests.portability import emulation
emulation.become_windows()
from mreg.catalog import sqlite
from mreg.files import open_file
sqlite.is_writable = lambda path: False
database = sqlite.SqliteDatabase(sys.argv[1])
real, held = sqlite.SqliteDatabase._connect, []
def connect(self, options, seconds=None):
    held.append(open_file(options.partition("?")[0].removeprefix("file:").replace("%2F", "/")))  # SQLite opens it in C
    return real(self, options, seconds)
sqlite.SqliteDatabase._connect = connect
found = database.read(lambda connection: connection.query("SELECT name FROM models", {}))
assert [row["name"] for row in found] == ["m"], found
copies = [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("mreg-read-")]
assert copies, "it was removed while it was open"
os.close(held.pop())
database.close()
assert not [name for name in os.listdir(tempfile.gettempdir()) if name.startswith("mreg-read-")]
"""
    succeed("push model.bin -n m")
    with contextlib.closing(sqlite3.connect("store/catalog.db")) as writer:
        writer.execute("UPDATE models SET description = 'pending'")
        writer.commit()
        assert Path("store/catalog.db-wal").stat().st_size
        subprocess.run([sys.executable, "-c", script, os.path.abspath("store/catalog.db")], check=True, timeout=60)


def test_caches_and_temporary_files_of_remote_stores_are_kept_and_removed(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from tests.portability import emulation
emulation.become_windows()
from mreg.artifacts.cache import BlobCache
from mreg.artifacts.hashing import digest_of
from mreg.artifacts.stream_upload import TemporaryCopy
from mreg.catalog.local_copy import LocalCopy
root = Path(sys.argv[1])

data = [bytes([13, 10, 26, number]) * 1_000 for number in range(3)]
cache = BlobCache(root / "cache", limit=9_000)
for one in data[:2]:
    cache.keep(digest_of(one), one)
with cache.open(digest_of(data[0])) as stream:
    assert stream.read() == data[0]
blob, = (root / "cache/blobs").rglob(digest_of(data[1]).value[2:])
blob.chmod(0o644)
blob.write_bytes(b"damaged")
blob.chmod(0o444)
assert cache.open(digest_of(data[1])) is None
assert not blob.exists()
for one in data:
    cache.keep(digest_of(one), one)
cache.trim()
left = [path for path in (root / "cache/blobs").rglob("*") if path.is_file()]
assert len(left) == 2, left
assert not list((root / "cache/tmp").iterdir())

temporary = TemporaryCopy()
temporary.write(data[0])
assert Path(temporary.path).read_bytes() == data[0]
temporary.discard()
assert not os.path.exists(temporary.path)

copies = LocalCopy(str(root / "copies/all"), "s3://b/c")
with copies.turn():
    copies.keep('"1"', data[0])
copies.receive('"2"', lambda: iter(data))
assert copies.last().whole(loaded=True).data == b"".join(data)
copies.forget()
assert copies.last() is None
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
