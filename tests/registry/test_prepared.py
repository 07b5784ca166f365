"""Files between a server and its clients: their space, and what is left of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from mreg import files
from mreg.errors import Unavailable
from mreg.registry.local import LocalRegistry
from mreg.registry.prepared import receiving, remove_leftovers


def left() -> list[str]:
    return sorted(path.name for path in Path(tempfile.gettempdir()).iterdir())


def test_a_prepared_file_has_no_name_and_can_be_read_while_it_is_closed(
    registry: LocalRegistry, model_file: Path
) -> None:
    registry.push(model_file, name="m")
    exported, file = registry.prepare_export("m@1")
    assert (str(exported.destination), file.name, file.size_bytes) == ("m-1.mreg", "m-1.mreg", exported.size_bytes)
    assert left() == []
    chunks = file.read(0, file.size_bytes)
    start = next(chunks)
    file.close()
    file.close()
    assert len(start + b"".join(chunks)) == file.size_bytes
    with pytest.raises(Unavailable, match="the file is no longer there"):
        next(file.read(0, 1))


def test_a_long_name_of_a_model_is_exported(registry: LocalRegistry, model_file: Path) -> None:
    name = "a" * 128
    registry.push(model_file, name=name)
    _, file = registry.prepare_export(name)
    assert file.name == f"{name}.mreg"
    file.close()


def test_files_in_progress_take_at_most_half_of_the_free_space(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "room", lambda _folder: 1000)
    with receiving(300), receiving(200):
        with pytest.raises(Unavailable, match="not enough space for temporary files on the server") as failure:
            receiving(1).__enter__()
        assert "TMPDIR" in failure.value.hint
    with receiving(500) as file:
        file.write(b"x")
        assert Path(file.path).stat().st_mode & 0o077 == 0
    assert left() == []


def test_an_export_that_has_no_space_leaves_nothing(
    registry: LocalRegistry, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push(model_file, name="m")
    monkeypatch.setattr("mreg.registry.prepared.files.room", lambda _folder: 1)
    with pytest.raises(Unavailable, match="not enough space") as failure:
        registry.prepare_export("m")
    assert "mreg-serve-" not in failure.value.message
    assert left() == []


def test_only_unlocked_folders_are_leftovers() -> None:
    folder = Path(tempfile.gettempdir())
    outside = Path("outside").absolute()
    outside.mkdir()
    (outside / "file").write_text("stays")
    (folder / "mreg-serve-link").symlink_to(outside)
    (folder / "mreg-serve-old").mkdir()
    (folder / "mreg-serve-old/bundle").write_text("old")
    with receiving(1) as file:
        remove_leftovers()
        assert os.path.exists(file.path)
        assert sorted(left()) == sorted(["mreg-serve-link", os.path.basename(os.path.dirname(file.path))])
    assert (outside / "file").read_text() == "stays"
