"""A read-only fsspec file system of the files of versions, so that pandas, joblib and others open them by URL.

``mreg://churn@production/model.pkl`` is the file ``model.pkl`` of the version in Production. fsspec finds this module
by an entry point; mreg itself does not import it.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from fsspec.spec import AbstractFileSystem

from mreg.domain.model import ArtifactKind
from mreg.domain.names import VersionRef
from mreg.errors import BadInput, MregError, NotFound, Unavailable

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.registry.registry import Registry

FORM = "mreg://MODEL@VERSION/FILE"


class MregFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The versions of a registry as read-only folders: ``mreg://MODEL@VERSION/FILE``.

    ``VERSION`` is a number, a stage, an alias or another selector, which each call resolves again. If the version is a
    single file, ``mreg://MODEL@VERSION`` alone is this file, too. Opening a file fetches it to the pull cache,
    verified, and opens it there: see `mreg.Registry.locate`. Of a folder, only this file is fetched.

    Errors are those that users of fsspec expect: `FileNotFoundError` if the model, version or file does not exist,
    `ValueError` for an invalid URL, and other `OSError` for damaged bytes, an unreachable registry, and writes. The
    cause is the error of mreg.

    Args:
        profile: Profile of the registry (default: as for the command line).
        catalog: Catalog (default: the profile's).
        artifacts: Artifact store (default: the profile's).
        registry: Open registry to use instead; such a file system cannot be pickled.
    """

    protocol = "mreg"
    root_marker = ""

    def __init__(
        self,
        profile: str | None = None,
        catalog: str | None = None,
        artifacts: str | None = None,
        registry: Registry | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._profile, self._catalog, self._artifacts = profile, catalog, artifacts
        self._registry = registry
        self._lock = threading.Lock()

    @property
    def registry(self) -> Registry:
        """The registry, opened by the first access."""
        with self._lock:
            if self._registry is None:
                from mreg.registry.open import open_registry

                self._registry = open_registry(self._profile, catalog=self._catalog, artifacts=self._artifacts)
            return self._registry

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """Return the entries of a folder of a version, the versions of a model, or all models without a path.

        Args:
            detail: Return a dict for each entry (``name``, ``size``, ``type``; of files also ``sha256``) instead of its
                path.
        """
        path = self._strip_protocol(path)
        with _translated(path):
            found = self._list(path)
        return found if detail else [entry["name"] for entry in found]

    def _list(self, path: str) -> list[dict[str, Any]]:
        if not path:
            return [_folder(str(model.model.name)) for model in self.registry.models()]
        if "@" not in path:
            from mreg.results.models import ModelVersions

            found = self.registry.show(path)
            versions = found.versions if isinstance(found, ModelVersions) else (found,)
            return [_folder(str(version.reference)) for version in versions]
        reference, file = _split(path)
        version = self.registry.version(reference)
        files = {stored.path: stored for stored in self.registry.files(version)}
        if file in files:
            return [_file(path, files[file].size_bytes, str(files[file].digest))]
        within = f"{file}/" if file else ""
        entries: dict[str, dict[str, Any]] = {}
        for name, stored in files.items():
            if name.startswith(within):
                first, inner, _ = name.removeprefix(within).partition("/")
                place = f"{reference}/{within}{first}"
                entries[place] = _folder(place) if inner else _file(place, stored.size_bytes, str(stored.digest))
        if not entries:
            raise _no_file(version, file)
        return list(entries.values())

    def info(self, path: str, **_options: Any) -> dict[str, Any]:
        """Return ``name``, ``size`` and ``type`` of a file or folder; of a file also ``sha256``."""
        path = self._strip_protocol(path)
        with _translated(path):
            if "@" not in path:
                if path:
                    self.registry.model(path)
                return _folder(path)
            reference, file = _split(path)
            version = self.registry.version(reference)
            if not file and version.artifact.kind is ArtifactKind.FOLDER:
                return _folder(path)
            for stored in self.registry.files(version):
                if stored.path == file or not file:
                    return _file(path, stored.size_bytes, str(stored.digest))
                if stored.path.startswith(f"{file}/"):
                    return _folder(path)
            raise _no_file(version, file)

    def _open(self, path: str, mode: str = "rb", **_options: Any) -> BinaryIO:
        if mode != "rb":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"mreg://{path}")
        with _translated(path):
            reference, file = _split(path)
            version = self.registry.version(reference)
            if not file and version.artifact.kind is ArtifactKind.FOLDER:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), f"mreg://{path}")
            return open(self.registry.path(version, file or None), "rb")

    def created(self, path: str) -> Any:
        """Return the time at which the version of a path was pushed."""
        return self._version(path).created_at

    modified = created
    """The bytes of a version never change."""

    def checksum(self, path: str) -> int:
        """Return an integer that is another one if the bytes of a path are others."""
        info = self.info(path)
        digest = info.get("sha256") or str(self._version(path).artifact.digest)
        return int(digest.removeprefix("sha256:")[:16], 16)

    def ukey(self, path: str) -> str:
        """Return a text that is another one if the bytes of a path are others."""
        return f"{self.checksum(path):016x}"

    def _version(self, path: str) -> ModelVersion:
        path = self._strip_protocol(path)
        with _translated(path):
            return self.registry.version(_split(path)[0])

    def _refuse(self, path: str, *_rest: Any, **_options: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), f"mreg://{self._strip_protocol(path)}")

    mkdir = makedirs = rmdir = _rm = cp_file = _refuse


def _split(path: str) -> tuple[str, str]:
    """Return the reference and the path of the file, empty for the version itself.

    Raises:
        BadInput: There is no version, or the reference is invalid.
    """
    name, at, rest = path.partition("@")
    if not at:
        raise BadInput(f"invalid URL mreg://{path}: it has no version", hint=f"write {FORM}")
    selector, _, file = rest.partition("/")
    reference = f"{name}@{selector}"
    VersionRef.parse(reference)
    return reference, file


def _file(path: str, size: int, digest: str) -> dict[str, Any]:
    return {"name": path, "size": size, "type": "file", "sha256": digest}


def _folder(path: str) -> dict[str, Any]:
    return {"name": path, "size": 0, "type": "directory"}


def _no_file(version: ModelVersion, file: str) -> NotFound:
    return NotFound(f"{version.reference} has no file {file!r}", hint=f"mreg files {version.reference}", kind="file")


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Raise the errors of mreg as those that users of fsspec expect."""
    try:
        yield
    except MregError as error:
        text = f"{error.message} ({error.hint})" if error.hint else error.message
        if isinstance(error, NotFound):
            raise FileNotFoundError(errno.ENOENT, text, f"mreg://{path}") from error
        if isinstance(error, BadInput):
            raise ValueError(text) from error
        number = errno.EAGAIN if isinstance(error, Unavailable) else errno.EIO
        raise OSError(number, text, f"mreg://{path}") from error
