"""The artifact of a push: a file or folder of this machine, and the facts that are recorded with it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, Source
from mreg.domain.names import ModelName
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import quoted, size_text
from mreg.errors import BadInput
from mreg.registry.references import as_name

if TYPE_CHECKING:
    from mreg.artifacts.source_folder import SourceFolder
    from mreg.artifacts.store import ArtifactStore
    from mreg.artifacts.upload import Stored
    from mreg.domain.digest import Digest
    from mreg.registry.environments import TrainingEnvironment
    from mreg.registry.registry import Name, Progress
    from mreg.registry.session import Transfers
    from mreg.results.files import PushPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The files of a folder that a push takes.

    Attributes:
        include: Patterns of which one must match a file, if there are any.
        exclude: Patterns of files that are left out.
        follow_links: Take what links point to, instead of refusing links.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_links: bool = False


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An artifact that was stored, with the facts that this machine recorded.

    Attributes:
        format: Detected format.
        run_id: Id of the CI run, empty outside CI.
    """

    stored: Stored
    format: str
    source: Source
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A file or folder that was checked and is ready to be stored.

    Attributes:
        path: Path as the user gave it.
        name: Name of the artifact.
        folder: Its content; None for a file.
        training: Python environment that is recorded.
    """

    path: str
    name: str
    folder: SourceFolder | None
    training: TrainingEnvironment

    @classmethod
    def of(
        cls,
        transfers: Transfers,
        path: str | os.PathLike[str],
        *,
        choice: Choice = EVERYTHING,
        python: TrainingEnvironment | str | os.PathLike[str] | None = None,
    ) -> Self:
        """Check a file or folder before any upload. Notices say what is left out or looks secret.

        Raises:
            NotFound: The path or the Python interpreter does not exist.
            BadInput: The path cannot be pushed, a pattern is invalid, or the environment is not one of Python.
        """
        from mreg.registry.environments import training_environment

        place = os.fspath(path)
        return cls(
            path=place,
            name=check_artifact_name(_artifact_name(place)),
            training=training_environment(python, os.environ),
            folder=_content(transfers, place, choice),
        )

    def put(
        self,
        store: ArtifactStore,
        *,
        known: Mapping[int, Collection[Digest]] | None = None,
        progress: Progress = None,
    ) -> Stored:
        """Store the bytes; can be called again. See `mreg.artifacts.store.ArtifactStore.put`."""
        return store.put(self.path, folder=self.folder, known=known or {}, progress=progress)

    def send(
        self,
        transfers: Transfers,
        store: ArtifactStore,
        *,
        known: Mapping[int, Collection[Digest]] | None = None,
        progress: Progress = None,
    ) -> Sent:
        """Store the bytes, and record the facts meanwhile. A notice says how much of an interrupted push was used."""
        from mreg.artifacts.format import detect
        from mreg.registry.capture import begin_capture

        with begin_capture(self.path, training=self.training) as capture:
            stored = self.put(store, known=known, progress=progress)
            source, run_id = capture.result()
        transfers.notices(*capture.notes)
        if stored.kept_bytes:
            kept, size = size_text(stored.kept_bytes), size_text(stored.size_bytes)
            transfers.notice(f"resumed: {kept} of {size} had arrived before")
        return Sent(stored=stored, format=detect(self.path), source=source, run_id=run_id)


def planned(transfers: Transfers, model: ModelName, path: str | os.PathLike[str], choice: Choice) -> PushPlan:
    """Return the files that a push would take; see `mreg.Registry.plan_push`."""
    from mreg.results.files import PlannedFile, PushPlan

    place = os.fspath(path)
    check_artifact_name(_artifact_name(place))
    folder = _content(transfers, place, choice)
    if folder is None:
        from mreg.artifacts.source import source_file

        transfers.artifacts().refuse_overlap(Path(place), "push the model from its source")
        file = source_file(place)
        return PushPlan(
            model=model,
            path=place,
            kind=ArtifactKind.FILE,
            files=(PlannedFile(path=_artifact_name(place), size_bytes=file.size),),
        )
    return PushPlan(
        model=model,
        path=place,
        kind=ArtifactKind.FOLDER,
        files=tuple(PlannedFile(path=file.name, size_bytes=file.size) for file in folder.files),
        folders=folder.folders,
        left_out=dict(sorted(folder.left_out.items())),
    )


def existing_only(transfers: Transfers, existing: bool) -> bool:
    """Return whether a push must not register a new model."""
    return existing or bool(transfers.profile.existing_only)


def new_model_note(name: ModelName, similar: Collection[str]) -> str:
    """Return a model that a push registers with the similar names, for a note; empty if no name is similar."""
    return f"new model {name} (similar: {', '.join(similar)})" if similar else ""


def _content(transfers: Transfers, path: str, choice: Choice) -> SourceFolder | None:
    """Return the content of a folder that is pushed; None for a file. Notices say what is left out or looks secret.

    Raises:
        BadInput: The folder cannot be pushed or has no content, a pattern is invalid, or the path is a file and there
            are patterns.
    """
    from mreg.registry.secret_names import secrets_warning

    if not os.path.isdir(path):
        if choice.include or choice.exclude:
            raise BadInput(
                f"patterns select files of a folder: {quoted(path)} is not a folder",
                hint="push the folder, or leave out --include and --exclude",
            )
        transfers.notices(secrets_warning([(path, os.path.realpath(path) if os.path.islink(path) else "")]))
        return None
    from mreg.artifacts.upload import check_content
    from mreg.registry.selection import left_out_note, selected, targets

    folder = selected(transfers, path, include=choice.include, exclude=choice.exclude, follow_links=choice.follow_links)
    check_content(folder)
    transfers.notices(left_out_note(folder), secrets_warning(targets(folder)))
    return folder


def _artifact_name(path: str) -> str:
    return os.path.basename(os.path.abspath(path)) or "root"


def target_model(transfers: Transfers, path: str | os.PathLike[str], name: Name | None) -> ModelName:
    """Return the model of a push: the given name, otherwise an inferred one, with a notice.

    Raises:
        BadInput: The name is invalid, or no name can be inferred.
        NotFound: The path does not exist.
    """
    if name is not None:
        return as_name(name)
    from mreg.artifacts.source import check_source
    from mreg.registry.naming import found_name

    check_source(os.fspath(path))  # a note on the model of a missing file would hide the error
    profile = transfers.profile
    found, why = found_name(path, profile.model, profile.origins.get("model", ""))
    transfers.notice(f"model {found} ({why}); to use another: --name")
    return found


def pushed_metadata(
    metadata: VersionMetadata | None,
    *,
    metrics: Mapping[str, object] | None,
    parameters: Mapping[str, object] | None,
    tags: Mapping[str, str] | None,
    data: Mapping[str, str] | None,
    aliases: Iterable[str],
    **texts: str,
) -> VersionMetadata:
    """Return the metadata of a push from its arguments; see `mreg.Registry.push`.

    Raises:
        BadInput: A value is invalid, or metadata is given both ways.
    """
    if metrics:
        from mreg.documents.metrics import finite_metrics
    if parameters:
        from mreg.documents.parameters import parameters_of
    given = VersionMetadata(
        metrics=finite_metrics(metrics, above=2) if metrics else {},
        tags=tags or {},
        data=data or {},
        aliases=tuple(aliases),
        parameters=parameters_of(parameters) if parameters else {},
        **texts,
    )
    if metadata is not None and given != VersionMetadata():
        raise BadInput("metadata given both as an object and as arguments", hint="pass all of it in metadata")
    return metadata or given
