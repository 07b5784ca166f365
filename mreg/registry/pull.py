"""Pull: give back exactly the bytes of a version."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mreg.domain.model import ArtifactKind, ModelVersion
from mreg.domain.names import VersionRef
from mreg.domain.paths import check_artifact_name, is_project_file
from mreg.domain.text import counted, quoted, shell_word
from mreg.errors import BadInput, Corrupt, NotFound
from mreg.registry.destinations import check_destination, protection
from mreg.registry.references import as_reference, concerning, find_told, find_version
from mreg.registry.session import Session
from mreg.results.files import Pulled

LISTED = 5
"""Names of other files that a notice lists."""


def pull(
    session: Session,
    reference: VersionRef | str,
    destination: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Pulled:
    """Write a version's bytes to a destination, all or nothing, and verify the SHA-256 of what was written.

    Where the destination is an existing folder and the version a file, the file goes into it under its own name. A
    failed pull leaves the destination untouched; so does a killed one, unless the destination is a folder that also has
    other files: there it leaves each file old or new, and the same pull completes them.

    With ``force`` a file replaces a file or link, and a folder never does. In a folder, files of the same name are
    replaced, and files that earlier pulls put there are removed (a record in the user's data folder lists them, by path
    and SHA-256); other files stay. Nothing is replaced in the current folder, the home folder or a folder above them,
    in a folder with ``.git`` or inside one, and in a folder that holds a registry.

    Args:
        reference: Which version; a bare name means the latest.
        destination: File or folder to make; None for the artifact's own name in the working folder. A name that
            begins with ``-`` or ``.``, and ``mreg.yaml``, is not taken from the catalog and must be given here.
        force: Replace files of the same name.

    Raises:
        NotFound: No such model or version, or the destination's parent folder is missing.
        AlreadyExists: Something else is at the destination. With ``force``: a file of an earlier pull was changed
            since, or a folder, link or device is where a file must be, or the reverse; the message lists them.
        BadInput: The destination is the registry's own, is a device or a pipe, is a folder whose files are never
            replaced, or would be taken from the catalog and begins with ``-`` or ``.`` or is ``mreg.yaml``.
        Conflict: Another process changed the destination during the pull.
        Corrupt: The stored bytes are not what they should be.
        Unavailable: The store can't be read or the destination can't be written.
    """
    wanted = as_reference(reference)
    version, note = session.catalog.read(lambda reader: find_told(reader, wanted))
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
    with concerning(version.reference):
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
        session.notice(f"{received.kept_bytes} bytes of {artifact.size_bytes} had arrived before and were kept")
    if received.others:
        names = [quoted(name) for name in received.others[:LISTED]]
        more = " and more" if len(received.others) > LISTED else ""
        session.notice(f"other files stay in {quoted(str(target), 200)}: {', '.join(names)}{more}")
    return Pulled(version=version, destination=target, unchanged=received.unchanged, other_files=bool(received.others))


def _own_name(version: ModelVersion, folder: str) -> str:
    """The artifact's own name, checked once more where it becomes a path that nobody typed.

    Raises:
        BadInput: It would be read as an option by other commands, make a hidden file, or be read as a project file.
        Corrupt: It is no name of an artifact.
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


def stream(session: Session, reference: VersionRef | str, to: BinaryIO) -> ModelVersion:
    """Write the bytes of a version that is one file to a stream, after they were verified.

    Raises:
        NotFound: No such model or version.
        BadInput: The version is a folder.
        Corrupt: The stored bytes are not what they should be; then nothing was written unless they changed meanwhile.
    """
    wanted = as_reference(reference)
    version = session.catalog.read(lambda reader: find_version(reader, wanted))
    if version.artifact.kind is not ArtifactKind.FILE:
        raise BadInput(
            f"{version.reference} is a folder of {counted(version.artifact.file_count, 'file')} and can't be streamed",
            hint=f"mreg pull {version.reference} DEST",
        )
    with concerning(version.reference):
        session.artifacts().write_to(version.artifact.digest, version.artifact.size_bytes, to)
    return version
