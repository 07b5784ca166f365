"""From a reference to the model or version that it means, or to an error that helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mreg.domain.names import ModelName, Selector, SelectorKind, VersionRef
from mreg.domain.text import nearest, quoted
from mreg.errors import Corrupt, NotFound

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.domain.model import ModelVersion, RegisteredModel

LATEST = Selector(SelectorKind.LATEST)


def as_reference(reference: VersionRef | str) -> VersionRef:
    """The reference itself, or the one that the text means."""
    return VersionRef.parse(reference) if isinstance(reference, str) else reference


def find_model(reader: Reader, name: ModelName) -> RegisteredModel:
    """The model of that name.

    Raises:
        NotFound: There is none; the hint names the nearest.
    """
    model = reader.model(name)
    if model is None:
        near = reader.near_names(name.value)
        hint = f"did you mean {' or '.join(near)}?" if near else "mreg list shows the models there are"
        raise NotFound(f"there is no model {quoted(name.value)}", hint=hint, kind="model", name=name.value)
    return model


def find(reader: Reader, reference: VersionRef) -> tuple[RegisteredModel, Selector | None]:
    """The model that a reference names and its selector, ``classifier/3`` read as ``classifier@3`` if need be.

    Raises:
        NotFound: There is no such model.
    """
    if reader.model(reference.name) is None:
        split = reference.split_last_part()
        if split is not None and reader.model(split.name) is not None:
            reference = split
    return find_model(reader, reference.name), reference.selector


def find_version(reader: Reader, reference: VersionRef, *, default: Selector | None = LATEST) -> ModelVersion:
    """The version that a reference means; a bare name means ``default``.

    Raises:
        NotFound: There is no such model or version; the hint names the nearest or the next step.
    """
    model, selector = find(reader, reference)
    selector = selector or default or LATEST
    version = reader.find(model, selector)
    if version is None:
        raise _deleted(reader, model, selector) or _no_version(model, selector)
    return version


def find_told(reader: Reader, reference: VersionRef) -> tuple[ModelVersion, str]:
    """Return the version that a reference names, and a notice of which one that is; empty if the reference says it.

    Raises:
        NotFound: There is no such model or version.
    """
    version = find_version(reader, reference)
    if str(version.reference) == str(reference):
        return version, ""
    model, selector = find(reader, reference)
    newer = model.newer_archived if selector is None or selector == LATEST else ""
    return version, f"{reference} is {version.reference}" + (f"; {newer}" if newer else "")


def version_now(reader: Reader, version: ModelVersion) -> ModelVersion:
    """Return the present state of a version; the given one if the version was deleted since."""
    return reader.version_by_id(version.version_id) or version


def model_now(reader: Reader, model: RegisteredModel) -> RegisteredModel:
    """Return the present state of a model; the given one if the model was deleted since."""
    return reader.model_by_id(model.model_id) or model


@contextmanager
def concerning(reference: VersionRef | None) -> Iterator[None]:
    """Damage that is found within names the version that it concerns, if one is given."""
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


def _no_version(model: RegisteredModel, selector: Selector) -> NotFound:
    name = model.name
    hint = f"mreg show {name} lists its versions"
    if model.version_count == 0:
        message = f"{name} has no versions"
        hint = f"mreg push PATH --name {name}"
    elif selector.back and selector.kind is SelectorKind.STAGE:
        stage = selector.value.capitalize()
        message = (
            f"{stage} of {name} does not go back that far: {Selector(selector.kind, selector.value, selector.back)}"
        )
        hint = f"mreg history {name} shows what was there"
    elif selector.back:
        message = f"nothing was {selector.back} back from {name}@{Selector(selector.kind, selector.value)}"
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
    elif selector.kind is SelectorKind.BEST:
        message = f"no version of {name} has the metric by which it would be best"
        hint = f"mreg edit {name} --primary-metric METRIC"
    elif selector.kind is SelectorKind.LATEST:
        message = f"every version of {name} is archived, so that none is the latest"
    else:
        message = f"no version of {name} has the digest {selector.value}"
    return NotFound(message, hint=hint, kind="version", name=str(name), selector=str(selector))
