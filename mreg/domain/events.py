"""Audit events and the hash chain over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mreg.domain.model import ModelStage
from mreg.domain.text import quoted
from mreg.domain.value import Result, short_repr
from mreg.errors import BadInput, Corrupt

GENESIS = "0" * 64
"""The `Event.previous` of the first event."""

DETAILS_LIMIT = 8 << 20
"""Maximum length of an event's details as JSON, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Result):
    """An entry of the audit trail; written in the transaction of the change that it records, and never changed.

    Attributes:
        seq: 1, 2, 3 ... in the catalog, without gaps.
        at: Time of the change by the clock of the machine that made it. ``seq`` gives the order, ``at`` does not.
        actor: The user that made the change.
        action: Kind of change, such as ``version.pushed``.
        model_id: Id of the model, which a rename does not change; 0 if the event concerns no model.
        model: Name of the model at that time; empty if the event concerns no model.
        version: Version number; None if the event concerns no version.
        details: JSON-ready fields of the action.
        previous: Hash of event ``seq - 1``, `GENESIS` for the first.
        hash: Hash of all fields above; see `event_hash`.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    model_id: int = 0
    model: str = ""
    version: int | None = None
    details: Mapping[str, object] = field(hash=False)
    previous: str
    hash: str

    @property
    def reference(self) -> str:
        """``model@version``, or the name of the model without a version; empty without a model."""
        return f"{self.model}@{self.version}" if self.version is not None else self.model

    def __repr__(self) -> str:
        return short_repr(self, self.seq, time_text(self.at), self.action, self.reference, "by", self.actor)


def time_text(at: datetime) -> str:
    """Return the time as ISO 8601 in UTC with microseconds and ``Z``, so that text order is time order."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str) -> str:
    """Return the time of an ISO 8601 text in the form of `time_text`; a time without a zone is UTC.

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
    """Return the error for a text that is not a valid time, or that `time_text` cannot express."""
    return BadInput(f"invalid time {quoted(text)}", hint="write it as 2026-03-01 or 2026-03-01T12:00Z")


def changes_within(moment: str) -> tuple[str, str]:
    """Return the precision of a time, ``second`` or ``minute``, and the end of that second or minute.

    A time copied from a table lacks the fraction of the second, so that a query for exactly that time misses changes in
    the rest of the second or minute. For a time with a fraction, both texts are empty.

    Args:
        moment: A time in the form of `time_text`.
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
    """Return the canonical JSON of an event's details: keys sorted, no spaces, Unicode not escaped."""
    return json.dumps(dict(details), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def event_hash(event: Event) -> str:
    """Return the SHA-256, in hex, of the JSON array of the event's fields except its hash.

    The time has the form of `time_text`, the details that of `details_text`. The hash covers the hash of the previous
    event, so that editing, removing or reordering an event breaks every later link.
    """
    import hashlib  # slow to import, and most reading commands do not need it

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
    """Return the event that follows ``last``, which is None for the first event of a catalog."""
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


def detail_name(key: str) -> str:
    """Return the name of a detail of an event for people."""
    return "for event" if key == "of" else key.replace("_", " ")


STAGING = ("version.pushed", "version.stage_changed", "version.deleted", "model.deleted")
"""Actions that change which versions are in which stage."""


def stages_at(events: Iterable[Event]) -> dict[ModelStage, tuple[int, ...]]:
    """Return the versions of a model in each stage after these events of the model, which are in order.

    A version enters None when it is pushed and disappears when it or its model is deleted. Events with other actions
    have no effect. Empty stages are left out.

    Raises:
        Corrupt: An event puts a version into an invalid stage.
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
    found = {stage: tuple(sorted(v for v, current in stage_of.items() if current is stage)) for stage in ModelStage}
    return {stage: versions for stage, versions in found.items() if versions}


def _stage_entered(event: Event) -> ModelStage:
    try:
        return ModelStage.parse(str(event.details.get("to", "")))
    except BadInput as error:
        raise Corrupt(
            f"audit event {event.seq} of version {event.version} is invalid: {error.message}",
            hint="mreg audit verify",
        ) from error


def without_names(event: Event, allows: Callable[[str], bool], present: str) -> Event:
    """Return an event without the names of models that a reader may not see, and without links to other events.

    A former name of the model becomes its present one; the name of another model becomes an empty text. ``previous`` is
    `GENESIS`, and ``hash`` covers only these fields: with the true hashes, a reader could test guesses about other
    events.

    Args:
        allows: Returns whether the reader may see a model.
        present: Present name of the model of the event.
    """
    details = dict(event.details)
    if event.action == "model.renamed" and not allows(str(details.get("to"))):
        details["to"] = ""
    if event.action.startswith("deployment.") and "key" in details:
        details["key"] = ""  # begins with the hash of another event
    parent = details.get("parent")
    if isinstance(parent, str):
        details["parent"] = _without_name(parent, allows)
    elif isinstance(parent, list):
        details["parent"] = [_without_name(str(reference), allows) for reference in parent]
    imported = details.get("imported")
    if isinstance(imported, Mapping) and imported.get("parent"):
        details["imported"] = {**imported, "parent": _without_name(str(imported["parent"]), allows)}
    model = event.model if allows(event.model) else present
    shown = replace(event, model=model, details=details, previous=GENESIS, hash="")
    return replace(shown, hash=_expected_hash(shown) or GENESIS)


def _without_name(reference: str, allows: Callable[[str], bool]) -> str:
    return reference if allows(reference.partition("@")[0]) else ""


def first_broken(events: Iterable[Event]) -> int | None:
    """Return the seq of the first missing, edited or reordered event; None if the hash chain is intact.

    Events that are missing at the end cannot be detected without knowing how many there were.
    """
    expected = 1
    previous = GENESIS
    for event in events:
        if event.seq != expected or event.previous != previous or not has_right_hash(event):
            return expected
        expected, previous = expected + 1, event.hash
    return None


def has_right_hash(event: Event) -> bool:
    """Return whether the hash of an event matches its fields."""
    return event.hash == _expected_hash(event)


def _expected_hash(event: Event) -> str:
    """Return the hash of an event's fields; empty if they have no JSON form (NaN, a lone surrogate)."""
    try:
        return event_hash(event)
    except (ValueError, TypeError, OverflowError, RecursionError):
        return ""
