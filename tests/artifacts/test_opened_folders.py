"""Putting many blobs opens each folder of the store once, as far as the process may open files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from mreg.artifacts.local import LocalBackend
from mreg.folders import Tree

COUNT = 1_000

LIMITED = """
import resource, sys
from pathlib import Path
from tests.artifacts.test_opened_folders import blobs
from mreg.artifacts.local import LocalBackend
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
backend = LocalBackend(Path(sys.argv[1]))
print(backend.put_many_if_absent(blobs()), backend.put_many_if_absent(blobs()))
"""


def blobs() -> list[tuple[str, bytes]]:
    found = []
    for number in range(COUNT):
        data = str(number).encode()
        digest = hashlib.sha256(data).hexdigest()
        found.append((f"blobs/sha256/{digest[:2]}/{digest[2:]}", data))
    return found


def test_each_folder_is_reached_once_to_look_and_once_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = LocalBackend(tmp_path / "store")
    assert backend.put_many_if_absent(blobs()) == COUNT
    reached: list[tuple[str, ...]] = []
    folder = Tree.folder

    def counted(self: Tree, names: tuple[str, ...], *, make: bool = False, durable: bool = False) -> object:
        reached.append(names)
        return folder(self, names, make=make, durable=durable)

    monkeypatch.setattr(Tree, "folder", counted)
    assert backend.put_many_if_absent(blobs()) == 0
    assert len(reached) <= 256 + 1
    (tmp_path / "store" / "blobs").rename(tmp_path / "store" / "before")
    reached.clear()
    assert backend.put_many_if_absent(blobs()) == COUNT
    assert len(reached) <= 2 * 256 + 1


def test_a_process_that_may_open_few_files_puts_many_blobs(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "store")], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(COUNT), "0"]
