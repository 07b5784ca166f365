"""The artifact store on a folder: what is pushed comes back, and nothing else ever does."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
import stat
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg import files
from mreg.artifacts import placing
from mreg.artifacts import store as store_module
from mreg.artifacts.backend import BlobRequest
from mreg.artifacts.cache import BlobCache
from mreg.artifacts.claims import Uploader
from mreg.artifacts.destination import Destination
from mreg.artifacts.hashing import digest_of
from mreg.artifacts.local import LocalBackend
from mreg.artifacts.records import PullRecords
from mreg.artifacts.s3 import S3Backend
from mreg.artifacts.store import ArtifactStore
from mreg.artifacts.upload import Stored
from mreg.domain.digest import Digest, blob_key
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.domain.model import ArtifactKind
from mreg.domain.names import ModelName
from mreg.errors import AlreadyExists, BadInput, Conflict, Corrupt, MregError, NotFound, Unavailable
from mreg.stores.bucket import Bucket
from mreg.stores.settings import StoreSettings

BIG = 9 << 20
"""Large enough for the path of large files: staged, hashed on a thread."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> ArtifactStore:
    return ArtifactStore(LocalBackend(root))


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every name below a folder with its bytes (None for folders)."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def pull(store: ArtifactStore, stored: Stored, destination: Path, **options: Any) -> bool:
    return not store.pull(stored.digest, stored.kind, stored.size_bytes, destination, **options).unchanged


def write(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


FILES = st.dictionaries(
    st.lists(
        st.text("abcéß._-1 ", min_size=1, max_size=6).filter(lambda part: part not in (".", "..")),
        min_size=1,
        max_size=3,
    ).map("/".join),
    st.tuples(st.binary(max_size=60), st.booleans()),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(files=FILES)
def test_a_folder_comes_back_as_it_was_or_is_refused(
    files: dict[str, tuple[bytes, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("round")
    source = base / "source"
    try:
        for name, (data, executable) in files.items():
            write(source / name, data).chmod(0o755 if executable else 0o644)
    except OSError:
        return  # no such folder can be made
    store = ArtifactStore(LocalBackend(base / "store"))
    try:
        stored = store.put(str(source))
    except BadInput:
        return
    assert pull(store, stored, base / "back")
    assert everything(base / "back") == everything(source)
    for path in source.rglob("*"):
        if path.is_file():
            mine, theirs = (base / "back" / path.relative_to(source)).stat(), path.stat()
            assert bool(mine.st_mode & stat.S_IXUSR) == bool(theirs.st_mode & stat.S_IXUSR)
    assert store.put(str(base / "back")).digest == stored.digest


@pytest.mark.parametrize("size", [1, 4096, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, BIG])
def test_a_file_comes_back_byte_by_byte(store: ArtifactStore, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    stored = store.put(str(write(tmp_path / "m", data)))
    assert stored.digest.value == hashlib.sha256(data).hexdigest()
    assert stored.new_files == 1
    assert pull(store, stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize("size", [10, BIG])
@pytest.mark.parametrize("known", [True, False])
def test_equal_bytes_are_kept_once(store: ArtifactStore, root: Path, tmp_path: Path, size: int, known: bool) -> None:
    path = write(tmp_path / "m", os.urandom(size))
    first = store.put(str(path))
    second = store.put(str(path), known={size: [first.digest]} if known else {})
    assert (second.digest, second.new_files) == (first.digest, 0)
    assert len(list((root / "blobs").rglob("*/*/*"))) == 1
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize("known", ["missing", "other", "same at the samples", "shorter", "a folder"])
def test_a_file_that_only_looks_known_is_stored_all_the_same(
    store: ArtifactStore, root: Path, tmp_path: Path, known: str
) -> None:
    data = os.urandom(BIG)
    other = bytearray(data if known == "same at the samples" else os.urandom(BIG))
    other[BIG // 2 + (1 << 20)] ^= 1
    digest = store.put(str(write(tmp_path / "other", bytes(other)))).digest
    blob = root / blob_key(digest)
    if known in ("missing", "a folder"):
        blob.unlink()
    if known == "a folder":
        blob.mkdir()
    if known == "shorter":
        os.truncate(blob, 100)
    stored = store.put(str(write(tmp_path / "m", data)), known={BIG: [digest]})
    assert (stored.digest, stored.new_files) == (Digest.sha256(hashlib.sha256(data).hexdigest()), 1)
    assert pull(store, stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


@pytest.mark.parametrize("at", [0, 1 << 16, BIG // 2, BIG - 1])
def test_a_file_is_read_twice_only_if_it_looks_like_a_known_one(store: ArtifactStore, tmp_path: Path, at: int) -> None:
    data = bytearray(os.urandom(BIG))
    known = {BIG: [store.put(str(write(tmp_path / "m", bytes(data)))).digest]}
    data[at] ^= 1
    told: list[int] = []
    store.put(str(write(tmp_path / "other", bytes(data))), known=known, progress=lambda done, _whole: told.append(done))
    assert told.count(BIG) == (2 if at == 1 << 16 else 1)


@pytest.mark.parametrize("known", [True, False])
def test_a_damaged_blob_of_the_same_file_is_reported(
    store: ArtifactStore, root: Path, tmp_path: Path, known: bool
) -> None:
    path = write(tmp_path / "m", os.urandom(BIG))
    digest = store.put(str(path)).digest
    os.truncate(root / blob_key(digest), BIG - 1)
    with pytest.raises(Corrupt, match=f"is damaged: expected {BIG:,} bytes, got {BIG - 1:,}$"):
        store.put(str(path), known={BIG: [digest]} if known else {})


def test_progress_ends_at_the_whole(store: ArtifactStore, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    stored = store.put(str(write(tmp_path / "m", os.urandom(BIG))), progress=lambda *both: told.append(both))
    assert told[-1] == (BIG, BIG)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    store.pull(stored.digest, stored.kind, BIG, tmp_path / "back", progress=lambda *both: told.append(both))
    assert told[-1] == (BIG, BIG)


def test_modes_other_than_execution_are_not_kept(store: ArtifactStore, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    write(folder / "run").chmod(0o4777)
    stored = store.put(str(folder))
    umask = os.umask(0o022)
    try:
        pull(store, stored, tmp_path / "back")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "back" / "run").stat().st_mode) == 0o755


# What can't be pushed


def _special(tmp_path: Path, what: str) -> Path:
    path = tmp_path / "special"
    if what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        server = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket is short
        server.bind("special")
        os.chdir(here)
        server.close()
    elif what == "device":
        return Path("/dev/zero")
    elif what == "memory":
        return Path("/proc/self/mem")
    elif what == "empty":
        path.touch()
    elif what == "empty folder":
        path.mkdir()
    elif what == "folder of empty files":
        write(path / "a", b"")
    return path


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("fifo", BadInput, "expected a file or folder, got a named pipe"),
        ("socket", BadInput, "expected a file or folder, got a socket"),
        ("device", BadInput, "cannot push '/dev/zero': expected a file or folder, got a device"),
        ("memory", BadInput, "cannot push '/proc/self/mem': it has 0 bytes"),
        ("empty", BadInput, "it has 0 bytes"),
        ("empty folder", BadInput, "it has no files"),
        ("folder of empty files", BadInput, "it has only files of 0 bytes"),
        ("missing", NotFound, "does not exist"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_is_made(
    store: ArtifactStore, root: Path, tmp_path: Path, what: str, error: type[MregError], message: str
) -> None:
    with pytest.raises(error) as caught:
        store.put(str(_special(tmp_path, what)))
    assert caught.value.message.endswith(message)
    assert not root.exists()


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("what", ["fifo", "link", "link out", "loop", "newline", "not utf-8", "case", "backslash"])
def test_a_folder_with_what_can_not_be_kept_is_refused_whole(
    store: ArtifactStore, root: Path, tmp_path: Path, what: str, inside: bool
) -> None:
    folder = tmp_path / "f"
    place = folder / "deep" / "er" if inside else folder
    write(place / "good")
    if what == "fifo":
        os.mkfifo(place / "x")
    elif what == "link":
        (place / "x").symlink_to("good")
    elif what == "link out":
        (place / "x").symlink_to("/etc/passwd")
    elif what == "loop":
        (place / "x").symlink_to(".", target_is_directory=True)
    elif what == "newline":
        write(place / "a\nb")
    elif what == "not utf-8":
        Path(os.fsdecode(os.fsencode(place) + b"/\xff")).write_bytes(b"x")
    elif what == "case":
        write(place / "GOOD")
    else:
        write(place / "a\\..\\b")
    with pytest.raises(BadInput) as caught:
        store.put(str(folder))
    assert caught.value.message.isprintable()
    if what == "link out":
        assert "is a link to '/etc/passwd'" in caught.value.message
        left_out = "/deep/er/x" if inside else "/x"
        assert caught.value.hint == f"push what links point to: --follow-links; or leave it out: --exclude {left_out}"
    assert not root.exists()


def test_a_link_that_a_person_names_is_followed(store: ArtifactStore, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(tmp_path / "m", b"data"))
    assert store.put(str(tmp_path / "link")).size_bytes == 4
    (tmp_path / "broken").symlink_to("nowhere")
    with pytest.raises(NotFound) as caught:
        store.put(str(tmp_path / "broken"))
    assert caught.value.message.endswith("broken' is a broken link")


def test_the_store_itself_can_not_be_pushed_or_pulled_into(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m")))
    before = everything(root)
    for path in (root, root / "blobs", tmp_path):
        with pytest.raises(BadInput, match="overlaps the artifact store"):
            store.put(str(path))
    (tmp_path / "link").symlink_to(root)
    for path in (root / "x", tmp_path / "link" / "x"):
        with pytest.raises(BadInput, match="overlaps the artifact store"):
            pull(store, stored, path)
    assert everything(root) == before


@pytest.mark.parametrize("what", ["grows", "shrinks", "other bytes"])
def test_a_file_that_changes_while_it_is_read_is_no_version(
    store: ArtifactStore, root: Path, tmp_path: Path, what: str
) -> None:
    path = write(tmp_path / "m", os.urandom(BIG))

    def change(done: int, total: int) -> None:
        if done == total // (2 << 20) // 2 * (2 << 20):
            with path.open("r+b") as stream:
                if what == "grows":
                    stream.seek(0, 2)
                    stream.write(b"more")
                elif what == "shrinks":
                    stream.truncate(100)
                else:
                    stream.write(b"other")

    with pytest.raises(Conflict) as caught:
        store.put(str(path), progress=change)
    assert caught.value.message == f"'{path}' changed while it was read; no version was added"
    assert [name for name, data in everything(root).items() if data is not None] == []


@pytest.mark.parametrize("what", ["gains", "loses", "changes"])
def test_a_folder_that_changes_while_it_is_read_is_no_version(store: ArtifactStore, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "f"
    for number in range(20):
        write(folder / f"{number:02d}", b"x" * 100)

    def change(done: int, _total: int) -> None:
        if done == 1500:
            if what == "gains":
                write(folder / "new")
            elif what == "loses":
                (folder / "03").unlink()
            else:
                write(folder / "03", b"y" * 100)

    with pytest.raises(Conflict):
        store.put(str(folder), progress=change)


def test_a_file_that_the_disk_can_not_hold_is_refused_early(store: ArtifactStore, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as stream:
        stream.truncate(5 << 40)
    with pytest.raises(Unavailable, match="not enough space in"):
        store.put(str(path))


def test_many_at_once_push_the_same_bytes(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "m", os.urandom(BIG))
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda _: store.put(str(path)), range(8)))
    assert len({one.digest for one in stored}) == 1
    assert sum(one.new_files for one in stored) == 1
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize("what", ["small file", "large file", "folder", "pull"])
def test_an_interrupt_in_the_middle_of_cleaning_up_leaves_nothing(
    store: ArtifactStore, root: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    small = write(tmp_path / "small", b"x")
    stored = store.put(str(write(tmp_path / "first", b"first")))
    write(tmp_path / "large", os.urandom(BIG))
    for number in range(5):
        write(tmp_path / "folder" / str(number), os.urandom(9))
    real = os.unlink
    came: list[str] = []

    def interrupt_once(path: str, **options: int | None) -> None:
        if not came:
            came.append(path)
            raise KeyboardInterrupt
        real(path, **options)

    monkeypatch.setattr(os, "unlink", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        if what == "pull":
            pull(store, stored, out / "back")
        else:
            store.put(str({"small file": small, "large file": tmp_path / "large", "folder": tmp_path / "folder"}[what]))
    assert came
    assert list((root / "tmp").iterdir()) == []
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


# Pull


def test_a_pull_over_the_same_bytes_changes_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m", b"data")))
    assert pull(store, stored, tmp_path / "back")
    inode = (tmp_path / "back").stat().st_ino
    assert not pull(store, stored, tmp_path / "back")
    assert not pull(store, stored, tmp_path / "back", force=True)
    assert (tmp_path / "back").stat().st_ino == inode


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling link", "link to folder"])
def test_an_existing_destination_is_kept_unless_forced(
    store: ArtifactStore, tmp_path: Path, kind: str, there: str
) -> None:
    source = write(tmp_path / "m", b"data") if kind == "file" else write(tmp_path / "f" / "a", b"data").parent
    stored = store.put(str(source))
    place = tmp_path / "out" / "back"
    write(tmp_path / "out" / "precious", b"precious")
    write(tmp_path / "out" / "dir" / "inner", b"inner")
    if there == "file":
        place.write_bytes(b"old")
    elif there == "folder":
        write(place / "old", b"old")
    else:
        place.symlink_to({"link": "precious", "dangling link": "nowhere", "link to folder": "dir"}[there])
    before = everything(tmp_path / "out") if there != "dangling link" else None
    with pytest.raises(AlreadyExists) as caught:
        pull(store, stored, place)
    hint = "name another destination"
    if kind == "folder" and there == "folder":
        hint = f"add --force to replace files of the same name and of earlier pulls, or {hint}"
    elif kind == "file" and there != "folder":
        hint = f"add --force to replace it, or {hint}"
    assert caught.value.hint == hint
    assert before is None or everything(tmp_path / "out") == before
    if kind == "file" and there == "folder":
        return  # `mreg pull` puts a file into a folder
    if kind == "folder" and there != "folder":
        with pytest.raises(AlreadyExists):
            pull(store, stored, place, force=True)
        assert before is None or everything(tmp_path / "out") == before
        return
    assert pull(store, stored, place, force=True)
    assert not place.is_symlink()
    assert (place if kind == "file" else place / "a").read_bytes() == b"data"
    assert (tmp_path / "out" / "precious").read_bytes() == b"precious"
    assert (tmp_path / "out" / "dir" / "inner").read_bytes() == b"inner"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["back", "dir", "precious"]


def test_an_empty_folder_may_be_filled(store: ArtifactStore, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "f" / "a").parent))
    (tmp_path / "back").mkdir()
    assert pull(store, stored, tmp_path / "back")
    assert everything(tmp_path / "back") == {"a": b"x"}


@pytest.mark.parametrize("lacking", ["renameat2", "link"])
def test_pull_does_without_calls_that_a_platform_lacks(
    store: ArtifactStore, tmp_path: Path, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "not here")

    if lacking == "link":
        monkeypatch.setattr(os, "link", refuse)
    for module in (files, placing):
        monkeypatch.setattr(module, "rename2", lambda *_, **__: False)
    for force in (False, True):
        for kind in ("file", "folder"):
            (tmp_path / str(force)).mkdir(exist_ok=True)
            test_an_existing_destination_is_kept_unless_forced(store, tmp_path / str(force), kind, kind)
            for path in ("out", "m", "f"):
                (tmp_path / str(force) / path).rename(tmp_path / str(force) / f"{path}-{kind}") if (
                    tmp_path / str(force) / path
                ).exists() else None


def test_a_missing_folder_of_a_destination_is_created(store: ArtifactStore, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m")))
    pull(store, stored, tmp_path / "no" / "where")
    assert (tmp_path / "no" / "where").read_bytes() == (tmp_path / "m").read_bytes()
    with pytest.raises(BadInput):
        pull(store, stored, tmp_path / "m" / "where")


def _blob(root: Path, digest: Digest) -> Path:
    path = root / blob_key(digest)
    path.chmod(0o644)
    return path


DAMAGES: dict[str, Callable[[Path], object]] = {
    "flipped bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "extra bytes": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "other content": lambda path: path.write_bytes(b"other"),
    "missing": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "link": lambda path: (path.rename(path.with_name("moved")), path.symlink_to("moved")),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("what", ["file", "manifest", "file of folder"])
def test_a_damaged_blob_is_named_and_never_given_out(
    store: ArtifactStore, root: Path, tmp_path: Path, damage: str, what: str
) -> None:
    if what == "file":
        stored = store.put(str(write(tmp_path / "m", b"data")))
        blob = stored.digest
    else:
        write(tmp_path / "f" / "a", b"first")
        stored = store.put(str(write(tmp_path / "f" / "b", b"data").parent))
        blob = stored.digest if what == "manifest" else store.manifest(stored.digest).entries[1].digest
    out = tmp_path / "out"
    out.mkdir()
    other = store.put(str(write(tmp_path / "other", b"fine")))
    DAMAGES[damage](_blob(root, blob))
    stream = BytesIO()
    attempts: list[Callable[[], object]] = [
        lambda: pull(store, stored, out / "back"),
        lambda: pull(store, stored, out / "back", force=True),
        lambda: store.verify(stored.digest, stored.kind, stored.size_bytes),
    ]
    if what == "file":
        attempts.append(lambda: store.write_to(stored.digest, stored.size_bytes, stream))
    for attempt in attempts:
        with pytest.raises(Corrupt) as caught:
            attempt()
        assert blob.value in caught.value.message.replace("/", "")
    assert list(out.iterdir()) == []
    assert stream.getvalue() == b""
    store.verify(other.digest, other.kind, other.size_bytes)


def test_a_failed_pull_leaves_the_destination_untouched(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m", os.urandom(BIG))))
    blob = _blob(root, stored.digest)
    DAMAGES["flipped bit"](blob)
    write(tmp_path / "out" / "back", b"old")
    with pytest.raises(Corrupt):
        pull(store, stored, tmp_path / "out" / "back", force=True)
    assert everything(tmp_path / "out") == {"back": b"old"}


HOSTILE_PATHS = ["../x", "/tmp/x", "a/../../x", "a\\..\\x"]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_hostile_manifest_writes_nothing(store: ArtifactStore, root: Path, tmp_path: Path, path: str) -> None:
    zero = hashlib.sha256(b"").hexdigest()
    text = (
        f'{{"files":[{{"executable":false,"path":"{path}","sha256":"{zero}","size":0}}],"format":"mreg.manifest.v1"}}'
    )
    data = text.replace("\\", "\\\\").encode()
    digest = Digest.sha256(hashlib.sha256(data).hexdigest())
    write(root / blob_key(digest), data)
    write(root / blob_key(Digest.sha256(zero)), b"")
    (tmp_path / "out").mkdir()
    with pytest.raises(Corrupt):
        store.pull(digest, ArtifactKind.FOLDER, 0, tmp_path / "out" / "back")
    assert everything(tmp_path / "out") == {}


def test_a_size_in_a_manifest_that_lies_is_found(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    inner = store.put(str(write(tmp_path / "m", b"data")))
    data = Manifest((ManifestEntry("a", 5, inner.digest),)).canonical()
    digest = Digest.sha256(hashlib.sha256(data).hexdigest())
    write(root / blob_key(digest), data)
    with pytest.raises(Corrupt, match="expected 5 bytes, got 4"):
        store.pull(digest, ArtifactKind.FOLDER, 5, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_leftovers_of_dead_pulls_are_removed_and_those_of_living_ones_kept(
    store: ArtifactStore, tmp_path: Path
) -> None:
    import fcntl

    stored = store.put(str(write(tmp_path / "m")))
    out = tmp_path / "out"
    write(out / ".back.mreg-0123456789ab", b"half")
    write(out / ".back.mreg-0123456789abcdef" / "x", b"half")
    living = write(out / ".back.mreg-ba9876543210", b"half")
    own = [write(out / name, b"mine").name for name in (".back.mreg-notes", ".back.mreg-0123456789abc", ".back.other")]
    with living.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        pull(store, stored, out / "back")
    assert sorted(path.name for path in out.iterdir()) == sorted([*own, living.name, "back"])


def test_two_pulls_to_one_destination_leave_one_whole_file(store: ArtifactStore, tmp_path: Path) -> None:
    one = store.put(str(write(tmp_path / "1", b"1" * BIG)))
    two = store.put(str(write(tmp_path / "2", b"2" * BIG)))
    out = tmp_path / "out"
    out.mkdir()
    outcomes: list[object] = []

    def work(stored: Stored) -> None:
        try:
            outcomes.append(pull(store, stored, out / "back"))
        except AlreadyExists:
            outcomes.append("exists")

    threads = [threading.Thread(target=work, args=(stored,)) for stored in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == ["True", "exists"]
    assert hashlib.sha256((out / "back").read_bytes()).hexdigest() in (one.digest.value, two.digest.value)
    assert [path.name for path in out.iterdir()] == ["back"]


# Faults of a pull's destination


def test_a_folder_that_cannot_be_written_is_named(store: ArtifactStore, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m")))
    folder = write(tmp_path / "f" / "a").parent
    stored_folder = store.put(str(folder))
    place = tmp_path / "closed"
    place.mkdir()
    place.chmod(0o500)
    if os.geteuid() == 0:  # root may write everywhere but here
        place = Path("/proc/self")
    for one in (stored, stored_folder):
        for force in (False, True):
            with pytest.raises(Unavailable) as caught:
                pull(store, one, place / "back", force=force)
            assert caught.value.message.startswith(f"cannot write '{place}/back': ")
            assert caught.value.hint == "fix its permissions or free some space, or name another destination"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_is_told_before_and_during_the_writing(
    store: ArtifactStore, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source" / "a", os.urandom(20_000))
    stored = store.put(str(source if kind == "file" else source.parent))
    out = tmp_path / "out"
    write(out / "other", b"mine")
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((1, 10, 1, 1, 1999, 1, 1, 1, 0, 255)))
    with pytest.raises(Unavailable) as caught:
        pull(store, stored, out / "back")
    assert caught.value.message == f"not enough space for '{out / 'back'}': 20,000 bytes needed, 19,990 free"
    assert everything(out) == {"other": b"mine"}
    monkeypatch.undo()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(Unavailable, match="File too large"):
            pull(store, stored, out / "back")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if hard == -1 else hard, hard))
    assert everything(out) == {"other": b"mine"}
    assert pull(store, stored, out / "back")


def test_a_folder_with_executables_is_unchanged_only_while_they_are_executable(
    store: ArtifactStore, tmp_path: Path
) -> None:
    write(tmp_path / "f" / "run", b"#!/bin/sh").chmod(0o755)
    stored = store.put(str(write(tmp_path / "f" / "data").parent))
    back = tmp_path / "back"
    assert pull(store, stored, back)
    assert not pull(store, stored, back)
    for name, mode in (("run", 0o644), ("data", 0o744)):
        was = stat.S_IMODE((back / name).stat().st_mode)
        (back / name).chmod(mode)
        with pytest.raises(AlreadyExists):
            pull(store, stored, back)
        assert pull(store, stored, back, force=True)
        assert stat.S_IMODE((back / name).stat().st_mode) == was
        assert not pull(store, stored, back)


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("force", [True, False])
def test_the_name_of_what_was_pulled_is_brought_to_the_disk(
    store: ArtifactStore, tmp_path: Path, kind: str, force: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "source" / "a")
    stored = store.put(str(source if kind == "file" else source.parent))
    out = tmp_path / "out"
    out.mkdir()
    if force:
        write(out / "back" if kind == "file" else out / "back" / "old", b"old")
    real = os.fsync
    synced = []

    def fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), out.stat()):
            synced.append(sorted(os.listdir(out))[-1:])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert pull(store, stored, out / "back", force=force)
    assert ["back"] in synced, "the folder was not brought to the disk after the name was given"


def test_the_progress_of_a_pull_that_begins_again_ends_at_its_size(tmp_path: Path) -> None:
    data = os.urandom(BIG)
    digest = Digest.sha256(hashlib.sha256(data).hexdigest())
    kept = write(tmp_path / "out" / f".back.mreg-{digest.value[:16]}", b"x" * (BIG // 2))
    moved: list[int] = []
    starts: list[int] = []

    def fetch(wanted: Sequence[BlobRequest]) -> Generator[Iterator[bytes]]:
        for one in wanted:
            starts.append(one.start)
            moved.append(one.size - one.start)
            yield iter([data[one.start :]])

    place = Destination(tmp_path / "out" / "back", fetch, resumable=True, advance=moved.append)
    received = place.receive_file(digest, BIG, force=False)
    assert starts == [BIG // 2, 0]
    assert sum(moved) == BIG
    assert received.kept_bytes == 0, "what was kept was damaged and not used"
    assert (tmp_path / "out" / "back").read_bytes() == data
    assert not kept.exists()


def destination_without_source(path: Path) -> Destination:
    def fetch(_wanted: Sequence[BlobRequest]) -> Generator[Iterator[bytes]]:
        raise AssertionError("nothing was to be fetched")

    return Destination(path, fetch)


def test_a_folder_in_conflict_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    write(tmp_path / "back" / "a" / "mine")
    digest = Digest.sha256(hashlib.sha256(b"x").hexdigest())
    with pytest.raises(AlreadyExists, match="'a': expected a file, got a folder"):
        destination_without_source(tmp_path / "back").receive_folder(
            digest, Manifest((ManifestEntry("a", 1, digest),)), force=True
        )


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_generated_file_is_refused_before_it_is_written(tmp_path: Path, there: str) -> None:
    def made(_path: object) -> None:
        raise AssertionError("nothing was to be written")

    place = tmp_path / "back"
    if there == "file":
        place.write_bytes(b"mine")
    else:
        place.mkdir()
    target = destination_without_source(place)
    digest = Digest.sha256(hashlib.sha256(b"x").hexdigest())
    for call in (
        lambda: target.receive_written(made, force=False),
        lambda: target.receive_made(digest, 1, made, force=False),
    ):
        with pytest.raises(AlreadyExists) as caught:
            call()  # type: ignore[no-untyped-call]
        hint = "name another destination"
        assert caught.value.hint == (f"add --force to replace it, or {hint}" if there == "file" else hint)


def test_a_generated_file_is_written_whole_and_needs_no_known_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = Digest.sha256(hashlib.sha256(b"x").hexdigest())
    destination_without_source(tmp_path / "one").receive_made(
        digest,
        4,
        lambda take: take(b"made"),  # type: ignore[arg-type]
        force=False,
    )
    assert (tmp_path / "one").read_bytes() == b"made"
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((1, 1, 1, 0, 0, 1, 1, 1, 0, 255)))
    target = destination_without_source(tmp_path / "two")
    assert target.receive_written(lambda path: Path(path).write_bytes(b"made"), force=False) == 4
    assert everything(tmp_path) == {"one": b"made", "two": b"made"}


def test_a_file_that_fills_the_disk_exactly_is_pulled(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store.put(str(write(tmp_path / "m", b"x" * 100)))
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((1, 1, 100, 100, 100, 1, 1, 1, 0, 255)))
    assert pull(store, stored, tmp_path / "back")


def test_kept_bytes_beyond_the_size_are_not_used(tmp_path: Path) -> None:
    data = os.urandom(100)
    digest = Digest.sha256(hashlib.sha256(data).hexdigest())
    write(tmp_path / f".back.mreg-{digest.value[:16]}", b"x" * 101)
    moved: list[int] = []

    def fetch(wanted: Sequence[BlobRequest]) -> Generator[Iterator[bytes]]:
        assert [one.start for one in wanted] == [0]
        yield iter([data])

    place = Destination(tmp_path / "back", fetch, resumable=True, advance=moved.append)
    assert place.receive_file(digest, 100, force=False).kept_bytes == sum(moved) == 0
    assert (tmp_path / "back").read_bytes() == data


def test_a_rename_that_fails_is_reported_and_leaves_no_record(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store.put(str(write(tmp_path / "f" / "a").parent))
    records = PullRecords(str(tmp_path / "records"))

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(Unavailable, match=r"cannot write '.*back': Input/output error"):
        pull(store, stored, tmp_path / "back", records=records)
    assert not list((tmp_path / "records").glob("*.json"))
    assert not (tmp_path / "back").exists()


def test_a_folder_that_is_filled_during_a_pull_is_not_replaced(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store.put(str(write(tmp_path / "f" / "a").parent))
    monkeypatch.setattr(Destination, "_receive_entries", lambda *_: write(tmp_path / "back" / "mine"))
    with pytest.raises(AlreadyExists) as caught:
        pull(store, stored, tmp_path / "back")
    assert caught.value.hint.startswith("add --force to replace files of the same name and of earlier pulls, or ")
    assert everything(tmp_path / "back") == {"mine": b"x"}


def test_a_range_of_a_blob_is_read_from_the_store_or_the_cache(root: Path, tmp_path: Path) -> None:
    backend = LocalBackend(root)
    for store in (ArtifactStore(backend), ArtifactStore(backend, BlobCache(tmp_path / "cache", 1000))):
        stored = store.put(str(write(tmp_path / "m", b"0123456789")))
        pull(store, stored, tmp_path / f"back-{id(store)}")
        assert store.has(stored.digest)
        for start, length in ((0, None), (0, 10), (3, None), (0, 4), (3, 4), (9, 1)):
            end = None if length is None else start + length
            found = b"".join(store.read(stored.digest, 10, start, length))
            assert found == b"0123456789"[start:end], (start, length)
        assert b"".join(store.read(stored.digest, 10)) == b"0123456789"
        with pytest.raises(Corrupt, match="expected 12 bytes, got 2 fewer"):
            list(store.read(stored.digest, 12, 3))
    other = Digest.sha256("0" * 64)
    assert not store.has(other)
    store.remove(stored.digest)
    assert not ArtifactStore(backend).has(stored.digest)


def test_the_last_chunk_of_a_damaged_blob_is_not_given_out(store: ArtifactStore, root: Path, tmp_path: Path) -> None:
    stored = store.put(str(write(tmp_path / "m", b"data")))
    _blob(root, stored.digest).write_bytes(b"lies")
    for length in (None, 4):
        with pytest.raises(Corrupt, match="its bytes do not match its SHA-256") as caught:
            next(store.read(stored.digest, 4, 0, length))
        assert caught.value.hint == (
            f"remove {LocalBackend(root).place}/{blob_key(stored.digest)}, then push the model again from its source"
        )
    _blob(root, stored.digest).unlink()
    with pytest.raises(Corrupt) as caught:
        next(store.read(stored.digest, 4))
    assert caught.value.hint == "push the model again from its source"


class FullDisk(BytesIO):
    def write(self, _data: object) -> int:
        raise OSError(28, "No space left on device")


STOPPED_READS: dict[str, Callable[[ArtifactStore, Stored, Path], object]] = {
    "a stream that cannot be written": lambda store, stored, _: store.write_to(stored.digest, BIG, FullDisk()),
    "a pull of a longer blob": lambda store, stored, out: store.pull(stored.digest, stored.kind, BIG - 1, out / "back"),
    "a longer blob": lambda store, stored, _: list(store.read(stored.digest, BIG - (2 << 20))),
    "a cancelled read": lambda store, stored, _: _cancelled(store.read(stored.digest, BIG)),
    "a cancelled read of a range": lambda store, stored, _: _cancelled(store.read(stored.digest, BIG, 1)),
    "a manifest that is too long": lambda store, stored, _: store.manifest_bytes(stored.digest),
    "progress that is cancelled": lambda store, stored, out: store.pull(
        stored.digest, stored.kind, BIG, out / "back", progress=lambda *_: _raise()
    ),
}


def _cancelled(chunks: Generator[bytes]) -> None:
    next(chunks)
    chunks.throw(InterruptedError)


def _raise() -> None:
    raise InterruptedError


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="lists the descriptors of this process")
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("stopped", STOPPED_READS)
def test_a_read_that_is_stopped_closes_its_blob_although_its_error_is_kept(
    root: Path, tmp_path: Path, stopped: str, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BYTES_LIMIT", 1000)
    cache = BlobCache(tmp_path / "cache", 2 * BIG)
    store = ArtifactStore(LocalBackend(root), cache if cached else None)
    stored = store.put(str(write(tmp_path / "m", os.urandom(BIG))))
    if cached:
        cache.keep(stored.digest, str(tmp_path / "m"))
    with pytest.raises((MregError, OSError)) as kept:
        STOPPED_READS[stopped](store, stored, tmp_path)
    opened = [Path(os.readlink(link)) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.is_file() and tmp_path in path.parents] == []
    assert kept.value.__traceback__ is not None  # keeps the frames of all generators


def test_a_pull_keeps_the_cache_within_its_limit(root: Path, tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache", 150)
    store = ArtifactStore(LocalBackend(root), cache)
    stored = [store.put(str(write(tmp_path / name, name.encode() * 100))) for name in "ab"]
    for number, one in enumerate(stored):
        pull(store, one, tmp_path / f"back{number}")
        assert one.digest in cache
    assert stored[0].digest not in cache


def test_unfinished_uploads_are_listed_and_discarded(store: ArtifactStore, root: Path) -> None:
    with store.open_upload() as upload:
        upload.write(b"half")
        (unfinished,) = store.unfinished()
        store.discard(unfinished)
        assert list(store.unfinished()) == []


@pytest.mark.parametrize("folder", [False, True])
def test_a_push_does_not_take_a_blob_of_another_size_for_its_bytes(
    store: ArtifactStore, root: Path, tmp_path: Path, folder: bool
) -> None:
    source = tmp_path / "source"
    for number in (1, 2):
        write(source / f"{number}.bin", b"data%d" % number)
    stored = store.put(str(source if folder else source / "1.bin"))
    for blob in (root / "blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == b"data1":
            blob.chmod(0o644)
            blob.write_bytes(b"cut")
    with pytest.raises(Corrupt, match="is damaged: expected 5 bytes, got 3") as caught:
        store.put(str(source if folder else source / "1.bin"))
    assert caught.value.hint.startswith("remove ")
    for blob in (root / "blobs").rglob("*"):
        if blob.is_file() and blob.read_bytes() == b"cut":
            blob.unlink()
    assert store.put(str(source if folder else source / "1.bin")).digest == stored.digest


def test_bytes_that_are_sent_with_a_digest_must_have_it(store: ArtifactStore, root: Path) -> None:
    good, other = digest_of(b"good"), digest_of(b"other")
    with pytest.raises(BadInput):
        store.put_blob(other, b"good")
    with pytest.raises(BadInput):
        store.put_many({good: b"good", other: b"good"})
    assert list(store.blobs()) == []
    store.put_many({good: b"good", other: b"other"})
    store.put_blob(good, b"good")
    assert {digest: found.size for digest, found in store.blobs()} == {good: 4, other: 5}
    assert (store.size(good), store.size(other), store.size(digest_of(b""))) == (4, 5, None)


def test_an_empty_range_has_no_bytes(root: Path, tmp_path: Path) -> None:
    backend = LocalBackend(root)
    for store in (ArtifactStore(backend), ArtifactStore(backend, BlobCache(tmp_path / "cache", 1000))):
        stored = store.put(str(write(tmp_path / "m", b"0123456789")))
        pull(store, stored, tmp_path / f"back-{id(store)}")
        for start, length in ((0, 0), (4, 0), (10, None), (10, 0)):
            assert b"".join(store.read(stored.digest, 10, start, length)) == b""
    store = ArtifactStore(backend)
    store.put_blob(digest_of(b""), b"")
    assert b"".join(store.read(digest_of(b""), 0)) == b""


def test_a_manifest_has_a_largest_size(store: ArtifactStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Manifest((ManifestEntry("a", 1, digest_of(b"a")),)).canonical()
    digest = digest_of(data)
    store.put_blob(digest, data)
    monkeypatch.setattr(store_module, "BYTES_LIMIT", len(data))
    assert store.manifest_bytes(digest) == data
    monkeypatch.setattr(store_module, "BYTES_LIMIT", len(data) - 1)
    with pytest.raises(Corrupt, match=f"a manifest has at most {len(data) - 1} bytes"):
        store.manifest_bytes(digest)
    monkeypatch.undo()
    _blob(root, digest).chmod(0o644)
    _blob(root, digest).write_bytes(data.replace(b'"a"', b'"b"'))
    with pytest.raises(Corrupt, match="its bytes do not match its SHA-256"):
        store.manifest_bytes(digest)


def test_a_store_in_a_folder_has_no_presigned_urls(store: ArtifactStore, root: Path) -> None:
    with pytest.raises(BadInput) as caught:
        store.presign(digest_of(b"x"), 60)
    place = LocalBackend(root).place
    assert caught.value.message == f"the artifact store {place} has no presigned URLs: it is not a bucket"
    assert caught.value.hint == "serve without --direct, or keep the artifacts in a bucket"


def test_a_claim_is_listed_as_unfinished_and_discarded_by_its_key(store: ArtifactStore) -> None:
    uploader = Uploader("ada", ModelName("m"))
    store.put_blob(digest_of(b"x"), b"x")
    store.claims.add(uploader, {digest_of(b"x"): 1}, datetime.now(UTC))
    (claim,) = store.unfinished()
    assert claim.name.startswith(uploader.prefix)
    store.discard(claim)
    assert list(store.unfinished()) == []
    assert store.has(digest_of(b"x"))


def test_a_store_in_a_bucket_has_presigned_urls_of_blobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    bucket = Bucket("s3://models/team", StoreSettings(endpoint_url="http://127.0.0.1:9"), lambda _text: None)
    url = ArtifactStore(S3Backend(bucket)).presign(digest_of(b"x"), 60)
    assert url.partition("?")[0] == f"http://127.0.0.1:9/models/team/{blob_key(digest_of(b'x'))}"
    assert "X-Amz-Expires=60&" in url
