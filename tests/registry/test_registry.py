"""The Python API: every operation, on the default store."""

from __future__ import annotations

import multiprocessing
import os
from io import BytesIO
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.store import ArtifactStore
from mreg.catalog.writer import Writer
from mreg.domain.events import first_broken
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.policy import Policy, Rule
from mreg.registry import push as push_module
from mreg.registry.local import LocalRegistry
from mreg.registry.push import check_file_name
from mreg.results.models import ModelVersions


def push(registry: mreg.Registry, number: int = 1, name: str = "classifier", **options: Any) -> ModelVersion:
    path = Path(f"m{number}.pkl")
    path.write_bytes(b"\x80\x04" + str(number).encode() + b".")
    return registry.push(path, name=name, **options)


def stages(registry: mreg.Registry, name: str = "classifier") -> dict[int, str]:
    found = registry.show(name)
    assert isinstance(found, ModelVersions)
    return {version.version: version.stage.value for version in found.versions}


def chain_is_whole(registry: LocalRegistry) -> bool:
    return registry._session.catalog.read(lambda r: first_broken(r.events(newest_first=False))) is None


def test_what_was_pushed_is_promoted_and_pulled(registry: mreg.Registry, tmp_path: Path) -> None:
    version = push(registry, metrics={"accuracy": 0.95}, parameters={"lr": 0.1}, tags={"team": "fraud"})
    assert str(version.reference) == "classifier@1"
    assert version.parameters == {"lr": "0.1"}
    assert version.created_by == "tester"
    assert version.artifact.format == "pickle"
    change = registry.promote("classifier@1", to="Production")
    assert (change.version.stage, change.before) == (ModelStage.PRODUCTION, ModelStage.NONE)
    pulled = registry.pull("classifier@production", tmp_path / "model.pkl")
    assert (tmp_path / "model.pkl").read_bytes() == b"\x80\x041."
    assert not pulled.unchanged
    assert registry.pull("classifier@1", tmp_path / "model.pkl").unchanged
    stream = BytesIO()
    registry.stream("classifier", stream)
    assert stream.getvalue() == b"\x80\x041."


def test_a_primary_metric_that_no_version_has_is_noted(registry: mreg.Registry) -> None:
    push(registry, metrics={"accuracy": 1, "auc": 1})
    push(registry, 2, metrics={"accuracy": 1})
    notes: list[str] = []
    with mreg.open_registry(notice=notes.append) as opened:
        opened.edit("classifier", primary_metric="auc")
        opened.edit("classifier", description="x")
        opened.edit("classifier", primary_metric="")
        assert notes == []
        opened.edit("classifier", primary_metric="acuracy")
    assert notes == ["no version of classifier has the metric 'acuracy'; did you mean 'accuracy'?"]
    assert registry.model("classifier").primary_metric == "acuracy"


def test_a_damaged_last_version_does_not_block_the_next_push(registry: mreg.Registry, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("one")
    first = registry.push(folder, name="m")
    manifest = Path(first.artifact.path.removeprefix("file://"))
    manifest.chmod(0o644)
    manifest.write_bytes(b"damaged")
    (folder / "a").write_text("two")
    assert registry.push(folder, name="m").version == 2


def test_files_of_a_known_size_are_hashed_before_they_are_written(
    registry: mreg.Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[dict[int, int]] = []
    put = ArtifactStore.put

    def spy(store: ArtifactStore, path: str, **options: Any) -> Any:
        known.append({size: len(digests) for size, digests in options["known"].items()})
        return put(store, path, **options)

    monkeypatch.setattr(ArtifactStore, "put", spy)
    file, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    for size in (3, 5):
        file.write_bytes(b"x" * size)
        (folder / f"f{size}").write_bytes(b"y" * size)
        (folder / f"g{size}").write_bytes(b"z" * size)
        registry.push(file, name="file")
        registry.push(file, name="file")
        registry.push(folder, name="folder")
    assert known == [{3: 0}, {3: 1}, {}, {5: 0}, {5: 1}, {3: 2}]


def test_a_file_is_compared_with_the_newest_blobs_of_its_size_only(
    registry: mreg.Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push_module.SAME_SIZE == 64
    monkeypatch.setattr(push_module, "SAME_SIZE", 2)
    known: list[list[str]] = []
    put = ArtifactStore.put

    def spy(store: ArtifactStore, path: str, **options: Any) -> Any:
        known.extend([digest.value for digest in digests] for digests in options["known"].values())
        return put(store, path, **options)

    file, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    digests: list[str] = []
    for content in ("abc", "def", "ghi"):
        file.write_text(content)
        (folder / content).write_text(content)
        digests.append(registry.push(file, name="file").artifact.digest.value)
    registry.push(folder, name="folder")
    monkeypatch.setattr(ArtifactStore, "put", spy)
    registry.push(file, name="file")
    registry.push(folder, name="folder")
    assert known == [[digests[2], digests[1]], digests[:2]]


@pytest.mark.parametrize("name", ["m.pkl", "a/m.pkl", "C:\\models\\m.pkl", "a\\b/m.pkl"])
def test_the_last_part_of_a_file_name_that_a_client_sent_is_used(name: str) -> None:
    assert check_file_name(name) == "m.pkl"


def test_existing_versions_stay_if_that_is_asked(registry: mreg.Registry) -> None:
    for number in (1, 2):
        push(registry, number)
        registry.promote(f"classifier@{number}", to="production", keep_existing=True)
    assert stages(registry) == {1: "Production", 2: "Production"}
    push(registry, 3, stage="production")
    assert stages(registry) == {1: "Archived", 2: "Archived", 3: "Production"}


def test_a_rollback_verifies_goes_back_and_further_back(registry: mreg.Registry) -> None:
    for number in (1, 2, 3):
        push(registry, number, stage="production")
    assert registry.rollback("classifier").version.version == 2
    assert registry.rollback("classifier", reason="again").version.version == 1
    with pytest.raises(mreg.NotFound) as caught:
        registry.rollback("classifier")
    assert caught.value.message == "cannot roll back Production of classifier: no earlier version is left"
    assert registry.rollback("classifier", to="classifier@3").version.version == 3
    blob = Path(registry.version("classifier@1").artifact.path.removeprefix("file://"))
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    before = stages(registry)
    with pytest.raises(mreg.Corrupt, match="classifier@1: the blob sha256:"):
        registry.rollback("classifier", to="classifier@1")
    assert stages(registry) == before


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("clasifier", "model 'clasifier' not found", "did you mean classifier?"),
        ("zzz", "model 'zzz' not found", "list the models: mreg list"),
        ("classifier@7", "classifier has no version 7", "list the versions: mreg show classifier"),
        ("classifier@chmp", "classifier has no alias 'chmp'", "did you mean classifier@champ?"),
        ("classifier@staging", "no version of classifier is in Staging", "mreg promote classifier@latest --to Staging"),
        (
            "chosen@best",
            "chosen has no best version: the direction of the metric churniness is unknown",
            "mreg edit chosen --direction churniness=higher",
        ),
        (
            "unclear@best",
            "unclear has no best version: it has no primary metric",
            "mreg edit unclear --primary-metric METRIC",
        ),
        (
            "classifier@best",
            "no version of classifier has its primary metric 'auc'",
            "mreg edit classifier --primary-metric METRIC",
        ),
        (
            "classifier@latest~5",
            "no version is 5 back from classifier@latest",
            "list the versions: mreg show classifier",
        ),
        ("empty@latest", "empty has no versions", "mreg push PATH --name empty"),
    ],
)
def test_a_reference_that_names_nothing_says_what_is_near(
    registry: mreg.Registry, reference: str, message: str, hint: str
) -> None:
    push(registry, aliases=["champ"])
    registry.edit("classifier", primary_metric="auc")
    for name, chosen in (("unclear", ""), ("chosen", "churniness")):
        push(registry, name=name, metrics={"churniness": 1})
        registry.edit(name, primary_metric=chosen)
    registry.register("empty")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version(reference)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_long_chain_of_parents_is_shown_whole(registry: LocalRegistry) -> None:
    from mreg.wire import encode

    push(registry, 0, name="chain")

    def grow(writer: Writer) -> None:
        name = ModelName("chain")
        version = writer.version(writer.reload_model(name), 1)
        assert version is not None
        for _ in range(1500):
            version = writer.add_version(
                writer.reload_model(name), artifact=version.artifact, metadata=VersionMetadata(), parent=version
            )

    registry._session.write(grow)
    assert len(encode(registry.lineage("chain@1501"))["parents"]) == 1500
    assert len(encode(registry.lineage("chain@1"))["children"]) == 1500


def test_a_push_that_is_wrong_in_any_way_makes_nothing(registry: mreg.Registry, model_file: Path) -> None:
    wrong: list[dict[str, object]] = [
        {"metrics": {"a": {"b": 1}, "a.b": 1}}, {"metrics": {"": 1}}, {"metrics": {f"m{n}": 1 for n in range(1001)}},
        {"parameters": {"a=b": 1}}, {"tags": {"a": "x" * 5001}}, {"aliases": ["latest"]}, {"stage": "prod"},
        {"description": "x" * 20_001}, {"run_id": "a\nb"}, {"parent": "nobody@1"}, {"parent": "@"}, {"name": "../x"},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(mreg.MregError):
            registry.push(model_file, **{"name": "m", **options})  # type: ignore[arg-type]
    assert registry.models() == ()
    assert list(Path(os.environ["HOME"]).rglob("*")) == []


def test_only_the_latest_version_is_noted_as_older_than_archived_ones(registry: mreg.Registry) -> None:
    for number in (1, 2):
        push(registry, number)
    registry.promote("classifier@1", to="production")
    registry.archive("classifier@2")
    for reference, noted in (("classifier", True), ("classifier@latest", True), ("classifier@production", False)):
        notes: list[str] = []
        with mreg.open_registry(notice=notes.append) as opened:
            opened.pull(reference, "out", force=True)
        assert [("archived" in note) for note in notes] == [noted], (reference, notes)


def test_notices_say_what_was_taken(model_file: Path) -> None:
    heard: list[str] = []
    (model_file.parent / "fraud").mkdir()
    model_file.rename(model_file.parent / "fraud" / "model.pkl")
    with mreg.open_registry(notice=heard.append) as registry:
        registry.push(model_file.parent / "fraud" / "model.pkl")
        registry.pull("fraud")
    assert heard == ["model fraud (from the folder fraud); to use another: --name", "fraud is fraud@1"]


# Promises under concurrency


def _push_many(home: str, folder: str, worker: int, count: int) -> None:
    os.environ.update(HOME=home, MREG_USER=f"w{worker}")
    os.chdir(folder)
    path = Path(f"m{worker}.bin")
    with mreg.open_registry() as registry:
        for number in range(count):
            path.write_bytes(f"{worker} {number}".encode())
            registry.push(path, name="crowd")


def test_pushes_at_once_give_consecutive_numbers(registry: LocalRegistry) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (os.environ["HOME"], os.getcwd())
    workers = [context.Process(target=_push_many, args=(*arguments, worker, 6)) for worker in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert sorted(stages(registry, "crowd")) == list(range(1, 37))
    assert [event.action for event in registry.history("crowd")].count("model.registered") == 1
    assert chain_is_whole(registry)


def _promote_many(home: str, worker: int, rounds: int, barrier: Barrier) -> None:
    os.environ.update(HOME=home, MREG_USER=f"w{worker}")
    with mreg.open_registry() as registry:
        for number in range(rounds):
            barrier.wait()
            registry.promote(f"classifier@{2 * number + worker}", to="Production")
            barrier.wait()
            if worker == 1:
                assert list(stages(registry).values()).count("Production") == 1
            barrier.wait()


def test_two_are_never_in_production_whatever_races(registry: LocalRegistry) -> None:
    for number in range(1, 121):
        push(registry, number)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    home = os.environ["HOME"]
    workers = [context.Process(target=_promote_many, args=(home, worker, 60, barrier)) for worker in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    in_production: set[int] = set()
    for event in reversed(registry.history("classifier")):
        if event.action == "version.stage_changed":
            assert event.version is not None
            if event.details["to"] == "Production":
                assert in_production == set()
                in_production.add(event.version)
            elif event.details["from"] == "Production":
                in_production.discard(event.version)
    assert len(in_production) == 1
    assert chain_is_whole(registry)


class NamedFloat(float):
    """A float whose text is not a number's, as that of numpy.float64."""

    def __repr__(self) -> str:
        return f"named({float(self)})"


class Scalar:
    """A number of no dimension, as those of numpy and torch."""

    ndim = 0

    def item(self) -> int:
        return 5


def test_a_pushed_metric_of_another_type_becomes_a_plain_number(registry: mreg.Registry) -> None:
    metrics: dict[str, Any] = {"accuracy": NamedFloat(0.5), "count": Scalar()}
    Path("model.pkl").write_bytes(b"scalars")
    pushed = registry.push("model.pkl", name="classifier", metrics=metrics)
    for version in (pushed, registry.version("classifier@1")):
        assert {name: (type(value), value) for name, value in version.metrics.items()} == {
            "accuracy": (float, 0.5),
            "count": (int, 5),
        }
    assert registry.history("classifier@1")[-1].details["metrics"] == {"accuracy": 0.5, "count": 5}
    assert registry.verify_audit().events == len(registry.history())


def test_a_pushed_numpy_scalar_becomes_a_plain_number(registry: mreg.Registry) -> None:
    numpy = pytest.importorskip("numpy")
    Path("model.pkl").write_bytes(b"numpy")
    metrics = {"a": numpy.float64(0.5), "b": numpy.float32(0.25), "c": numpy.int64(7)}
    registry.push("model.pkl", name="classifier", metrics=metrics)
    found = registry.version("classifier@1").metrics
    assert {name: (type(value), value) for name, value in found.items()} == {
        "a": (float, 0.5),
        "b": (float, 0.25),
        "c": (int, 7),
    }


@pytest.mark.parametrize("kind", ["metrics", "parameters", "tags"])
def test_a_push_takes_a_thousand_entries_of_a_kind_and_no_more(registry: mreg.Registry, kind: str) -> None:
    entries = {f"k{number}": 1.0 if kind == "metrics" else "v" for number in range(1000)}
    options: dict[str, Any] = {kind: entries}
    pushed = push(registry, **options)
    assert len(getattr(pushed, kind)) == 1000
    with pytest.raises(mreg.BadInput, match=f"too many {kind}: 1001; the limit is 1000"):
        options = {kind: {**entries, "more": entries["k0"]}}
        push(registry, **options)
    assert len(registry.show("classifier").versions) == 1  # type: ignore[union-attr]


def test_a_push_into_the_stage_none_is_a_push_without_a_stage(registry: mreg.Registry) -> None:
    registry.apply_policy(Policy({"Production": Rule(gates=("version > 5",))}))
    assert push(registry, stage="none").stage is ModelStage.NONE
    assert [event.action for event in registry.history("classifier@1")] == ["version.pushed"]
