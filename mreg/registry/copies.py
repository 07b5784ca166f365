"""Verify a pulled copy of a version."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from mreg.artifacts.comparing import Difference, compare_file, compare_folder
from mreg.artifacts.progress import progress_callback
from mreg.artifacts.replacing import kind_of
from mreg.domain.model import ArtifactKind
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import quoted, shell_word
from mreg.errors import BadInput, Corrupt, NotFound, Unavailable
from mreg.files import is_link
from mreg.registry.references import naming_version, resolve
from mreg.registry.selected_files import select_manifest, select_paths
from mreg.results.upkeep import CopiedFile, CopyVerification

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.registry.registry import Place, Progress, Reference
    from mreg.registry.session import Session, Transfers


def verify_copy(
    session: Session,
    path: Place,
    reference: Reference,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    progress: Progress = None,
) -> CopyVerification:
    """See `mreg.Registry.verify_copy`."""
    version = resolve(session, reference)
    return verify_copy_of(session, version, path, include=include, exclude=exclude, progress=progress)


def verify_copy_of(
    transfers: Transfers,
    version: ModelVersion,
    path: Place,
    *,
    include: Iterable[str],
    exclude: Iterable[str],
    progress: Progress = None,
) -> CopyVerification:
    """Compare a pulled copy with its version; see `mreg.Registry.verify_copy`."""
    include, exclude = tuple(include), tuple(exclude)
    place = os.path.abspath(os.fspath(path))
    _refuse_link(place, version)
    try:
        if version.artifact.kind is ArtifactKind.FILE:
            return _verify_file(version, place, include, exclude, progress)
        return _verify_folder(transfers, version, place, include, exclude, progress)
    except OSError as error:
        raise Unavailable(
            f"cannot read {quoted(place, 300)}: {error.strerror or error}", hint="fix its permissions"
        ) from error


def _refuse_link(place: str, version: ModelVersion) -> None:
    """Refuse a path that does not exist or is a link, whose target can change while it is read."""
    try:
        found = os.lstat(place)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise NotFound(
            f"{quoted(place, 300)} does not exist",
            hint=f"mreg pull {version.reference} {shell_word(place)}",
            kind="path",
        ) from None
    except OSError as error:
        raise Unavailable(f"cannot read {quoted(place, 300)}: {error.strerror or error}") from error
    if is_link(found):
        target = shell_word(os.path.realpath(place))
        raise BadInput(
            f"{quoted(place, 300)} is a symbolic link",
            hint=f"name the target: mreg verify --path {target} {version.reference}",
        )


def _verify_file(
    version: ModelVersion, place: str, include: tuple[str, ...], exclude: tuple[str, ...], progress: Progress
) -> CopyVerification:
    artifact = version.artifact
    if include or exclude:
        select_paths((artifact.name,), include, exclude, version.reference)
    if os.path.isdir(place):
        try:
            place = os.path.join(place, check_artifact_name(artifact.name))
        except BadInput as error:
            raise Corrupt(f"{version.reference}: {error.message}") from error
    advance = progress_callback(progress, artifact.size_bytes)
    difference = compare_file(place, artifact.digest, artifact.size_bytes, advance)
    found = [] if difference is None else [difference]
    return _result(version, place, 1, artifact.size_bytes, found)


def _verify_folder(
    transfers: Transfers,
    version: ModelVersion,
    place: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    progress: Progress,
) -> CopyVerification:
    kind = stat.S_IFMT(os.lstat(place).st_mode)
    if kind != stat.S_IFDIR:
        raise BadInput(
            f"{quoted(place, 300)} is {kind_of(kind)}, and {version.reference} is a folder", hint="name the folder"
        )
    with naming_version(version.reference):
        manifest = transfers.artifacts().manifest(version.artifact.digest)
    selects: Callable[[str], bool] = _every
    if include or exclude:
        from mreg.documents.patterns import Patterns

        manifest = select_manifest(manifest, include, exclude, version.reference)
        selects = Patterns(include, exclude).selects
    advance = progress_callback(progress, manifest.size)
    found = compare_folder(place, manifest, selects=selects, advance=advance)
    return _result(version, place, len(manifest.entries), manifest.size, found)


def _every(_path: str) -> bool:
    return True


def _result(version: ModelVersion, place: str, files: int, size: int, found: list[Difference]) -> CopyVerification:
    return CopyVerification(
        reference=version.reference,
        path=place,
        files=files,
        size_bytes=size,
        problems=tuple(CopiedFile(path=one.path, state=one.state, reason=one.reason) for one in found),
    )
