"""A catalog, a source and a folder that another person prepared, in the process of MLflow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.names import VersionRef
from mreg.errors import BadInput
from mreg.mlflow.address import Address, profile_in

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.filterwarnings("error:::mreg")]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("artifact_path: model\n")
    (folder / "data" / "authorized_keys").write_text("key")
    return folder


@pytest.fixture
def repository(model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The artifact repository of a version whose tags name another source."""
    from mreg.mlflow import opened
    from mreg.mlflow.artifacts import MregArtifactRepository

    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with mreg.open_registry() as registry:
        registry.push(model, name="churn", tags={"mlflow.source": "file:///etc/passwd"})
    yield MregArtifactRepository("mreg://churn@1")
    opened.close_all()


PATHS = ["..", "../x", "data/../../x", "/etc/passwd", "//etc/passwd", "data/..", "a\\..\\b", "\0", "C:/x", ".", "data/./x",
         "data//authorized_keys", "\x1b[2J", "a" * 5_000]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_a_path_that_leads_out_of_a_version_is_refused(repository: Any, path: str, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    target = tmp_path / "out"
    target.mkdir()
    calls: list[Callable[[], object]] = [
        lambda: repository.list_artifacts(path),
        lambda: repository.download_artifacts(path, str(target)),
        lambda: repository._download_file(path, str(target / "file")),
    ]
    for call in calls:
        with pytest.raises(MlflowException) as caught:
            call()
        assert caught.value.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
        assert "\x1b" not in caught.value.message
    assert os.listdir(target) == []


@pytest.mark.parametrize("path", ["%2e%2e/x", "data/%2e%2e", "*", "[a-z]*", "!MLmodel", "#", "MLmode?", "data/*"])
def test_a_path_is_literal(repository: Any, path: str, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as caught:
        repository.download_artifacts(path, str(tmp_path))
    assert caught.value.message == f"No such artifact: '{path}'"


def test_a_link_in_the_destination_is_not_followed(repository: Any, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    ssh, target = tmp_path / "ssh", tmp_path / "out"
    ssh.mkdir()
    target.mkdir()
    (target / "data").symlink_to(ssh)
    for path in ("", "data", "data/authorized_keys"):
        with pytest.raises(MlflowException, match="has a link"):
            repository.download_artifacts(path, str(target))
    assert os.listdir(ssh) == []


def test_the_source_of_a_version_is_never_read(repository: Any, tmp_path: Path) -> None:
    from mreg.mlflow.store import RegistryStore

    store = RegistryStore("mreg:")
    assert store.get_model_version("churn", 1).source == "file:///etc/passwd"
    assert store.get_model_version_download_uri("churn", 1) == "mreg://churn@1"
    assert sorted(os.listdir(repository.download_artifacts("", None))) == ["MLmodel", "data"]
    store.create_registered_model("copy")
    copied = store.create_model_version("copy", "models:/churn/1")
    with mreg.open_registry() as registry:
        assert registry.version("copy@1").artifact.digest == registry.version("churn@1").artifact.digest
    assert copied.source == "models:/churn/1"


def test_a_repository_is_read_only(repository: Any, model: Path) -> None:
    from mlflow.exceptions import MlflowException

    calls: list[Callable[[], object]] = [
        lambda: repository.log_artifact(str(model / "MLmodel")),
        lambda: repository.log_artifacts(str(model)),
        lambda: repository.delete_artifacts("MLmodel"),
    ]
    for call in calls:
        with pytest.raises(MlflowException, match="cannot be changed"):
            call()


def test_names_of_a_catalog_are_shown_as_text(repository: Any, model: Path) -> None:
    from mreg.mlflow.store import RegistryStore

    hostile = ["a_x1B__x5B_2J", "a_xD800_", "a_x202E_b", "x2E_.", "a_x2F_b", "a_x3A_b"]
    with mreg.open_registry() as registry:
        for name in hostile:
            registry.push(model, name=name)
    store = RegistryStore("mreg:")
    found = {entity.name for entity in store.search_registered_models(max_results=100)}
    assert found == {"churn", *(f"%{name}" for name in hostile)}
    for name in found:
        assert store.get_model_version(name, 1).name == name


def test_damaged_bytes_are_not_loaded(repository: Any, tmp_path: Path) -> None:
    from mlflow.exceptions import MlflowException

    with mreg.open_registry() as registry:
        blob = next(file for file in registry.files("churn@1") if file.path == "MLmodel").digest
    hexadecimal = str(blob).removeprefix("sha256:")
    path = next(Path(os.environ["HOME"]).rglob(f"{hexadecimal[:2]}/{hexadecimal[2:]}"))
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    for wanted in ("", "MLmodel"):
        with pytest.raises(MlflowException) as caught:
            repository.download_artifacts(wanted, str(tmp_path))
        assert caught.value.error_code == "DATA_LOSS"
    assert not (tmp_path / "MLmodel").exists()


@pytest.mark.parametrize(
    "uri",
    ["mreg://", "mreg:///", "mreg://churn", "mreg://@3", "mreg://churn@", "mreg://churn@3/../x", "mreg://churn@3?profile=../x",
     "mreg://churn@3?profile=", "mreg://churn@3?x=1", "mreg://a b@3", "mreg://churn@3/\x1b[2J", "mreg://../a@3",
     "mreg://churn@3?profile=a&b=c"],
)  # fmt: skip
def test_an_address_that_is_invalid_is_refused(uri: str) -> None:
    with pytest.raises(BadInput):
        Address.parse(uri)


@pytest.mark.parametrize("profile", [None, "team"])
@pytest.mark.parametrize("reference", ["churn@3", "team/churn@production~1", "a@sha256:0123456789abcdef"])
@pytest.mark.parametrize("path", ["", "MLmodel", "data/a b.bin", "a@b"])
def test_an_address_comes_back(profile: str | None, reference: str, path: str) -> None:
    address = Address(profile=profile, reference=VersionRef.parse(reference), path=path)
    assert Address.parse(str(address)) == address
    whole = Address(profile=profile, reference=VersionRef.parse(reference))
    assert Address.parse(str(whole), path) == address


def test_the_address_of_a_registry_names_a_profile() -> None:
    assert [profile_in(uri) for uri in ("mreg:", "mreg://", "mreg:///", "mreg://team", "MREG://team/")] == [
        None, None, None, "team", "team",
    ]  # fmt: skip
