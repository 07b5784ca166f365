"""Nothing that a command makes goes onto the registry itself, and nothing but files, links and folders is replaced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg import files
from mreg.artifacts import destination as destination_module
from tests.conftest import Mreg

MAKERS: dict[str, Callable[[mreg.Registry, str, bool], object]] = {
    "backup": lambda registry, place, force: registry.backup(place, force=force),
    "export": lambda registry, place, force: registry.export("m@1", place, force=force),
    "pull": lambda registry, place, force: registry.pull("m@1", place, force=force),
    "pull of a folder": lambda registry, place, force: registry.pull("folder@1", place, force=force),
}
OWN = {
    "the catalog": "fx/catalog.db",
    "its log": "fx/catalog.db-wal",
    "its shared memory": "fx/catalog.db-shm",
    "its journal": "fx/catalog.db-journal",
    "by a roundabout way": "fx/../fx/./catalog.db",
    "by a link to its folder": "folderlink/catalog.db",
    "by a link to it": "link.db",
    "by another name of it": "hard.db",
    "a place in the store": "fx/artifacts/file",
    "a blob's folder": "fx/artifacts/blobs/sha256/new",
}


@pytest.fixture
def registry() -> mreg.Registry:
    Path("model").write_text("bytes")
    os.mkdir("folder")
    Path("folder/a").write_text("a")
    os.mkdir("fx")
    registry = mreg.open_registry(catalog=os.path.abspath("fx/catalog.db"), artifacts=os.path.abspath("fx/artifacts"))
    registry.push("model", name="m")
    registry.push("folder", name="folder")
    os.symlink("fx", "folderlink")
    os.symlink("fx/catalog.db", "link.db")
    os.link("fx/catalog.db", "hard.db")
    return registry


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_the_registrys_own_is_never_replaced(registry: mreg.Registry, maker: str, own: str) -> None:
    with registry:
        inode = os.stat("fx/catalog.db").st_ino
        with pytest.raises(mreg.BadInput) as caught:
            MAKERS[maker](registry, OWN[own], True)
        assert caught.value.hint == "name another destination"
        assert registry.push("folder", name="after").version == 1
        assert os.stat("fx/catalog.db").st_ino == inode
    with mreg.open_registry(
        catalog=os.path.abspath("fx/catalog.db"), artifacts=os.path.abspath("fx/artifacts")
    ) as again:
        assert [str(one.model.name) for one in again.models()] == ["after", "folder", "m"]
        again.verify_audit()


REPOSITORIES: dict[str, tuple[dict[str, str], str, str]] = {
    "the .git file of a worktree": ({".git": "gitdir: elsewhere"}, ".git", "part of a repository (.git)"),
    "a file in .git": ({".git/config": "[core]"}, ".git/config", "part of a repository (.git)"),
    "a new file in .git": ({".git/HEAD": "x"}, ".git/hooks", "part of a repository (.git)"),
    "a new .git": ({"train.py": "x"}, ".git", "part of a repository (.git)"),
    "a .git of another case": ({".GIT/config": "[core]"}, ".GIT/config", "part of a repository (.GIT)"),
    "by a link to .git": ({".git/config": "[core]"}, "way/config", "part of a repository (.git)"),
    "a file of Mercurial": ({".hg/hgrc": "x"}, ".hg/hgrc", "part of a repository (.hg)"),
    "a bare repository": ({"HEAD": "x", "objects/x": "x", "refs/x": "x"}, "", "part of a Git repository"),
    "a file in a bare repository": (
        {"HEAD": "x", "objects/x": "x", "refs/x": "x", "hooks/x": "x"}, "hooks/x", "part of a Git repository"),
}  # fmt: skip


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("place", REPOSITORIES)
@pytest.mark.parametrize("maker", MAKERS)
def test_nothing_is_written_into_a_repository(registry: mreg.Registry, maker: str, place: str, force: bool) -> None:
    there, destination, reason = REPOSITORIES[place]
    for name, text in there.items():
        (Path("work") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("work") / name).write_text(text)
    os.symlink(".git", "work/way")
    before = sorted((str(path), path.read_text() if path.is_file() else "") for path in Path("work").rglob("*"))
    path = os.path.abspath(os.path.join("work", destination))
    with registry, pytest.raises(mreg.BadInput) as caught:
        MAKERS[maker](registry, path, force)
    assert caught.value.message.startswith(f"cannot write to '{path}")
    assert caught.value.message.endswith(f"': it is {reason}")
    assert caught.value.hint == "name another destination"
    assert before == sorted((str(path), path.read_text() if path.is_file() else "") for path in Path("work").rglob("*"))


def test_a_folder_that_holds_the_catalog_is_not_replaced_by_one(registry: mreg.Registry) -> None:
    with registry, pytest.raises(mreg.BadInput, match="holds the catalog"):
        registry.pull("folder@1", "fx", force=True)
    assert Path("fx/catalog.db").exists()


@pytest.mark.parametrize("maker", MAKERS)
def test_a_device_a_pipe_and_a_link_to_one_are_never_replaced(registry: mreg.Registry, maker: str) -> None:
    places = ["fifo"]
    os.mkfifo("fifo")
    with contextlib.suppress(PermissionError):  # only root makes devices
        os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        places.append("device")
    for place in list(places):
        os.symlink(place, f"to-{place}")
        places.append(f"to-{place}")
    with registry:
        for place in places:
            before = os.lstat(place)
            with pytest.raises(mreg.BadInput, match=r"is a (pipe|device), which is never replaced"):
                MAKERS[maker](registry, place, True)
            assert os.path.samestat(os.lstat(place), before)


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_backup_that_was_overtaken_says_so(
    registry: mreg.Registry, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    real = destination_module.Destination._link
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(1, "not here")

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(files, "rename2", lambda *_, **__: False)

    def overtaken(self: destination_module.Destination, path: str) -> None:
        Path("b.db").write_text("another's")
        real(self, path)

    monkeypatch.setattr(destination_module.Destination, "_link", overtaken)
    with registry, pytest.raises(mreg.AlreadyExists, match=r"b\.db' already exists"):
        registry.backup("b.db")
    assert Path("b.db").read_text() == "another's"
    assert not list(Path().glob(".b.db.mreg-*"))


@pytest.mark.parametrize("there", ["file", "link", "dangling link"])
def test_a_forced_backup_replaces_a_file_or_a_link(registry: mreg.Registry, there: str) -> None:
    Path("precious").write_text("precious")
    if there == "file":
        Path("b.db").write_text("old")
    else:
        os.symlink("precious" if there == "link" else "nowhere", "b.db")
    with registry:
        registry.backup("b.db", force=True)
    assert not os.path.islink("b.db")
    raw = sqlite3.connect("b.db")
    assert raw.execute("SELECT count(*) FROM models").fetchone() == (2,)
    raw.close()
    assert Path("precious").read_text() == "precious"


def test_what_a_killed_backup_left_is_removed_by_the_next_to_the_same_place(registry: mreg.Registry) -> None:
    with registry:
        for _ in range(200):
            registry.register(f"x{os.urandom(4).hex()}", tags={"a": "b" * 1000})
    code = (
        "import os, sys, mreg\n"
        "from mreg.catalog import copying\n"
        "copying._compare = lambda *_: os.kill(os.getpid(), 9)\n"
        "mreg.open_registry(catalog=sys.argv[1], artifacts=sys.argv[2]).backup('b.db')\n"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code, os.path.abspath("fx/catalog.db"), os.path.abspath("fx/artifacts")], check=False
        )
        assert done.returncode == -9
    assert len(list(Path().glob(".b.db.mreg-*"))) == 1  # the second removed what the first left
    Path(".b.db.mreg-0123456789ab").write_text("as it was before it was a folder")
    Path(".b.db.mreg-0123456789ab-wal").write_text("and its log")
    with registry:
        registry.backup("b.db")
    assert not list(Path().glob(".b.db.mreg-*"))
    assert time.time() - os.stat("b.db").st_mtime < 60


def test_a_backup_by_its_command_onto_the_catalog_is_a_mistake(
    registry: mreg.Registry, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.close()
    monkeypatch.setenv("MREG_CATALOG", "fx/catalog.db")
    done = command("backup", "fx/catalog.db", "--force")
    assert (done.code, "is the catalog" in done.err) == (2, True), done.err
    assert command("list", "-q").out == "folder\nm\n"


@pytest.mark.parametrize("force", [True, False])
def test_a_backup_does_not_go_where_another_databases_log_is(registry: mreg.Registry, force: bool) -> None:
    os.mkdir("other")
    with registry, mreg.open_registry(catalog=os.path.abspath("other/catalog.db")) as other:
        other.register("theirs")
        assert Path("other/catalog.db-wal").exists()
        with pytest.raises(mreg.BadInput, match="the log of another database"):
            registry.backup("other/catalog.db", force=force)
        assert [str(one.model.name) for one in other.models()] == ["theirs"]
