"""Pull: write the verified bytes of a version to a destination."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.paths import check_artifact_name, is_project_file, refuse_url
from mreg.domain.text import Caution, counted, quoted, shell_word, size_text
from mreg.errors import BadInput, Corrupt
from mreg.registry.destinations import COPY_TO, REPOSITORIES, check_destination, protection
from mreg.registry.references import as_reference, find_version, naming_version, resolve
from mreg.registry.registry import Reference
from mreg.registry.selected_files import select_manifest, select_paths
from mreg.registry.session import Session, Transfers
from mreg.registry.streaming import files_of_version
from mreg.results.files import Pulled, PulledFile

LISTED = 5
"""Maximum number of other files that a notice names."""


def pull(
    session: Session,
    reference: Reference,
    destination: str | os.PathLike[str] | None = None,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Pulled:
    """See `mreg.Registry.pull`."""
    check_address(destination)
    return pull_version(
        session,
        resolve(session, reference),
        destination,
        include=include,
        exclude=exclude,
        force=force,
        dry_run=dry_run,
        progress=progress,
    )


def check_address(destination: str | os.PathLike[str] | None) -> None:
    """Refuse a destination that is a URL, before anything is read.

    Raises:
        BadInput: It is a URL.
    """
    refuse_url(os.fspath(destination or ""), COPY_TO)


def pull_version(
    transfers: Transfers,
    version: ModelVersion,
    destination: str | os.PathLike[str] | None = None,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Pulled:
    """Write the bytes of a version to a destination; see `mreg.Registry.pull`."""
    include, exclude = tuple(include), tuple(exclude)
    artifact = version.artifact
    is_file = artifact.kind is ArtifactKind.FILE
    chosen = None
    if include or exclude:
        chosen = partial(select_manifest, include=include, exclude=exclude, reference=version.reference)
    if is_file and chosen is not None:
        select_paths((artifact.name,), include, exclude, version.reference)
    if destination is None:
        target = Path.cwd() / _own_name(version, ".")
    else:
        target = Path(os.path.abspath(os.fspath(destination)))
    if is_file and destination is not None and (_names_folder(os.fspath(destination)) or target.is_dir()):
        target = target / _own_name(version, os.fspath(destination))
    check_destination(transfers, target)
    with naming_version(version.reference):
        received = transfers.artifacts().pull(
            artifact.digest,
            artifact.kind,
            artifact.size_bytes,
            target,
            force=force,
            select=chosen,
            dry_run=dry_run,
            progress=progress,
            records=None if is_file else transfers.pull_records(),
            protected=lambda: protection(str(target), artifact.name, f"mreg pull {version.reference}"),
        )
    if received.kept_bytes:
        kept, size = size_text(received.kept_bytes), size_text(artifact.size_bytes)
        transfers.notice(f"resumed: {kept} of {size} had arrived before")
    repository = "" if dry_run or received.unchanged else _repository_in(file.path for file in received.files)
    if repository:
        transfers.notice(
            Caution(
                f"warning: {version.reference} has the repository {quoted(repository)}: "
                "a version control system can run commands from it"
            )
        )
    if received.others and not dry_run:
        names = [quoted(name) for name in received.others[:LISTED]]
        more = " and more" if len(received.others) > LISTED else ""
        transfers.notice(f"other files are kept in {quoted(str(target), 200)}: {', '.join(names)}{more}")
    files = received.files if dry_run or chosen is not None else ()
    return Pulled(
        version=version,
        destination=target,
        unchanged=received.unchanged,
        other_files=bool(received.others),
        files=tuple(PulledFile(path=file.path, size_bytes=file.size, state=file.state) for file in files),
        dry_run=dry_run,
    )


def _repository_in(paths: Iterable[str]) -> str:
    """Return the first folder of paths that has the data of version control, or an empty text."""
    for path in paths:
        parts = path.split("/")
        for place, part in enumerate(parts):
            if part.lower() in REPOSITORIES:
                return "/".join(parts[: place + 1])
    return ""


def _names_folder(text: str) -> bool:
    """Return whether a path names a folder by its form: it ends in a separator, ``.`` or ``..``."""
    separators = (os.sep, os.altsep or os.sep)
    return text.endswith(separators) or os.path.basename(text) in (os.curdir, os.pardir)


def _own_name(version: ModelVersion, folder: str) -> str:
    """Return the name of the artifact, checked again because it becomes a path that the user did not type.

    Raises:
        BadInput: Other commands would read the name as an option, or it is the name of a hidden file or project file.
        Corrupt: The name is invalid.
    """
    name = version.artifact.name
    try:
        check_artifact_name(name)
    except BadInput as error:
        raise Corrupt(f"{version.reference}: {error.message}", hint=f"mreg pull {version.reference} DEST") from error
    if is_project_file(name):
        raise BadInput(
            f"cannot take the destination from the catalog: {quoted(name)} is the name of mreg's project file",
            hint=f"mreg pull {version.reference} {shell_word(os.path.join(folder, f'artifact-{name}'))}",
        )
    if name.startswith(("-", ".")):
        plain = name.lstrip("-. ") or version.model_name.value.rpartition("/")[2].lstrip("-. ") or "artifact"
        raise BadInput(
            f"cannot take the destination from the catalog: the artifact name {quoted(name)} begins with '{name[0]}'",
            hint=f"mreg pull {version.reference} {shell_word(os.path.join(folder, plain))}",
        )
    return name


def stream(
    session: Session,
    reference: Reference,
    to: BinaryIO,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> ModelVersion:
    """See `mreg.Registry.stream`."""
    wanted = as_reference(reference)
    version = session.catalog.read(lambda reader: find_version(reader, wanted))
    stream_version(session, version, to, include=include, exclude=exclude)
    return version


def stream_version(
    transfers: Transfers, version: ModelVersion, to: BinaryIO, *, include: Iterable[str], exclude: Iterable[str]
) -> None:
    """Write the bytes of one file of a version to a stream; see `mreg.Registry.stream`."""
    include, exclude = tuple(include), tuple(exclude)
    found = files_of_version(transfers, version)
    if include or exclude:
        selected = select_paths([file.path for file in found], include, exclude, version.reference)
        found = tuple(file for file in found if file.path in selected)
        if len(found) > 1:
            names = ", ".join(quoted(file.path) for file in found[:LISTED])
            raise BadInput(
                f"cannot stream {len(found)} files of {version.reference}: {names}{', ...' * (len(found) > LISTED)}",
                hint=f"name one file: --include {shell_word(found[0].path)}",
            )
    elif version.artifact.kind is not ArtifactKind.FILE:
        raise BadInput(
            f"cannot stream {version.reference}: it is a folder of {counted(version.artifact.file_count, 'file')}",
            hint=f"mreg pull {version.reference} DEST; or name one file: --include FILE",
        )
    with naming_version(version.reference):
        transfers.artifacts().write_to(found[0].digest, found[0].size_bytes, to)
