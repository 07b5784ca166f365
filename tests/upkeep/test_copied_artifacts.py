"""A catalog that is copied with its artifacts, to another store and back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mreg.artifacts import copying
from mreg.artifacts.local import LocalBackend
from mreg.domain.digest import blob_key
from mreg.errors import AlreadyExists, Corrupt, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.servers import Place

LARGE = 5 << 20


@pytest.fixture
def source(tmp_path: Path) -> Iterator[LocalRegistry]:
    """Files, a large file, a folder with an empty file, and two versions with equal bytes."""
    (tmp_path / "a").mkdir()
    Path("large.bin").write_bytes(bytes(range(256)) * (LARGE // 256))
    Path("folder/in").mkdir(parents=True)
    Path("folder/in/a.txt").write_text("a")
    Path("folder/empty").write_text("")
    with local_registry(catalog=str(tmp_path / "a/catalog.db")) as registry:
        for number in range(3):
            Path("m.pkl").write_text(f"{number}")
            registry.push("m.pkl", name="m")
        registry.push("m.pkl", name="same")
        registry.push("large.bin", name="large")
        registry.push("folder", name="folder")
        registry.set_alias("m@2", "champion")
        yield registry


@pytest.fixture
def target(tmp_path: Path) -> Iterator[LocalRegistry]:
    (tmp_path / "b").mkdir()
    with local_registry(catalog=str(tmp_path / "b/catalog.db")) as registry:
        yield registry


def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place | None = None) -> None:
    lines = [f"  {name}: {{catalog: '{tmp_path}/{name}/catalog.db'}}" for name in ("a", "b")]
    if place is not None:
        lines.append(f"  bucket: {{artifacts: '{place.url}', endpoint_url: '{place.endpoint}'}}")
    Path("config.yaml").write_text("profiles:\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv("MREG_CONFIG", os.path.abspath("config.yaml"))


def copy(command: Mreg, source: str, target: str, *words: str) -> tuple[int, str, str]:
    done = command("catalog", "copy", "--from-profile", source, "--to-profile", target, *words)
    return done.code, done.out, done.err


def test_a_registry_is_copied_to_a_bucket_and_back(
    source: LocalRegistry, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    (tmp_path / "b").mkdir()
    profiles(tmp_path, monkeypatch, place)
    code, out, err = copy(command, "a", "bucket", "--with-artifacts", "--json")
    assert (code, json.loads(out)["blobs"]) == (0, 7)
    assert f"created the registry {place.url}/catalog.db" in err
    assert copy(command, "bucket", "b", "--with-artifacts")[0] == 0
    with local_registry("b") as registry:
        assert registry.verify().problems == ()
        assert registry.version("m@champion").version == 2
        registry.pull("folder@1", "folder.out")
        registry.pull("large@1", "large.out")
        assert [event.hash for event in registry.history()] == [event.hash for event in source.history()]
    assert Path("large.out").read_bytes() == Path("large.bin").read_bytes()
    assert sorted(os.listdir("folder.out")) == ["empty", "in"]


def test_what_was_copied_before_is_not_copied_again(
    source: LocalRegistry, target: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BATCH_BLOBS", 2)
    real, calls = LocalBackend.put_many_if_absent, list[int]()

    def fail_at_the_third(self: LocalBackend, blobs: object) -> int:
        calls.append(len(calls))
        if len(calls) == 3:
            raise Unavailable("the disk is full")
        return real(self, blobs)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalBackend, "put_many_if_absent", fail_at_the_third)
    with pytest.raises(Unavailable):
        source.copy_catalog(target, with_artifacts=True)
    assert target.models() == ()  # nothing is registered before its bytes are there
    with pytest.raises(NotFound, match="of the 7 blobs that this catalog needs are missing") as caught:
        source.copy_catalog(target)
    assert "--with-artifacts" in caught.value.hint
    seen: list[tuple[int, int]] = []
    result = source.copy_catalog(target, with_artifacts=True, progress=lambda done, total: seen.append((done, total)))
    assert (result.blobs, seen[-1]) == (3, (result.size_bytes, result.size_bytes))
    assert target.verify().problems == ()
    with pytest.raises(AlreadyExists, match="the destination already has a catalog"):
        source.copy_catalog(target, with_artifacts=True)


@pytest.mark.parametrize("damage", ["flipped", "missing", "folder gone"])
@pytest.mark.parametrize("which", ["small", "large"])
def test_damaged_bytes_are_not_copied_and_nothing_is_registered(
    damage: str, which: str, source: LocalRegistry, target: LocalRegistry
) -> None:
    version = source.version("large@1" if which == "large" else "m@1")
    blob = Path(source.profile.artifacts, blob_key(version.artifact.digest))
    if damage == "flipped":
        data = bytearray(blob.read_bytes())
        data[0] ^= 1
        blob.chmod(0o644)
        blob.write_bytes(data)
    elif damage == "missing":
        blob.unlink()
    else:
        shutil.rmtree(source.profile.artifacts)
    with pytest.raises((Corrupt, Unavailable)) as caught:
        source.copy_catalog(target, with_artifacts=True)
    if damage != "folder gone":
        assert str(version.artifact.digest) in caught.value.message
    assert target.models() == ()


def test_a_copy_to_a_registry_in_use_copies_no_bytes(source: LocalRegistry, target: LocalRegistry) -> None:
    target.register("mine")
    with pytest.raises(AlreadyExists):
        source.copy_catalog(target, with_artifacts=True)
    assert not Path(target.profile.artifacts).exists()


def test_a_copy_within_one_store_copies_no_bytes(source: LocalRegistry, tmp_path: Path) -> None:
    with local_registry(catalog=str(tmp_path / "c.db"), artifacts=source.profile.artifacts) as other:
        assert source.copy_catalog(other, with_artifacts=True).blobs == 0
        other.pull("m@1", "out")


def test_the_command_says_what_it_copied(
    source: LocalRegistry, target: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    profiles(tmp_path, monkeypatch)
    code, _, err = copy(command, "a", "b")
    assert (code, "add --with-artifacts" in err) == (4, True)
    code, out, _ = copy(command, "a", "b", "--with-artifacts", "--format", "md")
    assert (code, "7 blobs copied" in out) == (0, True)
