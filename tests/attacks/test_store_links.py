"""A project's artifact folder, prepared by another person: nothing outside it is written, changed or removed."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from mreg.artifacts.local import LocalBackend
from mreg.artifacts.store import ArtifactStore
from mreg.errors import MregError
from mreg.testing.blob_backend import key_of
from tests.hostile import attack, plant, untouched

OLD = 1_600_000_000
MODEL = b"\x80\x04K\x01."
KEY = key_of(MODEL)
STORE = ".mreg/artifacts"
PLACES = {
    "root": STORE,
    "blobs": f"{STORE}/blobs",
    "sha256": f"{STORE}/blobs/sha256",
    "two digits": f"{STORE}/{KEY.rpartition('/')[0]}",
    "tmp": f"{STORE}/tmp",
}
COMMANDS = (
    ("push", "model.pkl", "-n", "x"),
    ("push", "folder", "-n", "x"),
    ("pull", "x@1", "pulled"),
    ("export", "x", "-o", "x.mreg"),
    ("verify", "--all"),
    ("doctor",),
    ("gc", "--grace", "0s"),
    ("gc", "--remove", "--grace", "0s", "--yes"),
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A sentinel tree with names and ages that a store could take for its own."""
    folder = tmp_path / "outside"
    plant(folder)
    for name in ("sha256/ab", "ab", "abcdefabcdefabcdefabcdef"):
        (folder / name).mkdir(parents=True)
    for name in ("sha256/ab/" + "c" * 62, "ab/" + "d" * 62, "e" * 24, "abcdefabcdefabcdefabcdef/0"):
        (folder / name).write_text(f"{name} must stay\n")
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD), follow_symlinks=False)
    return folder


@pytest.fixture
def project(outside: Path) -> Path:
    """The working folder: a project with a store that holds one version."""
    here = Path.cwd()
    (here / "mreg.yaml").write_text(f"catalog: .mreg/catalog.db\nartifacts: {STORE}\n")
    (here / "model.pkl").write_bytes(MODEL)
    (here / "folder").mkdir()
    for number in range(3):
        (here / f"folder/{number}").write_text(f"file {number}")
    assert attack("push", "model.pkl", "-n", "x").code == 0
    return here


def replace_by_link(place: Path, target: Path) -> None:
    """Put a link where a folder is; the folder goes beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        place.rename(place.with_name(f"{place.name}.was"))
    place.symlink_to(target)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_link_in_a_projects_store_leads_no_command_outside(
    where: str, words: tuple[str, ...], project: Path, outside: Path
) -> None:
    replace_by_link(project / PLACES[where], outside)
    with untouched(outside):
        attack(*words)


def test_gc_deletes_nothing_behind_a_link_in_place_of_tmp(project: Path, outside: Path) -> None:
    replace_by_link(project / PLACES["tmp"], outside)
    with untouched(outside):
        done = attack("gc", "--remove", "--yes")
    assert done.code == 6
    assert "symbolic link" in done.text


@pytest.mark.parametrize("where", ["blobs", "sha256", "two digits", "tmp"])
def test_a_push_through_a_link_is_refused(where: str, project: Path, outside: Path) -> None:
    replace_by_link(project / PLACES[where], outside)
    with untouched(outside):
        # A small file that the store lacks goes through tmp, and one that it has is looked up among the blobs.
        (project / "new.pkl").write_bytes(b"other bytes")
        name = "new.pkl" if where == "tmp" else "model.pkl"
        done = attack("push", name, "-n", "x")
    assert done.code == 6
    assert "symbolic link" in done.text


def test_a_store_beside_a_projects_catalog_is_not_reached_through_a_link(outside: Path) -> None:
    Path("mreg.yaml").write_text("catalog: .mreg/catalog.db\n")
    Path(".mreg").mkdir()
    Path(".mreg/artifacts").symlink_to(outside)
    Path("model.pkl").write_bytes(MODEL)
    with untouched(outside):
        assert attack("push", "model.pkl", "-n", "x").code == 2
        assert attack("gc", "--remove", "--grace", "0s", "--yes").code == 2


def test_a_store_beside_a_catalog_that_was_given_is_not_reached_through_a_link(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "given/catalog.db"))
    (tmp_path / "given").mkdir()
    (tmp_path / "given/artifacts").symlink_to(outside)
    Path("model.pkl").write_bytes(MODEL)
    with untouched(outside):
        assert attack("push", "model.pkl", "-n", "x").code == 6


def test_a_link_inside_the_project_is_refused_too(project: Path, outside: Path) -> None:
    (project / "docs").mkdir()
    replace_by_link(project / STORE, project / "docs")
    with untouched(project / "docs"):
        assert attack("push", "model.pkl", "-n", "x").code in (3, 6)


@pytest.mark.parametrize("kind", ["MREG_ARTIFACTS", "profile", "home"])
def test_a_store_that_the_user_named_may_be_reached_through_links(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk/models"
    disk.mkdir(parents=True)
    home = Path(os.environ["HOME"])
    link = home / "models"
    link.symlink_to(disk)
    Path("model.pkl").write_bytes(MODEL)
    if kind == "MREG_ARTIFACTS":
        monkeypatch.setenv("MREG_ARTIFACTS", str(link / "store"))
        monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    elif kind == "profile":
        config = home / ".config/mreg/config.yaml"
        config.parent.mkdir(parents=True)
        Path.home().joinpath("c").mkdir()
        config.write_text(f"default: d\nprofiles:\n  d:\n    catalog: ~/c/catalog.db\n    artifacts: {link}\n")
    else:
        (home / ".local/share/mreg").mkdir(parents=True)
        (home / ".local/share/mreg/artifacts").symlink_to(disk)
    for words in (*COMMANDS[:1], *COMMANDS[2:]):
        assert attack(*words).code == 0, words
    assert [path.name for path in disk.rglob("*") if path.is_file()] == [KEY.rpartition("/")[2]]


@pytest.mark.parametrize("what", ["link", "fifo", "folder", "socket"])
def test_something_else_in_a_blobs_place_stops_no_command(what: str, project: Path, outside: Path) -> None:
    place = project / STORE / KEY
    place.unlink()
    with bound_socket(place) if what == "socket" else nullcontext():
        if what == "link":
            place.symlink_to(outside / "documents/thesis.txt")
        elif what == "fifo":
            os.mkfifo(place)
        elif what == "folder":
            place.mkdir()
        with untouched(outside):
            codes = [attack(*words).code for words in COMMANDS]
        assert codes[0] == codes[2] == codes[3] == codes[4] == 6
        assert os.path.lexists(place)


@contextmanager
def bound_socket(place: Path) -> Iterator[None]:
    """A socket with a name in a folder whose path may be longer than an address can be."""
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(place.parent)
        try:
            made.bind(place.name)
        finally:
            os.chdir(here)
        yield


def test_gc_leaves_a_blob_that_is_a_hard_link_to_another_file_alone(project: Path, outside: Path) -> None:
    place = project / STORE / "blobs/sha256/ab" / ("c" * 62)
    place.parent.mkdir(exist_ok=True)
    os.link(outside / "documents/thesis.txt", place)
    with untouched(outside):
        assert attack("gc", "--remove", "--grace", "0s", "--yes").code == 0
    assert not place.exists()


def test_gc_removes_only_names_of_its_own_form(project: Path) -> None:
    tmp = project / STORE / "tmp"
    blobs = project / STORE / "blobs"
    ours = [tmp / ("a" * 24), tmp / ("b" * 24) / "0", blobs / "sha256/ab" / ("c" * 62)]
    theirs = [
        tmp / "left",
        tmp / ("A" * 24),
        tmp / ("c" * 24) / "notes.txt",
        tmp / ("c" * 24) / "0",
        tmp / ("d" * 24) / "0/0",
        blobs / "README",
        blobs / "sha256/ab/README",
        blobs / "sha256/abc" / ("c" * 62),
        blobs / "sha256/ab" / ("C" * 62),
        blobs / "md5/ab" / ("c" * 62),
    ]
    for path in (*ours, *theirs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for path in (project / STORE).rglob("*"):
        os.utime(path, (OLD, OLD))
    assert attack("gc", "--remove", "--yes").code == 0
    assert [path for path in ours if path.exists()] == []
    assert not (tmp / ("b" * 24)).exists()
    assert [path for path in theirs if not path.exists()] == []


@contextmanager
def swapping(place: Path, target: Path) -> Iterator[None]:
    """A folder and a link take turns at a place, as fast as they can, from a thread."""
    aside = place.with_name(f"{place.name}.real")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            with suppress(OSError):
                place.rename(aside)
                place.symlink_to(target)
                place.unlink()
                aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if place.is_symlink():
            place.unlink()
        if aside.exists():
            with suppress(OSError):
                aside.rename(place)


@pytest.mark.parametrize("name", ["tmp", "blobs", "blobs/sha256", "blobs/sha256/ab"])
def test_a_link_that_is_swapped_in_meanwhile_leads_nothing_outside(name: str, tmp_path: Path, outside: Path) -> None:
    root = tmp_path / "store"
    (root / "blobs/sha256/ab").mkdir(parents=True)
    (root / "tmp").mkdir()
    store = ArtifactStore(LocalBackend(root))
    backend = LocalBackend(root)

    def put_many(number: int) -> None:
        backend.put_many_if_absent([(f"blobs/sha256/ab/{number}-{one}", b"x") for one in range(10)])

    def put_one(number: int) -> None:
        backend.put_if_absent(f"blobs/sha256/ab/{number}", b"x")

    def collect(number: int) -> None:
        backend.delete("blobs/sha256/ab/" + "d" * 62)
        for one in backend.unfinished():
            backend.discard(one)
        for digest, _ in store.blobs():
            store.remove(digest)

    works: tuple[Callable[[int], None], ...] = (put_many, put_one, collect)
    with untouched(outside), swapping(root / name, outside):
        for number in range(200):
            with suppress(MregError):
                works[number % 3](number)


def test_init_writes_nothing_through_a_link(outside: Path) -> None:
    Path(".mreg").symlink_to(outside)
    with untouched(outside):
        assert attack("init", "--local").code != 0
    assert not Path("mreg.yaml").exists()


def test_init_leaves_a_gitignore_that_is_a_link_alone(outside: Path) -> None:
    Path(".mreg").mkdir()
    Path(".mreg/.gitignore").symlink_to(outside / "made")
    with untouched(outside):
        assert attack("init", "--local").code == 0


def test_a_pipe_in_place_of_tmp_hangs_nothing(project: Path) -> None:
    for path in (project / STORE / "tmp").iterdir():
        path.unlink()
    (project / STORE / "tmp").rmdir()
    os.mkfifo(project / STORE / "tmp")
    for words in COMMANDS:
        attack(*words)
    assert stat.S_ISFIFO(os.lstat(project / STORE / "tmp").st_mode)
