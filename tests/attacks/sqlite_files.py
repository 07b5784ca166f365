"""Real SQLite files for attacks: a catalog, and what a killed writer leaves beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import mreg

SUPER_MAGIC = bytes.fromhex("d9d505f920a163d7")
NAMES = ("one", "two", "three")


@dataclass(frozen=True)
class Files:
    """The bytes of a catalog, and of its journal or log."""

    catalog: bytes
    beside: bytes


def make_catalog(path: Path, models: int = 3) -> None:
    """A catalog with models that have a version each."""
    os.makedirs(path.parent, exist_ok=True)
    file = path.parent / "model.pkl"
    file.write_bytes(b"\x80\x04K\x01.")
    with mreg.open_registry(catalog=str(path)) as registry:
        for number in range(models):
            registry.push(file, name=NAMES[number % 3] + str(number), metrics={"loss": 0.5}, tags={"team": "t"})
    file.unlink()


def killed_writer(folder: Path, mode: str) -> Files:
    """The files as a writer leaves them that dies in the middle of a transaction.

    Args:
        mode: ``DELETE``: a hot journal, the catalog half changed; ``WAL``: a log with a whole transaction.
    """
    path = folder / "source" / "catalog.db"
    make_catalog(path)
    raw = sqlite3.connect(path, isolation_level=None)
    assert raw.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode.lower()
    raw.execute("PRAGMA cache_size = 1")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute("BEGIN IMMEDIATE")
    for table in ("models", "versions"):
        raw.execute(f"UPDATE {table} SET description = 'changed' || printf('%.*c', 19000, 'x')")
    if mode == "WAL":
        raw.execute("COMMIT")
    ending = "-journal" if mode == "DELETE" else "-wal"
    files = Files(path.read_bytes(), Path(f"{path}{ending}").read_bytes())
    if mode == "DELETE":
        raw.execute("ROLLBACK")
    raw.close()
    shutil.rmtree(path.parent)
    return files


def with_super_journal(journal: bytes, name: bytes, page_size: int = 4096) -> bytes:
    """A journal that names a super-journal, as ``writeSuperJournal`` of pager.c does."""
    page = (0x40000000 // page_size + 1).to_bytes(4, "big")
    total = sum(byte - 256 if byte > 127 else byte for byte in name) & 0xFFFFFFFF
    sector = -len(journal) % 512
    return b"".join(
        (journal, bytes(sector), page, name, len(name).to_bytes(4, "big"), total.to_bytes(4, "big"), SUPER_MAGIC)
    )


def share_a_subtree(path: Path, table: str, levels: int = 6) -> None:
    """Make the leaf of a table the child of every cell of levels of inner pages: 400 times the rows for each level."""
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = DELETE")
    root = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    raw.close()
    data = bytearray(path.read_bytes())
    page = bytes(data[(root - 1) * 4096 : root * 4096])
    assert page[0] == 13  # a leaf
    pages = len(data) // 4096
    data += page
    child = pages + 1
    for level in range(levels):
        cells = [child.to_bytes(4, "big") + bytes([0x7F])] * 400
        body = bytearray(4096)
        places = []
        end = 4096
        for cell in cells:
            end -= len(cell)
            body[end : end + len(cell)] = cell
            places.append(end.to_bytes(2, "big"))
        header = b"\x05" + bytes(2) + len(cells).to_bytes(2, "big") + end.to_bytes(2, "big") + b"\0"
        body[:12] = header + child.to_bytes(4, "big")
        body[12 : 12 + 2 * len(cells)] = b"".join(places)
        if level == levels - 1:
            data[(root - 1) * 4096 : root * 4096] = body
        else:
            data += body
            child = len(data) // 4096
    data[28:32] = (len(data) // 4096).to_bytes(4, "big")
    data[92:96] = data[24:28]
    path.write_bytes(data)
