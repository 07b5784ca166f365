"""The commands of upkeep: every format, every mistake with its exit code, nothing changed by one."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import tempfile
import time
from pathlib import Path

import pytest

from tests.conftest import Mreg


@pytest.fixture
def story(command: Mreg) -> Mreg:
    """A registry with something to look after."""
    for number in (1, 2):
        Path("m.pkl").write_text(str(number))
        command("push", "m.pkl", "-n", "m")
    command("delete", "m@1", "--yes")
    command("backup", "b.db")
    Path("config.yaml").write_text(
        "profiles:\n  a: {catalog: a/catalog.db}\n  b: {catalog: b/catalog.db}\n  full: {catalog: full/catalog.db}\n"
    )
    return command


@pytest.mark.parametrize("form", ["plain", "json", "csv", "md", "table"])
@pytest.mark.parametrize(
    "words", [["verify"], ["verify", "m@2"], ["gc", "--grace", "0s"], ["doctor"], ["backup", "new.db"], ["restore", "b.db", "--yes"],
     ["upgrade"], ["upgrade", "--check"], ["upgrade", "--dry-run"]],
    ids=" ".join,
)  # fmt: skip
def test_a_command_speaks_every_format(story: Mreg, words: list[str], form: str) -> None:
    done = story(*words, "--format", form)
    assert done.code == 0, done.err
    assert done.out
    if form == "json":
        json.loads(done.out)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["backup"], 2, "FILE"),
        (["backup", "b.db"], 7, "--force"),
        (["backup", "here"], 7, "already exists"),
        (["backup", "link"], 7, "already exists"),
        (["backup", "here", "--force"], 2, "is a folder, which is never replaced"),
        (["backup", "fifo"], 2, "is a pipe, which is never replaced"),
        (["backup", "fifo", "--force"], 2, "is a pipe, which is never replaced"),
        (["backup", "linktofifo", "--force"], 2, "is a pipe, which is never replaced"),
        (["export", "m@2", "-o", "fifo", "--force"], 2, "is a pipe, which is never replaced"),
        (["pull", "m@2", "fifo", "--force"], 2, "is a pipe, which is never replaced"),
        (["backup", "nowhere/b.db"], 4, "does not exist"),
        (["backup", ""], 7, "already exists"),
        (["restore", "nothing.db", "--yes"], 4, "file not found: "),
        (["restore", "nothing.db"], 4, "file not found: "),
        (["restore", "here", "--yes"], 2, ": not a regular file"),
        (["restore", "device", "--yes"], 2, ": not a regular file"),
        (["restore", "newer.db", "--yes"], 8, "the catalog newer.db has schema"),
        (["restore", "m.pkl", "--yes"], 6, "not an mreg catalog"),
        (["restore", "empty", "--yes"], 6, "empty is damaged: the file is empty"),
        (["restore", "fifo", "--yes"], 2, ": not a regular file"),
        (["restore", "b.db"], 2, "--yes"),
        (["catalog"], 2, "copy"),
        (["catalog", "copy"], 2, "--from-profile"),
        (
            ["catalog", "copy", "--from-profile", "a", "--to-profile", "c", "--config", "config.yaml"],
            4,
            "profile 'c' not found",
        ),
        (
            ["catalog", "copy", "--from-profile", "a", "--to-profile", "a", "--config", "config.yaml"],
            2,
            "the same catalog",
        ),
        (["gc", "--grace", "-1s"], 2, "-1s"),
        (["gc", "--grace", "1y"], 2, "1y"),
        (["gc", "--grace", "99999999999999999d"], 2, "is no time"),
        (["verify", "m@1"], 4, "m has no version 1"),
        (["verify", "m", "--sample", "200%"], 2, "200%"),
        (["verify", "a@@1"], 2, "invalid selector '@1'"),
        (["doctor", "x"], 2, "x"),
        (["upgrade", "x"], 2, "x"),
        (["upgrade", "--force"], 2, "--force"),
    ],
    ids=str,
)
def test_a_mistake_is_told_and_changes_nothing(story: Mreg, words: list[str], code: int, said: str) -> None:
    os.mkdir("here")
    os.symlink("/nowhere", "link")
    os.mkfifo("fifo")
    os.symlink("fifo", "linktofifo")
    Path("empty").touch()
    if os.geteuid() == 0:
        os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    else:
        os.symlink("/dev/zero", "device")
    shutil.copy("b.db", "newer.db")
    raw = sqlite3.connect("newer.db")
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = story("history", "--json").out, sorted(os.listdir())
    done = story(*words)
    assert done.code == code, done.err + done.out
    assert said in done.err + done.out
    assert (story("history", "--json").out, sorted(os.listdir())) == before


def test_copying_an_empty_catalog_and_onto_one_that_is_used(story: Mreg) -> None:
    words = ["catalog", "copy", "--config", "config.yaml", "--from-profile"]
    for folder in ("a", "b"):
        Path(folder).mkdir(exist_ok=True)
    assert story(*words, "a", "--to-profile", "b").code == 0  # nothing to copy, and nothing wrong
    shutil.copytree(Path(os.environ["HOME"]) / ".local/share/mreg", "full")
    shutil.copytree("full/artifacts", "b/artifacts", dirs_exist_ok=True)
    done = story(*words, "full", "--to-profile", "b")
    assert done.code == 0, done.err
    assert story("show", "m", "--config", "config.yaml", "--profile", "b", "-q").out == "m@2\n"
    assert story(*words, "full", "--to-profile", "b").code == 7


def test_the_doctor_names_the_temporary_folders_of_killed_commands(
    story: Mreg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, hours in (
        ("mreg-restore-old", 25),
        ("mreg-import-old", 25),
        ("mreg-git-old", 25),
        ("mreg-restore-new", 23),
        ("other", 25),
    ):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - hours * 3600,) * 2)
    os.symlink(tmp_path, tmp_path / "mreg-restore-link")
    done = story("doctor")
    assert done.code == 0
    (line,) = [line for line in done.out.splitlines() if line.startswith("temporary folders")]
    assert f"{tmp_path}/mreg-git-old, {tmp_path}/mreg-import-old, {tmp_path}/mreg-restore-old\t" in line
    assert "rm -r" in line
    assert "note" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another")
def test_the_doctor_leaves_the_temporary_folders_of_others_out(
    story: Mreg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "mreg-restore-theirs").mkdir()
    os.utime(tmp_path / "mreg-restore-theirs", (1, 1))
    os.chown(tmp_path / "mreg-restore-theirs", 65534, 65534)
    assert "theirs" not in story("doctor").out


@pytest.mark.parametrize("form", ["plain", "csv", "md", "table", "json"])
def test_verify_tells_of_blobs_of_no_version_in_every_format(story: Mreg, form: str) -> None:
    done = story("verify", "--format", form)
    assert done.code == 0
    if form in ("plain", "csv"):
        assert "1 unreferenced blob, 1 byte" in done.err
    else:
        assert done.err == ""
        assert ("1 unreferenced blob" in done.out) or json.loads(done.out)["unreferenced"] == 1
    assert story("verify", "-q").err == ""
