"""Import versions that another registry exported.

A bundle is verified completely before any byte reaches the store. Its versions enter like new pushes: in no stage,
without aliases unless the user asks for them, created by the importing user; ``docs/decisions/0013`` explains why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.domain.bundle import Bundle, BundledVersion
from mreg.domain.events import time_text
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, spelled
from mreg.errors import AlreadyExists, Corrupt, DamagedBundle
from mreg.registry.references import as_name, find_model
from mreg.registry.registry import Name
from mreg.registry.storing import add_with_bytes
from mreg.results.bundles import BundleContents, Imported, ImportedVersion

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

NUMBER_LIMIT = 1_000_000
"""Highest version number that an import keeps: a bundle must not use up a model's version numbers."""


def inspect_bundle(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> BundleContents:
    """Return the content of a bundle after verifying every byte; needs no catalog and writes nothing.

    Raises:
        NotFound: The file does not exist.
        BadInput: The file is not a bundle, or cannot be imported.
        DamagedBundle: The bundle is damaged or truncated.
        Unavailable: The file cannot be read.
    """
    from mreg.artifacts.bundle_file import BundleFile
    from mreg.artifacts.progress import progress_callback

    with _reading_bundle(), BundleFile(os.fspath(path)) as file:
        bundle = file.bundle
        size = sum(bundle.blobs.values())
        file.verify(advance=progress_callback(progress, size))
    return BundleContents(
        model=bundle.model,
        versions=bundle.versions,
        event_count=len(bundle.events),
        blob_count=len(bundle.blobs),
        size_bytes=size,
    )


def import_bundle(
    session: Session,
    path: str | os.PathLike[str],
    name: Name | None = None,
    *,
    aliases: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """See `mreg.Registry.import_bundle`."""
    from mreg.artifacts.bundle_file import BundleFile, unpacking
    from mreg.artifacts.progress import progress_callback

    target = as_name(name) if name is not None else None
    with ExitStack() as opened:
        with _reading_bundle():
            file = opened.enter_context(BundleFile(os.fspath(path)))
            folder = opened.enter_context(unpacking())
            bundle = file.bundle
            size = sum(bundle.blobs.values())
            advance = progress_callback(progress, 2 * size)  # each byte is verified first, and then stored
            file.verify(folder, advance)
        name_here = target or bundle.model.name
        session.scope.check_name(name_here, "register")  # before any byte is stored
        incoming = _Import(bundle, name_here, aliases=aliases)
        imported = add_with_bytes(
            session,
            lambda: session.artifacts().put_blobs(folder, advance),
            lambda _: bundle.blobs,
            lambda writer, _: incoming.add(writer),
        )
    for text in incoming.dropped:
        session.notice(text)
    left_out = [f"{alias} ({version.source})" for version in imported.versions for alias in version.left_out]
    if left_out:
        session.notice(f"left out the aliases {', '.join(left_out)}; to import them, too: add --aliases")
    return imported


@contextmanager
def _reading_bundle() -> Iterator[None]:
    """Make damage a `DamagedBundle`, which a server does not take for damage of its registry."""
    try:
        yield
    except Corrupt as error:
        raise DamagedBundle(error.message, hint=error.hint, **error.details) from error


class _Import:
    """The import of one bundle; `add` can run more than once."""

    def __init__(self, bundle: Bundle, name: ModelName, *, aliases: bool) -> None:
        self._bundle = bundle
        self._aliases = aliases
        self._name = name
        self._events = bundle.events_by_version()
        self._order = {str(bundled.version.reference): place for place, bundled in enumerate(bundle.versions)}
        self._here: dict[str, ModelVersion] = {}
        self.dropped: list[str] = []

    def add(self, writer: Writer) -> Imported:
        """Add the missing versions, and return the result for each version."""
        model = writer.model(self._name) or self._register(writer)
        before = _imported_before(writer, model)
        self._here = {}
        self.dropped = []
        results = []
        added = []
        for bundled in self._bundle.versions:
            source = bundled.version.reference
            found = self._find(writer, model, bundled.version, before)
            here = found or self._add_version(writer, model, bundled)
            if found is None:
                added.append((bundled, here))
            self._here[str(source)] = here
            results.append(ImportedVersion(source=source, reference=here.reference, already_there=found is not None))
        self._set_later_parents(writer, added)
        return Imported(model=model.name, versions=self._with_aliases(writer, results))

    def _with_aliases(self, writer: Writer, results: list[ImportedVersion]) -> tuple[ImportedVersion, ...]:
        """Set the aliases if the user asked for them; return the results with the aliases.

        Raises:
            AlreadyExists: An alias names another version.
        """
        from mreg.registry.admission import set_alias_checked

        taken: dict[str, int] = dict(find_model(writer, self._name).aliases)
        done = []
        conflicts = []
        for bundled, result in zip(self._bundle.versions, results, strict=True):
            here = self._here[str(result.source)]
            present, absent = [], []
            for alias in bundled.version.aliases:
                known = spelled(alias, taken)
                if known is not None and taken[known] == here.version:
                    present.append(alias)
                elif known is not None and self._aliases:
                    conflicts.append(f"{known} names {here.model_name}@{taken[known]}")
                else:
                    absent.append(alias)
            done.append((result, here, tuple(present), tuple(absent)))
        if conflicts:
            raise AlreadyExists(
                f"cannot import the aliases: {', '.join(conflicts)}",
                hint="import without --aliases, then move each alias that you want: mreg alias REF ALIAS",
            )
        if self._aliases:
            for _, here, _, new in done:
                for alias in new:
                    set_alias_checked(writer, here, alias, new=False)
        if not self._aliases:
            return tuple(replace(result, aliases=present, left_out=absent) for result, _, present, absent in done)
        return tuple(replace(result, aliases=present + absent) for result, _, present, absent in done)

    def _register(self, writer: Writer) -> RegisteredModel:
        model = self._bundle.model
        return writer.register(
            name=self._name,
            description=model.description,
            tags=model.tags,
            directions=model.directions,
            primary_metric=model.primary_metric,
        )

    def _find(
        self, reader: Reader, model: RegisteredModel, version: ModelVersion, before: dict[str, int]
    ) -> ModelVersion | None:
        """Return the version of this registry with the same bytes, by its number or by an earlier import."""
        origin = self._events[version.version][0].hash
        for number in (version.version, before.get(origin)):
            found = reader.version(model, number) if number else None
            if found and _same_bytes(found, version):
                return found
        return None

    def _add_version(self, writer: Writer, model: RegisteredModel, bundled: BundledVersion) -> ModelVersion:
        version = bundled.version
        return writer.add_version(
            model,
            artifact=version.artifact,
            metadata=VersionMetadata(
                description=version.description,
                tags=version.tags,
                parameters=version.parameters,
                metrics=version.metrics,
                data=version.data,
                run_id=version.run_id,
                experiment_id=version.experiment_id,
            ),
            parent=self._parent(writer, bundled),
            source=version.source,
            wanted=version.version if version.version <= NUMBER_LIMIT else 0,
            imported=self._origin(version),
        )

    def _origin(self, version: ModelVersion) -> dict[str, object]:
        """Return the state of a version in the exporting registry, for the audit trail."""
        first, last = self._events[version.version]
        return {
            "reference": str(version.reference),
            "stage": version.stage.value,
            "aliases": list(version.aliases),
            "parent": str(version.parent) if version.parent else "",
            "created_at": time_text(version.created_at),
            "created_by": version.created_by,
            "first_event": first.hash,
            "last_event": last.hash,
        }

    def _parent(self, reader: Reader, bundled: BundledVersion) -> ModelVersion | None:
        """Return the parent in this registry: imported from the bundle, or with the same reference and bytes."""
        parent = bundled.version.parent
        if parent is None:
            return None
        if str(parent) in self._order:
            return self._here.get(str(parent))
        model = reader.model(parent.name)
        found = reader.find(model, parent.selector) if model and parent.selector else None
        if found is not None and found.artifact.digest == bundled.parent_digest:
            return found
        source = bundled.version.reference
        self.dropped.append(f"the parent of {source} was not found: {parent} is recorded only in its event")
        return None

    def _set_later_parents(self, writer: Writer, added: list[tuple[BundledVersion, ModelVersion]]) -> None:
        """Set the parents that come later in the bundle than their children, which an edit can cause."""
        for bundled, here in added:
            parent = str(bundled.version.parent)
            if self._order.get(parent, -1) > self._order[str(bundled.version.reference)]:
                writer.edit_version(here, parent=self._here[parent])


def _imported_before(reader: Reader, model: RegisteredModel) -> dict[str, int]:
    """Return the versions that earlier imports made, by the hash of the original push event."""
    found: dict[str, int] = {}
    for event in reader.events(model=model):
        imported = event.details.get("imported")
        if event.action == "version.pushed" and event.version and isinstance(imported, dict):
            found.setdefault(str(imported.get("first_event")), event.version)
    return found


def _same_bytes(first: ModelVersion, second: ModelVersion) -> bool:
    return (first.artifact.digest, first.artifact.kind) == (second.artifact.digest, second.artifact.kind)
