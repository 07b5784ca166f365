"""Contract tests of registries: pushes and pulls, which every implementation of `mreg.Registry` does in the same way.

Each test uses its own models, so that one registry serves all tests of a suite.
"""

from __future__ import annotations

import abc
import io
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mreg import errors
from mreg.domain.model import ArtifactKind, ModelStage, ModelVersion
from mreg.registry.registry import Registry
from mreg.registry.session import HookLog

Open = Callable[..., Registry]

LARGE = 9 << 20
"""Size of a file that is not sent in one piece with others, and goes to or comes from a bucket directly if it may."""


READ_ONCE = 17 << 20
"""Size of a file that is hashed while it is sent to a server."""


class TransferContract(abc.ABC):
    """Contract of `mreg.Registry`: pushes and pulls."""

    @pytest.fixture
    @abc.abstractmethod
    def open_as(self) -> Iterator[Open]:
        """Yield a function that opens the registry of the tests for a user, with ``notice`` and ``hook_log``."""

    @pytest.fixture
    def notes(self) -> list[str]:
        """Return the list that receives the notices of ``registry``."""
        return []

    @pytest.fixture
    def log(self) -> HookLog:
        """Return the hook log of ``registry``."""
        return HookLog(events=[])

    @pytest.fixture
    def registry(self, open_as: Open, notes: list[str], log: HookLog) -> Registry:
        """Return the registry of the tests, opened for ada."""
        return open_as("ada", notice=notes.append, hook_log=log)

    @pytest.fixture
    def name(self) -> str:
        """Return the name of a model that no other test uses; so long that it is similar to none of theirs."""
        return f"m{os.urandom(16).hex()}"

    @pytest.fixture
    def folder(self) -> Path:
        """Return a folder with small files, equal files, a large file, an executable file and an empty folder."""
        root = Path("net")
        for path, content in {
            "config.json": b"{}",
            "copy.json": b"{}",
            "empty.txt": b"",
            "layers/0.bin": os.urandom(300_000),
            "layers/1.bin": os.urandom(LARGE),
            "run.sh": b"exit 0",
            "weights.bin": os.urandom(70_000),
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        (root / "run.sh").chmod(0o755)
        (root / "logs").mkdir()
        return root

    def write(self, content: bytes, path: str = "model.bin") -> Path:
        """Write a file."""
        Path(path).write_bytes(content)
        return Path(path)

    # Pushes

    @pytest.mark.parametrize("size", [1, 300_000, LARGE, READ_ONCE], ids=["small", "medium", "large", "read once"])
    def test_a_file_comes_back_as_it_was_pushed(self, registry: Registry, name: str, size: int) -> None:
        content = os.urandom(size)
        steps: list[tuple[int, int]] = []
        version = registry.push(self.write(content), name=name, progress=lambda *step: steps.append(step))
        assert (version.version, version.artifact.name, version.artifact.size_bytes) == (1, "model.bin", size)
        assert steps[-1] == (size, size)
        pulled = registry.pull(version, "back.bin")
        assert (pulled.destination, pulled.unchanged) == (Path("back.bin").absolute(), False)
        assert Path("back.bin").read_bytes() == content
        assert registry.pull(version, "back.bin").unchanged

    def test_a_folder_comes_back_as_it_was_pushed(self, registry: Registry, name: str, folder: Path) -> None:
        steps: list[tuple[int, int]] = []
        version = registry.push(folder, name=name, progress=lambda *step: steps.append(step))
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert (version.artifact.kind, version.artifact.file_count) == (ArtifactKind.FOLDER, 7)
        assert version.artifact.size_bytes == size
        last_done, last_total = steps[-1]  # a further pass verifies the files that went directly to a bucket
        assert (size, size) in steps and last_done == last_total
        registry.pull(version, "back")
        assert _content("back") == _content(folder)
        assert os.access("back/run.sh", os.X_OK) and not os.access("back/config.json", os.X_OK)
        assert registry.verify_copy("back", version).problems == ()

    def test_a_version_has_the_metadata_of_its_push(self, registry: Registry, name: str, log: HookLog) -> None:
        base = registry.push(self.write(b"0"), name=f"{name}-base")
        version = registry.push(
            self.write(b"1"),
            name=name,
            metrics={"auc": 0.97, "count": 2**60, "loss": 1e-300},
            parameters={"lr": 0.1, "layers": [1, 2]},
            tags={"team": "mail"},
            aliases=["champion"],
            stage="Staging",
            description="spam\nor not",
            run_id="r-1",
            experiment_id="e-1",
            parent=base,
            data={"train": "s3://data/spam@abc"},
            format="onnx",
        )
        assert dict(version.metrics) == {"auc": 0.97, "count": 2**60, "loss": 1e-300}
        assert dict(version.parameters) == {"lr": "0.1", "layers": "[1,2]"}
        assert dict(version.tags) == {"team": "mail"}
        assert (version.aliases, version.stage) == (("champion",), ModelStage.STAGING)
        assert (version.description, version.run_id, version.experiment_id) == ("spam\nor not", "r-1", "e-1")
        assert str(version.parent) == f"{name}-base@1"
        assert dict(version.data) == {"train": "s3://data/spam@abc"}
        assert version.artifact.format == "onnx"
        assert version.source.environment["python"] == platform.python_version()
        assert registry.version(f"{name}@champion") == version
        assert [event.action for event in log.events or ()][-1] == "version.stage_changed"

    def test_a_push_says_what_happened(self, registry: Registry, name: str, notes: list[str]) -> None:
        registry.push(self.write(b"1"), name=name, stage="Production")
        registry.push(self.write(b"1"), name=name, stage="Production")
        assert notes == [f"same bytes as {name}@1", f"{name}@1 is archived: {name}@2 replaced it in Production"]
        notes.clear()
        registry.push(self.write(b"1"), name=f"{name}x")
        assert notes == [f"registered new model {name}x (similar: {name})"]

    def test_a_push_to_an_existing_model_only_registers_none(self, registry: Registry, name: str) -> None:
        with pytest.raises(errors.NotFound) as raised:
            registry.push(self.write(b"1"), name=name, existing=True)
        assert raised.value.message == f"model '{name}' not found"
        assert raised.value.hint.endswith(f"\nto register it: mreg register {name}")
        with pytest.raises(errors.NotFound):
            registry.model(name)
        registry.register(name)
        assert registry.push(self.write(b"1"), name=name, existing=True).version == 1

    def test_a_missing_parent_fails_before_any_upload(self, registry: Registry, name: str) -> None:
        steps: list[tuple[int, int]] = []
        with pytest.raises(errors.NotFound, match=f"model '{name}-base' not found"):
            registry.push(
                self.write(b"1"), name=name, parent=f"{name}-base@1", progress=lambda *step: steps.append(step)
            )
        assert steps == []

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"stage": "Prod"}, "invalid stage"),
            ({"aliases": ["v3"]}, "invalid alias"),
            ({"parent": "a@@b"}, "invalid selector"),
            ({"include": ["x"]}, "patterns select files of a folder"),
        ],
    )
    def test_an_invalid_argument_makes_no_version(
        self, registry: Registry, name: str, options: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(errors.BadInput, match=message):
            registry.push(self.write(b"1"), name=name, **options)
        with pytest.raises(errors.NotFound):
            registry.model(name)

    def test_an_empty_file_is_not_pushed(self, registry: Registry, name: str) -> None:
        with pytest.raises(errors.BadInput, match="it has 0 bytes"):
            registry.push(self.write(b""), name=name)

    @pytest.mark.parametrize("size", [300_000, LARGE, READ_ONCE], ids=["medium", "large", "read once"])
    def test_a_file_that_changes_while_it_is_pushed_makes_no_version(
        self, registry: Registry, name: str, size: int
    ) -> None:
        Path("net").mkdir()
        for number in range(3):
            self.write(os.urandom(size), f"net/{number}.bin")

        def change(_done: int, _total: int) -> None:
            for number in range(3):
                with open(f"net/{number}.bin", "ab") as stream:
                    stream.write(b"more")

        with pytest.raises(errors.Conflict, match="changed while it was read; no version was added"):
            registry.push("net", name=name, progress=change)
        with pytest.raises(errors.NotFound):
            registry.model(name)

    def test_a_plan_has_the_files_of_a_push(self, registry: Registry, name: str, folder: Path) -> None:
        plan = registry.plan_push(folder, name=name, exclude=["*.sh"])
        assert [file.path for file in plan.files] == [
            "config.json", "copy.json", "empty.txt", "layers/0.bin", "layers/1.bin", "weights.bin",
        ]  # fmt: skip
        assert (plan.folders, dict(plan.left_out)) == (("logs",), {"--exclude": 1})
        with pytest.raises(errors.NotFound):
            registry.model(name)

    def test_a_plan_names_similar_models(self, registry: Registry, name: str, notes: list[str]) -> None:
        registry.register(name)
        registry.plan_push(self.write(b"1"), name=f"{name}x")
        assert notes == [f"would register new model {name}x (similar: {name})"]
        with pytest.raises(errors.NotFound, match="not found"):
            registry.plan_push(self.write(b"1"), name=f"{name}x", existing=True)

    # Pulls

    @pytest.fixture
    def version(self, registry: Registry, name: str, folder: Path, notes: list[str]) -> ModelVersion:
        """Return a version that is a folder, with the alias champion."""
        version = registry.push(folder, name=name, aliases=["champion"])
        notes.clear()
        return version

    def test_a_pull_says_which_version_a_reference_is(
        self, registry: Registry, name: str, version: ModelVersion, notes: list[str]
    ) -> None:
        for reference in (f"{name}@champion", name, version):
            registry.pull(reference, "back")
        assert notes == [f"{name}@champion is {name}@1", f"{name} is {name}@1"]

    def test_a_selection_is_pulled(self, registry: Registry, version: ModelVersion, folder: Path) -> None:
        pulled = registry.pull(version, "back", include=["*.json", "layers/0.bin"], exclude=["copy.json"])
        assert [(file.path, file.state) for file in pulled.files] == [("config.json", "new"), ("layers/0.bin", "new")]
        assert sorted(_content("back")) == ["config.json", "layers/", "layers/0.bin"]
        planned = registry.pull(version, "back", dry_run=True)
        assert {file.path for file in planned.files if file.state == "unchanged"} == {"config.json", "layers/0.bin"}
        registry.pull(version, "back")
        assert _content("back") == _content(folder)
        with pytest.raises(errors.NotFound, match=r"no file of .* matches 'x'"):
            registry.pull(version, "other", include=["x"])

    def test_a_pull_replaces_nothing_unless_forced(self, registry: Registry, name: str, version: ModelVersion) -> None:
        registry.pull(version, "back")
        Path("net/config.json").write_bytes(b"[]")
        other = registry.push("net", name=name)
        with pytest.raises(errors.AlreadyExists):
            registry.pull(other, "back")
        registry.pull(other, "back", force=True)
        assert Path("back/config.json").read_bytes() == b"[]"
        assert Path("back/copy.json").read_bytes() == b"{}"

    def test_files_are_listed(self, registry: Registry, version: ModelVersion, folder: Path) -> None:
        found = registry.files(version)
        assert [file.path for file in found] == sorted(path for path in _content(folder) if not path.endswith("/"))
        assert [file.path for file in found if file.executable] == ["run.sh"]
        assert {str(file.reference) for file in found} == {str(version.reference)}
        assert [file.path for file in registry.files(version, include=["*.json"])] == ["config.json", "copy.json"]

    def test_a_file_is_streamed(self, registry: Registry, version: ModelVersion, folder: Path) -> None:
        stream = io.BytesIO()
        assert registry.stream(version, stream, include=["weights.bin"]) == version
        assert stream.getvalue() == (folder / "weights.bin").read_bytes()
        with pytest.raises(errors.BadInput, match=r"cannot stream .*: it is a folder of 7 files"):
            registry.stream(version, stream)

    def test_a_version_has_a_path(self, registry: Registry, version: ModelVersion, folder: Path) -> None:
        assert _content(registry.path(version)) == _content(folder)
        assert registry.path(version, "layers/0.bin").read_bytes() == (folder / "layers/0.bin").read_bytes()
        assert registry.locate(version, "run.sh").file == "run.sh"
        with pytest.raises(errors.NotFound, match="has no file 'x'"):
            registry.path(version, "x")
        with pytest.raises(errors.BadInput, match="invalid path"):
            registry.path(version, "../x")

    def test_a_changed_copy_is_found(self, registry: Registry, version: ModelVersion) -> None:
        registry.pull(version, "back")
        Path("back/config.json").write_bytes(b"[]")
        found = registry.verify_copy("back", version)
        assert [(file.path, file.state) for file in found.problems] == [("config.json", "changed")]

    @pytest.mark.parametrize("operation", ["pull", "path", "stream", "files", "verify_copy"])
    def test_a_version_that_does_not_exist_is_not_found(self, registry: Registry, name: str, operation: str) -> None:
        words: dict[str, tuple[Any, ...]] = {"stream": (f"{name}@1", io.BytesIO()), "verify_copy": (".", f"{name}@1")}
        with pytest.raises(errors.NotFound, match=f"model '{name}' not found"):
            getattr(registry, operation)(*words.get(operation, (f"{name}@1",)))


def _content(folder: str | Path) -> dict[str, bytes]:
    """Return the bytes of each file by its path; the paths of folders end in ``/``."""
    root = Path(folder)
    return {
        path.relative_to(root).as_posix() + "/" * path.is_dir(): b"" if path.is_dir() else path.read_bytes()
        for path in root.rglob("*")
    }
