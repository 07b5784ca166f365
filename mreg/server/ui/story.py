"""Events as sentences with links to what they are about, as far as that is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mreg.domain.events import Event
from mreg.domain.names import ModelName
from mreg.errors import BadInput
from mreg.server.ui.links import link
from mreg.server.ui.rendering import shortened, size

ACTIONS = {
    "model.registered": "registered",
    "model.edited": "edited",
    "model.renamed": "renamed",
    "model.deleted": "deleted",
    "version.pushed": "pushed",
    "version.edited": "edited",
    "version.deleted": "deleted",
    "version.stage_changed": "moved",
    "version.approved": "approved",
    "version.rejected": "rejected",
    "version.decision_withdrawn": "took back a decision on",
    "alias.set": "set an alias on",
    "alias.removed": "removed an alias from",
    "policy.changed": "changed the policy of",
    "policy.overridden": "overrode the policy for",
}
"""What somebody did, said so that its object can follow."""

DETAIL_LIMIT = 160
"""Characters of one detail of an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event for people.

    Attributes:
        did: What the actor did, a verb.
        about: To what, as it was called then.
        address: Its page, empty where it is gone.
        more: What else the event says, empty where it says nothing.
    """

    event: Event
    did: str
    about: str
    address: str
    more: str


def told(events: Iterable[Event], model: ModelName | None = None) -> tuple[Told, ...]:
    """Events, newest first, without any being left out, for people.

    What a model is called now, and whether it or a version is gone, is told by the events themselves: what ended
    something is newer than everything else about it.

    Args:
        model: What the model of all these events is called now; None: they are of any model.
    """
    names: dict[int, str] = {}
    gone: set[tuple[int, int]] = set()
    found = []
    for event in events:
        if event.action == "model.deleted":
            names.setdefault(event.model_id, "")
        elif event.action == "model.renamed":
            names.setdefault(event.model_id, str(event.details.get("to", "")))
        else:
            names.setdefault(event.model_id, event.model)
        if event.action == "version.deleted" and event.version is not None:
            gone.add((event.model_id, event.version))
        there = str(model) if model is not None else names[event.model_id]
        about = event.reference
        found.append(
            Told(
                event=event,
                did=ACTIONS.get(event.action, event.action.replace(".", " ").replace("_", " ")),
                about=about or "all models",
                address=_address(there, event, gone),
                more=_more(event),
            )
        )
    return tuple(found)


def _address(model: str, event: Event, gone: set[tuple[int, int]]) -> str:
    if not event.model_id:
        return ""
    try:
        name = ModelName(model)
    except BadInput:
        return ""
    if event.version is None:
        return link("models", name)
    return "" if (event.model_id, event.version) in gone else link("models", name, "versions", event.version)


def _more(event: Event) -> str:
    details = event.details
    if event.action == "version.stage_changed":
        words = [f"from {details.get('from')} to {details.get('to')}"]
        words += ["by rollback"] if details.get("returned") else []
        words += [f"replaced by version {details['replaced_by']}"] if details.get("replaced_by") else []
        return _joined(words, details.get("reason"))
    if event.action == "version.pushed":
        return ", ".join(_pushed(details))
    if event.action in ("version.approved", "version.rejected", "version.decision_withdrawn", "policy.overridden"):
        return _joined([f"for {details.get('target')}"], details.get("comment") or details.get("reason"))
    if event.action == "policy.changed":
        return f"{_rules(details.get('before'))} became {_rules(details.get('after'))}"
    told_ones = {key: value for key, value in details.items() if value not in (None, "", {}, [], False)}
    return ", ".join(f"{key.replace('_', ' ')} {_change(value)}" for key, value in list(told_ones.items())[:20])


def _pushed(details: Mapping[str, object]) -> list[str]:
    count, metrics, origin = details.get("size_bytes"), details.get("metrics"), details.get("imported")
    words = [size(count)] if isinstance(count, int) else []
    words += [f"imported from {shortened(origin.get('reference'))}"] if isinstance(origin, dict) else []
    words += [f"made from {details['parent']}"] if details.get("parent") else []
    if isinstance(metrics, dict):
        words += [f"{shortened(name)} {value}" for name, value in list(metrics.items())[:6]]
        words += [f"{len(metrics) - 6} more metrics"] if len(metrics) > 6 else []
    return words


def _joined(words: list[str], reason: object) -> str:
    text = ", ".join(words)
    return f"{text}: {shortened(reason, DETAIL_LIMIT)}" if reason else text


def _rules(document: object) -> str:
    return f"rules for {', '.join(document)}" if isinstance(document, dict) and document else "no policy"


def _change(value: object) -> str:
    """A detail in words; of an edit, what it was and what it became."""
    if isinstance(value, list) and len(value) == 2:
        return f"{_compact(value[0])} became {_compact(value[1])}"
    return _compact(value)


def _compact(value: object) -> str:
    if isinstance(value, dict):
        return shortened(" ".join(f"{key}={one}" for key, one in value.items()), DETAIL_LIMIT) or "nothing"
    return shortened(value, DETAIL_LIMIT) or "nothing"
