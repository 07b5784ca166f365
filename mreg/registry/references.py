"""Resolve references to models and versions, with helpful errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import nearest, quoted, shell_word
from mreg.errors import BadInput, Corrupt, NotFound

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.domain.model import ModelVersion, RegisteredModel

LATEST = Selector(SelectorKind.LATEST)


def as_reference(reference: VersionRef | str) -> VersionRef:
    """Return the reference, parsed if it is a text."""
    return VersionRef.parse(reference) if isinstance(reference, str) else reference


def find_model(reader: Reader, name: ModelName) -> RegisteredModel:
    """Return a model by its name.

    Raises:
        NotFound: The model does not exist; the hint names the nearest names.
    """
    model = reader.model(name)
    if model is None:
        near = reader.near_names(name.value)
        hint = f"did you mean {' or '.join(near)}?" if near else _selector_meant(name.value)
        if now := reader.renamed_to(name):
            hint = f"it was renamed to {now}"
        raise NotFound(f"model {quoted(name.value)} not found", hint=hint, kind="model", name=name.value)
    return model


def _selector_meant(word: str) -> str:
    """Return the hint for a name that was not found and is not similar to a name of a model."""
    try:
        is_alias = Selector.parse(word).kind is SelectorKind.ALIAS
    except BadInput:
        is_alias = True
    return "list the models: mreg list" if is_alias else f"for a version, name its model: NAME@{word}"


def find(reader: Reader, reference: VersionRef) -> tuple[RegisteredModel, Selector | None]:
    """Return the model that a reference names, and its selector; ``classifier/3`` can mean ``classifier@3``.

    Raises:
        NotFound: The model does not exist.
    """
    if reader.model(reference.name) is None:
        split = reference.split_last_part()
        if split is not None and reader.model(split.name) is not None:
            reference = split
    return find_model(reader, reference.name), reference.selector


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
    return version


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


def version_now(reader: Reader, version: ModelVersion) -> ModelVersion:
    """Return the current state of a version; the given one if the version was deleted since."""
    return reader.version_by_id(version.version_id) or version


def model_now(reader: Reader, model: RegisteredModel) -> RegisteredModel:
    """Return the current state of a model; the given one if the model was deleted since."""
    return reader.model_by_id(model.model_id) or model


@contextmanager
def naming_version(reference: VersionRef | None) -> Iterator[None]:
    """Add the version, if it is known, to the message and details of a `Corrupt` error."""
    try:
        yield
    except Corrupt as error:
        if reference is None:
            raise
        raise Corrupt(
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
        message = f"no version of {name} is in {stage}"
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
