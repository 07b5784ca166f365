"""MLflow's artifact repository for the files of a version; they are verified, and read through the pull cache."""

from __future__ import annotations

import os
import re
import tempfile

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import NOT_IMPLEMENTED, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.utils.file_utils import create_tmp_dir

from mreg.errors import BadInput, NotFound
from mreg.files import replace
from mreg.mlflow import opened
from mreg.mlflow.address import Address
from mreg.mlflow.failures import invalid, translated

_SPECIAL = re.compile(r"[\\*?\[\] ]")


class MregArtifactRepository(ArtifactRepository):  # type: ignore[misc]  # MLflow is not type-checked
    """The files of a version, read-only.

    Args:
        artifact_uri: ``mreg://NAME@SELECTOR/PATH``, see `mreg.mlflow.address`.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return the files and folders directly in a folder of the version; none for a file.

        Raises:
            MlflowException: The version or the path does not exist, or the path leads out of the version.
        """
        with translated():
            wanted = Address.parse(self.artifact_uri, path or "")
            files = opened.registry(wanted.profile).files(wanted.reference)
        base = f"{wanted.path}/" if wanted.path else ""
        root = _inner(self.artifact_uri)
        found: dict[str, FileInfo] = {}
        for file in files:
            if file.path == wanted.path:
                return []
            if file.path.startswith(base):
                first, slash, _ = file.path[len(base) :].partition("/")
                shown = f"{base}{first}".removeprefix(root)
                found[first] = FileInfo(shown, bool(slash), None if slash else file.size_bytes)
        if base and not found:
            raise _missing(wanted)
        return sorted(found.values(), key=lambda info: info.path)

    def download_artifacts(self, artifact_path: str | None, dst_path: str | None = None) -> str:
        """Write a file or folder of the version into a folder, and return its path there.

        All bytes are verified before the first file appears. Files of the same name are replaced.

        Args:
            artifact_path: Path in the version (default: the whole version).
            dst_path: An existing folder (default: a new temporary folder, which the caller removes).

        Raises:
            MlflowException: The version or the path does not exist, the path leads out of the version, the stored bytes
                are damaged, or the folder does not exist or cannot be written.
        """
        with translated():
            wanted = Address.parse(self.artifact_uri, artifact_path or "")
            if dst_path is not None and not os.path.isdir(dst_path):
                raise invalid(f"The destination path for downloaded artifacts must be a directory: {dst_path}")
            target = create_tmp_dir() if dst_path is None else os.path.abspath(dst_path)
            if not wanted.path and not os.listdir(target):
                opened.registry(wanted.profile).pull(wanted.reference, target)
                return str(target)
            with tempfile.TemporaryDirectory(prefix=".mreg-", dir=target) as folder:
                staged = os.path.join(folder, "staged")
                os.mkdir(staged)
                self._pull(wanted, staged)
                inner = _inner(self.artifact_uri)
                source = os.path.join(staged, *inner.split("/")[:-1])
                if os.path.isfile(source):  # the address of the repository names a file
                    replace(source, os.path.join(target, os.path.basename(source)))
                    return os.path.join(target, os.path.basename(source))
                _move(source, target)
        relative = wanted.path.removeprefix(inner.rstrip("/") if wanted.path == inner.rstrip("/") else inner)
        return os.path.join(target, *relative.split("/")) if relative else str(target)

    def _pull(self, wanted: Address, folder: str) -> None:
        registry = opened.registry(wanted.profile)
        if not wanted.path:
            registry.pull(wanted.reference, folder)
            return
        try:
            registry.pull(wanted.reference, folder, include=[_pattern(wanted.path)])
        except NotFound as error:
            if error.details.get("kind") in ("model", "version"):
                raise
            raise _missing(wanted) from error

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        with translated():
            wanted = Address.parse(self.artifact_uri, remote_file_path)
            registry = opened.registry(wanted.profile)
            file = next((file for file in registry.files(wanted.reference) if file.path == wanted.path), None)
            if file is None:
                raise _missing(wanted)
            with tempfile.TemporaryDirectory(prefix=".mreg-", dir=os.path.dirname(local_path)) as folder:
                self._pull(wanted, folder)
                replace(os.path.join(folder, *wanted.path.split("/")), local_path)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:  # noqa: ARG002
        """Raise `MlflowException`: the files of a version never change."""
        raise _read_only()

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:  # noqa: ARG002
        """Raise `MlflowException`: the files of a version never change."""
        raise _read_only()

    def delete_artifacts(self, artifact_path: str | None = None) -> None:  # noqa: ARG002
        """Raise `MlflowException`: the files of a version never change."""
        raise _read_only()


def _inner(uri: str) -> str:
    """Return the path in the version that an address of a repository names, with a slash at its end."""
    try:
        path = Address.parse(uri).path
    except BadInput:  # MLflow split the address within the name of the model
        return ""
    return f"{path}/" if path else ""


def _move(source: str, target: str) -> None:
    """Move the files of a folder into another one of the same file system; files of the same name are replaced."""
    for folder, folders, files in os.walk(source):
        into = os.path.normpath(os.path.join(target, os.path.relpath(folder, source)))
        for name in folders:
            if os.path.islink(os.path.join(into, name)):
                raise invalid(f"The destination path for downloaded artifacts has a link: {os.path.join(into, name)}")
            os.makedirs(os.path.join(into, name), exist_ok=True)
        for name in files:
            replace(os.path.join(folder, name), os.path.join(into, name))


def _pattern(path: str) -> str:
    """Return the pattern that selects a file or folder, and nothing else."""
    return "/" + _SPECIAL.sub(r"\\\g<0>", path)


def _missing(wanted: Address) -> MlflowException:
    return MlflowException(f"No such artifact: '{wanted.path}'", error_code=RESOURCE_DOES_NOT_EXIST)


def _read_only() -> MlflowException:
    return MlflowException(
        "The artifacts of a registered version cannot be changed. Register a new version instead.",
        error_code=NOT_IMPLEMENTED,
    )
