"""Export and import: what comes back, what an import may change, and what is refused whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mreg
from mreg.domain.bundle import Bundle
from mreg.domain.events import first_broken
from mreg.domain.model import ModelVersion
from mreg.domain.policy import parse_policy
from mreg.errors import AlreadyExists, BadInput, Corrupt, NotFound, Unavailable
from mreg.registry.importing import inspect_bundle
from mreg.registry.local import LocalRegistry
from tests.conftest import Mreg, local_registry
from tests.servers import Place


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which nothing may be left in."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """A second registry, of another person."""
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "other" / "catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "other" / "artifacts"))
    monkeypatch.setenv("MREG_USER", "grace")
    with local_registry() as opened:
        opened.models()
        yield opened


def push(registry: mreg.Registry, number: int = 1, name: str = "classifier", **options: Any) -> ModelVersion:
    path = Path("model.pkl")
    path.write_bytes(b"\x80\x04" + str(number).encode() + b".")
    return registry.push(path, name=name, **options)


def a_folder() -> Path:
    root = Path("net")
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub" / "again.json").write_text("{}")
    (root / "run.sh").write_text("{}")
    (root / "run.sh").chmod(0o755)
    (root / "empty").touch()
    (root / "sub" / "é ü.bin").write_bytes(bytes(range(256)) * 40)
    return root


def filled(registry: mreg.Registry) -> None:
    registry.register(
        "classifier",
        description="tells \x1b[31mthings\x1b[0m apart\n",
        tags={"team": "fraud"},
        directions={"cost": "lower"},
        primary_metric="cost",
    )
    push(
        registry,
        1,
        metrics={"cost": 1e-300, "n": 2**60, "zero": -0.0, "accuracy": 0.1},
        parameters={"lr": "0.1"},
        tags={"a": "b"},
        aliases=("champion",),
        description="the first",
        run_id="run 7",
        experiment_id="e",
        data={"train": "s3://bucket/train.csv@3"},
    )
    registry.push(a_folder(), name="classifier", parent="classifier@1", format="savedmodel")
    registry.promote("classifier@1", to="Production", reason="it's good")


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def bytes_of(registry: mreg.Registry, reference: str) -> object:
    target = Path(tempfile.mkdtemp(dir=".")) / "out"
    registry.pull(reference, target)
    if target.is_file():
        return target.read_bytes()
    return {
        path.relative_to(target): (path.read_bytes(), os.access(path, os.X_OK))
        for path in target.rglob("*")
        if path.is_file()
    }


SAID = ("description", "tags", "parameters", "metrics", "data", "run_id", "experiment_id", "source")


def test_what_is_exported_comes_back(registry: mreg.Registry, other: mreg.Registry, scratch: Path) -> None:
    filled(registry)
    exported = registry.export("classifier")
    assert exported.destination == Path("classifier.mreg").absolute()
    assert exported.size_bytes == Path("classifier.mreg").stat().st_size
    imported = other.import_bundle("classifier.mreg")
    assert [(str(one.source), str(one.reference), one.already_there) for one in imported.versions] == [
        ("classifier@1", "classifier@1", False),
        ("classifier@2", "classifier@2", False),
    ]
    for reference in ("classifier@1", "classifier@2"):
        before, after = registry.version(reference), other.version(reference)
        for field in SAID:
            assert getattr(after, field) == getattr(before, field)
        assert repr(after.metrics) == repr(before.metrics)
        assert (after.artifact.digest, after.artifact.kind) == (before.artifact.digest, before.artifact.kind)
        assert (after.artifact.name, after.artifact.format) == (before.artifact.name, before.artifact.format)
        assert (after.artifact.size_bytes, after.artifact.file_count) == (
            before.artifact.size_bytes,
            before.artifact.file_count,
        )
        assert bytes_of(other, reference) == bytes_of(registry, reference)
    assert str(other.version("classifier@2").parent) == "classifier@1"
    before_model, after_model = registry.model("classifier"), other.model("classifier")
    for field in ("description", "tags", "directions", "primary_metric"):
        assert getattr(after_model, field) == getattr(before_model, field)
    assert not list(scratch.iterdir())


def test_an_import_enters_in_no_stage_with_its_origin_in_the_audit_trail(
    registry: mreg.Registry, other: mreg.Registry
) -> None:
    filled(registry)
    other.apply_policy(parse_policy({"Production": {"approvals": 1}}))
    registry.export("classifier@1")
    other.import_bundle("classifier-1.mreg")
    version = other.version("classifier@1")
    assert (version.stage.value, version.aliases, version.created_by) == ("None", (), "grace")
    assert version.created_at > registry.version("classifier@1").created_at
    pushed = other.history("classifier@1")[-1]
    source = registry.history("classifier@1")
    assert pushed.details["imported"] == {
        "reference": "classifier@1",
        "stage": "Production",
        "aliases": ["champion"],
        "parent": "",
        "created_at": source[-1].at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "created_by": "tester",
        "first_event": source[-1].hash,
        "last_event": source[0].hash,
    }
    with pytest.raises(mreg.MregError, match="approvals"):
        other.promote("classifier@1", to="Production")
    assert other.verify_audit().events == len(other.history())


def test_the_same_content_gives_the_same_bytes(registry: mreg.Registry) -> None:
    filled(registry)
    registry.export("classifier", "a.mreg")
    os.utime("net")
    registry.export("classifier", "b.mreg")
    assert Path("a.mreg").read_bytes() == Path("b.mreg").read_bytes()
    with tarfile.open("a.mreg") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == ["mreg.json", *sorted(member.name for member in members[1:])]
    assert {(one.mtime, one.uid, one.gid, one.mode, one.uname, one.type) for one in members} == {
        (0, 0, 0, 0o644, "", tarfile.REGTYPE)
    }


def test_a_second_import_adds_nothing(registry: mreg.Registry, other: mreg.Registry) -> None:
    filled(registry)
    registry.export("classifier")
    other.import_bundle("classifier.mreg")
    before = other.history()
    imported = other.import_bundle("classifier.mreg")
    assert [one.already_there for one in imported.versions] == [True, True]
    assert other.history() == before


def test_a_version_that_got_another_number_is_known_again(registry: mreg.Registry, other: mreg.Registry) -> None:
    push(registry, 1)
    push(other, 5)
    registry.export("classifier@1", "a.mreg")
    (first,) = other.import_bundle("a.mreg").versions
    registry.promote("classifier@1")
    registry.export("classifier@1", "b.mreg")
    (second,) = other.import_bundle("b.mreg").versions
    assert (str(first.reference), first.already_there) == ("classifier@2", False)
    assert (str(second.reference), second.already_there) == ("classifier@2", True)


def test_an_import_under_another_name(registry: mreg.Registry, other: mreg.Registry) -> None:
    filled(registry)
    registry.export("classifier")
    other.import_bundle("classifier.mreg", "vendor/net")
    assert str(other.version("vendor/net@2").parent) == "vendor/net@1"
    assert [str(summary.model.name) for summary in other.models()] == ["vendor/net"]
    with pytest.raises(BadInput, match="invalid model name"):
        other.import_bundle("classifier.mreg", "../x")


def test_a_number_is_kept_where_every_number_here_is_lower(registry: mreg.Registry, other: mreg.Registry) -> None:
    for number in (1, 2, 3):
        push(registry, number)
    push(other, 1)
    other.delete("classifier@1", force=True)
    registry.export("classifier@3")
    other.import_bundle("classifier-3.mreg")
    assert str(push(other, 9).reference) == "classifier@4"
    registry.export("classifier")
    imported = other.import_bundle("classifier.mreg")
    assert [str(one.reference) for one in imported.versions] == ["classifier@5", "classifier@6", "classifier@3"]


def test_the_number_of_a_deleted_version_is_not_given_again(registry: mreg.Registry, other: mreg.Registry) -> None:
    push(registry, 1)
    registry.export("classifier@1")
    other.import_bundle("classifier-1.mreg")
    other.delete("classifier", force=True)
    (one,) = other.import_bundle("classifier-1.mreg").versions
    assert str(one.reference) == "classifier@2"


def test_a_model_that_is_here_stays_as_it_is(registry: mreg.Registry, other: mreg.Registry) -> None:
    filled(registry)
    other.register("classifier", description="mine")
    registry.export("classifier")
    other.import_bundle("classifier.mreg")
    model = other.model("classifier")
    assert (model.description, model.tags, model.primary_metric) == ("mine", {}, "")


def test_a_parent_is_kept_where_it_is_the_same_here(registry: mreg.Registry, other: mreg.Registry) -> None:
    push(registry, 1, "base")
    push(registry, 2, parent="base@1")
    registry.export("classifier@1")
    registry.export("base")
    push(other, 7, "base")
    other.import_bundle("classifier-1.mreg", "lost")
    assert other.version("lost@1").parent is None
    assert other.history("lost@1")[-1].details["imported"]["parent"] == "base@1"  # type: ignore[index]
    other.delete("base", force=True)
    other.import_bundle("base.mreg")  # as base@2, since 1 was another's
    other.import_bundle("classifier-1.mreg", "lost-too")
    assert other.version("lost-too@1").parent is None
    other.import_bundle("base.mreg", "base2")
    registry.rename("base", "base2")
    registry.export("classifier@1", "again.mreg")
    other.import_bundle("again.mreg", "kept")
    assert str(other.version("kept@1").parent) == "base2@1"


def test_a_parent_of_a_higher_number_is_kept(registry: mreg.Registry, other: mreg.Registry) -> None:
    for number in (1, 2):
        push(registry, number)
    registry.edit("classifier@1", parent="classifier@2")
    registry.export("classifier")
    other.import_bundle("classifier.mreg")
    assert str(other.version("classifier@1").parent) == "classifier@2"
    before = other.history()
    other.import_bundle("classifier.mreg")
    assert other.history() == before


def test_a_model_without_versions_travels_too(registry: mreg.Registry, other: mreg.Registry) -> None:
    registry.register("empty", description="soon")
    registry.export("empty")
    assert other.import_bundle("empty.mreg").versions == ()
    assert other.model("empty").description == "soon"


def test_what_is_at_the_destination_is_left_alone(registry: mreg.Registry) -> None:
    push(registry)
    Path("x.mreg").write_text("mine")
    with pytest.raises(AlreadyExists, match=r"x.mreg' already exists"):
        registry.export("classifier@1", "x.mreg")
    assert Path("x.mreg").read_text() == "mine"
    registry.export("classifier@1", "x.mreg", force=True)
    assert inspect_bundle("x.mreg").model.name.value == "classifier"
    Path("folder").mkdir()
    assert registry.export("classifier@1", "folder").destination.name == "classifier-1.mreg"
    with pytest.raises(NotFound, match="does not exist"):
        registry.export("classifier@1", "nowhere/x.mreg")


def test_a_damaged_store_is_not_exported(registry: mreg.Registry) -> None:
    version = push(registry)
    blob = Path(version.artifact.path.removeprefix("file:"))
    blob.chmod(0o644)
    blob.write_bytes(b"\x80\x049.")
    before = sorted(os.listdir())
    with pytest.raises(Corrupt, match=r"^classifier@1: the blob sha256:.* is damaged"):
        registry.export("classifier@1")
    assert sorted(os.listdir()) == before


def test_a_model_with_slashes_names_a_file_here(registry: mreg.Registry) -> None:
    push(registry, name="team/classifier")
    assert registry.export("team/classifier@1").destination.name == "team-classifier-1.mreg"


def test_large_files_travel_in_pieces(registry: mreg.Registry, other: mreg.Registry) -> None:
    folder = Path("large")
    folder.mkdir()
    for number, size in enumerate((20 << 20, (4 << 20) + 1, 511, 512, 513)):
        (folder / str(number)).write_bytes(os.urandom(1 << 16).ljust(size, b"x")[:size])
    registry.push(folder, name="large")
    seen: list[tuple[int, int]] = []
    registry.export("large@1", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    seen.clear()
    other.import_bundle("large-1.mreg", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert bytes_of(other, "large@1") == bytes_of(registry, "large@1")


def test_a_bucket_takes_and_gives_bundles(registry: mreg.Registry, bucket: Place) -> None:
    filled(registry)
    (Path("net") / "large.bin").write_bytes(os.urandom(9 << 20))
    registry.push("net", name="classifier")
    registry.export("classifier", "a.mreg")
    with local_registry() as remote:
        assert [str(one.reference) for one in remote.import_bundle("a.mreg").versions] == [
            f"classifier@{number}" for number in (1, 2, 3)
        ]
        assert bytes_of(remote, "classifier@3") == bytes_of(registry, "classifier@3")
        remote.export("classifier@3", "b.mreg")
        assert registry.import_bundle("b.mreg").versions[0].already_there
    assert bucket.keys("blobs/")


def test_two_exports_to_one_file_do_not_mix(registry: mreg.Registry) -> None:
    filled(registry)

    def export(_number: int) -> str:
        try:
            registry.export("classifier", "x.mreg")
        except AlreadyExists:
            return "taken"
        return "made"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(export, range(8))) == ["made"] + ["taken"] * 7
    inspect_bundle("x.mreg")
    assert [name for name in os.listdir() if name.startswith(".")] == []


def test_imports_at_once_add_each_version_once(registry: mreg.Registry, other: mreg.Registry, scratch: Path) -> None:
    filled(registry)
    registry.export("classifier")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: other.import_bundle("classifier.mreg"), range(4)))
    added = [one for result in results for one in result.versions if not one.already_there]
    assert sorted(str(one.reference) for one in added) == ["classifier@1", "classifier@2"]
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), Unavailable("the store is full")], ids=["interrupt", "store"])
def test_an_import_that_is_cut_leaves_nothing(
    fault: BaseException, good: bytes, other: mreg.Registry, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise fault

    assert good
    monkeypatch.setattr("mreg.artifacts.upload.Upload.put_blobs", cut)
    with pytest.raises(type(fault)):
        other.import_bundle("good.mreg")
    assert (other.models(), other.history(), list(scratch.iterdir())) == ((), (), [])


def test_a_bundle_that_does_not_fit_is_told_early(
    good: bytes, other: mreg.Registry, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert good
    room = SimpleNamespace(f_bavail=1, f_frsize=512)
    monkeypatch.setattr("mreg.artifacts.bundle_file.os.statvfs", lambda _path: room)
    with pytest.raises(Unavailable, match=r"not enough space in .* bytes needed, 512 free"):
        other.import_bundle("good.mreg")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "missing"))
    with pytest.raises(Unavailable, match="cannot write to the folder for temporary files"):
        other.import_bundle("good.mreg")


# The command


def test_a_bundle_is_looked_at_without_a_catalog(command: Mreg, registry: mreg.Registry) -> None:
    filled(registry)
    assert command("export", "classifier", "-q").out == "classifier\n"
    home = Path(os.environ["HOME"])
    (home / ".local").rename(home / "gone")
    done = command("export", "--inspect", "classifier.mreg", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert [version["number"] for version in found["versions"]] == [1, 2]
    assert "\x1b" not in command("export", "--inspect", "classifier.mreg", "--format", "table").out
    assert not (home / ".local").exists()


def test_the_command_says_which_became_which(command: Mreg, registry: mreg.Registry) -> None:
    push(registry)
    command("export", "classifier@1")
    done = command("import", "classifier-1.mreg", "--name", "copy")
    assert (done.code, done.out) == (0, "source\treference\toutcome\nclassifier@1\tcopy@1\tadded\n")
    assert done.err == ""
    done = command("import", "classifier-1.mreg")
    assert done.out == "source\treference\toutcome\nclassifier@1\tclassifier@1\talready there\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("export",), 2), (("export", "classifier@1", "-o", "-"), 2), (("export", "nothing@1"), 4), (("export", "a@@1"), 2), (("import", "missing.mreg"), 4),
        (("import", "."), 2), (("export", "classifier@1", "-o", "taken"), 7), (("export", "--inspect", "taken"), 2),
        (("export", "classifier", "--inspect", "taken"), 2), (("import", "taken"), 2),
    ],
)  # fmt: skip
def test_what_a_command_refuses(words: tuple[str, ...], code: int, command: Mreg, registry: mreg.Registry) -> None:
    push(registry)
    Path("taken").write_text("x")
    assert command(*words).code == code


# Hostile bundles


def document_of(data: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        stream = tar.extractfile("mreg.json")
        assert stream is not None
        document: dict[str, Any] = json.loads(stream.read())
        return document


def blobs_of(data: bytes) -> list[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar if member.name != "mreg.json"]  # type: ignore[union-attr]


def packed(document: dict[str, Any] | bytes, blobs: list[tuple[str, bytes]]) -> bytes:
    """A bundle by Python's own tarfile, its document signed as if all were well."""
    if not isinstance(document, bytes):
        rest = {key: value for key, value in document.items() if key != "sha256"}
        document = text({**rest, "sha256": hashlib.sha256(text(rest)).hexdigest()})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in [("mreg.json", document), *blobs]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def rehashed(event: dict[str, Any]) -> None:
    names = ("seq", "at", "actor", "action", "model_id", "model", "version")
    fields = [*(event[name] for name in names), text(event["details"]).decode(), event["previous"]]
    event["hash"] = hashlib.sha256(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


@pytest.fixture
def good(registry: mreg.Registry) -> bytes:
    filled(registry)
    registry.export("classifier", "good.mreg")
    return Path("good.mreg").read_bytes()


def refused(other: mreg.Registry, scratch: Path, data: bytes) -> mreg.MregError:
    """The error with which a bundle is refused, nothing having changed."""
    Path("bad.mreg").write_bytes(data)
    store = Path(other.profile.artifacts)
    before = (other.history(), files(store))
    with pytest.raises((BadInput, Corrupt)) as caught:
        other.import_bundle("bad.mreg")
    assert (other.history(), files(store)) == before
    assert other.models() == ()
    assert not list(scratch.iterdir())
    with pytest.raises(type(caught.value)):
        inspect_bundle("bad.mreg")
    assert caught.value.message.isprintable()
    return caught.value


def test_a_repacked_bundle_is_the_same(good: bytes, other: mreg.Registry) -> None:
    data = packed(document_of(good), blobs_of(good))
    assert data.rstrip(b"\0") == good.rstrip(b"\0")
    Path("repacked.mreg").write_bytes(data)
    assert len(other.import_bundle("repacked.mreg").versions) == 2


def at(document: dict[str, Any], *path: str | int) -> Any:
    found: Any = document
    for key in path:
        found = found[key]
    return found


def changed(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        at(document, *path[:-1])[path[-1]] = to

    return change


FIRST = ("versions", 0)
UPPER = "sha256:" + "A" * 64
DOCUMENTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "a later format": changed("format", to="mreg.bundle.v2"),
    "a name that climbs": changed("model", "name", to="../x"),
    "an absolute name": changed("model", "name", to="/etc/passwd"),
    "a name with escapes": changed("model", "name", to="a\x1b[2J"),
    "no name": changed("model", "name", to=""),
    "a name that is a number": changed("model", "name", to=7),
    "NUL in a description": changed("model", "description", to="a\0b"),
    "a lone surrogate": changed("model", "description", to="\ud800"),
    "a tag without a name": changed("model", "tags", to={"": "x"}),
    "a tag with escapes": changed("model", "tags", to={"a\x1b]0;x\x07": "x"}),
    "a direction": changed("model", "directions", to={"cost": "sideways"}),
    "a key too many": changed("model", "owner", to="me"),
    "version 0": changed(*FIRST, "number", to=0),
    "version -1": changed(*FIRST, "number", to=-1),
    "version True": changed(*FIRST, "number", to=True),
    "version 1.0": changed(*FIRST, "number", to=1.0),
    "version 2**31": changed(*FIRST, "number", to=2**31),
    "a version twice": changed(*FIRST, "number", to=2),
    "no stage": changed(*FIRST, "stage", to="Live"),
    "a stage in lower case": changed(*FIRST, "stage", to="production"),
    "NaN": changed(*FIRST, "metrics", "accuracy", to=float("nan")),
    "Infinity": changed(*FIRST, "metrics", "accuracy", to=float("inf")),
    "a metric that is true": changed(*FIRST, "metrics", "accuracy", to=True),
    "a metric that is a text": changed(*FIRST, "metrics", "accuracy", to="0.9"),
    "a metric beyond floats": changed(*FIRST, "metrics", "accuracy", to=10**400),
    "a metric of 5,000 digits": changed(*FIRST, "metrics", "accuracy", to="DIGITS"),
    "an alias that is a number": changed(*FIRST, "aliases", to=["7"]),
    "a password in data": changed(*FIRST, "data", to={"train": "https://me:secret@example.com/x"}),
    "a parameter of a megabyte": changed(*FIRST, "parameters", to={"x": "y" * 1_000_000}),
    "1,001 tags": changed(*FIRST, "tags", to={str(number): "" for number in range(1_001)}),
    "an artifact that climbs": changed(*FIRST, "artifact", "name", to="../model.pkl"),
    "an artifact with a path": changed(*FIRST, "artifact", "name", to="a/b"),
    "an artifact of another kind": changed(*FIRST, "artifact", "kind", to="link"),
    "a file said to be a folder": changed(*FIRST, "artifact", "kind", to="folder"),
    "a folder said to be a file": changed("versions", 1, "artifact", "kind", to="file"),
    "a digest in upper case": changed(*FIRST, "artifact", "digest", to=UPPER),
    "a digest that is short": changed(*FIRST, "artifact", "digest", to="sha256:" + "a" * 63),
    "a digest of another algorithm": changed(*FIRST, "artifact", "digest", to="md5:" + "a" * 32),
    "another digest": changed(*FIRST, "artifact", "digest", to="sha256:" + "a" * 64),
    "another size": changed(*FIRST, "artifact", "size_bytes", to=5),
    "no bytes": changed(*FIRST, "artifact", "size_bytes", to=0),
    "two files in one": changed(*FIRST, "artifact", "file_count", to=2),
    "more files than the folder has": changed("versions", 1, "artifact", "file_count", to=6),
    "a folder of another size": changed("versions", 1, "artifact", "size_bytes", to=1),
    "its own parent": changed("versions", 1, "parent", "reference", to="classifier@2"),
    "a parent by stage": changed("versions", 1, "parent", "reference", to="classifier@production"),
    "an ancestor of itself": changed(*FIRST, "parent", to={"reference": "classifier@2", "digest": None}),
    "a time that is none": changed(*FIRST, "created_at", to="2026-13-01T00:00:00.000000Z"),
    "a time of another zone": changed(*FIRST, "created_at", to="2026-01-01T00:00:00.000000+02:00"),
    "a person with escapes": changed(*FIRST, "created_by", to="\x1b[2J"),
    "an edited event": changed("events", 0, "actor", to="mallory"),
    "a wrong hash": changed("events", 0, "hash", to="a" * 64),
    "events out of order": lambda document: document["events"].reverse(),
    "a version that was never pushed": lambda document: document["events"].clear(),
    "a missing event": lambda document: document["events"].pop(1),
    "a blob in upper case": changed("blobs", 0, "digest", to=UPPER),
    "a blob of another algorithm": changed("blobs", 0, "digest", to="blake3:" + "a" * 64),
    "a blob larger than it is": changed("blobs", 0, "size_bytes", to=4_000),
    "a blob of negative size": changed("blobs", 0, "size_bytes", to=-1),
    "a blob of 2**70 bytes": changed("blobs", 0, "size_bytes", to=2**70),
    "a blob that is not listed": lambda document: document["blobs"].pop(),
    "a blob listed twice": lambda document: document["blobs"].append(document["blobs"][0]),
    "a blob that is not there": lambda document: document["blobs"].append(
        {"digest": "sha256:" + "f" * 64, "size_bytes": 1}
    ),
    "blobs out of order": lambda document: document["blobs"].reverse(),
    "versions that are no list": changed("versions", to={}),
    "a version that is null": changed("versions", 0, to=None),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_document_that_says_what_it_must_not_is_refused(
    what: str, good: bytes, other: mreg.Registry, scratch: Path
) -> None:
    document = document_of(good)
    DOCUMENTS[what](document)
    rest = {key: value for key, value in document.items() if key != "sha256"}
    raw = text({**rest, "sha256": hashlib.sha256(text(rest)).hexdigest()})
    refused(other, scratch, packed(raw.replace(b'"DIGITS"', b"9" * 5_000), blobs_of(good)))


RAW: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda _: b"{",
    "no UTF-8": lambda raw: raw.replace(b"tells", b"t\xff\xfels"),
    "a list": lambda _: b"[]",
    "a number": lambda _: b"7",
    "a key twice": lambda raw: raw.replace(b'{"blobs":', b'{"blobs":[],"blobs":', 1),
    "a space": lambda raw: raw.replace(b'{"blobs":', b'{ "blobs":', 1),
    "a float written otherwise": lambda raw: raw.replace(b'"accuracy":0.1', b'"accuracy":0.10'),
    "a letter written otherwise": lambda raw: raw.replace(b"fraud", b"\\u0066raud"),
    "100,000 brackets": lambda _: b"[" * 100_000,
    "another SHA-256": lambda raw: raw.replace(b'"the first"', b'"the worst"'),
    "10,000,000 blobs": lambda _: b'{"blobs":[' + b"{}," * 10_000_001 + b'{}],"format":"mreg.bundle.v1"}',
    "2,000,001 blobs": lambda raw: (
        b'{"blobs":[' + b"{}," * 2_000_000 + b'{}],"events":[],"format":"mreg.bundle.v1","model":{},'
        b'"sha256":"","versions":[]}'
    ),
}


@pytest.mark.parametrize("what", RAW)
def test_a_document_of_another_form_is_refused(what: str, good: bytes, other: mreg.Registry, scratch: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(good)) as tar:
        raw = tar.extractfile("mreg.json").read()  # type: ignore[union-attr]
    assert RAW[what](raw) != raw
    refused(other, scratch, packed(RAW[what](raw), blobs_of(good)))


def with_member(data: bytes, **fields: Any) -> bytes:
    """The bundle with a member more at its end."""
    stream = io.BytesIO(data)
    with tarfile.open(fileobj=stream, mode="a", format=fields.pop("format", tarfile.GNU_FORMAT)) as tar:
        content = fields.pop("content", b"")
        member = tarfile.TarInfo(fields.pop("name", "extra"))
        member.size = len(content)
        for name, value in fields.items():
            setattr(member, name, value)
        tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def first_blob(data: bytes, **fields: Any) -> bytes:
    """The bundle with another header before its first blob."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.getmembers()[1]
    place = member.offset
    for name, value in fields.items():
        setattr(member, name, value)
    return data[:place] + member.tobuf(tarfile.GNU_FORMAT)[-512:] + data[place + 512 :]


def members(data: bytes, change: Callable[[list[tuple[str, bytes]]], None]) -> bytes:
    blobs = blobs_of(data)
    change(blobs)
    return packed(document_of(data), blobs)


def pax(data: bytes, headers: dict[str, str]) -> bytes:
    return tarfile.TarInfo("x").create_pax_global_header(headers) + data


BLOB = "blobs/sha256/aa/" + "a" * 62
TARS: dict[str, Callable[[bytes], bytes]] = {
    "an empty file": lambda _: b"",
    "zeros": lambda _: bytes(10240),
    "no tar": lambda _: b"PAR1" * 1000,
    "a member more": lambda data: with_member(data, name=BLOB, content=b"x" * 20_000),
    "a small member more": lambda data: with_member(data, name=BLOB, content=b"x"),
    "a name that climbs": lambda data: with_member(data, name="../../evil", content=b"x"),
    "an absolute name": lambda data: with_member(data, name="/tmp/evil", content=b"x"),
    "a link": lambda data: with_member(data, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": lambda data: with_member(data, type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "a pipe": lambda data: with_member(data, type=tarfile.FIFOTYPE),
    "a folder": lambda data: with_member(data, type=tarfile.DIRTYPE),
    "a device": lambda data: with_member(data, type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "a name that climbs in a blob's place": lambda data: first_blob(data, name="../evil"),
    "an absolute name in a blob's place": lambda data: first_blob(data, name="/tmp/evil"),
    "a link in a blob's place": lambda data: first_blob(data, type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link in a blob's place": lambda data: first_blob(data, type=tarfile.LNKTYPE, linkname="mreg.json"),
    "a device in a blob's place": lambda data: first_blob(data, type=tarfile.BLKTYPE),
    "a pipe in a blob's place": lambda data: first_blob(data, type=tarfile.FIFOTYPE),
    "a folder in a blob's place": lambda data: first_blob(data, type=tarfile.DIRTYPE),
    "a sparse file in a blob's place": lambda data: first_blob(data, type=tarfile.GNUTYPE_SPARSE),
    "an old plain file in a blob's place": lambda data: first_blob(data, type=tarfile.AREGTYPE),
    "a link's name on a plain file": lambda data: first_blob(data, linkname="/etc/passwd"),
    "an owner": lambda data: first_blob(data, uid=1000),
    "a mode": lambda data: first_blob(data, mode=0o4755),
    "a time": lambda data: first_blob(data, mtime=7),
    "a size that is more": lambda data: first_blob(data, size=100_000),
    "a size that is less": lambda data: first_blob(data, size=1),
    "a size beyond 8 GiB": lambda data: first_blob(data, size=2**40),
    "a pax header": lambda data: pax(data, {"path": "../evil"}),
    "a pax header of a huge size": lambda data: pax(data, {"size": str(2**62)}),
    "a pax header in a blob's place": lambda data: first_blob(data, type=tarfile.XHDTYPE),
    "a long name's header": lambda data: first_blob(data, type=tarfile.GNUTYPE_LONGNAME),
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "a gzip bomb": lambda _: gzip.compress(bytes(50 << 20)),
    "something behind it": lambda data: data + b"x",
    "something far behind it": lambda data: data + bytes(20_000) + b"x",
    "too many zeros behind it": lambda data: data + bytes(1 << 20),
    "a blob twice": lambda data: members(data, lambda blobs: blobs.insert(1, blobs[0])),
    "a blob missing": lambda data: members(data, lambda blobs: blobs.__delitem__(-1)),
    "the first blob missing": lambda data: members(data, lambda blobs: blobs.__delitem__(0)),
    "blobs in another order": lambda data: members(data, lambda blobs: blobs.reverse()),
    "other bytes in a blob": lambda data: members(
        data, lambda blobs: blobs.__setitem__(0, (blobs[0][0], b"\xff" * len(blobs[0][1])))
    ),
    "a blob renamed": lambda data: members(data, lambda blobs: blobs.__setitem__(0, (BLOB, blobs[0][1]))),
    "the document not first": lambda data: data[data.index(b"blobs/sha256") :],
    "the document twice": lambda data: data[: data.index(b"blobs/sha256")] + data,
}
CORRUPT = {"an empty file", "zeros", "a blob missing", "other bytes in a blob"}


@pytest.mark.parametrize("what", TARS)
def test_a_tar_that_is_no_bundle_is_refused(what: str, good: bytes, other: mreg.Registry, scratch: Path) -> None:
    error = refused(other, scratch, TARS[what](good))
    if what in CORRUPT:
        assert isinstance(error, Corrupt)


def test_a_bundle_that_is_cut_anywhere_is_refused(good: bytes, other: mreg.Registry, scratch: Path) -> None:
    for size in [*range(0, len(good), 509), *range(512, len(good), 512), len(good) - 1]:
        assert isinstance(refused(other, scratch, good[:size]), Corrupt)


MANIFEST = {"files": [{"executable": False, "path": "a", "sha256": "X", "size": 1}], "format": "mreg.manifest.v1"}
PATHS = ("../evil", "/etc/passwd", "a/../../b", "a\\..\\b", "C:\\x", "", ".", "a//b", "a\x1b[2J")


def with_manifest(manifest: bytes, content: bytes = b"x") -> bytes:
    """A bundle of one folder with this manifest and one blob, everything else in order."""
    blobs = {hashlib.sha256(one).hexdigest(): one for one in (manifest, content)}
    digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
    event: dict[str, Any] = {
        "seq": 1, "at": "2026-01-01T00:00:00.000000Z", "actor": "mallory", "action": "version.pushed", "model_id": 1,
        "model": "m", "version": 1, "details": {"checksum": digest}, "previous": "0" * 64, "hash": "",
    }  # fmt: skip
    rehashed(event)
    document = {
        "format": "mreg.bundle.v1",
        "model": {"name": "m", "description": "", "tags": {}, "directions": {}, "primary_metric": ""},
        "versions": [{
            "number": 1, "stage": "None", "description": "", "tags": {}, "parameters": {}, "metrics": {}, "aliases": [],
            "data": {}, "run_id": "", "experiment_id": "", "parent": None, "created_at": event["at"],
            "created_by": "mallory",
            "artifact": {"kind": "folder", "name": "m", "digest": digest, "size_bytes": 1, "file_count": 1,
                         "format": "unknown"},
            "source": {"git_commit": "", "git_branch": "", "git_remote": "", "git_dirty": None, "run_url": "",
                       "environment": {}},
        }],
        "events": [event],
        "blobs": [{"digest": f"sha256:{name}", "size_bytes": len(blobs[name])} for name in sorted(blobs)],
    }  # fmt: skip
    return packed(document, [(f"blobs/sha256/{name[:2]}/{name[2:]}", blobs[name]) for name in sorted(blobs)])


def manifest_with(path: str = "a", **fields: object) -> bytes:
    entry = {"executable": False, "path": path, "sha256": hashlib.sha256(b"x").hexdigest(), "size": 1, **fields}
    return text({"files": [entry], "format": "mreg.manifest.v1"})


def test_the_bundle_of_a_manifest_is_fine_in_itself(other: mreg.Registry) -> None:
    Path("m.mreg").write_bytes(with_manifest(manifest_with()))
    other.import_bundle("m.mreg")
    assert bytes_of(other, "m@1") == {Path("a"): (b"x", False)}


HOSTILE = {
    **{repr(path): manifest_with(path) for path in PATHS},
    "twice": manifest_with().replace(b'"files":[', b'"files":[' + manifest_with()[10:-30].rstrip(b"]},") + b"},"),
    "a size that lies": manifest_with(size=2),
    "a digest in upper case": manifest_with(sha256=hashlib.sha256(b"x").hexdigest().upper()),
    "a blob that is missing": manifest_with(sha256="a" * 64),
    "not canonical": manifest_with().replace(b",", b", "),
    "another format": manifest_with().replace(b"v1", b"v2"),
    "no manifest": b"\x80\x04.",
    "10 million entries": b'{"files":[' + b"{}," * 10_000_001 + b"{}]}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_manifest_is_refused(what: str, other: mreg.Registry, scratch: Path) -> None:
    refused(other, scratch, with_manifest(HOSTILE[what]))


def test_a_document_that_is_too_large_is_refused_early(other: mreg.Registry, scratch: Path) -> None:
    member = tarfile.TarInfo("mreg.json")
    member.size = (256 << 20) + 1
    with open("bad.mreg", "wb") as stream:
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
        stream.truncate(300 << 20)
    with pytest.raises(BadInput, match="the limit is"):
        other.import_bundle("bad.mreg")
    assert not list(scratch.iterdir())


def test_a_number_that_would_use_all_others_up_is_not_kept(other: mreg.Registry) -> None:
    data = with_manifest(manifest_with())
    document = document_of(data)
    document["versions"][0]["number"] = document["events"][0]["version"] = 2**31 - 1
    rehashed(document["events"][0])
    Path("m.mreg").write_bytes(packed(document, blobs_of(data)))
    (version,) = other.import_bundle("m.mreg").versions
    assert str(version.reference) == "m@1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_byte_of_a_bundle_can_change_unseen(
    good: bytes, other: mreg.Registry, scratch: Path, data: st.DataObject
) -> None:
    mutated = bytearray(good)
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), min_size=1, max_size=3, unique=True)):
        mutated[place] ^= data.draw(st.integers(1, 255))
    refused(other, scratch, bytes(mutated))


def test_the_chain_of_a_registry_stays_whole(registry: mreg.Registry, other: LocalRegistry) -> None:
    filled(registry)
    registry.export("classifier")
    other.import_bundle("classifier.mreg")
    assert other._session.catalog.read(lambda reader: first_broken(reader.events(newest_first=False))) is None


def test_a_document_is_what_its_canonical_bytes_say(good: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(good)) as tar:
        raw = tar.extractfile("mreg.json").read()  # type: ignore[union-attr]
    assert Bundle.parse(raw).canonical() == raw


@pytest.fixture
def aliased(registry: LocalRegistry) -> str:
    """A bundle of two versions, with an alias each."""
    push(registry, 1, aliases=["champion"])
    push(registry, 2, aliases=["challenger", "Blue"])
    return str(registry.export("classifier").destination)


def test_an_import_names_the_aliases_that_it_leaves_out(aliased: str, other: LocalRegistry, command: Mreg) -> None:
    done = command("import", aliased, "--json")
    assert done.code == 0
    assert "left out the aliases" in done.err
    assert "champion (classifier@1)" in done.err
    assert "add --aliases" in done.err
    assert [version["left_out"] for version in json.loads(done.out)["versions"]] == [
        ["champion"],
        ["Blue", "challenger"],
    ]
    assert other.model("classifier").aliases == {}
    done = command("import", aliased, "--aliases", "--json")
    assert (done.code, "left out" in done.err) == (0, False)
    assert [version["aliases"] for version in json.loads(done.out)["versions"]] == [
        ["champion"],
        ["Blue", "challenger"],
    ]
    assert other.model("classifier").aliases == {"champion": 1, "challenger": 2, "Blue": 2}
    before = other.history()
    assert command("import", aliased, "--aliases").err.count("alias") == 0
    assert other.history() == before


def test_an_imported_alias_does_not_move_an_alias(aliased: str, other: LocalRegistry) -> None:
    push(other, 7, aliases=["CHAMPION"])
    before = other.history()
    with pytest.raises(AlreadyExists) as caught:
        other.import_bundle(aliased, aliases=True)
    assert caught.value.message == "cannot import the aliases: CHAMPION names classifier@1"
    assert other.history() == before
    imported = other.import_bundle(aliased)
    assert [version.left_out for version in imported.versions] == [("champion",), ("Blue", "challenger")]
    assert other.model("classifier").aliases == {"CHAMPION": 1}


def test_a_guarded_alias_is_imported_only_as_the_policy_permits(aliased: str, other: LocalRegistry) -> None:
    other.apply_policy(parse_policy({"aliases": {"champion": {"approvals": 1}}}))
    with pytest.raises(mreg.errors.ApprovalMissing):
        other.import_bundle(aliased, aliases=True)
    assert other.models() == ()
    other.import_bundle(aliased)
    with other_user(other) as reviewer:
        reviewer.approve("classifier@1", to="champion")
    other.import_bundle(aliased, aliases=True)
    assert other.model("classifier").aliases["champion"] == 1


def other_user(registry: LocalRegistry) -> LocalRegistry:
    return local_registry(catalog=registry.profile.catalog, artifacts=registry.profile.artifacts, user="another")


@pytest.mark.parametrize("data", [b"x", b"hello, world\n", b"{}", b"PK\x03\x04", b"\x80\x04K\x01.", b"m" * 511])
def test_a_short_file_of_another_kind_is_not_a_bundle(data: bytes, other: LocalRegistry) -> None:
    Path("file.mreg").write_bytes(data)
    with pytest.raises(BadInput) as caught:
        other.import_bundle("file.mreg")
    assert (caught.value.message, caught.value.hint) == (
        "'file.mreg' is not a bundle",
        "use a bundle, the file of an export",
    )
