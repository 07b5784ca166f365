"""A forced pull of a folder replaces files of the same name and files of earlier pulls; it removes nothing else."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
import mreg.registry.open
from mreg.artifacts import destination, placing, resuming
from mreg.artifacts.records import PullRecord, PullRecords
from mreg.artifacts.replacing import Merge
from mreg.artifacts.tree import Tree
from mreg.linux import rename2
from mreg.registry.destinations import protection
from mreg.registry.local import LocalRegistry
from tests.conftest import FULL, Mreg
from tests.hostile import plant, snapshot, untouched

V1 = {"config.json": "{}", "old.txt": "old", "sub/weights.bin": "one", "gone/deep/x": "x"}
V2 = {"config.json": '{"v": 2}', "new.txt": "new", "sub/weights.bin": "two", "more/y": "y"}


def fill(root: str | Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files_in(root: str | Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in Path(root).rglob("*") if path.is_file()}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[mreg.Registry]:
    """A registry with two versions of a folder, ``fo@1`` and ``fo@2``."""
    with mreg.open_registry(catalog=str(tmp_path / "catalog.db")) as opened:
        for number, files in enumerate((V1, V2)):
            fill(tmp_path / f"v{number}" / "net", files)
            opened.push(str(tmp_path / f"v{number}" / "net"), name="fo")
        yield opened


def records() -> Path:
    return Path.home() / ".local/share/mreg/pulls"


# Folders that are never replaced


def project(root: Path) -> None:
    plant(root)
    fill(root, {"train.py": "train", ".git/HEAD": "ref: refs/heads/main", "config.json": "mine"})


def other_registry(root: Path) -> None:
    fill(root, {"notes": "mine"})
    (root / ".mreg").mkdir()
    with mreg.open_registry(catalog=str(root / ".mreg" / "team.db")) as opened:
        opened.register("theirs")


PROTECTED: dict[str, tuple[str, Callable[[], str]]] = {
    "the current folder": ("is the current folder", lambda: (project(Path()), ".")[1]),
    "the folder above": ("holds the current folder", lambda: ".."),
    "the home folder": ("is your home folder", lambda: (plant(Path.home()), os.path.expanduser("~"))[1]),
    "a link's way to the home folder": ("is your home folder", lambda: (
        plant(Path.home()), os.symlink(Path.home().parent, "up"), "up/home")[2]),
    "a project": ("holds a repository (.git)", lambda: (project(Path("project")), "project")[1]),
    "a worktree": ("holds a repository (.git)", lambda: (
        fill("work", {".git": "gitdir: elsewhere", "train.py": "x"}), "work")[1]),
    "a registry": ("holds the catalog '.mreg/team.db'", lambda: (other_registry(Path("reg")), "reg")[1]),
    "a store": ("holds the artifact store 'artifacts'", lambda: (
        fill("reg", {"artifacts/blobs/sha256/ab/cd": "x", "artifacts/tmp/x": "x"}), "reg")[1]),
}  # fmt: skip


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("place", PROTECTED)
def test_files_in_a_folder_of_the_user_are_never_replaced(registry: mreg.Registry, place: str, force: bool) -> None:
    reason, make = PROTECTED[place]
    destination = make()
    kind: type[mreg.MregError] = mreg.BadInput if force else mreg.AlreadyExists
    with untouched(os.getcwd(), Path.home()), pytest.raises(kind) as caught:
        registry.pull("fo@1", destination, force=force)
    assert f": it {reason}" in caught.value.message
    assert "--force" not in caught.value.hint
    assert caught.value.hint == f"mreg pull fo@1 {os.path.join(os.path.abspath(destination), 'net')}"


def test_the_root_and_what_cannot_be_examined_are_never_replaced() -> None:
    for path, reason in (("/", "holds the current folder"), ("gone", "cannot be examined (No such file or directory)")):
        error = protection(path, "net", "mreg pull fo@1")
        assert error is not None
        assert error.message == f"cannot replace files in '{path}': it {reason}"
    os.makedirs("other/net")
    assert protection("other", "net", "mreg pull fo@1") is None
    fill("other", {".git/HEAD": "x"})
    error = protection("other", "net", "mreg pull fo@1")
    assert error is not None
    assert error.hint == "name a new folder"


def test_a_forced_pull_into_the_working_folder_is_refused_by_the_command(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, registry: mreg.Registry, tmp_path: Path
) -> None:
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    project(Path())
    with untouched(".", Path.home()):
        done = command("pull", "fo@1", ".", "--force")
        assert done.code == 2
        assert "it is the current folder\n" in done.err


def test_an_empty_current_folder_is_filled_and_stays_the_same_folder(registry: mreg.Registry) -> None:
    os.chmod(".", 0o750)
    before = os.stat(".")
    registry.pull("fo@1", ".")
    assert files_in(".") == V1
    assert os.path.samestat(os.stat("."), before)
    assert stat.S_IMODE(os.stat(".").st_mode) == 0o750
    assert registry.pull("fo@1", ".").unchanged


# What is replaced


def test_a_folder_of_an_earlier_pull_is_replaced_whole(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "out")
    with pytest.raises(mreg.AlreadyExists):
        registry.pull("fo@2", "out")
    pulled = registry.pull("fo@2", "out", force=True)
    assert (files_in("out"), pulled.other_files) == (V2, False)
    assert sorted(os.listdir("out")) == ["config.json", "more", "new.txt", "sub"]
    registry.pull("fo@1", "out", force=True)
    assert files_in("out") == V1
    assert os.listdir() == ["out"]
    assert len(list(records().glob("*.json"))) == 1


def test_other_files_stay_and_files_of_earlier_pulls_go(registry: mreg.Registry, tmp_path: Path) -> None:
    registry.pull("fo@1", "out")
    fill("out", {"notes.txt": "mine", "gone/mine": "mine", "sub/mine": "mine"})
    os.mkdir("out/empty")
    inode = os.stat("out").st_ino
    told: list[str] = []
    with mreg.open_registry(catalog=str(tmp_path / "catalog.db"), notice=told.append) as opened:
        pulled = opened.pull("fo@2", "out", force=True)
    assert pulled.other_files
    assert files_in("out") == {**V2, "notes.txt": "mine", "gone/mine": "mine", "sub/mine": "mine"}
    assert os.path.isdir("out/empty")
    assert not os.path.exists("out/gone/deep")
    assert os.stat("out").st_ino == inode
    assert len(told) == 1
    assert told[0].startswith(f"other files are kept in '{os.path.abspath('out')}': ")
    assert registry.pull("fo@1", "out", force=True).other_files
    assert files_in("out") == {**V1, "notes.txt": "mine", "gone/mine": "mine", "sub/mine": "mine"}


def test_in_a_folder_that_no_pull_made_only_files_of_the_same_name_are_replaced(registry: mreg.Registry) -> None:
    mine = {"config.json": "mine", "train.py": "mine", "old.txt.bak": "mine", "sub/other": "mine"}
    fill("out", mine)
    os.mkdir("out/gone")
    registry.pull("fo@1", "out", force=True)
    assert files_in("out") == {**mine, **V1}
    registry.pull("fo@2", "out", force=True)  # now its files are known
    assert files_in("out") == {**mine, **V2}
    assert sorted(os.listdir("out")) == ["config.json", "gone", "more", "new.txt", "old.txt.bak", "sub", "train.py"]
    assert os.listdir("out/gone") == []


def test_a_copied_or_moved_folder_counts_as_the_users(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "out")
    shutil.copytree("out", "copied")
    os.rename("out", "moved")
    for place in ("copied", "moved"):
        registry.pull("fo@2", place, force=True)
        assert files_in(place) == {**V1, **V2}


def test_a_record_does_not_hold_for_a_folder_that_took_the_name(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "out")
    os.rename("out", "kept")
    fill("out", {**V1, "old.txt": "mine"})
    registry.pull("fo@2", "out", force=True)
    assert files_in("out") == {**V1, **V2, "old.txt": "mine"}


@pytest.mark.parametrize("forged", ["in the folder", "beside it", "by another user"])
def test_a_record_that_somebody_else_made_removes_nothing(registry: mreg.Registry, forged: str) -> None:
    registry.pull("fo@1", "out")
    record = next(records().glob("*.json"))
    if forged == "by another user":
        os.chmod(records(), 0o777)
    else:
        for place in (Path("out/.mreg"), Path("out")) if forged == "in the folder" else (Path(), Path("pulls")):
            place.mkdir(exist_ok=True)
            shutil.copy(record, place)
        record.unlink()
    registry.pull("fo@2", "out", force=True)
    assert files_in("out").items() >= {**V1, **V2}.items()


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"format": "mreg.pull.v1"}', "[" * 5000, "../x", "\udcff"])
def test_a_broken_record_is_none(registry: mreg.Registry, content: str) -> None:
    fill(".", {"x": "mine"})
    registry.pull("fo@1", "out")
    record = next(records().glob("*.json"))
    if content == "../x":
        content = record.read_text().replace('"old.txt"', '"../x"')
    record.write_bytes(content.encode("utf-8", "surrogateescape"))
    registry.pull("fo@2", "out", force=True)
    assert files_in("out") == {**V1, **V2}
    assert Path("x").read_text() == "mine"


def test_records_are_the_users_alone_and_bounded(registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    previous = os.umask(0)
    try:
        registry.pull("fo@1", "out0")
    finally:
        os.umask(previous)
    assert stat.S_IMODE(records().stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in records().iterdir()} == {0o600}
    monkeypatch.setattr("mreg.artifacts.records.KEPT", 3)
    for number in range(1, 6):
        registry.pull("fo@1", f"out{number}")
    assert len(list(records().iterdir())) == 3


@pytest.mark.parametrize("home", ["a file in its place", "no home"])
def test_a_pull_needs_no_record(registry: mreg.Registry, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if home == "no home":
        monkeypatch.setattr(mreg.registry.open, "pull_records", lambda: None)
    records().parent.mkdir(parents=True, exist_ok=True)
    records().write_text("no folder")
    registry.pull("fo@1", "out")
    registry.pull("fo@2", "out", force=True)
    assert files_in("out") == {**V1, **V2}


# Conflicts


def test_a_file_that_was_changed_since_it_was_pulled_is_not_removed(registry: mreg.Registry) -> None:
    registry.pull("fo@1", "out")
    fill("out", {"old.txt": "mine now"})
    with untouched("."), pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("fo@2", "out", force=True)
    assert caught.value.message == (
        f"cannot replace files in '{os.path.abspath('out')}': 'old.txt' was changed since it was pulled"
    )
    assert caught.value.hint == "move them away, or name another destination"
    os.rename("out/old.txt", "old.txt")
    registry.pull("fo@2", "out", force=True)
    assert files_in("out") == V2


IN_THE_WAY: dict[str, tuple[Callable[[], object], str]] = {
    "a folder for a file": (lambda: fill("out", {"new.txt/mine": "mine"}), "'new.txt': expected a file, got a folder"),
    "a file for a folder": (lambda: fill("out", {"more": "mine"}), "'more': expected a folder, got a file"),
    "a link for a file": (
        lambda: os.symlink("../victim/bin/tool", "out/new.txt"),
        "'new.txt': expected a file, got a symbolic link",
    ),
    "a link for a folder": (
        lambda: os.symlink("../victim", "out/more"),
        "'more': expected a folder, got a symbolic link",
    ),
    "a link that leads nowhere": (
        lambda: os.symlink("nowhere", "out/new.txt"),
        "'new.txt': expected a file, got a symbolic link",
    ),
    "a pipe for a file": (lambda: os.mkfifo("out/new.txt"), "'new.txt': expected a file, got a pipe"),
    "a link for a pulled folder": (
        lambda: (os.rename("out/sub", "sub"), os.symlink("../victim", "out/sub")),
        "'sub': expected a folder, got a symbolic link",
    ),
    "a link for a pulled file": (
        lambda: (os.unlink("out/old.txt"), os.symlink("../victim/bin/tool", "out/old.txt")),
        "'old.txt' was changed since it was pulled",
    ),
}


@pytest.mark.parametrize("first", ["fo@1", ""])
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_no_file_of_the_same_name_is_a_conflict(registry: mreg.Registry, what: str, first: str) -> None:
    os.mkdir("victim")
    plant("victim")
    if first:
        registry.pull(first, "out")
    else:
        fill("out", V1)
    make, told = IN_THE_WAY[what]
    make()
    if not first and what == "a link for a pulled file":
        return  # no pull made it, and it stays
    with untouched("."), pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("fo@2", "out", force=True)
    assert told in caught.value.message


def test_a_folder_of_another_file_system_is_a_conflict(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill("out", {"sub/mine": "mine"})
    real = Tree.find

    def mounted(self: Tree, path: str) -> os.stat_result | None:
        found = real(self, path)
        return os.stat_result([*found[:2], found.st_dev + 1, *found[3:]]) if found and path == "sub" else found

    monkeypatch.setattr(Tree, "find", mounted)
    with untouched("."), pytest.raises(mreg.AlreadyExists, match="'sub' is on another file system"):
        registry.pull("fo@1", "out", force=True)


def test_many_conflicts_are_listed_up_to_a_bound(registry: mreg.Registry, tmp_path: Path) -> None:
    fill(tmp_path / "many", {f"{number:03}": "x" for number in range(200)})
    registry.push(str(tmp_path / "many"), name="many")
    for number in range(200):
        os.makedirs(f"out/{number:03}/mine")
    with pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("many@1", "out", force=True)
    assert caught.value.message.count("got a folder") == 5
    assert caught.value.message.endswith("; and 195 more")


def test_a_file_becomes_a_folder_and_a_folder_a_file_if_pulls_made_them(
    registry: mreg.Registry, tmp_path: Path
) -> None:
    first, second = {"a": "a", "b/c/d": "d", "b/e": "e"}, {"a/x/y": "y", "b": "b"}
    for number, files in enumerate((first, second)):
        fill(tmp_path / f"t{number}" / "net", files)
        registry.push(str(tmp_path / f"t{number}" / "net"), name="turn")
    for more in ({}, {"notes": "mine"}):
        registry.pull("turn@1", "out", force=True)
        fill("out", more)
        registry.pull("turn@2", "out", force=True)
        assert files_in("out") == {**second, **more}
        registry.pull("turn@1", "out", force=True)
        assert files_in("out") == {**first, **more}


@pytest.mark.parametrize("what", ["a file", "a link to a folder", "a link to nothing"])
def test_a_folder_never_replaces_a_file_or_a_link(registry: mreg.Registry, what: str) -> None:
    os.mkdir("elsewhere")
    Path("elsewhere/thesis.txt").write_text("mine")
    if what == "a file":
        Path("there").write_text("mine")
    else:
        os.symlink("elsewhere" if what == "a link to a folder" else "nowhere", "there")
    before = snapshot(".")
    with pytest.raises(mreg.AlreadyExists) as refused:
        registry.pull("fo@1", "there", force=True)
    assert "--force" not in refused.value.hint
    assert snapshot(".") == before


# Faults


@pytest.mark.parametrize("step", range(1, 14) if FULL else (2, 5, 8, 11))
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("first", ["fo@1", ""])
@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_pull_that_fails_in_the_middle_takes_everything_back(
    registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch, step: int, links: bool, first: str, fault: BaseException
) -> None:
    if first:
        registry.pull(first, "out")
    else:
        fill("out", V1)
    fill("out", {"notes.txt": "mine", "sub/mine": "mine"})
    was = sorted(path.read_text() for path in records().glob("*.json"))
    before = snapshot(".")
    count = 0

    def failing(name: str) -> None:
        real = getattr(Tree, name)

        def call(self: Tree, *words: str) -> object:
            nonlocal count
            if name == "link" and not links:
                raise OSError(1, "no links here")
            count += 1
            if count == step:
                raise fault
            return real(self, *words)

        monkeypatch.setattr(Tree, name, call)

    for name in ("move", "link", "mkdir", "rmdir"):
        failing(name)
    try:
        registry.pull("fo@2", "out", force=True)
    except (mreg.Unavailable, KeyboardInterrupt):
        assert snapshot(".") == before
        assert sorted(path.read_text() for path in records().glob("*.json")) == was
    else:
        assert files_in("out").items() >= {**V2, "notes.txt": "mine", "sub/mine": "mine"}.items()
    monkeypatch.undo()
    mreg.open_registry(catalog=registry._session.profile.catalog).pull("fo@2", "out", force=True)


@pytest.mark.parametrize("what", ["a file to replace", "a new file"])
def test_a_link_that_fails_on_a_file_system_with_links_is_reported(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    mine = dict.fromkeys(V1, "mine") if what == "a file to replace" else {"mine": "mine"}
    fill("out", mine)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Tree, "link", refuse)
    with untouched("."), pytest.raises(mreg.Unavailable, match="No space left on device"):
        registry.pull("fo@1", "out", force=True)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("path", ["config.json", "old.txt", "new.txt"])
def test_a_file_that_is_changed_during_a_merge_is_not_replaced(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, path: str, links: bool
) -> None:
    registry.pull("fo@1", "out")
    fill("out", {"notes.txt": "mine"})
    changed = {**V1, "notes.txt": "mine", path: "mine, too"}
    real_find, real_link, real_run = Tree.find, Tree.link, Merge._run

    def change() -> None:
        fill("out", {path: "mine, too"})

    def link(self: Tree, *words: object) -> None:
        if not links:
            raise OSError(1, "no links here")
        real_link(self, *words)  # type: ignore[arg-type]

    def run(self: Merge, *words: object) -> frozenset[str]:
        if path != "new.txt":
            change()
        else:
            monkeypatch.setattr(Tree, "find", appearing)
        return real_run(self, *words)  # type: ignore[arg-type]

    def appearing(self: Tree, wanted: str) -> os.stat_result | None:
        found = real_find(self, wanted)
        if wanted == path and found is None:
            change()
        return found

    monkeypatch.setattr(Merge, "_run", run)
    monkeypatch.setattr(Tree, "link", link)
    with pytest.raises(mreg.Conflict) as caught:
        registry.pull("fo@2", "out", force=True)
    folder = os.path.abspath("out")
    assert caught.value.message == f"cannot replace files in '{folder}': '{path}' was changed during the pull"
    assert caught.value.hint == "repeat the command"
    assert files_in("out") == changed


def test_during_a_merge_the_record_has_the_old_and_the_new_files(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.pull("fo@1", "out")
    fill("out", {"notes.txt": "mine"})
    inode, real, files = os.stat("out").st_ino, Merge._run, []

    def run(self: Merge, *words: object) -> frozenset[str]:
        files.append(PullRecords(str(records())).find(os.path.abspath("out"), inode).files.keys())
        return real(self, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(Merge, "_run", run)
    registry.pull("fo@2", "out", force=True)
    assert files == [V1.keys() | V2.keys()]
    assert PullRecords(str(records())).find(os.path.abspath("out"), inode).files.keys() == V2.keys()


def test_what_cannot_be_moved_back_is_kept_and_named(registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    fill("out", {"config.json": "mine", "sub/weights.bin": "mine"})
    real, count = Tree.move, 0

    def broken(self: Tree, path: str, target: Tree, to: str) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise OSError(5, "Input/output error")
        real(self, path, target, to)

    monkeypatch.setattr(Tree, "move", broken)
    with pytest.raises(mreg.Unavailable, match="cannot be restored: Input/output error") as caught:
        registry.pull("fo@2", "out", force=True)
    saved = next(Path().glob("out.replaced-*"))
    assert str(saved) in caught.value.hint
    assert "mine" in files_in(saved).values()


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("change", ["a new file", "a changed file", "another folder"])
def test_a_folder_that_is_changed_during_the_pull_is_not_replaced(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, change: str, exchange: bool
) -> None:
    registry.pull("fo@1", "out")
    real = rename2
    done = False

    def changing(source: str, target: str, flags: int) -> bool:
        nonlocal done
        if not done:
            done = True
            if change == "another folder":
                os.rename("out", "elsewhere")
                os.mkdir("out")
            fill("out", {"config.json" if change == "a changed file" else "mine": "mine"})
        return exchange and real(source, target, flags)

    monkeypatch.setattr(placing, "rename2", changing)
    with pytest.raises(mreg.Conflict, match="was changed during the pull") as caught:
        registry.pull("fo@2", "out", force=True)
    assert caught.value.hint == "repeat the command"
    assert "mine" in files_in("out").values()
    assert not list(Path().glob(".out.mreg-*"))
    registry.pull("fo@2", "out", force=True)
    assert files_in("out").items() >= V2.items()


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("kind", ["file", "link", "pipe", "folder", "empty folder"])
def test_what_appears_at_the_destination_during_the_pull_is_not_replaced(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, kind: str, force: bool
) -> None:
    real = placing.FolderPlace._rename_folder

    def appearing(*words: Any) -> None:
        if kind == "file":
            Path("out").write_text("mine")
        elif kind == "link":
            os.symlink("elsewhere", "out")
        elif kind == "pipe":
            os.mkfifo("out")
        else:
            fill("out", {"mine": "mine"} if kind == "folder" else {})
            os.makedirs("out", exist_ok=True)
        real(*words)

    monkeypatch.setattr(placing.FolderPlace, "_rename_folder", appearing)
    if kind == "empty folder":
        registry.pull("fo@2", "out", force=force)
        assert files_in("out") == V2
        return
    with pytest.raises(mreg.AlreadyExists) as caught:
        registry.pull("fo@2", "out", force=force)
    assert caught.value.message == f"'{os.path.abspath('out')}' already exists with other content"
    assert os.listdir() == ["out"]
    there = os.lstat("out").st_mode
    assert (stat.S_ISREG(there), stat.S_ISLNK(there), stat.S_ISFIFO(there), stat.S_ISDIR(there)) == (
        kind == "file", kind == "link", kind == "pipe", kind == "folder",
    )  # fmt: skip
    assert kind not in ("file", "folder") or "mine" in (Path("out").read_text() if kind == "file" else files_in("out"))
    assert not any(path.is_file() for path in records().rglob("*"))


@pytest.mark.parametrize(("kind", "words"), [("folder", "a folder"), ("pipe", "a pipe")])
def test_what_appears_at_the_destination_during_the_pull_of_a_file_is_not_replaced(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    Path("file").write_text("1")
    registry.push("file", name="file")
    real = destination.Destination._give_name

    def appearing(*given: Any, **options: Any) -> None:
        os.mkdir("out") if kind == "folder" else os.mkfifo("out")
        real(*given, **options)

    monkeypatch.setattr(destination.Destination, "_give_name", appearing)
    with pytest.raises(mreg.BadInput) as caught:
        registry.pull("file@1", "out", force=True)
    assert caught.value.message == f"'{os.path.abspath('out')}' is {words}, which is never replaced"
    os.rmdir("out") if kind == "folder" else os.remove("out")
    with pytest.raises(mreg.AlreadyExists):
        registry.pull("file@1", "out")


def test_an_empty_folder_is_replaced_where_a_rename_cannot(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = os.rename, os.path.abspath("out")
    failures = 0

    def as_on_windows(source: str, target: str, **options: int) -> None:
        nonlocal failures
        if target == out and os.path.lexists(out):
            raise FileExistsError(17, "File exists")
        if target == out and failures:
            failures -= 1
            raise OSError(28, "No space left on device")
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", as_on_windows)
    os.mkdir("out")
    failures = 1
    with pytest.raises(mreg.Unavailable, match="No space left on device"):
        registry.pull("fo@2", "out")
    assert os.listdir("out") == []
    registry.pull("fo@2", "out")
    assert files_in("out") == V2


def test_a_changed_folder_that_cannot_be_put_back_is_kept_beside_the_destination(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.pull("fo@1", "out")
    real, calls = rename2, 0

    def once(source: str, target: str, flags: int) -> bool:
        nonlocal calls
        calls += 1
        if calls == 1:
            fill("out", {"mine": "mine"})
        return calls == 1 and real(source, target, flags)

    monkeypatch.setattr(placing, "rename2", once)
    with pytest.raises(mreg.Conflict, match="was changed during the pull"):
        registry.pull("fo@2", "out", force=True)
    (saved,) = Path().glob("out.replaced-*")
    assert files_in(saved) == {**V1, "mine": "mine"}


@pytest.mark.parametrize("step", [1, 2])
def test_a_folder_that_cannot_be_replaced_is_put_back(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    registry.pull("fo@1", "out")
    inode, out, real, count = os.stat("out").st_ino, os.path.abspath("out"), os.rename, 0

    def failing(source: str, target: str, **options: int) -> None:
        nonlocal count
        count += out in (source, target)
        if count == step:
            count += 1
            raise OSError(28, "No space left on device")
        real(source, target, **options)

    monkeypatch.setattr(placing, "rename2", lambda *_: False)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(mreg.Unavailable, match="No space left on device"):
        registry.pull("fo@2", "out", force=True)
    assert (files_in("out"), os.stat("out").st_ino) == (V1, inode)
    registry.pull("fo@2", "out", force=True)
    assert files_in("out") == V2
    assert sorted(os.listdir()) == ["out"]


KILLED = """
import os, sys, mreg
from mreg.artifacts import placing, replacing
left = int(sys.argv[2])
def dying(holder, name):
    real = getattr(holder, name)
    def call(*words):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return real(*words)
    setattr(holder, name, call)
for name in ("move", "link", "mkdir", "rmdir"):
    dying(replacing.Tree, name)
dying(placing, "rename2")
dying(placing.PullRecords, "keep")
mreg.open_registry(catalog=sys.argv[1]).pull("fo@2", "out", force=True)
"""


@pytest.mark.parametrize("first", ["fo@1", "fo@1 and more", "mine"])
def test_a_killed_pull_leaves_each_file_old_or_new_and_the_next_completes_it(
    registry: mreg.Registry, tmp_path: Path, first: str
) -> None:
    more = {} if first == "fo@1" else {"notes.txt": "mine", "sub/mine": "mine"}
    steps = range(1, 30) if FULL else sorted(random.sample(range(1, 13), 4))
    for step in steps:
        shutil.rmtree("out", ignore_errors=True)
        if first == "mine":
            fill("out", V1)
        else:
            registry.pull("fo@1", "out")
        fill("out", more)
        code = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / "catalog.db"), str(step)], check=False
        ).returncode
        assert code in (0, -signal.SIGKILL)
        for path, text in files_in("out").items():
            assert text in (V1.get(path), V2.get(path), more.get(path))
        assert files_in("out").items() >= more.items()
        for target, files in (("fo@1", V1), ("fo@2", V2)) if step % 2 else (("fo@2", V2),):
            registry.pull(target, "out", force=True)
            assert files_in("out").items() >= {**files, **more}.items()
            if first != "mine":
                assert files_in("out") == {**files, **more}
        assert not list(Path().glob(".out.mreg-*"))


# Any destination


NAMES = ["a", "b", "c", "d/a", "d/b", "d/e/f", "g/h", ".hidden/x"]


@pytest.mark.parametrize("seed", range(300 if FULL else 12))
def test_no_file_of_the_user_is_lost_whatever_is_pulled_where(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    versions: list[dict[str, str]] = []
    with mreg.open_registry(catalog=str(tmp_path / "catalog.db")) as registry:
        while len(versions) < 2:
            files = {name: chance.choice("xyz") for name in chance.sample(NAMES, chance.randint(1, 6))}
            fill(tmp_path / f"s{len(versions)}" / "net", files)
            registry.push(str(tmp_path / f"s{len(versions)}" / "net"), name="fo")
            versions.append(files)
        pulled: set[str] = set()
        for _ in range(12):
            before = files_in("out") if os.path.isdir("out") else {}
            if chance.random() < 0.4:
                name = chance.choice([*NAMES, "mine", "d/mine", "g"])
                try:
                    fill("out", {name: chance.choice("xyz") + f"{chance.randint(0, 2)}"})
                except OSError:
                    continue
                pulled.discard(name)
                continue
            if chance.random() < 0.1 and before:
                name = chance.choice(sorted(before))
                os.unlink(Path("out") / name)
                pulled.discard(name)
                continue
            number = chance.randint(0, 1)
            files, force = versions[number], chance.random() < 0.7
            try:
                done = registry.pull(f"fo@{number + 1}", "out", force=force)
            except mreg.AlreadyExists:
                assert files_in("out") == before
                continue
            after = files_in("out")
            assert {name: after.get(name) for name in files} == files
            assert done.unchanged == (before == after) or force
            for name, text in before.items():
                if name in files:
                    assert force or before[name] == files[name]
                elif name not in pulled:
                    assert after.get(name) == text, f"{name} was the user's"
            if not done.unchanged:
                assert not (pulled - set(files)) & set(after), "a file of an earlier pull is left"
                pulled = set(files)


def test_two_pulls_at_once_leave_one_version_whole(registry: mreg.Registry, tmp_path: Path) -> None:
    code = (
        "import sys, mreg\n"
        "for _ in range(15):\n"
        "    mreg.open_registry(catalog=sys.argv[1]).pull(sys.argv[2], 'out', force=True)\n"
    )
    registry.pull("fo@1", "out")
    for more in ({}, {"notes.txt": "mine"}):
        fill("out", more)
        children = [
            subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "catalog.db"), f"fo@{number}"])
            for number in (1, 2)
        ]
        assert [child.wait() for child in children] == [0, 0]
        assert files_in("out") in ({**V1, **more}, {**V2, **more})


@pytest.mark.parametrize("when", ["before it is opened", "before it is locked"])
def test_a_pull_whose_new_folder_another_pull_removes_takes_the_next(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    made: list[str] = []
    make = resuming.make_folder

    def removed_at_first(path: str) -> int:
        made.append(path)
        descriptor = make(path)
        if len(made) < 4:
            os.rmdir(path)
            if when == "before it is opened":
                os.close(descriptor)
                raise FileNotFoundError(path)
        return descriptor

    monkeypatch.setattr(destination, "make_folder", removed_at_first)
    registry.pull("fo@1", "out")
    assert files_in("out") == V1
    assert len(made) == 4


def test_the_union_of_two_records_has_the_digests_of_both() -> None:
    one = PullRecord(files={"a": frozenset("1"), "b": frozenset("2")}, folders=frozenset("x"))
    two = PullRecord(files={"b": frozenset("3")}, folders=frozenset("y"))
    both = one.also(two)
    assert both.files == {"a": {"1"}, "b": {"2", "3"}}
    assert both.folders == {"x", "y"}
    assert not PullRecord()
    kept = PullRecords(os.path.abspath("records"))
    assert kept.keep("/x", 1, both)
    assert kept.find("/x", 1) == both
    assert not kept.find("/x", 2)
    kept.drop("/x", 1)
    assert not kept.find("/x", 1)
