"""Files between a server and its clients: their space, and what is left of them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from mreg.errors import Unavailable
from mreg.registry import temporary_space
from mreg.registry.local import LocalRegistry
from mreg.registry.prepared import PreparedFile, receiving, remove_leftovers
from mreg.registry.tokens import new_token


@pytest.fixture(autouse=True)
def _no_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_space, "_shares", set())


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


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system of 1,000 bytes that has only the files of a server."""
    folder = Path(tempfile.gettempdir())

    def room(_folder: str) -> int:
        return 1000 - sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    monkeypatch.setattr(temporary_space, "room", room)


@pytest.mark.usefixtures("disk")
def test_files_in_progress_take_at_most_half_of_the_free_space() -> None:
    with receiving(500) as one, receiving(200) as other:
        one.write(b"x" * 300)
        other.write(b"x" * 200)
        for file in (one, other):
            with pytest.raises(Unavailable) as failure:
                file.write(b"x")
            assert failure.value.message.startswith("not enough space for temporary files on the server: ")
            assert "TMPDIR" in failure.value.hint
        with pytest.raises(Unavailable, match="1 byte needed, and at most 0 bytes can be used now"):
            receiving(1).__enter__()
    with pytest.raises(Unavailable, match="501 bytes needed, and at most 500 bytes can be used now"):
        receiving(501).__enter__()
    with receiving(500) as file:
        file.write(b"x" * 500)
        assert Path(file.path).stat().st_mode & 0o077 == 0
    assert left() == []


@pytest.mark.usefixtures("disk")
def test_an_announced_size_takes_no_space() -> None:
    with contextlib.ExitStack() as stack:
        promised = [stack.enter_context(receiving(500)) for _ in range(5)]
        with receiving(450) as file:
            file.write(b"x" * 450)
        promised[0].write(b"x" * 500)


@pytest.mark.usefixtures("disk")
def test_the_files_of_one_client_leave_space_for_others() -> None:
    with receiving(300, "eve") as one, receiving(300, "eve") as two:
        one.write(b"x" * 300)
        two.write(b"x" * 75)
        with pytest.raises(Unavailable, match="76 bytes needed, and at most 75 bytes can be used now"):
            two.write(b"x")
        with receiving(125, "ada") as file:
            file.write(b"x" * 125)
    with pytest.raises(Unavailable, match="at most 375 bytes can be used now"):
        receiving(376, "ada").__enter__()


def test_prepared_files_count_until_they_are_removed(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was sent makes room for the next one of the same client; one that was not sent stays."""
    Path("model").write_bytes(os.urandom(1 << 20))
    registry.push("model", name="m")
    first = registry.prepare_export("m")[1]
    first.close()
    size = first.size_bytes
    held: list[PreparedFile] = []
    total = 4 * size  # all clients can have two files, and each one and a half
    monkeypatch.setattr(temporary_space, "room", lambda _folder: total - sum(file.size_bytes for file in held))
    ada, eve = (registry.acting_as(name, client=new_token(name).token) for name in ("ada", "eve"))
    held.append(ada.prepare_export("m")[1])
    with pytest.raises(Unavailable, match="not enough space"):
        ada.prepare_export("m")
    eve.prepare_export("m")[1].close()
    held[0].note_sent()
    other = ada.prepare_export("m")[1]
    with pytest.raises(Unavailable, match="the file is no longer there"):
        next(held[0].read(0, 1))
    other.close()
    held.clear()
    ada.prepare_export("m")[1].close()


def test_an_export_that_has_no_space_leaves_nothing(
    registry: LocalRegistry, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.push(model_file, name="m")
    monkeypatch.setattr("mreg.artifacts.destination.room", lambda _folder: 1)
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
