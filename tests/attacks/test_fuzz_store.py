"""Random artifact folders of a project, prepared by another person, under every command that uses the store."""

from __future__ import annotations

import os
import random
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from mreg.cli import app
from mreg.testing.blob_backend import key_of
from tests.conftest import FULL, Mreg
from tests.hostile import DOCUMENTED, attack, bounded, plant, untouched

TREES = 120 if FULL else 8
AS_PROCESSES = 25
"""One tree of so many is met by processes, whose memory is watched too."""

OLD = 1_600_000_000
STORE = ".mreg/artifacts"
MODEL = b"\x80\x04K\x01."
COMMANDS = (
    ("push", "model.pkl", "-n", "x"),
    ("push", "folder", "-n", "x"),
    ("push", "new.pkl", "-n", "x"),
    ("pull", "x@1", "pulled"),
    ("pull", "x@2", "pulled-folder"),
    ("export", "x", "-o", "x.mreg"),
    ("verify", "--all"),
    ("doctor",),
    ("gc", "--grace", "0s"),
    ("gc", "--remove", "--grace", "0s", "--yes"),
)


class Tree:
    """Changes a store in random ways, from a seed."""

    def __init__(self, root: Path, outside: Path, seed: int) -> None:
        self.root = root
        self.outside = outside
        self.random = random.Random(seed)

    def change(self) -> None:
        """Replace some of what a store has, and add what it does not."""
        places = [self.root, *(self.root / name for name in ("blobs", "blobs/sha256", "tmp"))]
        places += sorted((self.root / "blobs/sha256").glob("*"))
        places += sorted((self.root / "blobs/sha256").glob("*/*"))
        for place in self.random.sample(places, self.random.randint(0, 3)):
            self.replace(place)
        for _ in range(self.random.randint(1, 12)):
            self.put(self.new_place())
        if self.random.random() < 0.7:
            for path in sorted(self.root.rglob("*")):
                if self.random.random() < 0.8:
                    with suppress(OSError):
                        os.utime(path, (OLD, OLD), follow_symlinks=False)
        if self.random.random() < 0.3:
            with suppress(OSError):
                self.random.choice(places).chmod(self.random.choice((0o000, 0o400, 0o500, 0o555, 0o777, 0o1777)))

    def new_place(self) -> Path:
        digits = self.hexes(2)
        folder = self.random.choice(
            ("", "tmp", "blobs", "blobs/sha256", f"blobs/sha256/{digits}", f"tmp/{self.hexes(24)}", "/".join("d" * 60))
        )
        name = self.random.choice(
            (
                self.hexes(24),
                self.hexes(62),
                self.hexes(2),
                "0",
                "1",
                "x\ny",
                "-rf",
                "*",
                "\x1b[2J",
                "z" * 255,
                "..x",
                "\u202e",
            )
        )
        return self.root / folder / name

    def hexes(self, count: int) -> str:
        return "".join(self.random.choice("0123456789abcdef") for _ in range(count))

    def replace(self, place: Path) -> None:
        """Put something else in the place of a folder or a blob, or leave nothing there."""
        if place.is_symlink() or not place.is_dir():
            with suppress(OSError):
                place.unlink()
        elif self.random.random() < 0.5:
            shutil.rmtree(place, ignore_errors=True)
        else:
            with suppress(OSError):
                place.rename(place.with_name(f"{place.name}.was"))
        if self.random.random() < 0.9:
            self.put(place)

    def put(self, place: Path) -> None:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            self.random.choice(
                (self.link, self.link, self.link_inside, self.hard_link, self.pipe, self.socket, self.file, self.folder)
            )(place)

    def link(self, place: Path) -> None:
        inner = self.random.choice(
            (
                "",
                "tmp",
                "documents",
                "documents/thesis.txt",
                "link",
                "not there",
                self.hexes(24),
                "blobs",
                "blobs/sha256",
            )
        )
        target = self.outside / inner
        place.symlink_to(target if self.random.random() < 0.5 else os.path.relpath(target, place.parent))

    def link_inside(self, place: Path) -> None:
        place.symlink_to(self.random.choice((".", "..", "../tmp", place.name, "tmp", "blobs")))

    def hard_link(self, place: Path) -> None:
        os.link(self.outside / "documents/thesis.txt", place)

    def pipe(self, place: Path) -> None:
        os.mkfifo(place)

    def socket(self, place: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(place))

    def file(self, place: Path) -> None:
        place.write_bytes(self.random.randbytes(self.random.randint(0, 50)))

    def folder(self, place: Path) -> None:
        (place / self.random.choice(("0", "1", "notes", self.hexes(62)))).mkdir(parents=True)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A sentinel tree that looks like a store with old garbage."""
    folder = tmp_path / "outside"
    plant(folder)
    for name in ("e" * 24, "tmp/" + "a" * 24, f"{'b' * 24}/0", "sha256/ab/" + "c" * 62, "blobs/sha256/ab/" + "c" * 62):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("this must stay\n")
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD), follow_symlinks=False)
    return folder


def prepare(outside: Path, seed: int) -> None:
    """Make a project with two versions in a folder of its own, enter it, and change its store."""
    here = outside.parent / f"project-{seed}"
    (here / "folder").mkdir(parents=True)
    os.chdir(here)
    (here / "mreg.yaml").write_text(f"catalog: .mreg/catalog.db\nartifacts: {STORE}\n")
    (here / "model.pkl").write_bytes(MODEL)
    (here / "new.pkl").write_text(f"new bytes of {seed}")
    for number in range(4):
        (here / f"folder/{number}").write_text(f"file {number} of {seed}")
    assert app.run(["push", "model.pkl", "-n", "x"]) == 0
    assert app.run(["push", "folder", "-n", "x"]) == 0
    assert (here / STORE / key_of(MODEL)).exists()
    Tree(here / STORE, outside, seed).change()


@pytest.mark.campaign
def test_no_store_leads_a_command_outside_hangs_it_or_ends_it_unexpectedly(outside: Path, command: Mreg) -> None:
    for seed in range(TREES):
        prepare(outside, seed)
        with untouched(outside):
            for words in COMMANDS:
                if seed % AS_PROCESSES == AS_PROCESSES - 1:
                    attack(*words)
                    continue
                with bounded((seed, words)):
                    done = command(*words)
                assert done.code in DOCUMENTED, (seed, words, done)
                assert "report it as a bug" not in done.err, (seed, words, done)


def test_a_random_store_is_met_by_processes_within_time_and_memory(outside: Path) -> None:
    prepare(outside, TREES + 1)
    with untouched(outside):
        for words in COMMANDS:
            attack(*words)
