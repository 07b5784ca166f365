"""The audit trail: verified, and read for why things are as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mreg.catalog.decisions import decisions_on
from mreg.domain.events import Event, changes_within, first_broken, parse_time, stages_at, time_text
from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import Selector, SelectorKind, VersionRef, spelled
from mreg.domain.text import printable
from mreg.errors import BadInput, Corrupt, NotFound
from mreg.registry.references import as_reference, find, find_model, find_told
from mreg.results.history import AuditReport, Why

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.registry.session import Session


def verify_audit(session: Session) -> AuditReport:
    """Walk the hash chain from the first event to the last, and hold the stages of all versions against it.

    Raises:
        Corrupt: An event was edited, is missing or is out of its place, the first of them named; or a version is not
            where the trail leaves it.
    """

    def look(reader: Reader) -> AuditReport:
        count, last = 0, ""
        staged: dict[tuple[int, int], str] = {}

        def counted() -> Iterator[Event]:
            nonlocal count, last
            for event in reader.all_events():
                count, last = count + 1, event.hash
                _follow(staged, event)
                yield event

        broken = first_broken(counted())
        if broken is not None:
            raise Corrupt(
                f"audit event {broken} is not what it was when it was written, or is missing",
                hint="what is after it can't be trusted either; compare with a backup of the catalog",
                seq=broken,
            )
        _check_stages(reader, staged)
        return AuditReport(events=count, last_hash=last)

    return session.catalog.read(look)


def _follow(staged: dict[tuple[int, int], str], event: Event) -> None:
    if event.action == "version.stage_changed" and event.version is not None:
        staged[event.model_id, event.version] = str(event.details.get("to"))
    elif event.action == "version.deleted" and event.version is not None:
        staged.pop((event.model_id, event.version), None)


def _check_stages(reader: Reader, staged: dict[tuple[int, int], str]) -> None:
    told = {key: stage for key, stage in staged.items() if stage != ModelStage.NONE.value}
    found = reader.staged()
    for key in sorted(told.keys() | found.keys()):
        if told.get(key) != found.get(key):
            name = reader.name_of(key[0])
            there, left = (printable(places.get(key, "None")) for places in (found, told))
            raise Corrupt(
                f"{name}@{key[1]} is in {there} in the catalog, and the audit trail leaves it in {left}",
                hint=f"mreg history {name}@{key[1]}",
                model=name,
                version=key[1],
            )


def why(session: Session, reference: VersionRef | str) -> Why:
    """Why a version is where it is: who put it there, what the policy said, and how it compares with what was before.

    Raises:
        NotFound: There is no such model or version.
    """
    from mreg.registry.compare import compare_versions

    wanted = as_reference(reference)

    def look(reader: Reader) -> tuple[Why, str]:
        version, note = find_told(reader, wanted)
        model = find_model(reader, version.model_name)
        entered, before = reader.stage_entered(version, model), None
        if entered is not None and version.stage in (ModelStage.STAGING, ModelStage.PRODUCTION):
            before = reader.stage_before(version, model, entered.seq)
        found = Why(
            version=version,
            entered=entered,
            decisions=decisions_on(reader, version),
            before=before.reference if before else None,
            metrics=compare_versions(before, version, directions=model.directions).metrics if before else (),
        )
        return found, note

    found, note = session.catalog.read(look)
    if note:
        session.notice(note)
    return found


def version_at(session: Session, reference: VersionRef | str, at: str) -> ModelVersion:
    """The version that a stage or an alias meant at a time, as it is now.

    Args:
        reference: ``name@stage`` or ``name@alias``.
        at: ISO 8601; UTC where it names no zone.

    Raises:
        NotFound: There is no such model, or the stage or alias meant nothing then, or the version is deleted since.
        BadInput: The time can't be read, or the reference names neither stage nor alias.
    """
    wanted = as_reference(reference)
    moment = parse_time(at)
    notes: list[str] = []

    def look(reader: Reader) -> ModelVersion:
        model, selector = find(reader, wanted)
        if selector is None or selector.kind not in (SelectorKind.STAGE, SelectorKind.ALIAS) or selector.back:
            raise BadInput("--at asks for a stage or an alias of a model", hint=f"mreg show {model.name}@production")
        events = reader.events(model=model, newest_first=False)
        past = [event for event in events if time_text(event.at) <= moment]
        number = _meant(past, selector)
        if moment > time_text(session.now()):
            notes.append(f"{moment} is in the future; this is the state now")
        notes.extend(_changed_soon(events, selector, wanted, moment, number))
        found = reader.version(model, number) if number is not None else None
        if found is None:
            what = f"version {number}, which is deleted since" if number is not None else "nothing"
            raise NotFound(
                f"{wanted} was {what} at {moment}", hint=f"mreg history {model.name} --at {at}", kind="version"
            )
        return found

    try:
        return session.catalog.read(look)
    finally:
        for note in dict.fromkeys(notes):
            session.notice(note)


def _changed_soon(
    events: Sequence[Event], selector: Selector, wanted: VersionRef, moment: str, number: int | None
) -> list[str]:
    """Return a note if a stage or an alias came to mean another version in the rest of the minute or second."""
    unit, end = changes_within(moment)
    soon = [event for event in events if time_text(event.at) < end]
    after = _meant(soon, selector)
    if after == number or not unit:
        return []
    about = [event for event in soon if time_text(event.at) > moment and _concerns(event, selector)]
    if not about:
        return []
    became = f"{wanted.name}@{after}" if after is not None else "nothing"
    return [f"{wanted} became {became} later in that {unit}, at {time_text(about[-1].at)}"]


def _concerns(event: Event, selector: Selector) -> bool:
    if event.action in ("version.deleted", "model.deleted"):
        return True
    if selector.kind is SelectorKind.ALIAS:
        return event.details.get("alias") == selector.value
    stage = ModelStage.parse(selector.value).value
    return event.action == "version.stage_changed" and stage in (event.details.get("to"), event.details.get("from"))


def _meant(past: Sequence[Event], selector: Selector) -> int | None:
    if selector.kind is SelectorKind.STAGE:
        stage = ModelStage.parse(selector.value)
        entered = [
            event.version
            for event in past
            if event.action == "version.stage_changed" and event.details.get("to") == stage.value
        ]
        there = stages_at(past).get(stage, ())
        return next((version for version in reversed(entered) if version in there), there[-1] if there else None)
    meant: dict[str, int | None] = {}
    for event in past:
        if event.action in ("alias.set", "alias.removed"):
            meant.pop(str(event.details.get("alias")), None)
        if event.action == "alias.set":
            meant[str(event.details.get("alias"))] = event.version
    alias = spelled(selector.value, meant)
    return None if alias is None else meant[alias]
