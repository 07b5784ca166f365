"""Import a model of the Hugging Face Hub as the next version of a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelArtifact, ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.text import TEXT_LIMIT
from mreg.errors import BadInput
from mreg.registry.references import as_name
from mreg.registry.storing import add_with_bytes, begin_storing
from mreg.results.imports import ImportEntry, ImportReport, ImportStatus
from mreg.sources.huggingface import Revision, download, find_revision, read_files

if TYPE_CHECKING:
    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.registry import Name
    from mreg.registry.session import Session

CARD = "README.md"
DATA = "huggingface"
"""Name of the data that records the revision."""

_FRONT_MATTER = re.compile(r"\A---\r?\n.*?\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def import_hub(
    session: Session,
    repository: str,
    name: Name | None = None,
    *,
    revision: str = "",
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """See `mreg.Registry.import_hub`."""
    if not repository:
        raise BadInput("the name of the repository is empty", hint="write hf:NAME or hf:ORGANIZATION/NAME")
    target = as_name(name) if name is not None else ModelName(repository)
    found = find_revision(repository, revision)
    entry = session.catalog.read(lambda reader: _imported_before(reader, target, found))
    if entry is None and dry_run:
        entry = ImportEntry(source=_source(found), status=ImportStatus.PLANNED, size_bytes=found.size)
    elif entry is None:
        begin_storing(session)
        entry = _add(session, target, found, progress or (lambda _done, _total: None))
    return ImportReport(
        source=f"hf:{found.repository}@{found.commit}", dry_run=dry_run, models=(target,), versions=(entry,)
    )


def _source(revision: Revision) -> str:
    return f"{revision.repository}@{revision.commit}"


def _imported_before(reader: Reader, name: ModelName, revision: Revision) -> ImportEntry | None:
    """Return the outcome if an earlier import of the revision added a version, None otherwise."""
    model = reader.model(name)
    if model is None:
        return None
    for event in reader.events(model=model):
        origin = event.details.get("imported")
        if event.action != "version.pushed" or event.version is None or not isinstance(origin, dict):
            continue
        if origin.get("reference") == f"hf:{_source(revision)}":
            version = reader.version(model, event.version)
            if version is not None:
                return ImportEntry(
                    source=_source(revision),
                    reference=version.reference,
                    status=ImportStatus.PRESENT,
                    stage=version.stage,
                )
    return None


def _add(session: Session, name: ModelName, revision: Revision, progress: Callable[[int, int], None]) -> ImportEntry:
    folder = download(revision, progress)
    done = 0
    card = bytearray()
    with session.artifacts().open_folder_upload(revision.size) as upload:
        for path, chunks in read_files(revision, folder):
            upload.begin(path)
            for chunk in chunks:
                upload.write(chunk)
                if path == CARD and len(card) <= 4 * TEXT_LIMIT:
                    card += chunk
                done += len(chunk)
                progress(done, max(done, revision.size))
            upload.end()
        artifact_name = name.value.rpartition("/")[2]
        kind_of = upload.format(artifact_name)
        description, left_out = _description(bytes(card))
        metadata = VersionMetadata(
            description=description, data={DATA: f"hf://{revision.repository}@{revision.commit}"}
        )

        def add(writer: Writer, stored: Stored) -> ImportEntry:
            known = _imported_before(writer, name, revision)
            if known is not None:  # by another process
                return known
            version: ModelVersion = writer.add_version(
                writer.model(name) or writer.register(name=name),
                artifact=ModelArtifact(
                    kind=stored.kind,
                    name=artifact_name,
                    path="",
                    size_bytes=stored.size_bytes,
                    digest=stored.digest,
                    file_count=stored.file_count,
                    format=kind_of,
                ),
                metadata=metadata,
                imported={"reference": f"hf:{_source(revision)}"},
            )
            return ImportEntry(
                source=_source(revision),
                reference=version.reference,
                status=ImportStatus.ADDED,
                left_out=left_out,
                size_bytes=stored.size_bytes,
            )

        return add_with_bytes(session, upload.put, lambda stored: stored.blobs, add)


def _description(card: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text of a model card without its front matter, and a note if it was shortened."""
    text = _FRONT_MATTER.sub("", card.decode("utf-8", "replace")).replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
    if len(text) <= TEXT_LIMIT:
        return text, ()
    return text[:TEXT_LIMIT], (f"the end of the model card: the limit of a description is {TEXT_LIMIT:,} characters",)
