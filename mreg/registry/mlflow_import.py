"""Import models and versions from MLflow, with their numbers.

Versions are added in batches, each in one transaction, so that an import that is interrupted keeps what it added, and
the next run continues. A version that cannot be read is reported, and the others are imported: see
``docs/decisions/0060``.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from mreg.domain.events import time_text
from mreg.domain.metadata import VersionMetadata
from mreg.domain.metrics import MetricValue, check_metric
from mreg.domain.mlflow_names import (
    MODEL_ID_TAG,
    PROMPT_TAG,
    RUN_LINK_TAG,
    SOURCE_TAG,
    from_mlflow_alias,
    from_mlflow_name,
    source_text,
)
from mreg.domain.model import ModelArtifact, ModelStage, RegisteredModel, Source
from mreg.domain.names import ModelName, Selector, VersionRef, spelled
from mreg.domain.paths import check_artifact_name
from mreg.domain.redaction import redacted
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value, nearest, printable, quoted
from mreg.errors import AlreadyExists, BadInput, MregError, NotFound, Unavailable
from mreg.registry.importing import NUMBER_LIMIT
from mreg.registry.storing import add_with_bytes, begin_storing
from mreg.results.imports import ImportEntry, ImportReport, ImportStatus
from mreg.sources.mlflow import Artifact, Measured, MlflowRegistry, SourceModel, SourceVersion

if TYPE_CHECKING:
    from datetime import datetime

    from mreg.artifacts.upload import Stored
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.digest import Digest
    from mreg.domain.events import Event
    from mreg.domain.model import ModelVersion
    from mreg.registry.session import Session

V = TypeVar("V")

LINE_LIMIT = 500
"""Maximum length of a text of the source in the audit trail, in characters."""

BATCH_VERSIONS = 50
BATCH_BYTES = 64 << 20
BATCH_SECONDS = 5.0
"""Limits of a batch; a batch ends with the version that reaches one."""

FAILURES = 3
"""Number of failures of the source, one after the other, after which an import stops reading."""


def import_mlflow(
    session: Session,
    place: str,
    *,
    models: Iterable[str] = (),
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """See `mreg.Registry.import_mlflow`."""
    patterns = tuple(models)
    with MlflowRegistry(place) as source:
        return _Import(session, source, progress).run(patterns, dry_run=dry_run)


@dataclass(slots=True)
class _Model:
    """A model of the source with its versions, and the outcome of each version."""

    source: SourceModel
    name: ModelName
    versions: tuple[SourceVersion, ...] = ()
    entries: dict[int, ImportEntry] = field(default_factory=dict)

    def pending(self) -> Iterator[SourceVersion]:
        return (version for version in self.versions if version.number not in self.entries)


@dataclass(slots=True)
class _Item:
    """A version that was read, and whose bytes are in the store or in an upload.

    Attributes:
        put: Stores the bytes; can run more than once.
    """

    version: SourceVersion
    metadata: VersionMetadata
    origin: Source
    left_out: list[str]
    put: Callable[[], Stored]
    stored: Stored
    artifact_name: str
    format: str


class _Import:
    """One import."""

    def __init__(self, session: Session, source: MlflowRegistry, progress: Callable[[int, int], None] | None) -> None:
        self._session = session
        self._source = source
        self._place = redacted(source.uri) if source.remote else source.uri
        self._progress = progress or (lambda _done, _total: None)
        self._done = self._total = self._failures = 0
        self._left_out: list[str] = []
        self._entries: list[ImportEntry] = []

    def run(self, patterns: tuple[str, ...], *, dry_run: bool) -> ImportReport:
        """Import the models that match a pattern, all if there is none."""
        found = self._models(patterns)
        if dry_run:
            for model in found:
                model.entries |= self._session.catalog.read(partial(_plan, model=model))
        else:
            self._total = sum(1 for model in found for _ in model.pending())
            if found:
                begin_storing(self._session)
            for model in found:
                self._import(model)
        imported = (model.entries[version.number] for model in found for version in model.versions)
        return ImportReport(
            source=f"mlflow:{self._place}",
            dry_run=dry_run,
            models=tuple(model.name for model in found),
            left_out=tuple(self._left_out),
            versions=(*self._entries, *imported),
        )

    def _models(self, patterns: tuple[str, ...]) -> list[_Model]:
        """Return the wanted models with their versions, and with an outcome for each version that needs no import."""
        everything = [model for model in self._source.models() if PROMPT_TAG not in model.tags]
        wanted = [model for model in everything if not patterns or any(fnmatchcase(model.name, p) for p in patterns)]
        for pattern in patterns:
            if not any(fnmatchcase(model.name, pattern) for model in everything):
                near = nearest(pattern, [model.name for model in everything])
                every = f"list the models: mreg import {shlex.quote(f'mlflow:{self._place}')} --dry-run"
                raise NotFound(
                    f"no model of {self._place} matches {quoted(pattern)}",
                    hint=f"similar: {', '.join(map(quoted, near))}" if near else every,
                )
        found = []
        for source in wanted:
            try:
                model = _Model(source, from_mlflow_name(source.name))
                model.versions = self._source.versions(source.name)
            except MregError as error:
                self._entries.append(_failure(printable(source.name), error))
                continue
            model.entries = self._session.catalog.read(partial(_known, model=model))
            found.append(model)
        return found

    def _import(self, model: _Model) -> None:
        self._register(model)
        while True:
            batch = list(model.pending())
            if not batch:
                break
            with ExitStack() as uploads:
                items = self._read_batch(model, batch, uploads)
                if items:
                    self._add(model, items)
        self._set_aliases(model)

    def _register(self, model: _Model) -> None:
        """Register the model with its description and tags, unless it exists."""
        if self._session.catalog.read(lambda reader: reader.model(model.name)) is not None:
            return
        left_out: list[str] = []
        source = model.source
        description = _text("description", source.description, left_out)
        tags = _texts("tag", source.tags, left_out)
        imported = {"reference": f"mlflow:{_line(source.name)}", **self._facts(source)}
        self._left_out += [f"{model.name}: {text}" for text in left_out]

        def register(writer: Writer) -> RegisteredModel:
            known = writer.model(model.name)
            return known or writer.register(name=model.name, description=description, tags=tags, imported=imported)

        self._session.write(register)

    def _facts(self, item: SourceModel | SourceVersion) -> dict[str, object]:
        """Return the times of the source, for the audit trail."""
        return {
            "from": f"mlflow:{_line(self._place)}",
            "created_at": _time(item.created_at),
            "updated_at": _time(item.updated_at),
        }

    def _read_batch(self, model: _Model, versions: list[SourceVersion], uploads: ExitStack) -> list[_Item]:
        """Read versions until the batch is full; a version that fails gets its outcome."""
        items: list[_Item] = []
        size = 0
        begun = time.monotonic()
        for version in versions:
            if self._failures >= FAILURES:
                stopped = Unavailable(f"not read, since the source failed {FAILURES} times in a row")
                model.entries[version.number] = _failure(_shown(version), stopped)
                continue
            try:
                item = self._read(model, version, uploads)
            except MregError as error:
                self._failures = self._failures + 1 if isinstance(error, Unavailable) else 0
                model.entries[version.number] = _failure(_shown(version), error)
                self._advance(1)
                continue
            self._failures = 0
            items.append(item)
            size += item.stored.size_bytes
            if len(items) >= BATCH_VERSIONS or size >= BATCH_BYTES or time.monotonic() - begun > BATCH_SECONDS:
                break
        return items

    def _advance(self, count: int) -> None:
        self._done += count
        self._progress(self._done, self._total)

    def _read(self, model: _Model, version: SourceVersion, uploads: ExitStack) -> _Item:
        """Read a version and store its bytes.

        Raises:
            MregError: It cannot be read, or cannot be stored.
        """
        if not 1 <= version.number <= NUMBER_LIMIT:
            raise BadInput(f"invalid version number {version.number}: the limit is {NUMBER_LIMIT:,}")
        if version.status != "READY":
            raise NotFound(f"its registration did not finish: {printable(version.status)}")
        artifact = self._source.artifact(version)
        measured = self._source.measured(version)
        left_out: list[str] = []
        if measured.missing:
            left_out.append(f"metrics and parameters: MLflow no longer has {printable(measured.missing)}")
        name = check_artifact_name(artifact.name) if artifact.is_file else model.name.value.rpartition("/")[2]
        put, kind_of = self._stored(artifact, name, uploads)
        return _Item(
            version=version,
            metadata=_metadata(version, measured, left_out),
            origin=Source(git_commit=measured.git_commit),
            left_out=left_out,
            put=put,
            stored=put(),
            artifact_name=name,
            format=kind_of,
        )

    def _stored(self, artifact: Artifact, name: str, uploads: ExitStack) -> tuple[Callable[[], Stored], str]:
        """Return the function that stores the bytes of an artifact, and the format."""
        store = self._session.artifacts()
        if artifact.path:
            from mreg.artifacts.format import detect

            return (lambda: store.put(artifact.path)), detect(artifact.path)
        if artifact.is_file:
            file = uploads.enter_context(store.open_upload(artifact.size))
            artifact.write_to(_OneFile(file.write))
            return file.put, file.format(name)
        folder = uploads.enter_context(store.open_folder_upload(artifact.size))
        artifact.write_to(folder)
        return folder.put, folder.format(name)

    def _add(self, model: _Model, items: list[_Item]) -> None:
        """Add the versions of a batch in one transaction."""
        first = [[item.stored for item in items]]

        def put() -> list[Stored]:
            return first.pop() if first else [item.put() for item in items]

        def blobs(stored: list[Stored]) -> frozenset[Digest]:
            return frozenset().union(*(each.blobs for each in stored))

        def add(writer: Writer, stored: list[Stored]) -> list[ImportEntry]:
            return [self._add_version(writer, model, item, each) for item, each in zip(items, stored, strict=True)]

        for entry, item in zip(add_with_bytes(self._session, put, blobs, add), items, strict=True):
            model.entries[item.version.number] = entry
        self._advance(len(items))

    def _add_version(self, writer: Writer, model: _Model, item: _Item, stored: Stored) -> ImportEntry:
        version = item.version
        here = writer.reload_model(model.name)
        if writer.has_used(here, version.number):  # by another process, or by another model that had the name
            return _known_version(model.name, version, writer.events(model=here, version=version.number))
        added = writer.add_version(
            here,
            artifact=ModelArtifact(
                kind=stored.kind,
                name=item.artifact_name,
                path="",
                size_bytes=stored.size_bytes,
                digest=stored.digest,
                file_count=stored.file_count,
                format=item.format,
            ),
            metadata=item.metadata,
            source=item.origin,
            unused=version.number,
            imported={
                "reference": f"mlflow:{_line(version.model)}/{version.number}",
                **self._facts(version),
                "created_by": _line(version.user),
                "stage": _line(version.stage),
                "aliases": [_line(alias) for alias, number in model.source.aliases.items() if number == version.number],
                "name": _line(version.model),
                "version": version.number,
            },
        )
        left_out = list(item.left_out)
        return ImportEntry(
            source=_shown(version),
            reference=added.reference,
            status=ImportStatus.ADDED,
            stage=_enter_stage(writer, model, here, added, version.stage, left_out),
            left_out=tuple(left_out),
            size_bytes=stored.size_bytes,
        )

    def _set_aliases(self, model: _Model) -> None:
        """Set the aliases that this registry does not have, and note in the outcomes what each alias names here."""
        here = {number for number, entry in model.entries.items() if entry.reference is not None}
        wanted = {alias: number for alias, number in model.source.aliases.items() if number in here}

        def missing(reader: Reader) -> bool:
            found = reader.model(model.name)
            return found is not None and any(_alias_here(found, alias) is None for alias in wanted)

        if not self._session.catalog.read(missing):
            outcome = self._session.catalog.read(lambda reader: _aliases(reader, model, wanted, None))
        else:
            outcome = self._session.write(lambda writer: _aliases(writer, model, wanted, writer))
        for number, (present, left_out) in outcome.items():
            entry = model.entries[number]
            model.entries[number] = replace(entry, aliases=tuple(present), left_out=(*entry.left_out, *left_out))


class _OneFile:
    """The sink of an artifact that is a single file."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write

    def begin(self, path: str) -> None:
        """Do nothing: there is one file."""

    def end(self) -> None:
        """Do nothing: the upload ends with the stream."""


def _known(reader: Reader, model: _Model) -> dict[int, ImportEntry]:
    """Return the outcome of each version whose number was given here before."""
    here = reader.model(model.name)
    if here is None:
        return {}
    stages = {
        each.version: stage
        for stage in ModelStage
        if stage is not ModelStage.NONE
        for each in reader.in_stage(here, stage)
    }
    events: dict[int, list[Event]] = {}
    for event in reader.events(model=here):
        if event.version is not None and event.action in ("version.pushed", "version.deleted"):
            events.setdefault(event.version, []).append(event)
    known = {
        version.number: _known_version(model.name, version, events[version.number])
        for version in model.versions
        if version.number in events
    }
    return {
        number: replace(entry, stage=stages.get(number, entry.stage)) if entry.status is ImportStatus.PRESENT else entry
        for number, entry in known.items()
    }


def _plan(reader: Reader, model: _Model) -> dict[int, ImportEntry]:
    """Return the outcomes that an import would have, the decisions of a policy aside, for what a dry run shows."""
    here = reader.model(model.name)
    found = {}
    for version in model.versions:
        entry = model.entries.get(version.number)
        left_out: list[str] = []
        if entry is None:
            entry = ImportEntry(
                source=_shown(version),
                reference=VersionRef(model.name, Selector.number(version.number)),
                status=ImportStatus.PLANNED,
                stage=_open_stage(reader, model, here, version.stage, left_out),
            )
        if entry.reference is not None:
            aliases = [alias for alias, number in model.source.aliases.items() if number == version.number]
            present = [name for name in (_planned_alias(model, here, version, a, left_out) for a in aliases) if name]
            found[version.number] = replace(entry, aliases=tuple(present), left_out=tuple(left_out))
    return found


def _planned_alias(
    model: _Model, here: RegisteredModel | None, version: SourceVersion, alias: str, left_out: list[str]
) -> str:
    """Return the alias that an import would set for a version, or that names it; empty with a note otherwise."""
    try:
        name = from_mlflow_alias(alias)
    except MregError as error:
        left_out.append(f"alias {printable(alias)}: {error.message}")
        return ""
    holder = _alias_here(here, alias) if here is not None else None
    if holder in (None, version.number):
        return name
    left_out.append(_held(model, alias, holder))
    return ""


def _held(model: _Model, alias: str, holder: int | None) -> str:
    return f"alias {printable(alias)}: it names {model.name}@{holder} here"


def _known_version(name: ModelName, version: SourceVersion, events: Iterable[Event]) -> ImportEntry:
    """Return the outcome of a version whose number was given here before.

    The same version of the same registry has the same creation time, also at another URL.
    """
    reference = VersionRef(name, Selector.number(version.number))
    deleted = False
    for event in events:
        deleted = deleted or event.action == "version.deleted"
        origin = event.details.get("imported")
        same = ("name", _line(version.model)), ("version", version.number), ("created_at", _time(version.created_at))
        if isinstance(origin, dict) and all(origin.get(key) == value for key, value in same):
            status = ImportStatus.DELETED if deleted else ImportStatus.PRESENT
            return ImportEntry(source=_shown(version), reference=None if deleted else reference, status=status)
    taken = AlreadyExists(f"the number is taken: {reference} {'was' if deleted else 'is'} another version")
    return _failure(_shown(version), taken)


def _alias_here(model: RegisteredModel, alias: str) -> int | None:
    """Return the version that an alias of MLflow names here; 0 if it cannot be an alias, None if it is free."""
    try:
        known = spelled(from_mlflow_alias(alias), model.aliases)
    except BadInput:
        return 0
    return None if known is None else model.aliases[known]


def _aliases(
    reader: Reader, model: _Model, wanted: Mapping[str, int], writer: Writer | None
) -> dict[int, tuple[list[str], list[str]]]:
    """Return the aliases that name each version here, and those that were left out; a writer sets the free ones."""
    from mreg.registry.admission import set_alias_checked

    found: dict[int, tuple[list[str], list[str]]] = {}
    for alias, number in wanted.items():
        here = reader.model(model.name)
        version = reader.version(here, number) if here else None
        if here is None or version is None:
            continue
        present, left_out = found.setdefault(number, ([], []))
        holder = _alias_here(here, alias)
        try:
            name = from_mlflow_alias(alias)
            if holder is None and writer is not None:
                set_alias_checked(writer, version, name)
                holder = number
        except MregError as error:
            left_out.append(f"alias {printable(alias)}: {error.message}")
            continue
        if holder == number:
            present.append(name)
        else:
            left_out.append(_held(model, alias, holder))
    return found


def _open_stage(
    reader: Reader, model: _Model, here: RegisteredModel | None, text: str, left_out: list[str]
) -> ModelStage:
    """Return the stage for a new version; None with a note if another version here is in Staging or Production."""
    from mreg.domain.transition import EXCLUSIVE

    try:
        stage = ModelStage.parse(text)
    except MregError as error:
        left_out.append(f"stage {printable(text)}: {error.message}")
        return ModelStage.NONE
    if here is not None and stage in EXCLUSIVE:
        together = {other.number for other in model.versions if other.stage == text}
        others = [other for other in reader.in_stage(here, stage) if other.version not in together]
        if others:
            left_out.append(f"stage {stage.value}: {others[0].reference} is in it here")
            return ModelStage.NONE
    return stage


def _enter_stage(
    writer: Writer, model: _Model, here: RegisteredModel, version: ModelVersion, text: str, left_out: list[str]
) -> ModelStage:
    """Move a new version to its stage, and return the stage that it is in then."""
    from mreg.registry.promote import enter_stage

    stage = _open_stage(writer, model, here, text, left_out)
    if stage is ModelStage.NONE:
        return stage
    reason = "imported with this stage"
    try:
        return enter_stage(writer, version, stage, keep_existing=True, reason=reason).version.stage
    except MregError as error:
        left_out.append(f"stage {printable(text)}: {error.message}")
        return ModelStage.NONE


def _metadata(version: SourceVersion, measured: Measured, left_out: list[str]) -> VersionMetadata:
    """Return the metadata of a version without the values that cannot be stored, which are noted."""
    fields = {SOURCE_TAG: source_text(version.source), RUN_LINK_TAG: version.run_link, MODEL_ID_TAG: version.model_id}
    tags = {**version.tags, **{key: value for key, value in fields.items() if value}}
    metrics: dict[str, MetricValue] = {}
    for name, value in measured.metrics.items():
        with _noting(f"metric {printable(name)}", left_out):
            metrics[check_key("metric", name)] = check_metric(name, value)
    return VersionMetadata(
        description=_text("description", version.description, left_out),
        metrics=_first("metric", metrics, left_out),
        parameters=_texts("parameter", measured.parameters, left_out),
        tags=_texts("tag", tags, left_out),
        run_id=_id("run id", version.run_id, left_out),
        experiment_id=_id("experiment id", measured.experiment_id, left_out),
    )


def _texts(kind: str, values: Mapping[str, str], left_out: list[str]) -> dict[str, str]:
    """Return the parameters or tags that can be stored."""
    kept: dict[str, str] = {}
    for key, value in values.items():
        with _noting(f"{kind} {printable(key)}", left_out):
            kept[check_key(kind, key)] = check_value(kind, key, value)
    return _first(kind, kept, left_out)


def _first(kind: str, values: dict[str, V], left_out: list[str]) -> dict[str, V]:
    """Return as many values as a version can have."""
    if len(values) > ENTRIES_LIMIT:
        left_out.append(f"{len(values) - ENTRIES_LIMIT:,} of {len(values):,} {kind}s: the limit is {ENTRIES_LIMIT:,}")
    return dict(islice(values.items(), ENTRIES_LIMIT))


def _text(what: str, text: str, left_out: list[str]) -> str:
    """Return a text that can be stored, empty otherwise."""
    try:
        return check_text(what, text)
    except BadInput as error:
        left_out.append(f"{what}: {error.message}")
        return ""


def _id(what: str, text: str, left_out: list[str]) -> str:
    """Return the id of a run or experiment that can be stored, empty otherwise."""
    try:
        return check_line(what, text) if text else ""
    except BadInput as error:
        left_out.append(f"{what}: {error.message}")
        return ""


@contextmanager
def _noting(what: str, left_out: list[str]) -> Iterator[None]:
    """Note a value that cannot be stored, and continue without it."""
    try:
        yield
    except BadInput as error:
        left_out.append(f"{what}: {error.message}")


def _shown(version: SourceVersion) -> str:
    return f"{printable(version.model)}/{version.number}"


def _failure(source: str, error: MregError) -> ImportEntry:
    return ImportEntry(source=source, status=ImportStatus.FAILED, problem=error.message, code=error.code)


def _line(text: str) -> str:
    """Return a text of the source as a line of bounded length, for the audit trail."""
    return printable(text[:LINE_LIMIT])


def _time(at: datetime | None) -> str:
    return time_text(at) if at is not None else ""
