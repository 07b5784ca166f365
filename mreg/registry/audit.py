"""Use cases of the audit trail: verify it, explain a stage, look up a past version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mreg.catalog.policies import Policies
from mreg.domain.events import Event, changes_within, first_broken, parse_time, stages_at, time_text
from mreg.domain.model import ModelStage, ModelVersion
from mreg.domain.names import Selector, SelectorKind, VersionRef, spelled
from mreg.domain.text import printable
from mreg.errors import BadInput, Corrupt, NotFound
from mreg.registry.references import as_reference, find, find_model, find_with_note
from mreg.registry.registry import Reference
from mreg.results.history import AuditReport
from mreg.results.reasons import Why

if TYPE_CHECKING:
    from mreg.catalog.catalog import Catalog
    from mreg.catalog.reader import Reader
    from mreg.registry.session import Session


def verify_audit(session: Session) -> AuditReport:
    """See `mreg.Registry.verify_audit`."""
    session.scope.check_unlimited("verify the audit trail")
    return verify_trail(session.catalog)


def verify_trail(catalog: Catalog) -> AuditReport:
    """Verify the audit trail of a catalog, and the stages of its versions against it.

    Raises:
        Corrupt: An event was edited, removed or moved, or a version is in another stage.
    """

    def look(reader: Reader) -> AuditReport:
        count, last = 0, ""
        staged: dict[tuple[int, int], str] = {}

        def counted() -> Iterator[Event]:
            nonlocal count, last
            for event in reader.all_events():
                count, last = count + 1, event.hash
                _replay(staged, event)
                yield event

        broken = first_broken(counted())
        if broken is not None:
            raise Corrupt(
                f"audit event {broken} was changed or is missing",
                hint="compare the catalog with a backup; later events cannot be trusted either",
                seq=broken,
            )
        _check_stages(reader, staged)
        return AuditReport(events=count, last_hash=last)

    return catalog.read(look)


def _replay(staged: dict[tuple[int, int], str], event: Event) -> None:
    if event.action == "version.stage_changed" and event.version is not None:
        staged[event.model_id, event.version] = str(event.details.get("to"))
    elif event.action == "version.deleted" and event.version is not None:
        staged.pop((event.model_id, event.version), None)


def _check_stages(reader: Reader, staged: dict[tuple[int, int], str]) -> None:
    expected = {key: stage for key, stage in staged.items() if stage != ModelStage.NONE.value}
    found = reader.staged()
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            name = reader.name_of(key[0])
            in_catalog, in_trail = (printable(stages.get(key, "None")) for stages in (found, expected))
            raise Corrupt(
                f"the stage of {name}@{key[1]} does not match the audit trail: expected {in_trail}, got {in_catalog}",
                hint=f"mreg history {name}@{key[1]}",
                model=name,
                version=key[1],
            )


def why(session: Session, reference: Reference) -> Why:
    """See `mreg.Registry.why`."""
    from mreg.registry.compare import compare_versions

    wanted = as_reference(reference)

    def look(reader: Reader) -> tuple[Why, str]:
        version, note = find_with_note(reader, wanted)
        model = find_model(reader, version.model_name)
        entered, before = reader.stage_entered(version, model), None
        if entered is not None and version.stage in (ModelStage.STAGING, ModelStage.PRODUCTION):
            before = reader.stage_before(version, model, entered.seq)
        found = Why(
            version=version,
            entered=entered,
            decisions=Policies(reader).decisions_on(version),
            before=before.reference if before else None,
            metrics=compare_versions(before, version, directions=model.directions).metrics if before else (),
        )
        return found, note

    found, note = session.catalog.read(look)
    if note:
        session.notice(note)
    return found


def version_at(session: Session, reference: Reference, at: str) -> ModelVersion:
    """See `mreg.Registry.version_at`."""
    wanted = as_reference(reference)
    moment = parse_time(at)
    notes: list[str] = []

    def look(reader: Reader) -> ModelVersion:
        model, selector = find(reader, wanted)
        if selector is None or selector.kind not in (SelectorKind.STAGE, SelectorKind.ALIAS) or selector.back:
            raise BadInput("--at needs a reference with a stage or an alias", hint=f"mreg show {model.name}@production")
        events = reader.events(model=model, newest_first=False)
        past = [event for event in events if time_text(event.at) <= moment]
        number = _version_after(past, selector)
        if moment > time_text(session.now()):
            notes.append(f"{moment} is in the future; this is the current state")
        notes.extend(_changed_soon(events, selector, wanted, moment, number))
        found = reader.version(model, number) if number is not None else None
        if found is None:
            message = f"{wanted} had no version at {moment}"
            if number is not None:
                message = f"{wanted} was {model.name}@{number} at {moment}, which was deleted later"
            raise NotFound(message, hint=f"mreg history {model.name} --at {at}", kind="version")
        return found

    try:
        return session.catalog.read(look)
    finally:
        for note in dict.fromkeys(notes):
            session.notice(note)


def _changed_soon(
    events: Sequence[Event], selector: Selector, wanted: VersionRef, moment: str, number: int | None
) -> list[str]:
    """Return a note if a stage or alias got another version in the rest of the minute or second."""
    unit, end = changes_within(moment)
    soon = [event for event in events if time_text(event.at) < end]
    after = _version_after(soon, selector)
    if after == number or not unit:
        return []
    changes = [event for event in soon if time_text(event.at) > moment and _can_change(event, selector)]
    if not changes:
        return []
    became = f"{wanted.name}@{after}" if after is not None else "nothing"
    return [f"{wanted} became {became} later in that {unit}, at {time_text(changes[-1].at)}"]


def _can_change(event: Event, selector: Selector) -> bool:
    if event.action in ("version.deleted", "model.deleted"):
        return True
    if selector.kind is SelectorKind.ALIAS:
        return event.details.get("alias") == selector.value
    stage = ModelStage.parse(selector.value).value
    return event.action == "version.stage_changed" and stage in (event.details.get("to"), event.details.get("from"))


def _version_after(past: Sequence[Event], selector: Selector) -> int | None:
    """Return the number of the version that a stage or alias has after these events of its model."""
    if selector.kind is SelectorKind.STAGE:
        stage = ModelStage.parse(selector.value)
        entered = [
            event.version
            for event in past
            if event.action == "version.stage_changed" and event.details.get("to") == stage.value
        ]
        there = stages_at(past).get(stage, ())
        return next((version for version in reversed(entered) if version in there), there[-1] if there else None)
    aliases: dict[str, int | None] = {}
    for event in past:
        if event.action in ("alias.set", "alias.removed"):
            aliases.pop(str(event.details.get("alias")), None)
        if event.action == "alias.set":
            aliases[str(event.details.get("alias"))] = event.version
    alias = spelled(selector.value, aliases)
    return None if alias is None else aliases[alias]
