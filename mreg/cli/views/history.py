"""Tables of the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mreg.cli.table import (
    STAGE_TONES,
    Cell,
    Phrase,
    Rendering,
    Table,
    Toned,
    rendering_of,
)
from mreg.cli.views import View
from mreg.cli.views.edits import change_text
from mreg.domain.events import Event, detail_name, read_time
from mreg.domain.text import counted, size_text
from mreg.errors import BadInput
from mreg.results.history import AuditReport, StagesAt
from mreg.results.tokens import patterns_text

METRICS = 6
"""Number of metrics of a push that a terminal shows."""


def _events(events: Sequence[Event]) -> Rendering:
    """Return a row for each event; on a terminal, the number of the version instead of the reference if possible."""
    flat = Table(
        columns=(">seq", "at", "actor", "action", "reference", "details"),
        rows=tuple(
            (event.seq, event.at, event.actor, event.action, event.reference, _details(event)) for event in events
        ),
    )
    models = {event.model for event in events}
    of_model = len(models) == 1 and models != {""}
    table = Table(
        title=models.pop() if of_model else "",
        columns=(">seq", "at", "actor", ">version" if of_model else "reference", "event"),
        rows=tuple(
            (event.seq, event.at, event.actor, event.version if of_model else event.reference, _sentence(event))
            for event in events
        ),
        optional=(">seq",),
        shortened=("reference",),
        wide=("event",),
        empty="no events",
    )
    return Rendering(tables=(table,), flat=flat)


def _sentence(event: Event) -> Cell:
    """Return an event for people: what happened and the most important details."""
    details = event.details
    if event.action == "version.pushed":
        size = details.get("size_bytes")
        sizes = (size_text(size),) if isinstance(size, int) else ()
        return ", ".join(("pushed", *sizes, *_push_details(details, METRICS)))
    if event.action in ("alias.set", "alias.removed"):
        before = details.get("before")
        was = f" (was {before})" if before is not None else ""
        return f"alias {details.get('alias')} {event.action.removeprefix('alias.')}{was}"
    if event.action in ("token.created", "token.revoked"):
        did = f"token {_compact(details.get('token'))} {event.action.removeprefix('token.')}"
        limits = _joined(_token_limits(details))
        return Phrase((f"{did}: ", *limits)) if limits else did
    if event.action == "catalog.restored":
        count, tokens = details.get("events"), details.get("tokens")
        events = f": {counted(count, 'event')}" if isinstance(count, int) else ""
        active = f"; active tokens: {_compact(tokens)}" if tokens else ""
        return f"catalog restored from {_compact(details.get('file'))}{events}{active}"
    if event.action.startswith("deployment."):
        return _deployment(event)
    action = event.action.partition(".")[2].replace("_", " ")
    if action == "edited":
        return f"edited: {', '.join(_edits(details))}" if details else "edited without a change"
    if action == "renamed":
        return f"renamed to {details.get('to')}"
    explained = _explained(event)
    if action == "stage changed":
        return explained
    if action in ("deleted", "registered"):
        return action
    if event.action.startswith("policy."):
        action = event.action.replace(".", " ")
    return f"{action}{' ' if explained.startswith('for ') else ': '}{explained}" if explained else action


def _deployment(event: Event) -> str:
    """Return an event of hooks: which ones, what happened, and the event or the deployments that they run for."""
    details = event.details
    words = [f"{name} {_compact(value)}" for name, value in _shown(details, "hook", "hooks")]
    words += [event.action.removeprefix("deployment.")]
    words += [f"{name} {_compact(value)}" for name, value in _shown(details, "of")]
    words += [f"for {name} {_compact(value)}" for name, value in _shown(details, "deployments")]
    words += [f"({name} {_compact(value)})" for name, value in _shown(details, "outcome")]
    return " ".join(words) + (f": {details['why']}" if details.get("why") else "")


def _edits(details: Mapping[str, object]) -> list[str]:
    """Return the changes of an edit; of tags and directions, only the keys that changed."""
    changes = []
    for field, change in details.items():
        old, new = change if isinstance(change, list) and len(change) == 2 else (None, change)
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in (*new, *(key for key in old if key not in new)) if old.get(key) != new.get(key)]
            changes += [change_text(key, str(new.get(key) or ""), str(old.get(key) or "")) for key in keys]
        else:
            changes.append(change_text(field, str(new or ""), str(old or "")))
    return changes


def _details(event: Event) -> Cell:
    """Return the details of an event for programs."""
    if event.action in ("token.created", "token.revoked"):
        token = [(f"token {_compact(value)}",) for _, value in _shown(event.details, "token")]
        return Phrase(_joined([*token, *_token_limits(event.details)]))
    return _explained(event)


def _token_limits(details: Mapping[str, object]) -> list[tuple[str | datetime, ...]]:
    """Return what a token permits: its role, models and expiry."""
    found: list[tuple[str | datetime, ...]] = [(f"role {_compact(value)}",) for _, value in _shown(details, "role")]
    if "models" in details:
        models = details["models"]
        text = patterns_text(tuple(map(str, models))) if isinstance(models, list) else _compact(models)
        found.append((f"models {text}",))
    return found + [("expires ", _time(value)) for _, value in _shown(details, "expires")]


def _time(value: object) -> str | datetime:
    """Return the time of a detail; its text if it is not a time with a zone."""
    try:
        at = read_time(str(value))
    except BadInput:
        return _compact(value)
    return at if at.tzinfo is not None else _compact(value)


def _joined(parts: Sequence[tuple[str | datetime, ...]]) -> tuple[str | datetime, ...]:
    """Return the words of all parts, with commas between the parts."""
    return tuple(word for place, part in enumerate(parts) for word in (*((", ",) if place else ()), *part))


def _shown(details: Mapping[str, object], *keys: str) -> list[tuple[str, object]]:
    """Return the details that are not empty, with their names in words."""
    return [
        (detail_name(key), details[key]) for key in keys or details if details.get(key) not in (None, "", {}, [], False)
    ]


def _explained(event: Event) -> str:
    details = event.details
    if event.action == "version.stage_changed":
        text = f"{details.get('from')} to {details.get('to')}"
        if details.get("returned"):
            text += ", by rollback"
        if details.get("replaced_by"):
            text += f", replaced by {event.model}@{details['replaced_by']}"
        return f"{text}: {details['reason']}" if details.get("reason") else text
    if event.action == "version.pushed":
        size = f"{details.get('size_bytes')} bytes"
        return ", ".join([str(details.get("checksum"))[:19], size, *_push_details(details)])
    if event.action in ("version.approved", "version.rejected", "version.decision_withdrawn", "policy.overridden"):
        comment = details.get("comment") or details.get("reason")
        return f"for {details.get('target')}" + (f": {comment}" if comment else "")
    if event.action == "version.evaluated":
        return _evaluated(details)
    if event.action == "policy.changed":
        before, after = details.get("before"), details.get("after")
        return f"{_rules(before)} to {_rules(after)}"
    written = _change if event.action in ("model.edited", "version.edited") else _compact
    return ", ".join(f"{name} {written(value)}" for name, value in _shown(details))


def _push_details(details: Mapping[str, object], limit: int | None = None) -> list[str]:
    """Return the origin and the metrics of a pushed version.

    Args:
        limit: Maximum number of metrics; the number of the others follows (default: all).
    """
    found, origin = details.get("metrics"), details.get("imported")
    imported = [f"imported from {origin.get('reference')}"] if isinstance(origin, dict) else []
    parent = [f"from {details['parent']}"] if details.get("parent") else []
    metrics = [f"{name}={value}" for name, value in found.items()] if isinstance(found, dict) else []
    shown = metrics[:limit]
    more = [counted(len(metrics) - len(shown), "more metric")] if len(shown) < len(metrics) else []
    return [*imported, *parent, *shown, *more]


def _evaluated(details: Mapping[str, object]) -> str:
    metrics, replaced, voided = (details.get(key) for key in ("metrics", "replaced", "voided"))
    old = replaced if isinstance(replaced, dict) else {}
    parts = [
        f"{name}={value}" + (f" (was {old[name]})" if name in old else "")
        for name, value in (metrics.items() if isinstance(metrics, dict) else ())
    ]
    parts += [f"on {details['dataset']}"] if details.get("dataset") else []
    parts += [
        f"approval of {approval.get('person')} for {approval.get('target')} is void"
        for approval in (voided if isinstance(voided, list) else ())
        if isinstance(approval, dict)
    ]
    return ", ".join(parts) + (f": {details['reason']}" if details.get("reason") else "")


def _rules(document: object) -> str:
    return f"rules for {', '.join(document)}" if isinstance(document, dict) and document else "no policy"


def _change(value: object) -> str:
    """Return the text of a detail; for an edit, the old and the new value."""
    if isinstance(value, list) and len(value) == 2:
        return f"{_compact(value[0])} to {_compact(value[1])}"
    return _compact(value)


def _compact(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "nothing"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return str(value) or "nothing"


def _stages_at(found: StagesAt) -> Rendering:
    rows = tuple(
        (Toned(stage.value, STAGE_TONES.get(stage.value, "")), f"{found.model}@{version}")
        for stage, versions in found.stages.items()
        for version in versions
    )
    return rendering_of(Table(title=f"{found.model} at {found.at}", columns=("stage", "version"), rows=rows))


def _audit_report(report: AuditReport) -> Rendering:
    table = Table(columns=("events", "last hash"), rows=((report.events, report.last_hash),))
    sentence = f"{counted(report.events, 'event')}, hash chain intact; last hash: {report.last_hash or 'none'}"
    return Rendering(tables=(), flat=table, summary=sentence)


VIEWS = (
    View(Event, render_list=_events, references=lambda event: [event.reference]),
    View(
        StagesAt,
        render=_stages_at,
        references=lambda found: [f"{found.model}@{number}" for numbers in found.stages.values() for number in numbers],
    ),
    View(AuditReport, render=_audit_report, references=lambda report: [report.last_hash]),
)
