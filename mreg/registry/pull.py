"""Pull: write the verified bytes of a version to a destination."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.paths import check_artifact_name, is_project_file
from mreg.domain.text import counted, quoted, shell_word
from mreg.errors import BadInput, Corrupt, NotFound
from mreg.registry.destinations import check_destination, protection
from mreg.registry.references import as_reference, find_version, find_with_note, naming_version
from mreg.registry.registry import Reference
from mreg.registry.session import Session
from mreg.results.files import Pulled

LISTED = 5
"""Maximum number of other files that a notice names."""


def pull(
    session: Session,
    reference: Reference,
    destination: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Pulled:
    """See `mreg.Registry.pull`."""
    wanted = as_reference(reference)
    version, note = session.catalog.read(lambda reader: find_with_note(reader, wanted))
    if note:
        session.notice(note)
    artifact = version.artifact
    if destination is None:
        target = Path.cwd() / _own_name(version, ".")
    else:
        target = Path(os.path.abspath(os.fspath(destination)))
    if destination is not None and os.fspath(destination).endswith("/") and not target.is_dir():
        raise NotFound(
            f"the folder {quoted(str(target), 200)} does not exist",
            hint=f"mkdir -p {shell_word(str(target))}",
            kind="folder",
        )
    if artifact.kind is ArtifactKind.FILE and destination is not None and target.is_dir():
        target = target / _own_name(version, os.fspath(destination))
    check_destination(session, target)
    with naming_version(version.reference):
        received = session.artifacts().pull(
            artifact.digest,
            artifact.kind,
            artifact.size_bytes,
            target,
            force=force,
            progress=progress,
            records=session.pull_records() if artifact.kind is ArtifactKind.FOLDER else None,
            protected=lambda: protection(str(target), artifact.name, f"mreg pull {version.reference}"),
        )
    if received.kept_bytes:
        session.notice(f"resumed: {received.kept_bytes} of {artifact.size_bytes} bytes had arrived before")
    if received.others:
        names = [quoted(name) for name in received.others[:LISTED]]
        more = " and more" if len(received.others) > LISTED else ""
        session.notice(f"other files are kept in {quoted(str(target), 200)}: {', '.join(names)}{more}")
    return Pulled(version=version, destination=target, unchanged=received.unchanged, other_files=bool(received.others))


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


def stream(session: Session, reference: Reference, to: BinaryIO) -> ModelVersion:
    """See `mreg.Registry.stream`."""
    wanted = as_reference(reference)
    version = session.catalog.read(lambda reader: find_version(reader, wanted))
    if version.artifact.kind is not ArtifactKind.FILE:
        raise BadInput(
            f"cannot stream {version.reference}: it is a folder of {counted(version.artifact.file_count, 'file')}",
            hint=f"mreg pull {version.reference} DEST",
        )
    with naming_version(version.reference):
        session.artifacts().write_to(version.artifact.digest, version.artifact.size_bytes, to)
    return version
