"""Audit events and the hash chain over them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mreg.domain.model import ModelStage
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt

GENESIS = "0" * 64
"""What the first event names as the one before it."""


DETAILS_LIMIT = 8 << 20
"""Characters of an event's details as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Who did what when; written in the transaction that did it, and never changed.

    Attributes:
        seq: 1, 2, 3 ... over the whole catalog, without gaps.
        at: When, by the clock of the machine that did it; ``seq`` and not ``at`` gives the order.
        actor: Who.
        action: What, such as ``version.pushed``.
        model_id: Of which model, 0 where it is of none; stays the same when the model is renamed.
        model: The model's name at that time, empty where it is of none.
        version: Of which version, None where it is of none.
        details: JSON-ready fields of the action.
        previous: Hash of event ``seq - 1``, `GENESIS` for the first.
        hash: Of this event with everything above in it; see `event_hash`.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    model_id: int = 0
    model: str = ""
    version: int | None = None
    details: Mapping[str, object]
    previous: str
    hash: str

    @property
    def reference(self) -> str:
        """``model@version``, the model's name if the event is of no version, empty if it is of no model."""
        return f"{self.model}@{self.version}" if self.version is not None else self.model


def time_text(at: datetime) -> str:
    """The time as ISO 8601 in UTC with microseconds and ``Z``; equal lengths, so that text order is time order."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> str:
    """Return the time of an ISO 8601 text in its one stored form; a time without a zone is UTC.

    Raises:
        BadInput: The text is not a valid time.
    """
    at = read_time(text)
    try:
        return time_text(at if at.tzinfo else at.replace(tzinfo=UTC))
    except OverflowError:
        raise invalid_time(text) from None


def read_time(text: str) -> datetime:
    """Return the time of an ISO 8601 text (``2026-03-01``, ``2026-03-01T12:00``, ``...Z``, ``...+02:00``).

    The result is naive if the text names no zone.

    Raises:
        BadInput: The text is not a valid time.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise invalid_time(text) from None


def invalid_time(text: str) -> BadInput:
    """Return the error for a text that is not a valid time, or a time that no stored form can hold."""
    return BadInput(f"invalid time {quoted(text)}", hint="write it as 2026-03-01 or 2026-03-01T12:00Z")


def changes_within(moment: str) -> tuple[str, str]:
    """Return the unit to which a time was given, ``second`` or ``minute``, and the end of that unit.

    A time that was read off a table lacks the fraction of the second. An answer for exactly that time leaves out what
    happened in the rest of the unit. For a time with a fraction, both texts are empty.

    Args:
        moment: A time in its stored form.
    """
    at = datetime.fromisoformat(moment)
    unit = "" if at.microsecond else "second" if at.second else "minute"
    if not unit:
        return "", ""
    try:
        return unit, time_text(at + timedelta(**{f"{unit}s": 1}))
    except OverflowError:
        return "", ""


def details_text(details: Mapping[str, object]) -> str:
    """The one JSON text of an event's details: keys sorted, no spaces, Unicode as it is."""
    return json.dumps(dict(details), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def event_hash(event: Event) -> str:
    """SHA-256 in hex over the JSON array of the event's fields but its hash, time and details in their one text form.

    Each event's hash covers the hash before it, so that editing, removing or reordering one breaks every later link.
    """
    import hashlib  # here: reading commands have no need of it, and it is dear

    fields = [
        event.seq, time_text(event.at), event.actor, event.action, event.model_id, event.model, event.version,
        details_text(event.details), event.previous,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def chained(
    last: Event | None,
    *,
    at: datetime,
    actor: str,
    action: str,
    details: Mapping[str, object],
    model_id: int = 0,
    model: str = "",
    version: int | None = None,
) -> Event:
    """The event that follows the last one (None: the first of a catalog)."""
    event = Event(
        seq=last.seq + 1 if last else 1,
        at=at,
        actor=actor,
        action=action,
        model_id=model_id,
        model=model,
        version=version,
        details=details,
        previous=last.hash if last else GENESIS,
        hash="",
    )
    return replace(event, hash=event_hash(event))


STAGING = ("version.pushed", "version.stage_changed", "version.deleted", "model.deleted")
"""Actions that change which versions are in which stage."""


def stages_at(events: Iterable[Event]) -> dict[ModelStage, tuple[int, ...]]:
    """Which versions of a model were in which stage after these events of it, in order; empty stages are left out.

    A version begins in None when it is pushed and is gone when it or its model is deleted. Events of other actions
    change nothing.

    Raises:
        Corrupt: An event puts a version into a stage that there is not.
    """
    stage_of: dict[int, ModelStage] = {}
    for event in events:
        if event.action == "model.deleted":
            stage_of.clear()
        if event.version is None:
            continue
        if event.action == "version.pushed":
            stage_of[event.version] = ModelStage.NONE
        elif event.action == "version.stage_changed":
            stage_of[event.version] = _stage_entered(event)
        elif event.action == "version.deleted":
            stage_of.pop(event.version, None)
    found = {stage: tuple(sorted(v for v, at in stage_of.items() if at is stage)) for stage in ModelStage}
    return {stage: versions for stage, versions in found.items() if versions}


def _stage_entered(event: Event) -> ModelStage:
    try:
        return ModelStage.parse(str(event.details.get("to", "")))
    except BadInput as error:
        raise Corrupt(
            f"audit event {event.seq} puts version {event.version} into no stage: {error.message}",
            hint="mreg audit verify",
        ) from error


def first_broken(events: Iterable[Event]) -> int | None:
    """The seq at which the chain from the first event on is broken, or None where it is whole.

    A missing event is found at its place; an edited one at its own. Events cut off the end are found only by who
    knows how many there were.
    """
    expected = 1
    previous = GENESIS
    for event in events:
        if event.seq != expected or event.previous != previous or not has_right_hash(event):
            return expected
        expected, previous = expected + 1, event.hash
    return None


def has_right_hash(event: Event) -> bool:
    """Whether the hash of an event is the one that its fields give."""
    return event.hash == _hash_again(event)


def _hash_again(event: Event) -> str:
    """The hash that the event should have; empty for one that nobody could have written (NaN, a lone surrogate)."""
    try:
        return event_hash(event)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return ""
