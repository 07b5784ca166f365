"""Folders that mreg makes in the user's home are the user's alone; shared places follow the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import local_registry
from tests.hostile import attack
from tests.servers import Place

MODEL = b"\x80\x04K\x01."


@pytest.fixture(autouse=True)
def _a_usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def home(name: str) -> Path:
    return Path(os.environ["HOME"]) / name


def test_the_default_place_is_made_for_its_owner_alone() -> None:
    Path("model.pkl").write_bytes(MODEL)
    assert attack("push", "model.pkl", "-n", "x").code == 0
    assert mode(home(".local/share/mreg")) == 0o700


def test_a_store_in_the_default_place_that_is_made_first_is_made_so_too() -> None:

    with local_registry() as registry, registry.open_upload(4) as incoming:
        incoming.write(b"data")
    assert mode(home(".local/share/mreg")) == 0o700


def test_a_place_that_was_named_follows_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "shared/catalog.db"))
    Path("model.pkl").write_bytes(MODEL)
    assert attack("push", "model.pkl", "-n", "x").code == 0
    assert mode(tmp_path / "shared") == 0o755
    assert mode(tmp_path / "shared/artifacts") == 0o755


def test_a_default_place_that_is_there_is_left_as_it_is_and_doctor_notes_it() -> None:
    home(".local/share/mreg").mkdir(parents=True)
    home(".local/share/mreg").chmod(0o755)
    Path("model.pkl").write_bytes(MODEL)
    assert attack("push", "model.pkl", "-n", "x").code == 0
    assert mode(home(".local/share/mreg")) == 0o755
    done = attack("doctor")
    assert done.code == 0
    assert "other users can read it (mode 0755)" in " ".join(done.text.split())
    home(".local/share/mreg").chmod(0o700)
    assert "other users" not in attack("doctor").text


def test_the_profile_folder_is_made_for_its_owner_alone() -> None:
    assert attack("profile", "add", "nas", "--catalog", "catalog.db").code == 0
    assert mode(home(".config/mreg")) == 0o700


def test_the_cache_folder_is_made_for_its_owner_alone(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_CACHE", "1GB")
    Path("model.pkl").write_bytes(MODEL)
    assert attack("push", "model.pkl", "-n", "x", seconds=60).code == 0
    assert attack("pull", "x@1", "pulled", seconds=60).code == 0
    assert list(home(".cache/mreg").rglob("*"))
    assert mode(home(".cache/mreg")) == 0o700


def test_the_folder_of_catalog_copies_is_made_for_its_owner_alone(
    bucket: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/catalog.db")
    Path("model.pkl").write_bytes(MODEL)
    assert attack("push", "model.pkl", "-n", "x", seconds=60).code == 0
    assert list(home(".cache/mreg/catalogs").rglob("*"))
    assert mode(home(".cache/mreg")) == 0o700
