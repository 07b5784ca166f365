"""Queries of models, versions and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.domain.events import Event
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.names import ModelName, Selector, SelectorKind
from mreg.errors import BadInput, NotFound
from mreg.registry.references import LATEST, as_name, as_reference, find, find_model, find_version, find_with_note
from mreg.registry.registry import Name, Reference
from mreg.registry.session import Session
from mreg.results import Page

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.results.history import StagesAt
    from mreg.results.models import ModelSummary, ModelVersions

COMPLETIONS_LIMIT = 200
"""Maximum number of completions; more would fill the screen."""


def models(session: Session, *, limit: int | None = None, offset: int = 0) -> Page[ModelSummary]:
    """See `mreg.Registry.models`."""
    return session.catalog.read(lambda reader: reader.models(limit=limit, offset=offset))


def show(
    session: Session, reference: Reference, *, limit: int | None = None, offset: int = 0
) -> ModelVersions | ModelVersion:
    """See `mreg.Registry.show`."""
    from mreg.results.models import ModelVersions

    wanted = as_reference(reference)
    notes: list[str] = []

    def look(reader: Reader) -> ModelVersions | ModelVersion:
        model, selector = find(reader, wanted)
        if selector is not None:
            version, note = find_with_note(reader, wanted)
            if selector == LATEST and model.newer_archived:
                notes.append(note)
            return version
        versions = reader.versions(model, limit=limit, offset=offset)
        metric = reader.primary_metric(model)
        return ModelVersions(model=model, versions=versions, metric=metric, more=versions.more)

    found = session.catalog.read(look)
    for note in dict.fromkeys(notes):
        session.notice(note)
    return found


def model(session: Session, name: Name) -> RegisteredModel:
    """See `mreg.Registry.model`."""
    wanted = as_name(name)
    return session.catalog.read(lambda reader: find_model(reader, wanted))


def version(session: Session, reference: Reference) -> ModelVersion:
    """See `mreg.Registry.version`."""
    wanted = as_reference(reference)
    return session.catalog.read(lambda reader: find_version(reader, wanted))


def search(
    session: Session, expression: str = "", *, sort: str | None = None, limit: int | None = None, offset: int = 0
) -> Page[ModelVersion]:
    """See `mreg.Registry.search`."""
    from mreg.domain.expression import FIELDS, metrics_of
    from mreg.domain.parsing import parse, parse_sort
    from mreg.domain.text import nearest

    condition = parse(expression)
    order = parse_sort(sort) if sort else None

    def look(reader: Reader) -> tuple[Page[ModelVersion], list[str]]:
        found = reader.search(condition, sort=order, limit=limit, offset=offset)
        named = list(metrics_of(condition)) if condition is not None and not found else []
        if order is not None and order.field.group == "metrics":
            named.append(order.field.key)
        return found, [name for name in dict.fromkeys(named) if name not in reader.metric_names(name, limit=1)]

    found, unknown = session.catalog.read(look)
    for name in unknown:
        near = nearest(name, [*FIELDS, *session.catalog.read(lambda reader: reader.metric_names())], 1)
        session.notice(f"no version has the metric {name}" + (f"; did you mean {near[0]}?" if near else ""))
    return found


MOST_EVENTS = 200_000
"""Maximum number of events that `history` returns without a limit; as JSON they take about 1 GiB of memory."""


def history(
    session: Session, reference: Reference | None = None, *, limit: int | None = None, offset: int = 0
) -> Page[Event]:
    """See `mreg.Registry.history`."""
    events = _history(session, reference, MOST_EVENTS if limit is None else limit, offset)
    if limit is None and events.more:
        raise too_many_events()
    return events


def too_many_events() -> BadInput:
    """Return the error for a history without a limit that has more than `MOST_EVENTS`."""
    return BadInput(
        f"cannot read the whole history: it has more than {MOST_EVENTS:,} events",
        hint="show the newest events: mreg history --limit 1000",
    )


def _history(session: Session, reference: Reference | None, limit: int, offset: int) -> Page[Event]:
    if reference is None:
        return session.catalog.read(lambda reader: reader.events(limit=limit, offset=offset))
    wanted = as_reference(reference)

    def look(reader: Reader) -> Page[Event]:
        try:
            model, selector = find(reader, wanted)
        except NotFound:
            if (deletion := reader.deletion(wanted.name)) is None:
                raise
            number = _number(wanted.selector)
            if wanted.selector is not None and number is None:
                raise
            if number is not None and not reader.events(model=deletion, version=number, limit=1):
                raise
            return reader.events(model=deletion, version=number, limit=limit, offset=offset)
        if selector is None:
            return reader.events(model=model, limit=limit, offset=offset)
        number = _number(selector)
        exists = wanted.known is not None and number is not None and reader.version(model, number) is not None
        if number is None or exists or not reader.events(model=model, version=number, limit=1):
            number = find_version(reader, wanted).version
        return reader.events(model=model, version=number, limit=limit, offset=offset)

    return session.catalog.read(look)


def _number(selector: Selector | None) -> int | None:
    """Return the number of a selector that names a version by its number alone."""
    if selector is None or selector.kind is not SelectorKind.NUMBER or selector.back:
        return None
    return int(selector.value)


def stages_at(session: Session, name: Name, at: str) -> StagesAt:
    """See `mreg.Registry.stages_at`."""
    from mreg.domain.events import STAGING, changes_within, parse_time, time_text
    from mreg.domain.events import stages_at as replay
    from mreg.results.history import StagesAt

    wanted = as_name(name)
    moment = parse_time(at)

    def look(reader: Reader) -> tuple[Event, ...]:
        return reader.events(model=find_model(reader, wanted), newest_first=False)

    events = session.catalog.read(look)
    past = [event for event in events if time_text(event.at) <= moment]
    found = StagesAt(model=str(wanted), at=moment, stages=replay(past))
    if moment > time_text(session.now()):
        session.notice(f"{moment} is in the future; these are the current stages")
    elif not past and events:
        session.notice(f"{wanted} had no versions then: its history begins at {time_text(events[0].at)}")
    unit, end = changes_within(moment)
    later = [event for event in events if moment < time_text(event.at) < end]
    changed = next((event for event in later if event.action in STAGING), None)
    if changed is not None:
        session.notice(f"the stages of {wanted} changed later in that {unit}, first at {time_text(changed.at)}")
    return found


def completions(session: Session, prefix: str) -> tuple[str, ...]:
    """See `mreg.Registry.completions`."""
    name, at, _ = prefix.partition("@")

    def look(reader: Reader) -> tuple[str, ...]:
        if not at:
            return reader.model_names(name, limit=COMPLETIONS_LIMIT)
        model = reader.model(ModelName(name))
        if model is None:
            return ()
        versions = reader.versions(model, limit=COMPLETIONS_LIMIT)
        stages = {version.stage.value.lower() for version in versions}
        words = ("latest", "best", *sorted(stages), *model.aliases, *(str(version.version) for version in versions))
        return tuple(f"{name}@{word}" for word in words)

    return session.catalog.read(look)


def metric_names(session: Session, prefix: str = "") -> tuple[str, ...]:
    """See `mreg.Registry.metric_names`."""
    return session.catalog.read(lambda reader: reader.metric_names(prefix))
