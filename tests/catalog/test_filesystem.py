"""Network file systems: told by the kernel's table of mounts, and written to without a write-ahead log."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

import mreg
from mreg.catalog import filesystem, sqlite
from mreg.catalog.filesystem import network_type, type_of_device
from mreg.testing.database import add_event, count
from tests.contracts.test_sqlite_database import TestSqliteDatabase as OnLocalDisk

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
31 22 0:27 / /mnt/nas rw,relatime shared:12 - nfs4 nas:/export rw,vers=4.2
32 22 0:28 / /mnt/share\\040one rw shared:13 master:2 - cifs //nas/share rw
33 22 0:29 /sub /mnt/ssh rw - fuse.sshfs ada@host: rw
34 22 0:30 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
35 22 0:31 / /scratch rw - lustre mgs@tcp:/scratch rw
36 22 0:32 / /overlay rw - fuse.fuse-overlayfs overlay rw
damaged line
"""


@pytest.mark.parametrize(
    ("minor", "network"),
    [(27, "nfs4"), (28, "cifs"), (29, "fuse.sshfs"), (30, ""), (31, "lustre"), (32, ""), (99, "")],
)
def test_the_table_of_mounts_tells(minor: int, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(filesystem, "MOUNTS", str(tmp_path / "mountinfo"))
    monkeypatch.setattr(os, "major", lambda _device: 0)
    monkeypatch.setattr(os, "minor", lambda _device: minor)
    assert network_type(str(tmp_path)) == network


def test_the_disk_of_the_tests_is_local_and_so_is_one_without_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert network_type(str(tmp_path)) == ""
    assert type_of_device(MOUNTS, 254, 1) == "ext4"
    monkeypatch.setattr(filesystem, "MOUNTS", str(tmp_path / "nothing"))
    assert network_type(str(tmp_path)) == ""
    assert network_type(str(tmp_path / "nothing")) == ""


@pytest.fixture
def on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "network_type", lambda _path: "nfs4")


@pytest.mark.usefixtures("on_nfs")
class TestSqliteOnNetwork(OnLocalDisk):
    """The same laws with a rollback journal; readers there wait for a writer, who waits for them."""

    def test_a_read_sees_one_state(self) -> None:
        one, other = self.open(), self.open()
        one.write(add_event)
        assert other.read(lambda connection: (count(connection), count(connection))) == (1, 1)
        assert one.write(add_event) == 2
        assert other.read(count) == 2


@pytest.mark.usefixtures("on_nfs")
def test_it_has_a_rollback_journal_and_the_doctor_says_so(tmp_path: Path) -> None:
    with mreg.open_registry(catalog=str(tmp_path / "catalog.db")) as registry:
        registry.register("m")
        (note,) = [one for one in registry.examine() if one.state != "fine"]
        assert (note.name, note.state) == ("place", "note")
        assert "nfs4" in note.message
    assert (tmp_path / "catalog.db").read_bytes()[18:20] == b"\1\1"


def test_a_file_that_was_made_elsewhere_is_changed_when_it_comes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.db"
    with mreg.open_registry(catalog=str(path)) as registry:
        registry.register("m")
    assert path.read_bytes()[18:20] == b"\2\2"
    monkeypatch.setattr(sqlite, "network_type", lambda _path: "nfs4")
    busy = sqlite3.connect(path, isolation_level=None)
    busy.execute("BEGIN")
    busy.execute("SELECT * FROM models")
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.2)
    with pytest.raises(mreg.Conflict, match=r"is in use on .*, with a log that machines cannot share") as caught:
        sqlite.SqliteDatabase(path, busy_seconds=0.2).read(count)
    assert caught.value.hint == "stop the other commands that use it, then try again"
    busy.close()
    with mreg.open_registry(catalog=str(path)) as registry:
        assert len(registry.models()) == 1
    assert path.read_bytes()[18:20] == b"\1\1"
