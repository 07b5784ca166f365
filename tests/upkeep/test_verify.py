"""verify: every damage of the store is found and named with the versions that it concerns, and nothing else is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import mreg
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg
from tests.servers import Place


def blob(registry: mreg.Registry, reference: str) -> Path:
    """The file of a version's blob, or of its manifest."""
    return Path(registry.version(reference).artifact.path.removeprefix("file://"))


def folder(**files: str) -> str:
    """A folder of some files."""
    os.makedirs("d", exist_ok=True)
    for name, text in files.items():
        Path("d", name).write_text(text)
    return "d"


def flip(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def into_link(path: Path) -> None:
    path.rename(f"{path}-away")
    path.symlink_to(f"{path}-away")


@pytest.fixture
def filled(registry: LocalRegistry) -> LocalRegistry:
    for number in (1, 2):
        Path("m.pkl").write_text(f"model {number}")
        registry.push("m.pkl", name="m")
    registry.push(folder(a="one", b="two"), name="f")
    registry.push(folder(a="one", b="three"), name="f")
    registry.push("m.pkl", name="other")
    return registry


def test_what_is_whole_is_said_to_be(filled: mreg.Registry, command: Mreg) -> None:
    found = filled.verify()
    assert (found.problems, found.artifacts, found.all_artifacts, found.blobs) == ((), 4, 4, 7)
    assert (found.unreferenced, found.unreferenced_bytes) == (0, 0)
    assert filled.verify("m@1").blobs == 1
    assert filled.verify("f").blobs == 5
    assert command("verify", "f@1").code == 0
    assert json.loads(command("verify", "--all", "--sample", "50%", "--json").out)["artifacts"] == 2


@pytest.mark.parametrize(
    ("harm", "problem"),
    [(flip, "damaged"), (cut, "damaged"), (grow, "damaged"), (Path.unlink, "missing"), (into_folder, "damaged"), (into_link, "damaged")],
)  # fmt: skip
def test_damage_of_a_blob_is_named_with_its_versions(
    filled: mreg.Registry, harm: Callable[[Path], None], problem: str, command: Mreg
) -> None:
    harm(blob(filled, "m@2"))
    found = filled.verify()
    (one,) = found.problems
    assert (one.problem, [str(version) for version in one.versions]) == (problem, ["m@2", "other@1"])
    assert one.checksum.value[2:] in one.message
    assert one.hint
    assert "file:" not in one.message + one.hint
    assert str(blob(filled, "m@1").parents[3]) in one.message + one.hint
    done = command("verify", "--json")
    assert done.code == 6
    assert json.loads(done.out)["problems"][0]["problem"] == problem
    assert json.loads(done.err)["code"] == "corrupt"
    assert command("verify", "m@1").code == 0


def test_damage_of_a_shared_file_concerns_every_folder_that_has_it(filled: LocalRegistry) -> None:
    entries = filled._session.artifacts().manifest(filled.version("f@1").artifact.digest).entries
    path = Path(
        blob(filled, "f@1").parents[3], "blobs/sha256", entries[0].digest.value[:2], entries[0].digest.value[2:]
    )
    flip(path)
    (one,) = filled.verify().problems
    assert [str(version) for version in one.versions] == ["f@1", "f@2"]


def test_a_damaged_manifest_is_named_and_stops_gc(filled: mreg.Registry, command: Mreg) -> None:
    flip(blob(filled, "f@1"))
    found = filled.verify()
    assert [(one.problem, str(one.versions[0])) for one in found.problems] == [("damaged", "f@1")]
    assert found.unreferenced is None
    filled.delete("m@1")
    with pytest.raises(mreg.Corrupt, match="cannot find the unreferenced blobs"):
        filled.gc(remove=True, grace=timedelta(0))
    assert command("gc", "--remove", "--yes", "--grace", "0s").code == 6


@pytest.mark.parametrize(
    "words",
    [
        ["--sample", "0%"],
        ["--sample", "101%"],
        ["--sample", "5"],
        ["--sample", "nan%"],
        ["--sample", "x%"],
        ["m@1", "--all"],
    ],
)
def test_a_share_that_is_none_is_refused(filled: mreg.Registry, words: list[str], command: Mreg) -> None:
    assert command("verify", *words).code == 2


def test_nothing_is_fine_and_an_unknown_reference_is_not(registry: mreg.Registry, command: Mreg) -> None:
    assert registry.verify().problems == ()
    assert command("verify").code == 0
    assert command("verify", "nobody@1").code == 4


def test_it_reads_a_bucket_and_not_the_cache(bucket: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MREG_CACHE", str(tmp_path / "cache"))
    Path("large").write_bytes(os.urandom(20 << 20))
    with mreg.open_registry() as registry:
        registry.push("large", name="m")
        registry.push(folder(a="one", b="two"), name="f")
        registry.pull("m@1", "out")
        assert registry.verify().problems == ()
        bucket.write(registry.version("m@1").artifact.path.removeprefix(f"{bucket.url}/"), b"something else")
        (one,) = registry.verify().problems
        assert (one.problem, str(one.versions[0])) == ("damaged", "m@1")
        for key in bucket.keys("blobs/"):
            bucket.delete(key)
        assert {one.problem for one in registry.verify().problems} == {"missing"}
