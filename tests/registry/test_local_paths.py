"""Paths in the pull cache: verified once, read in place, and safe while others read and make room."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.cache import HELD_SECONDS, BlobCache
from mreg.artifacts.cached_artifacts import CachedArtifacts, Wanted
from mreg.artifacts.local import LocalBackend
from mreg.folders import Folder
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.hostile import untouched
from tests.proxy import Proxy
from tests.registry.test_forced_pulls import files_in, fill

NET = {"config.json": "{}", "sub/weights.bin": "one", "sub/run.sh": "#!/bin/sh"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    """A file as ``churn@1`` and ``churn@2``, and a folder as ``net@1``."""
    with local_registry(catalog=str(tmp_path / "catalog.db")) as opened:
        for number in (1, 2):
            (tmp_path / "model.pkl").write_text(f"model {number}")
            opened.push(tmp_path / "model.pkl", name="churn")
        fill(tmp_path / "net", NET)
        (tmp_path / "net/sub/run.sh").chmod(0o755)
        (tmp_path / "net/logs").mkdir()
        opened.push(tmp_path / "net", name="net")
        opened.promote("churn@1", to="production")
        yield opened


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the blobs that are read from the store."""
    found: list[str] = []
    open_blob = LocalBackend.open

    def opened(self: LocalBackend, key: str, *more: Any) -> Any:
        found.append(key)
        return open_blob(self, key, *more)

    monkeypatch.setattr(LocalBackend, "open", opened)
    return found


def cache_of_home() -> Path:
    return Path(os.environ["HOME"]) / ".cache/mreg"


def age(path: Path) -> Path:
    """Make a complete artifact old enough to be removed; return its folder."""
    folder = next(parent for parent in path.parents if parent.parent.name == "complete")
    old = time.time() - HELD_SECONDS - 1
    os.utime(folder, (old, old))
    return folder


# What a path gives


def test_a_file_is_a_file_with_the_pushed_name_and_read_only(registry: LocalRegistry) -> None:
    path = registry.path("churn@production")
    assert (path.name, path.read_text(), path.is_absolute()) == ("model.pkl", "model 1", True)
    assert not stat.S_IMODE(path.stat().st_mode) & 0o222
    assert path.is_relative_to(cache_of_home())


def test_a_folder_is_a_folder_with_its_modes_and_empty_folders(registry: LocalRegistry) -> None:
    path = registry.path("net")
    assert path.name == "net"
    assert files_in(path) == NET
    assert (path / "logs").is_dir()
    modes = {name: stat.S_IMODE((path / name).stat().st_mode) for name in NET}
    assert all(not mode & 0o222 for mode in modes.values())
    assert {name for name, mode in modes.items() if mode & 0o100} == {"sub/run.sh"}


def test_the_second_call_reads_no_blob_and_gives_the_same_path(registry: LocalRegistry, reads: list[str]) -> None:
    first = registry.path("net@1"), registry.path("churn@1")
    reads.clear()
    assert (registry.path("net@1"), registry.path("churn@1")) == first
    assert reads == []


def test_one_file_of_a_folder_is_fetched_alone(registry: LocalRegistry, reads: list[str]) -> None:
    path = registry.path("net@1", "sub/weights.bin")
    assert (path.name, path.read_text()) == ("weights.bin", "one")
    assert len(set(reads)) == 2  # the manifest and the file
    reads.clear()
    assert registry.path("net@1", "sub/weights.bin") == path
    assert reads == []
    whole = registry.path("net@1")
    assert registry.path("net@1", "config.json") == whole / "config.json"


def test_the_result_has_the_version_that_the_path_is_of(registry: LocalRegistry) -> None:
    found = registry.locate("churn@production")
    assert (str(found.version.reference), found.file) == ("churn@1", "")
    registry.promote("churn@2", to="production")
    assert registry.path("churn@production").read_text() == "model 2"
    assert registry.path(found.version) == found.path
    assert registry.locate("net", "config.json").file == "config.json"


def test_an_archived_version_has_a_path(registry: LocalRegistry) -> None:
    registry.archive("churn@2")
    assert registry.path("churn@2").read_text() == "model 2"


def test_a_blob_of_a_bucket_is_fetched_once_and_kept_once(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CACHE", os.path.abspath("cache"))
    fill(Path("net"), NET)
    with local_registry() as registry:
        registry.push("net", name="net")
        path = registry.path("net")
        proxy.requests.clear()
        assert files_in(registry.path("net")) == NET
        registry.pull("net", "out")
        assert proxy.requests == []
    blobs = [file for file in Path("cache/blobs").rglob("*") if file.is_file()]
    shared = {file.stat().st_ino for file in blobs} & {(path / name).stat().st_ino for name in NET}
    assert len(shared) == len(NET)


def test_a_process_that_never_opened_the_store_gets_a_path_of_a_bucket(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, process: Mreg
) -> None:
    monkeypatch.setenv("MREG_CACHE", os.path.abspath("cache"))
    Path("model.pkl").write_text("model")
    assert process("push", "model.pkl", "--name", "churn").code == 0
    first = process("path", "churn@1")
    assert first.code == 0, first.err
    proxy.requests.clear()
    code = "import sys\nfrom mreg.cli.app import run\nrun(['path', 'churn@1'])\nassert not {'botocore', 'obstore'} & {*sys.modules}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, proxy.requests) == (first.out, "", [])


# Damage


@pytest.mark.parametrize("damage", ["other bytes", "truncated", "missing", "extra", "a link", "mode and time restored"])
def test_what_was_damaged_is_replaced(registry: LocalRegistry, damage: str, tmp_path: Path) -> None:
    path = registry.path("net@1") / "sub/weights.bin"
    path.chmod(0o644)
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    if damage == "other bytes":
        path.write_text("two")
    elif damage == "truncated":
        os.truncate(path, 1)
    elif damage == "missing":
        path.unlink()
    elif damage == "extra":
        (path.parent / "more.json").write_text("{}")
    elif damage == "a link":
        (tmp_path / "elsewhere").write_text("one")
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("longer than it was")
        os.utime(path, ns=times)
    again = registry.path("net@1")
    assert files_in(again) == NET
    assert not (again / "sub/weights.bin").is_symlink()
    assert not list((cache_of_home() / "tmp").glob("*"))


def test_a_file_whose_time_alone_changed_is_verified_and_kept(registry: LocalRegistry, reads: list[str]) -> None:
    path = registry.path("churn@1")
    inode = path.stat().st_ino
    os.utime(path, (1, 1))
    reads.clear()
    assert registry.path("churn@1").stat().st_ino == inode
    assert reads == []


def test_compiled_python_code_is_no_damage(registry: LocalRegistry, reads: list[str]) -> None:
    path = registry.path("net@1")
    (path / "__pycache__").mkdir()
    (path / "__pycache__/net.pyc").write_bytes(b"")
    reads.clear()
    assert registry.path("net@1") == path
    assert reads == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format": "other", "files": {}}', '{"format": "mreg.artifact.v1"}']
)
def test_a_damaged_index_is_made_again(registry: LocalRegistry, content: str) -> None:
    path = registry.path("net@1")
    index = path.parent.parent / "index"
    index.unlink()
    index.write_text(content)
    assert files_in(registry.path("net@1")) == NET
    assert json.loads(index.read_text())["format"] == "mreg.artifact.v1"


def test_the_index_of_another_user_is_not_trusted(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    path = registry.path("churn@1")
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.chmod(0o644)
    path.write_text("forged!")
    os.utime(path, ns=times)
    assert registry.path("churn@1").read_text() == "forged!"  # its size and time are those of the index
    artifact = registry.version("churn@1").artifact
    wanted = Wanted(digest=artifact.digest, kind=artifact.kind, size=artifact.size_bytes, name=artifact.name)
    cached = CachedArtifacts(BlobCache(cache_of_home(), 1))
    assert cached.find(wanted) == str(path)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert cached.find(wanted) is None


def test_a_copy_of_another_user_is_hashed_each_time(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    path = registry.path("net@1")
    artifact = registry.version("net@1").artifact
    wanted = Wanted(digest=artifact.digest, kind=artifact.kind, size=artifact.size_bytes, name=artifact.name)
    cached = CachedArtifacts(BlobCache(cache_of_home(), 1))
    index = path.parent.parent / "index"
    before = index.stat().st_ino
    real = Folder.stat

    def stat(folder: Folder, name: str) -> os.stat_result:
        found = list(real(folder, name))
        if name == "index":
            found[4] = 54321
        return os.stat_result(found)

    monkeypatch.setattr(Folder, "stat", stat)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)  # the index alone is the user's
    assert cached.find(wanted) == str(path)
    assert index.stat().st_ino == before
    forged = next(one for one in path.rglob("*") if one.is_file())
    size, times = forged.stat().st_size, (forged.stat().st_atime_ns, forged.stat().st_mtime_ns)
    forged.chmod(0o644)
    content = forged.read_bytes()
    forged.write_bytes(b"!" * size)
    os.utime(forged, ns=times)
    assert cached.find(wanted) is None
    forged.write_bytes(content)
    assert cached.find(wanted) == str(path)
    monkeypatch.setattr("mreg.artifacts.cached_artifacts._owners", lambda *_: {54321, 54322})
    (path / "__pycache__").mkdir()
    (path / "__pycache__/net.pyc").write_bytes(b"")
    assert cached.find(wanted) is None


def test_damaged_bytes_of_the_store_give_no_path(registry: LocalRegistry, tmp_path: Path) -> None:
    for blob in (tmp_path / "artifacts/blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o644)
            blob.write_bytes(b"x" * blob.stat().st_size)
    for reference in ("churn@1", "net@1"):
        with pytest.raises(mreg.Corrupt, match=reference):
            registry.path(reference)
    assert not [entry for entry in (cache_of_home() / "complete").iterdir() if entry.is_dir()]


# Concurrent use


def test_many_threads_and_processes_get_one_path(registry: LocalRegistry, tmp_path: Path) -> None:
    code = "import mreg, sys\nprint(mreg.open_registry(catalog=sys.argv[1]).path('net@1'))"
    command = [sys.executable, "-c", code, str(tmp_path / "catalog.db")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found: set[str] = set()
    threads = [threading.Thread(target=lambda: found.add(str(registry.path("net@1")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found |= {process.communicate()[0].strip() for process in processes}
    assert found == {str(registry.path("net@1"))}
    assert files_in(registry.path("net@1")) == NET


def test_a_path_that_was_just_returned_is_not_removed(tmp_path: Path, registry: LocalRegistry) -> None:
    path = registry.path("churn@1")
    cache = BlobCache(cache_of_home(), 1)
    cache.added()
    cache.trim()
    assert path.read_text() == "model 1"


def test_a_path_that_was_not_used_for_an_hour_makes_room(registry: LocalRegistry) -> None:
    old, new = registry.path("churn@1"), registry.path("churn@2")
    folder = age(old)
    with old.open() as stream:
        cache = BlobCache(cache_of_home(), 1)
        cache.added()
        cache.trim()
        assert not folder.exists()
        assert new.exists()
        assert stream.read() == "model 1"
    assert registry.path("churn@1").read_text() == "model 1"


def test_using_a_path_again_keeps_it(registry: LocalRegistry) -> None:
    path = registry.path("churn@1")
    age(path)
    registry.path("churn@1")
    cache = BlobCache(cache_of_home(), 1)
    cache.added()
    cache.trim()
    assert path.exists()


def test_the_room_of_a_blob_and_its_artifact_counts_once(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = registry.path("net@1")
    cache = BlobCache(
        cache_of_home(), sum(file.stat().st_size for file in path.parent.parent.rglob("*") if file.is_file())
    )
    from mreg.folders import Folder

    source = Folder.named(str(path))
    cache.share(
        mreg.Digest.sha256("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), source, "config.json"
    )
    age(path)
    cache.trim()
    assert path.exists()
    assert len([file for file in (cache_of_home() / "blobs").rglob("*") if file.is_file()]) == 1


def test_readers_and_cleaning_do_not_disturb_each_other(registry: LocalRegistry) -> None:
    failures: list[BaseException] = []
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            for folder in (cache_of_home() / "complete").glob("*"):
                if len(folder.name) == 64:
                    with suppress(FileNotFoundError):  # replaced meanwhile
                        os.utime(folder, (1, 1))
            cache = BlobCache(cache_of_home(), 1)
            cache.added()
            cache.trim()

    def read() -> None:
        try:
            for _ in range(30):
                for name, text in (("churn@1", "model 1"), ("churn@2", "model 2")):
                    with open(registry.path(name)) as stream:
                        assert stream.read() == text
        except FileNotFoundError:
            pass  # the cleaning thread makes artifacts old that are in use
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    cleaner = threading.Thread(target=clean)
    for thread in (*readers, cleaner):
        thread.start()
    for thread in readers:
        thread.join()
    done.set()
    cleaner.join()
    assert failures == []
    assert registry.path("churn@1").read_text() == "model 1"


def test_what_a_killed_process_left_is_replaced_and_later_removed(registry: LocalRegistry) -> None:
    path = registry.path("churn@1")
    folder = age(path)
    left = folder.with_name(f"{folder.name}.1")
    folder.rename(left)
    (left / "files/model.pkl").chmod(0o644)
    (left / "files/model.pkl").write_text("half")
    assert registry.path("churn@1").read_text() == "model 1"
    assert not left.exists()
    left.mkdir()
    os.utime(left, (1, 1))
    (cache_of_home() / "tmp/0123456789abcdef01234567").mkdir(parents=True)
    registry.path("churn@2")
    assert not left.exists()
    assert not list((cache_of_home() / "tmp").glob("*"))


# Bad input


@pytest.mark.parametrize(
    "file", ["../catalog.db", "/etc/passwd", "sub/../config.json", "", "a//b", "sub\\x", "\x00", "\x1b[2J"]
)
def test_a_path_that_leads_elsewhere_is_refused(registry: LocalRegistry, file: str) -> None:
    with pytest.raises(mreg.BadInput, match="invalid path"):
        registry.path("net@1", file)


@pytest.mark.parametrize(
    ("reference", "file"), [("nobody", None), ("churn@9", None), ("net@1", "sub"), ("net@1", "x"), ("churn@1", "net")]
)
@pytest.mark.parametrize("warm", [False, True])
def test_what_does_not_exist_is_not_found(
    registry: LocalRegistry, reference: str, file: str | None, warm: bool
) -> None:
    if warm:
        registry.path("net@1")
        registry.path("churn@1")
    with pytest.raises(mreg.NotFound):
        registry.path(reference, file)


def test_the_artifact_store_is_not_used_as_a_cache(
    registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CACHE", str(tmp_path / "artifacts"))
    with (
        local_registry(catalog=str(tmp_path / "catalog.db")) as opened,
        untouched(tmp_path / "artifacts"),
        pytest.raises(mreg.BadInput, match="overlaps the artifact store"),
    ):
        opened.path("churn@1")


@pytest.mark.parametrize("name", ["../../../x", "/tmp/x", "..", ".", "", "a/b", "a\\b", "a\nb"])
def test_a_name_in_the_catalog_that_leads_elsewhere_is_refused(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    """The reader of a catalog refuses such names; here a version has one all the same."""
    version = registry.version("churn@1")
    object.__setattr__(version.artifact, "name", name)
    monkeypatch.setattr("mreg.registry.local_paths.resolve", lambda *_: version)
    monkeypatch.setattr("mreg.registry.copies.resolve", lambda *_: version)
    with untouched(Path(os.environ["HOME"])), pytest.raises(mreg.Corrupt, match="churn@1: invalid"):
        registry.path("churn@1")
    with pytest.raises(mreg.Corrupt, match="churn@1: invalid"):
        registry.verify_copy(tmp_path, "churn@1")


def test_without_a_home_the_error_names_the_variable(
    registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_registry(catalog=str(tmp_path / "catalog.db")) as opened:
        monkeypatch.setattr("mreg.registry.pull_cache.blob_cache", _raise)
        with pytest.raises(mreg.Unavailable) as raised:
            opened.path("churn@1")
    assert "MREG_CACHE" in raised.value.hint


def _raise(*_: object) -> None:
    raise mreg.Unavailable("no home folder is found")


def test_a_full_disk_leaves_nothing_and_is_told(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    import mreg.artifacts.cached_artifacts as module

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "_write_index", full)
    with pytest.raises(mreg.Unavailable, match="cannot write to the pull cache") as raised:
        registry.path("churn@1")
    assert "MREG_CACHE" in raised.value.hint
    assert not [entry for entry in (cache_of_home() / "complete").iterdir() if entry.is_dir()]
    monkeypatch.undo()


def test_a_cache_that_is_read_only_serves_what_is_in_it(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.folders import Folder

    path = registry.path("churn@1")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Folder, "touch_self", refuse)
    monkeypatch.setattr(Folder, "mkdir", refuse)
    monkeypatch.setattr(Folder, "rename", refuse)
    assert registry.path("churn@1") == path
    with pytest.raises(mreg.Unavailable, match="Read-only file system"):
        registry.path("churn@2")


def test_without_locks_and_exchange_a_damaged_artifact_is_replaced_too(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.folders import Folder

    path = registry.path("churn@1")
    path.chmod(0o644)
    path.write_text("damage")
    monkeypatch.setattr("mreg.artifacts.cached_artifacts.lock", lambda *_, **__: False)
    monkeypatch.setattr(Folder, "exchange", lambda *_: False)
    assert registry.path("churn@1").read_text() == "model 1"


# The command


@pytest.fixture
def story(command: Mreg) -> Mreg:
    Path("model.pkl").write_text("one")
    fill(Path("net"), NET)
    for words in (["model.pkl", "-n", "churn"], ["model.pkl", "-n", "churn"], ["net", "-n", "net"]):
        assert command("push", *words).code == 0
    command("promote", "churn@1", "--to", "production")
    command("alias", "net@1", "best-one")
    return command


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["churn@production"], "/files/model.pkl"),
        (["churn", "1"], "/files/model.pkl"),
        (["churn", "@production"], "/files/model.pkl"),
        (["churn"], "/files/model.pkl"),
        (["churn@1", "model.pkl"], "/files/model.pkl"),
        (["net"], "/files/net"),
        (["net", "config.json"], "/files/config.json"),
        (["net", "best-one"], "/files/net"),
        (["net", "best-one", "sub/run.sh"], "/files/run.sh"),
        (["net@1", "./config.json"], "/files/config.json"),
    ],
)
@pytest.mark.parametrize("form", [[], ["--format", "table"], ["-q"]])
def test_the_command_prints_the_path_alone(story: Mreg, words: list[str], end: str, form: list[str]) -> None:
    done = story("path", *words, *form)
    assert done.code == 0, done.err
    (line,) = done.out.splitlines()
    assert line.endswith(end)
    assert Path(line).exists()


def test_the_command_as_json_has_the_version(story: Mreg) -> None:
    parsed = json.loads(story("path", "net@1", "config.json", "--json").out)
    assert (parsed["reference"], parsed["file"], Path(parsed["path"]).read_text()) == ("net@1", "config.json", "{}")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["churn@9"], 4), (["nobody"], 4), (["net@1", "../x"], 2), (["net@1", "nothing"], 4), (["net", "1", "a", "b"], 2),
        (["net@1", "a", "b"], 2), (["a@@1"], 2), ([], 2), (["churn@1", "net"], 4),
    ],
)  # fmt: skip
def test_a_mistake_has_its_exit_code(story: Mreg, words: list[str], code: int) -> None:
    done = story("path", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("error: ")


def test_the_cache_is_the_one_of_the_profile(story: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CACHE", os.path.abspath("elsewhere"))
    assert story("path", "churn").out.startswith(os.path.abspath("elsewhere"))
