"""Catalogs with endless rows that padding makes large: the ceilings hold for a file of any size."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.catalog import guard
from mreg.catalog.guard import solid_size, stored_size
from mreg.catalog.local_copy import LocalCopy
from mreg.errors import BadInput, Unavailable
from mreg.registry import query
from tests.attacks.sqlite_files import make_catalog, share_a_subtree
from tests.hostile import attack, untouched

PADDING = 300 << 20


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """The catalog of a cloned project, the working folder."""
    folder = tmp_path / "cloned"
    path = folder / ".mreg" / "catalog.db"
    make_catalog(path)
    (folder / "mreg.yaml").write_text("catalog: .mreg/catalog.db\n")
    os.chdir(folder)
    return path


def count_pages(path: Path) -> None:
    """Let the header count every page of the file."""
    with path.open("r+b") as stream:
        stream.seek(28)
        stream.write((os.path.getsize(path) // 4096).to_bytes(4, "big"))


def with_zeros(path: Path) -> None:
    with path.open("ab") as stream:
        for _ in range(PADDING >> 20):
            stream.write(bytes(1 << 20))
    count_pages(path)


def with_a_hole(path: Path) -> None:
    os.truncate(path, PADDING)
    count_pages(path)


def with_zeros_after_the_last_page(path: Path) -> None:
    os.truncate(path, PADDING)


def test_zeros_do_not_raise_the_memory_beyond_the_ceiling(catalog: Path) -> None:
    share_a_subtree(catalog, "events")
    with_zeros(catalog)
    outcome = attack("history", "--limit", "9999999", seconds=60, peak_bytes=guard.MOST_MEMORY + (200 << 20))
    assert outcome.code == 8
    assert f"cannot read the catalog {catalog}: this takes more than 512 MiB of memory" in outcome.text
    assert "--limit 1000" in outcome.text
    assert attack("history", "--limit", "5").code in (0, 6)


@pytest.mark.parametrize("pad", [with_a_hole, with_zeros_after_the_last_page], ids=lambda pad: pad.__name__)
def test_holes_explain_nothing(pad: Callable[[Path], None], catalog: Path) -> None:
    share_a_subtree(catalog, "events")
    pad(catalog)
    outcome = attack("history")
    assert outcome.code == 6
    assert "takes more memory than" in outcome.text


def test_zeros_do_not_raise_the_time_beyond_the_ceiling(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share_a_subtree(catalog, "events")
    with_zeros(catalog)
    monkeypatch.setattr(guard, "MOST_SECONDS", 4.0)
    raw = guard.connect(str(catalog), "there", lambda: stored_size(str(catalog)))
    raw.guard.begin()
    with pytest.raises(sqlite3.OperationalError) as failure:
        raw.execute("SELECT count(*) FROM events NOT INDEXED WHERE length(details) < 0").fetchone()
    with pytest.raises(Unavailable, match=r"^cannot read the catalog there: this takes more than 4 s"):
        guard.raise_reason(failure.value)
    raw.close()


@pytest.mark.parametrize("table", ["events", "models", "versions"])
def test_a_copy_has_no_more_bytes_than_the_file(table: str, catalog: Path, tmp_path: Path) -> None:
    share_a_subtree(catalog, table)
    (tmp_path / "backups").mkdir()
    for words in (("backup", str(tmp_path / "backups" / "b.db")), ("restore", str(catalog), "--yes")):
        with untouched(tmp_path / "backups"):
            outcome = attack(*words)
        assert outcome.code in (1, 4, 6, 8), outcome


def test_a_copy_of_rows_ends_where_the_file_does(catalog: Path) -> None:
    share_a_subtree(catalog, "events")
    raw = guard.connect(str(catalog), "there", lambda: stored_size(str(catalog)))
    count = 0
    with pytest.raises(mreg.errors.Corrupt, match="it takes more rows than"):
        for row in raw.guard.copy(raw.execute("SELECT * FROM events")):
            count += sum(len(value) for value in row if isinstance(value, str))
    assert count <= 2 * stored_size(str(catalog)) + (1 << 20)
    raw.close()


def test_the_log_counts_as_part_of_a_catalog(catalog: Path) -> None:
    before = stored_size(str(catalog))
    raw = sqlite3.connect(catalog, isolation_level=None)
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    raw.execute("UPDATE models SET description = printf('%.*c', 19000, 'x')")
    assert stored_size(str(catalog)) > before + 3 * 19000
    raw.close()


def test_the_copy_of_a_padded_object_has_a_hole(tmp_path: Path) -> None:
    data = b"x" * 5000 + bytes(3 << 20)
    pieces = [data[start : start + (1 << 20)] for start in range(0, len(data), 1 << 20)]
    copy = LocalCopy(str(tmp_path / "cache"), "s3://b/c").receive("e", lambda: iter(pieces))
    assert copy.whole(loaded=False) is not None
    assert Path(copy.path).read_bytes() == data
    assert stored_size(copy.path) <= 2 << 20
    assert solid_size(data) < 10_000


def test_a_history_of_too_many_events_asks_for_a_limit(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mreg.open_registry(catalog=str(catalog)) as registry:
        whole = registry.history()
        monkeypatch.setattr(query, "MOST_EVENTS", len(whole))
        assert registry.history() == whole
        monkeypatch.setattr(query, "MOST_EVENTS", len(whole) - 1)
        with pytest.raises(BadInput, match=r"^cannot read the whole history: it has more than 5 events") as failure:
            registry.history()
        assert failure.value.hint == "show the newest events: mreg history --limit 1000"
        assert registry.history(limit=len(whole)) == whole
        assert len(registry.history("one0")) == 2


def test_a_history_that_fits_below_the_memory_of_rows_stays_small(catalog: Path) -> None:
    share_a_subtree(catalog, "events", 2)
    with_zeros(catalog)
    outcome = attack("history", "--json", peak_bytes=400 << 20)
    assert outcome.code in (2, 8), outcome
