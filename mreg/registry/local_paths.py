"""Local paths of versions: their verified files in the pull cache, for programs that read them in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mreg.artifacts.cached_artifacts import Wanted
from mreg.domain.model import ArtifactKind
from mreg.domain.paths import check_artifact_name, check_path
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, NotFound
from mreg.registry.references import as_reference, naming_version, resolve
from mreg.results.files import LocalArtifact

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.domain.names import VersionRef
    from mreg.registry.registry import Progress, Reference
    from mreg.registry.session import Session, Transfers


def locate(
    session: Session, reference: Reference, file: str | None = None, *, progress: Progress = None
) -> LocalArtifact:
    """See `mreg.Registry.locate`."""
    wanted = as_reference(reference)
    check_file(file, wanted)
    return locate_version(session, resolve(session, wanted), file, progress=progress)


def locate_version(
    transfers: Transfers, version: ModelVersion, file: str | None, *, progress: Progress = None
) -> LocalArtifact:
    """Return a version with the path of its verified files in the pull cache; see `mreg.Registry.locate`."""
    artifact = version.artifact
    try:
        check_artifact_name(artifact.name)  # again, because it becomes a path
    except BadInput as error:
        raise Corrupt(f"{version.reference}: {error.message}") from error
    whole = Wanted(digest=artifact.digest, kind=artifact.kind, size=artifact.size_bytes, name=artifact.name)
    if artifact.kind is ArtifactKind.FILE and file is not None:
        if file != artifact.name:
            raise _no_file(version, file)
        file = None
    cached = transfers.cached_artifacts()
    path = cached.find(whole)
    if path is not None and file is not None:
        path = f"{path}/{file}"
        if not Path(path).is_file():
            raise _no_file(version, file)
    if path is None:
        one = whole if file is None else whole.part(file)
        path = cached.find(one) if file is not None else None
        if path is None:
            path = _place(transfers, version, one, progress)
    return LocalArtifact(version=version, path=Path(path), file=file or "")


def check_file(file: str | None, wanted: VersionRef) -> None:
    """Check the path of a file that `locate` gets, before anything is read.

    Raises:
        BadInput: It is invalid.
    """
    if file is None:
        return
    try:
        check_path(file)
    except BadInput:
        raise BadInput(
            f"invalid path {quoted(file, 200)} of a file in {wanted}", hint=f"list the files: mreg files {wanted}"
        ) from None


def _place(transfers: Transfers, version: ModelVersion, wanted: Wanted, progress: Progress) -> str:
    try:
        with naming_version(version.reference):
            return transfers.cached_artifacts().place(wanted, transfers.artifacts(), progress)
    except NotFound as error:
        if error.details.get("kind") != "file":
            raise
        raise _no_file(version, wanted.file) from None


def _no_file(version: ModelVersion, file: str) -> NotFound:
    return NotFound(
        f"{version.reference} has no file {quoted(file)}",
        hint=f"list the files: mreg files {version.reference}",
        kind="file",
        path=file,
    )
