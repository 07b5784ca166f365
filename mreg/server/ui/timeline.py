"""Events as sentences with links to their models and versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mreg.domain.events import Event, detail_name
from mreg.domain.names import ModelName
from mreg.domain.text import size_text
from mreg.errors import BadInput
from mreg.server.ui.links import Links
from mreg.server.ui.rendering import shortened

ACTIONS = {
    "model.registered": "registered",
    "model.edited": "edited",
    "model.renamed": "renamed",
    "model.deleted": "deleted",
    "version.pushed": "pushed",
    "version.edited": "edited",
    "version.evaluated": "evaluated",
    "version.deleted": "deleted",
    "version.stage_changed": "changed the stage of",
    "version.approved": "approved",
    "version.rejected": "rejected",
    "version.decision_withdrawn": "withdrew a decision on",
    "alias.set": "set an alias on",
    "alias.removed": "removed an alias from",
    "policy.changed": "changed the policy of",
    "policy.overridden": "overrode the policy for",
}
"""The verb of each action; a model or version follows it."""

DETAIL_LIMIT = 160
"""Maximum number of characters of a detail of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """An event of the timeline.

    Attributes:
        verb: The verb of the action.
        subject: The model or version, by its name at that time.
        address: URL of its page, empty if it is deleted.
        summary: Details of the event.
    """

    event: Event
    verb: str
    subject: str
    address: str
    summary: str


def timeline(events: Iterable[Event], links: Links, model: ModelName | None = None) -> tuple[TimelineEntry, ...]:
    """Return the entries of events, which must be complete and newest first.

    The events themselves have the current names and the deletions: the event that renames or deletes a model or
    version is newer than its other events.

    Args:
        model: Current name of the model of all events; None if they are of several models.
    """
    names: dict[int, str] = {}
    deleted: set[tuple[int, int]] = set()
    shown = []
    for event in events:
        if event.action == "model.deleted":
            names.setdefault(event.model_id, "")
        elif event.action == "model.renamed":
            names.setdefault(event.model_id, str(event.details.get("to", "")))
        else:
            names.setdefault(event.model_id, event.model)
        if event.action == "version.deleted" and event.version is not None:
            deleted.add((event.model_id, event.version))
        name = str(model) if model is not None else names[event.model_id]
        shown.append(
            TimelineEntry(
                event=event,
                verb=ACTIONS.get(event.action, event.action.replace(".", " ").replace("_", " ")),
                subject=event.reference or "all models",
                address=_address(name, event, deleted, links),
                summary=_summary(event),
            )
        )
    return tuple(shown)


def _address(model: str, event: Event, deleted: set[tuple[int, int]], links: Links) -> str:
    if not event.model_id:
        return ""
    try:
        name = ModelName(model)
    except BadInput:
        return ""
    if event.version is None:
        return links.page("models", name)
    return "" if (event.model_id, event.version) in deleted else links.page("models", name, "versions", event.version)


def _summary(event: Event) -> str:
    details = event.details
    if event.action == "version.stage_changed":
        words = [f"from {details.get('from')} to {details.get('to')}"]
        words += ["by rollback"] if details.get("returned") else []
        words += [f"replaced by version {details['replaced_by']}"] if details.get("replaced_by") else []
        return _joined(words, details.get("reason"))
    if event.action == "version.pushed":
        return ", ".join(_pushed(details))
    if event.action == "version.evaluated":
        return _joined(_evaluated(details), details.get("reason"))
    if event.action in ("version.approved", "version.rejected", "version.decision_withdrawn", "policy.overridden"):
        return _joined([f"for {details.get('target')}"], details.get("comment") or details.get("reason"))
    if event.action == "policy.changed":
        return f"{_rules(details.get('before'))} → {_rules(details.get('after'))}"
    shown = {key: value for key, value in details.items() if value not in (None, "", {}, [], False)}
    return "; ".join(f"{detail_name(key)}: {_change(value)}" for key, value in list(shown.items())[:20])


def _pushed(details: Mapping[str, object]) -> list[str]:
    count, metrics, origin = details.get("size_bytes"), details.get("metrics"), details.get("imported")
    words = [size_text(count)] if isinstance(count, int) else []
    words += [f"imported from {shortened(origin.get('reference'))}"] if isinstance(origin, dict) else []
    words += [f"parent {details['parent']}"] if details.get("parent") else []
    return words + _metrics(metrics)


def _evaluated(details: Mapping[str, object]) -> list[str]:
    words = _metrics(details.get("metrics"), details.get("replaced"))
    words += [f"on {shortened(details['dataset'])}"] if details.get("dataset") else []
    voided = details.get("voided")
    if isinstance(voided, list) and voided:
        approvals = [item for item in voided[:6] if isinstance(item, dict)]
        words += [
            f"approval of {shortened(item.get('person'))} for {shortened(item.get('target'))} is void"
            for item in approvals
        ]
        words += [f"{len(voided) - 6} more approvals are void"] if len(voided) > 6 else []
    return words


def _metrics(metrics: object, replaced: object = None) -> list[str]:
    if not isinstance(metrics, dict):
        return []
    old = replaced if isinstance(replaced, dict) else {}
    words = [
        f"{shortened(name)} {value}" + (f" (was {old[name]})" if name in old else "")
        for name, value in list(metrics.items())[:6]
    ]
    return words + ([f"{len(metrics) - 6} more metrics"] if len(metrics) > 6 else [])


def _joined(words: list[str], reason: object) -> str:
    text = ", ".join(words)
    return f"{text}: {shortened(reason, DETAIL_LIMIT)}" if reason else text


def _rules(document: object) -> str:
    return f"rules for {', '.join(document)}" if isinstance(document, dict) and document else "no policy"


def _change(value: object) -> str:
    """Return a detail as text; an edit has the old and the new value."""
    if isinstance(value, list) and len(value) == 2:
        return f"{_compact(value[0])} → {_compact(value[1])}"
    return _compact(value)


def _compact(value: object) -> str:
    if isinstance(value, dict):
        return shortened(" ".join(f"{key}={item}" for key, item in value.items()), DETAIL_LIMIT) or "nothing"
    return shortened(value, DETAIL_LIMIT) or "nothing"
