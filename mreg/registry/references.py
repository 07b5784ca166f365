"""Resolve references to models and versions, with helpful errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mreg.domain.names import KnownVersion, ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import nearest, quoted, shell_word
from mreg.errors import BadInput, Corrupt, NotFound

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.domain.events import Event
    from mreg.domain.model import ModelVersion, RegisteredModel
    from mreg.registry.registry import Name, Reference
    from mreg.registry.session import Session

LATEST = Selector(SelectorKind.LATEST)


def as_reference(reference: Reference) -> VersionRef:
    """Return the reference, parsed if it is a text, or made from a version or model.

    Raises:
        BadInput: The text is not a valid reference, or the value is of another type.
    """
    if isinstance(reference, str):
        return VersionRef.parse(reference)
    if isinstance(reference, VersionRef):
        return reference
    if isinstance(reference, ModelName):
        return VersionRef(reference, exact=True)
    from mreg.domain.model import ModelVersion, RegisteredModel

    if isinstance(reference, ModelVersion):
        known = KnownVersion(reference.version_id, reference.artifact.digest)
        return VersionRef(reference.model_name, Selector.number(reference.version), exact=True, known=known)
    if isinstance(reference, RegisteredModel):
        return VersionRef(reference.name, exact=True)
    raise _wrong_type("reference", reference)


def as_name(name: Name) -> ModelName:
    """Return the name of a model, parsed if it is a text, or that of a model or version.

    Raises:
        BadInput: The text is not a valid name, or the value is of another type.
    """
    if isinstance(name, str):
        return ModelName(name)
    if isinstance(name, ModelName):
        return name
    from mreg.domain.model import ModelVersion, RegisteredModel

    if isinstance(name, RegisteredModel):
        return name.name
    if isinstance(name, ModelVersion):
        return name.model_name
    raise _wrong_type("model name", name)


def _wrong_type(what: str, value: object) -> BadInput:
    return BadInput(
        f"invalid {what} of type {type(value).__name__}", hint="pass a text, or a version or model of a registry"
    )


def find_model(reader: Reader, name: ModelName) -> RegisteredModel:
    """Return a model by its name.

    Raises:
        NotFound: The model does not exist. The message says who deleted it; otherwise the hint has the nearest names.
    """
    model = reader.model(name)
    if model is None:
        if (deletion := reader.deletion(name)) is not None:
            raise _deleted_model(name, deletion)
        near = reader.near_names(name.value)
        hint = f"did you mean {' or '.join(near)}?" if near else _selector_meant(name.value)
        if now := reader.renamed_to(name):
            hint = f"it was renamed to {now}"
        similar = {"similar": list(near)} if near else {}
        raise NotFound(f"model {quoted(name.value)} not found", hint=hint, kind="model", name=name.value, **similar)
    return model


def _deleted_model(name: ModelName, deletion: Event) -> NotFound:
    from mreg.domain.events import time_text

    return NotFound(
        f"model {quoted(name.value)} not found: {deletion.actor} deleted it at {time_text(deletion.at)}",
        hint=f"its events: mreg history {name}",
        kind="model",
        name=name.value,
    )


def not_registered(error: NotFound, name: ModelName) -> NotFound:
    """Return the error of `find_model` for a push that must not register a model; its hint registers it."""
    return NotFound(error.message, hint=f"{error.hint}\nto register it: mreg register {name}", **dict(error.details))


def _selector_meant(word: str) -> str:
    """Return the hint for a name that was not found and is not similar to a name of a model."""
    try:
        is_alias = Selector.parse(word).kind is SelectorKind.ALIAS
    except BadInput:
        is_alias = True
    return (
        "list the models: mreg list"
        if is_alias
        else f"for a version, write NAME@{word}, or @{word} of the default model"
    )


def find(reader: Reader, reference: VersionRef) -> tuple[RegisteredModel, Selector | None]:
    """Return the model that a reference names, and its selector; ``classifier/3`` can mean ``classifier@3``.

    Raises:
        NotFound: The model does not exist.
    """
    if reference.known is not None and (version := _same(reader, reference, reference.known)) is not None:
        return find_model(reader, version.model_name), reference.selector
    model = reader.model(reference.name)
    if model is None and (split := reference.split_last_part()) is not None:
        model = reader.model(split.name)
        reference = split if model is not None else reference
    return model or find_model(reader, reference.name), reference.selector


def find_version(reader: Reader, reference: VersionRef, *, default: Selector | None = LATEST) -> ModelVersion:
    """Return the version that a reference names; a bare name means ``default``.

    Raises:
        NotFound: The model or version does not exist; the hint has the nearest name or the next step.
    """
    model, selector = find(reader, reference)
    selector = selector or default or LATEST
    version = reader.find(model, selector)
    if version is None:
        raise _deleted(reader, model, selector) or _no_version(reader, model, selector)
    known = reference.known
    if known is not None and version.artifact.digest != known.digest:
        raise NotFound(
            f"{version.reference} of this registry is another version: expected {known.digest}, "
            f"got {version.artifact.digest}",
            hint=f"mreg show {version.reference}",
            kind="version",
            name=str(version.model_name),
            selector=str(selector),
        )
    return version


def find_selected(reader: Reader, reference: VersionRef) -> ModelVersion:
    """Return the version that a reference names, for changes that must not mean the latest version by accident.

    Raises:
        BadInput: The reference names a model.
        NotFound: The model or version does not exist; the hint has the nearest name or the next step.
    """
    model, selector = find(reader, reference)
    if selector is None:
        raise no_selector(model.name)
    return find_version(reader, reference)


def no_selector(name: ModelName) -> BadInput:
    """Return the error for a model instead of a version."""
    return BadInput(
        f"expected a version, got the model {name}", hint=f"name a version: {name}@3, {name}@latest or {name}@staging"
    )


def _same(reader: Reader, reference: VersionRef, known: KnownVersion) -> ModelVersion | None:
    """Return a known version, which can have another name now; None if this registry does not have it."""
    found = reader.version_by_id(known.version_id)
    same = found is not None and (found.version, found.artifact.digest) == (reference.number, known.digest)
    return found if same else None


def find_with_note(reader: Reader, reference: VersionRef) -> tuple[ModelVersion, str]:
    """Return the version that a reference names, and a note with its number; empty if the reference has the number.

    Raises:
        NotFound: The model or version does not exist.
    """
    version = find_version(reader, reference)
    if str(version.reference) == str(reference):
        return version, ""
    model, selector = find(reader, reference)
    newer = model.newer_archived if selector is None or selector == LATEST else ""
    return version, f"{reference} is {version.reference}" + (f"; {newer}" if newer else "")


def resolve(session: Session, reference: Reference) -> ModelVersion:
    """Return the version that a reference names; a notice has its number, unless the reference has it.

    Raises:
        BadInput: The reference is invalid.
        NotFound: The model or version does not exist.
    """
    wanted = as_reference(reference)
    version, note = session.catalog.read(lambda reader: find_with_note(reader, wanted))
    session.notices(note)
    return version


def version_now(reader: Reader, version: ModelVersion) -> ModelVersion:
    """Return the current state of a version; the given one if the version was deleted since."""
    return reader.version_by_id(version.version_id) or version


def model_now(reader: Reader, model: RegisteredModel) -> RegisteredModel:
    """Return the current state of a model; the given one if the model was deleted since."""
    return reader.model_by_id(model.model_id) or model


@contextmanager
def naming_version(reference: VersionRef | None) -> Iterator[None]:
    """Add the version, if it is known, to the message and details of a `Corrupt` error, unless a server added it."""
    try:
        yield
    except Corrupt as error:
        if reference is None or "reference" in error.details:
            raise
        raise type(error)(
            f"{reference}: {error.message}", hint=error.hint, **{**error.details, "reference": str(reference)}
        ) from error


def _deleted(reader: Reader, model: RegisteredModel, selector: Selector) -> NotFound | None:
    if selector.kind is not SelectorKind.NUMBER or selector.back:
        return None
    events = reader.events(model=model, version=int(selector.value))
    found = next((event for event in events if event.action == "version.deleted"), None)
    if found is None:
        return None
    from mreg.domain.events import time_text

    return NotFound(
        f"{model.name} has no version {selector.value}: {found.actor} deleted it at {time_text(found.at)}",
        hint=f"mreg history {model.name}@{selector.value}",
        kind="version",
        name=str(model.name),
        selector=str(selector),
    )


def _no_version(reader: Reader, model: RegisteredModel, selector: Selector) -> NotFound:
    name = model.name
    hint = f"list the versions: mreg show {name}"
    if model.version_count == 0:
        message = f"{name} has no versions"
        hint = f"mreg push PATH --name {name}"
    elif selector.kind is SelectorKind.BEST and (metric := _undirected(reader, model)):
        message = f"{name} has no best version: the direction of the metric {metric} is unknown"
        hint = f"mreg edit {name} --direction {shell_word(f'{metric}=higher')}"
    elif selector.back and selector.kind is SelectorKind.STAGE:
        stage = selector.value.capitalize()
        message = (
            f"{stage} of {name} has no version that far back: {Selector(selector.kind, selector.value, selector.back)}"
        )
        hint = f"show the earlier versions: mreg history {name}"
    elif selector.back:
        message = f"no version is {selector.back} back from {name}@{Selector(selector.kind, selector.value)}"
    elif selector.kind is SelectorKind.STAGE:
        stage = selector.value.capitalize()
        from mreg.domain.model import ModelStage

        message = f"no version of {name} is {ModelStage(stage).location}"
        hint = f"mreg promote {name}@latest --to {stage}" if stage in ("Staging", "Production") else hint
    elif selector.kind is SelectorKind.ALIAS:
        message = f"{name} has no alias {quoted(selector.value)}"
        near = nearest(selector.value, [*model.aliases, "latest", "best", "staging", "production", "archived"])
        hint = f"did you mean {' or '.join(f'{name}@{word}' for word in near)}?" if near else hint
    elif selector.kind is SelectorKind.NUMBER:
        message = f"{name} has no version {selector.value}"
    elif selector.kind is SelectorKind.BEST and (metric := reader.primary_metric(model)):
        message = f"no version of {name} has its primary metric {quoted(metric)}"
        hint = f"mreg edit {name} --primary-metric METRIC"
    elif selector.kind is SelectorKind.BEST:
        message = f"{name} has no best version: it has no primary metric"
        hint = f"mreg edit {name} --primary-metric METRIC"
    elif selector.kind is SelectorKind.LATEST:
        message = f"{name} has no latest version: all versions are archived"
    else:
        message = f"no version of {name} has the digest {selector.value}"
    return NotFound(message, hint=hint, kind="version", name=str(name), selector=str(selector))


def _undirected(reader: Reader, model: RegisteredModel) -> str:
    """The primary metric of a model, if it is not known which way that is better."""
    from mreg.domain.metrics import direction

    metric = reader.primary_metric(model)
    return metric if metric and direction(metric, model.directions) is None else ""
