"""Calls on files that a file system or an operating system refuses, each errno in turn."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mreg import durability, files, linux
from mreg.artifacts import destination
from mreg.artifacts.source import FileSection
from mreg.artifacts.source_folder import source_folder
from mreg.catalog import embedded, sqlite_upgrade
from mreg.catalog.sqlite import SqliteDatabase
from mreg.errors import BadInput
from tests.conftest import ROOT, Mreg

LIFE = """
import errno, os, sys
number, on_macos = int(sys.argv[1]), sys.argv[2] == "macos"
if on_macos:
    errno.ENOTSUP = 45  # where Linux has the same number for it as for EOPNOTSUPP
def refuse(*_, **__):
    raise OSError(number, os.strerror(number))
os.link = refuse
os.supports_dir_fd = {refuse} | os.supports_dir_fd
from mreg.cli.app import run
for command in sys.stdin.read().splitlines():
    code = run(command.split())
    assert code == 0, (command, code)
"""

LINKS = {
    "ENOTSUP of macOS": 45,
    **{name: getattr(errno, name) for name in "EOPNOTSUPP EPERM EACCES EMLINK ENOSYS".split()},
}


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry in the working folder, a file and a folder to push."""
    os.mkdir("store")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("store/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("store/artifacts"))
    Path("model.bin").write_bytes(b"model")
    Path("large.bin").write_bytes(os.urandom(5 << 20))
    for name in ("a", "sub/b"):
        path = Path("folder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


# Hard links


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("name", LINKS)
def test_everything_works_without_hard_links(name: str) -> None:
    Path("out").mkdir()
    Path("out/a").write_text("old")
    commands = (
        "push model.bin -n m", "push large.bin -n m", "push folder -n m", "backup backup.db", "export m -o m.mreg",
        "pull m@1 back.bin", "pull m@3 new", "pull m@3 out --force", "verify",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", LIFE, str(LINKS[name]), "macos" if "macOS" in name else "linux"],
        input="\n".join(commands), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path("back.bin").read_bytes() == b"model"
    assert Path("out/a").read_text() == "a"
    assert Path("new/sub/b").read_text() == "sub/b"
    assert not list(Path("store/artifacts/tmp").iterdir())
    assert {path.name for path in Path().iterdir() if ".mreg-" in path.name} == set()


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("words", ["push model.bin -n m", "push folder -n m", "backup backup.db", "pull m@1 back.bin"])
def test_another_error_of_a_hard_link_is_reported(command: Mreg, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    if words.startswith(("pull", "backup")):
        command("push", "model.bin", "-n", "m")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", refuse)
    done = command(*words.split())
    assert done.code == 8
    assert "Input/output error" in done.err
    assert not Path("back.bin").exists()
    assert not Path("backup.db").exists()


def test_windows_says_by_its_own_numbers_that_there_are_no_hard_links() -> None:
    error = OSError(errno.EINVAL, "Incorrect function")
    assert not files.lacks_links(error)
    error.winerror = 1  # type: ignore[attr-defined]
    assert files.lacks_links(error)


@pytest.mark.parametrize("atomic", [True, False])
def test_a_renamed_file_never_takes_a_name_that_is_taken(monkeypatch: pytest.MonkeyPatch, atomic: bool) -> None:
    Path("new").write_text("new")
    Path("old").write_text("old")
    if not atomic:
        monkeypatch.setattr(files, "rename2", lambda *_, **__: False)
    with pytest.raises(FileExistsError):
        files.rename_new("new", "old")
    assert Path("old").read_text() == "old"
    files.rename_new("new", "free")
    assert Path("free").read_text() == "new"


# fsync


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("name", "EIO ENOSPC EDQUOT EROFS EINVAL ENOTSUP EBADF".split())
def test_a_file_that_is_not_on_the_disk_becomes_no_version(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert command("push", "model.bin", "-n", "m").code == 0
    real = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    blobs = {path for path in Path("store").rglob("*") if path.is_file()}
    for words in ("push large.bin -n m", "pull m@1 back.bin", "backup backup.db", "export m -o m.mreg"):
        done = command(*words.split())
        assert done.code == 8, done
        assert os.strerror(getattr(errno, name)) in done.err
    assert {path for path in Path("store").rglob("*") if path.is_file()} == blobs
    assert not [one for one in ("back.bin", "backup.db", "m.mreg") if os.path.lexists(one)]
    monkeypatch.undo()


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("name", "EINVAL EBADF ENOTSUP EOPNOTSUPP ENOSYS EIO ENOSPC".split())
def test_a_file_system_may_lack_fsync_of_folders_but_not_fail_at_it(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert command("push", "model.bin", "-n", "m").code == 0
    real = os.fsync

    def refuse(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    for words in ("push large.bin -n m", "pull m@1 back.bin", "backup backup.db", "pull m@1 back.bin --force"):
        done = command(*words.split())
        expected = 8 if name in ("EIO", "ENOSPC") and not words.endswith("--force") else 0
        assert done.code == expected, (words, done)


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    "words", ["pull m@1 new", "pull m@1 old --force", "pull m@2 folder2", "backup b.db", "export m -o m.mreg"]
)
def test_a_destination_that_a_power_loss_can_remove_is_told_as_that(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    assert command("push", "model.bin", "-n", "m").code == 0
    assert command("push", "folder", "-n", "m").code == 0
    Path("old").write_bytes(b"old")
    real = os.fsync

    def refuse(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), os.stat(".")):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    done = command(*words.split())
    assert done.code == 8, done
    assert "is complete, but a power loss could remove it" in done.err
    assert os.path.lexists(words.removesuffix(" --force").split()[-1])
    assert not [name for name in os.listdir() if ".mreg-" in name]


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("words", "module", "function", "call", "code"),
    [
        ("verify", "mreg.artifacts.local", "open", "fstat", 8),
        ("pull m@1 out", "mreg.artifacts.local", "open", "fstat", 8),
        ("push large.bin -n m", "mreg.artifacts.source", "_refuse_changed", "fstat", 8),
        ("push large.bin -n m", "mreg.artifacts.source", "_read", "read", 8),
        ("edit m --description x", "mreg.sharing", "inherit_group", "stat", 0),
    ],
)
def test_a_file_that_turns_stale_is_told(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, words: str, module: str, function: str, call: str, code: int
) -> None:
    """As on a network drive whose server was started again."""
    assert command("push", "model.bin", "-n", "m").code == 0
    real, refused = getattr(os, call), []

    def refuse(*args: Any, **options: Any) -> Any:
        caller = sys._getframe(1)
        if (caller.f_globals["__name__"], caller.f_code.co_name) == (module, function):
            refused.append(args)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return real(*args, **options)

    monkeypatch.setattr(os, call, refuse)
    done = command(*words.split())
    monkeypatch.undo()
    assert refused
    assert (done.code, code == 0 or os.strerror(errno.ESTALE) in done.err) == (code, True), done


class Calls:
    """What brings bytes to the disk, and what gives a blob its name, in the order in which mreg does it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[str, str]] = []
        self.fails: int | None = None
        real_fsync, real_link, real_fcntl = os.fsync, os.link, fcntl.fcntl

        def fsync(descriptor: int) -> None:
            self.made.append(("fsync", _kind(descriptor)))
            real_fsync(descriptor)

        def link(source: str, target: str, **options: Any) -> None:
            self.made.append(("link", "file"))
            real_link(source, target, **options)

        def call(descriptor: int, command: int, *words: Any) -> Any:
            if command != 51:
                return real_fcntl(descriptor, command, *words)
            self.made.append(("F_FULLFSYNC", _kind(descriptor)))
            if self.fails is not None:
                raise OSError(self.fails, os.strerror(self.fails))
            return 0

        def never() -> None:
            raise AssertionError("sync(2) is no barrier on macOS")

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "sync", never)
        monkeypatch.setattr(os, "link", link)
        monkeypatch.setattr(fcntl, "fcntl", call)

    def before_the_first_name(self) -> list[tuple[str, str]]:
        return self.made[: self.made.index(("link", "file"))]


def _kind(descriptor: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"


@pytest.fixture
def macos(sources: None, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A registry with a model, and the calls of macOS: F_FULLFSYNC, and no system call of Linux."""
    assert command("push", "model.bin", "-n", "m").code == 0
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(linux, "_call", lambda _name: None)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    return Calls(monkeypatch)


def test_macos_writes_a_file_to_the_drive_before_it_gets_its_name(macos: Calls, command: Mreg) -> None:
    assert command("push", "large.bin", "-n", "m").code == 0
    assert ("F_FULLFSYNC", "file") in macos.before_the_first_name()
    assert ("F_FULLFSYNC", "folder") in macos.made[macos.made.index(("link", "file")) :]
    assert ("fsync", "file") not in macos.made


def test_macos_hands_many_files_over_and_then_has_the_drive_write_once(macos: Calls, command: Mreg) -> None:
    assert command("push", "folder", "-n", "m").code == 0
    assert macos.before_the_first_name()[:3] == [("fsync", "file"), ("fsync", "file"), ("F_FULLFSYNC", "folder")]


@pytest.mark.parametrize(
    "words", ["pull m@1 back.bin", "pull m@1 back.bin --force", "backup b.db", "export m -o m.mreg"]
)
def test_macos_writes_what_is_given_out_to_the_drive(macos: Calls, command: Mreg, words: str) -> None:
    assert command(*words.split()).code == 0
    assert macos.made[0] == ("F_FULLFSYNC", "file")
    assert macos.made[-1] == ("F_FULLFSYNC", "folder")


def test_macos_writes_a_pulled_folder_to_the_drive(macos: Calls, command: Mreg) -> None:
    assert command("push", "folder", "-n", "m").code == 0
    macos.made.clear()
    assert command("pull", "m@2", "out").code == 0
    assert macos.made.count(("fsync", "file")) == 2
    assert macos.made.count(("fsync", "folder")) == 2, "the folder and the one in it"
    assert macos.made.count(("F_FULLFSYNC", "folder")) == 2, "before and after it gets its name"
    Path("out/mine").write_text("mine")
    Path("folder/a").write_text("changed")
    assert command("push", "folder", "-n", "m").code == 0
    macos.made.clear()
    assert command("pull", "m@3", "out", "--force").code == 0
    last = len(macos.made) - 1 - macos.made[::-1].index(("link", "file"))
    assert macos.made[last:].count(("fsync", "folder")) == 2
    assert macos.made[-1] == ("F_FULLFSYNC", "folder")


@pytest.mark.parametrize(("name", "code"), [("ENOTSUP", 0), ("EINVAL", 0), ("ENOTTY", 0), ("EIO", 8), ("ENOSPC", 8)])
def test_a_network_drive_of_macos_may_lack_the_call_but_not_fail_at_it(
    macos: Calls, command: Mreg, name: str, code: int
) -> None:
    macos.fails = getattr(errno, name)
    assert command("push", "large.bin", "-n", "m").code == code
    assert (("fsync", "file") in macos.made) == (code == 0)


def test_sqlite_writes_commits_and_checkpoints_to_the_drive(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "catalog.db")
    for use in (database.write, database.read):
        found = use(
            lambda connection: [
                dict(connection.query(f"PRAGMA {name}", {})[0])[name]
                for name in ("fullfsync", "checkpoint_fullfsync", "synchronous")
            ]
        )
        assert found == [1, 1, 2]
    database.close()


def test_an_upgrade_of_a_catalog_is_written_to_the_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "catalog.db"
    shutil.copy(ROOT / "tests/compat/schema-3/catalog.db", path)
    real, found = embedded.migrate, list[int]()

    def migrate(raw: sqlite3.Connection, schema: int) -> None:
        found.extend(raw.execute(f"PRAGMA {name}").fetchone()[0] for name in ("fullfsync", "checkpoint_fullfsync"))
        real(raw, schema)

    monkeypatch.setattr(sqlite_upgrade, "migrate", migrate)
    database = SqliteDatabase(path)
    assert database.upgrade()
    assert found == [1, 1]
    database.close()


@pytest.mark.usefixtures("sources")
def test_a_failed_syncfs_is_reported(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    def fails(_descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    real: Callable[[str], Any] = linux._call
    monkeypatch.setattr(linux, "_call", lambda name: fails if name == "syncfs" else real(name))
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: types.SimpleNamespace(syncfs=fails))
    done = command("push", "folder", "-n", "m")
    assert done.code == 8
    assert "Input/output error" in done.err


def test_a_kernel_without_syncfs_syncs_everything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import ctypes

    def lacks(_descriptor: int) -> int:
        ctypes.set_errno(errno.ENOSYS)
        return -1

    called: list[str] = []
    monkeypatch.setattr(linux, "_call", lambda name: lacks)
    monkeypatch.setattr(os, "sync", lambda: called.append("sync"))
    durability.sync_all(str(tmp_path))
    assert called == ["sync"]


# Every other call


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("name", "hint"),
    [("EMFILE", "allow more open files: ulimit -n 1024"), ("EIO", "add --debug to see where"), ("ESTALE", "--debug")],
)
def test_an_error_of_the_system_is_never_called_a_bug(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, name: str, hint: str
) -> None:
    real, number = os.listdir, getattr(errno, name)

    def refuse(path: Any = ".") -> list[str]:
        if str(path).endswith("migrations"):
            raise OSError(number, os.strerror(number), path)
        return real(path)

    monkeypatch.setattr(os, "listdir", refuse)
    done = command("push", "model.bin", "-n", "m")
    monkeypatch.undo()
    assert done.code == 8, done
    assert "the operating system refused a call for " in done.err
    assert f"migrations': {os.strerror(number)}" in done.err
    assert hint in done.err
    assert command("list", "--json").out.strip() in ("[]", "")


# Reading


def test_sections_of_one_file_are_read_at_a_time_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pread")
    data = os.urandom(1 << 20)
    (tmp_path / "x").write_bytes(data)
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    size = len(data) // 8
    found: dict[int, bytes] = {}

    def read(number: int) -> None:
        section = FileSection(descriptor, number * size, size)
        found[number] = b"".join(iter(lambda: section.read(1), b""))
        section.close()

    monkeypatch.setattr("mreg.artifacts.source.SECTION_CHUNK", 1 << 12)
    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    os.close(descriptor)
    assert b"".join(found[number] for number in range(8)) == data


# Names and links of other systems


@pytest.mark.parametrize(
    ("mode", "tag", "expected"),
    [
        (stat.S_IFLNK, 0, True),
        (stat.S_IFDIR, 0, False),
        (stat.S_IFDIR, 0xA0000003, True),  # a junction
        (stat.S_IFLNK, 0xA000000C, True),  # a symbolic link
        (stat.S_IFDIR, 0x9000601A, False),  # a folder of OneDrive
        (stat.S_IFREG, 0x80000013, False),  # a deduplicated file
    ],
)
def test_a_junction_is_a_link_and_a_cloud_folder_is_none(mode: int, tag: int, expected: bool) -> None:
    assert files.is_link(types.SimpleNamespace(st_mode=mode, st_reparse_tag=tag)) is expected  # type: ignore[arg-type]


def test_a_junction_in_a_folder_is_not_pushed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = os.lstat

    def lstat(path: str) -> Any:
        found = real(path)
        if str(path).endswith("elsewhere"):
            return types.SimpleNamespace(st_mode=found.st_mode, st_reparse_tag=0xA0000003)
        return found

    monkeypatch.setattr(files, "open_folder", lambda _path, **_options: -1)  # Windows cannot open folders
    monkeypatch.setattr(os, "lstat", lstat)
    monkeypatch.setattr(os, "readlink", lambda _path: "C:\\elsewhere")
    with pytest.raises(BadInput, match="is a link to"):
        source_folder(str(tmp_path))


@pytest.mark.parametrize("name", ["aux.txt", "sub/COM1", "x.", "x ", "ab:c", "what?", "a*", "a<b", "a>b", "a|b", 'a"b'])
def test_a_name_that_windows_refuses_is_told_before_anything_is_written(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = Path("folder", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    assert command("push", "folder", "-n", "m").code == 0
    monkeypatch.setattr(destination, "WINDOWS", True)
    done = command("pull", "m@1", "out")
    assert done.code == 2
    assert "the name is not allowed on Windows, or has another meaning there" in done.err
    assert not os.path.lexists("out")


def test_file_modes_tell_nothing_on_windows(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("folder").mkdir()
    Path("folder/run.sh").write_text("x")
    Path("folder/run.sh").chmod(0o755)
    assert command("push", "folder", "-n", "m").code == 0
    assert command("pull", "m@1", "out").code == 0
    Path("out/run.sh").chmod(0o644)
    monkeypatch.setattr(destination, "WINDOWS", True)
    assert command("pull", "m@1", "out").code == 0


def test_a_disk_that_keeps_names_in_another_unicode_form_holds_the_same_folder(
    command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("folder").mkdir()
    Path("folder/caf\u00e9").write_text("x")
    assert command("push", "folder", "-n", "m").code == 0
    assert command("pull", "m@1", "out").code == 0
    monkeypatch.setattr(destination, "names_below", lambda _path: {"cafe\u0301"})  # as HFS+ lists it
    assert command("pull", "m@1", "out").code == 0
    assert "other files" not in command("pull", "m@1", "out").err
    monkeypatch.setattr(destination, "names_below", lambda _path: {"cafe\u0301", "tea"})
    assert re.match(r"other files are kept in .*: 'tea'$", command("pull", "m@1", "out").err)


@pytest.mark.parametrize("names", [("README", "readme"), ("caf\u00e9", "cafe\u0301"), ("sub/a", "SUB/A")])
def test_names_that_a_disk_can_take_for_one_are_not_pushed_together(command: Mreg, names: tuple[str, str]) -> None:
    for name in names:
        path = Path("folder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    done = command("push", "folder", "-n", "m")
    assert done.code == 2
    assert "are the same on some systems" in done.err
