"""Project folders that attack a push by their rules, names and links."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mreg.artifacts.source_folder import Selection, source_folder
from mreg.errors import Conflict
from tests.hostile import attack, plant, printable_only, untouched

SLOW = "\n".join(f"{'*a' * 400}{number}" for number in range(75))


def bind(path: Path) -> None:
    """Create a socket; its path is relative, because that of an address is short."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


RULES: dict[str, Callable[[Path], object]] = {
    "huge": lambda path: path.write_bytes(b"*.log\n" * 2_000_000),
    "many": lambda path: path.write_text("a\n" * 1_001),
    "long": lambda path: path.write_text("a" * 5_000),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe*\0"),
    "no pattern": lambda path: path.write_text("[z-a]\n"),
    "escapes": lambda path: path.write_text("\x1b[2J\x1b]52;c;eA==\x07[z-a]\n"),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a socket": lambda path: bind(path),
    "a link out": lambda path: path.symlink_to("/etc/passwd"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``model`` with a file, in the working folder."""
    folder = tmp_path / "project" / "model"
    folder.mkdir(parents=True)
    (folder / "w.bin").write_text("weights")
    monkeypatch.chdir(folder.parent)
    return folder


@pytest.mark.parametrize("name", RULES)
def test_a_hostile_file_of_patterns_is_an_error_in_bounded_time(project: Path, name: str) -> None:
    RULES[name](project / ".mregignore")
    with untouched(project):
        done = attack("push", "model", "-n", "x")
    assert (done.code, done.out) == (2, b"")
    assert b".mregignore" in done.err or name == "many"
    assert printable_only(done.err)


def test_slow_patterns_on_long_names_end_in_bounded_time(project: Path) -> None:
    (project / ".mregignore").write_text(SLOW)
    for number in range(300):
        (project / f"{'a' * 240}{number:04}b").write_text("x")
    assert attack("push", "model", "-n", "x", "--dry-run").code in (0, 2)


@pytest.mark.parametrize("target", [".", "..", "/dev/zero", "/dev/stdin", "pipe", "w.bin/x", "missing"])
@pytest.mark.parametrize("flag", [(), ("--follow-links",)])
def test_a_hostile_link_is_refused_and_named(project: Path, target: str, flag: tuple[str, ...]) -> None:
    os.mkfifo(project.parent / "pipe")
    (project / "\x1b[31mlink").symlink_to("../pipe" if target == "pipe" else target)
    done = attack("push", "model", "-n", "x", *flag)
    assert done.code in (2, 4, 8)
    assert done.out == b""
    assert printable_only(done.err)


def test_a_link_out_of_the_folder_is_never_followed_unasked(project: Path, tmp_path: Path) -> None:
    plant(tmp_path / "outside")
    (project / "config.json").symlink_to(tmp_path / "outside" / ".ssh" / "authorized_keys")
    with untouched(tmp_path / "outside"):
        assert attack("push", "model", "-n", "x").code == 2
        done = attack("push", "model", "-n", "x", "--follow-links", "-q")
    assert done.out == b"x@1\n"
    assert done.err == b"warning: 'config.json' looks like a secret and is part of the version\n"


def test_a_file_of_patterns_cannot_take_back_the_registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".mregignore").write_text("!*\n!**\n!.mregignore\n")
    (project / "s").mkdir()
    monkeypatch.setenv("MREG_CATALOG", str(project / "s" / "c.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", str(project / "s" / "a"))
    assert attack("push", "model/w.bin", "-n", "x").code == 0
    done = attack("push", "model", "-n", "x", "--dry-run", "--json")
    assert done.code == 0
    assert b"c.db" not in done.out and b"blobs" not in done.out
    assert b'".mregignore"' in done.out


def test_a_folder_that_becomes_another_by_a_link_is_not_read_twice_over(project: Path) -> None:
    inner = project
    for _ in range(12):
        inner = inner / "d"
        inner.mkdir()
        (inner / "up").symlink_to("..")
    assert attack("push", "model", "-n", "x", "--follow-links").code == 2


def test_links_that_multiply_a_folder_are_refused_in_bounded_time(project: Path) -> None:
    depth = 30
    for number in range(depth):
        (project / f"d{number}").mkdir()
        (project / f"d{number}" / "w").write_text("x")
        for name in "ab" if number + 1 < depth else "":
            (project / f"d{number}" / name).symlink_to(f"../d{number + 1}")
    done = attack("push", "model", "-n", "x", "--follow-links")
    assert (done.code, done.out) == (2, b"")
    assert b"links lead to this folder on more than 100 paths" in done.err


def test_many_links_can_lead_to_one_shared_folder(project: Path) -> None:
    (project / "shared").mkdir()
    (project / "shared" / "tokenizer.json").write_text("{}")
    for number in range(90):
        (project / f"checkpoint-{number}").mkdir()
        (project / f"checkpoint-{number}" / "tokenizer").symlink_to("../shared")
    assert attack("push", "model", "-n", "x", "--follow-links").code == 0


def test_a_repository_in_an_artifact_is_named_when_it_is_pulled(project: Path) -> None:
    (project / "sub" / ".git").mkdir(parents=True)
    (project / "sub" / ".git" / "config").write_text("[core]\nfsmonitor = touch owned\n")
    assert attack("push", "model", "-n", "x", "--exclude", "!.git").code == 0
    warning = b"warning: x@1 has the repository 'sub/.git': a version control system can run commands from it\n"
    assert attack("pull", "x@1", "out", "--quiet").err == warning
    assert attack("pull", "x@1", "part", "--include", "w.bin", "--quiet").err == b""
    assert attack("pull", "x@1", "shown", "--dry-run", "--quiet").err == b""


@pytest.mark.parametrize("follow_links", [False, True])
def test_a_folder_that_becomes_a_link_during_the_push_is_not_read(
    project: Path, tmp_path: Path, follow_links: bool
) -> None:
    plant(tmp_path / "outside")
    (project / "sub").mkdir()

    class Swapping(Selection):
        """Replaces the folder after it was seen, and before it is read."""

        def left_out(self, path: str, place: str, *, leaf: bool) -> str:
            if path == "sub/" and not leaf:
                os.rename(place, project.parent / "sub")
                os.symlink(tmp_path / "outside", place)
            return ""

    with pytest.raises(Conflict, match="'sub' changed while it was read"):
        source_folder(str(project), Swapping(), follow_links=follow_links)
