"""The line that a command prints after an edit: the state, and the state before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mreg.cli.table import Rendering, Row, Table, one_line
from mreg.domain.names import folded
from mreg.domain.text import counted, quoted

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.model import ModelVersion, RegisteredModel

FIELDS = ("primary_metric", "run_id", "experiment_id")
"""Fields whose names have several words; the names of tags and metrics stay as they are."""

SHOWN = 60
"""Number of characters of a value that the line shows."""


def alias_set(version: ModelVersion, alias: str, events: Sequence[Event]) -> Rendering:
    """Return the line after an alias was set, such as ``champion -> churn@10 (was churn@9)``."""
    reference = str(version.reference)
    alias = next((name for name in version.aliases if folded(name) == folded(alias)), "")
    if not alias:  # a hook moved the alias on
        return one_line(("reference", "alias", "before"), (reference, None, None), f"{reference} has no alias any more")
    event = _last(events, "alias.set")
    if event is None:
        return one_line(
            ("reference", "alias", "before"), (reference, alias, reference), f"{alias} -> {reference} (unchanged)"
        )
    number = event.details.get("before")
    before = f"{version.model_name}@{number}" if number is not None else None
    was = f"was {before}" if before else "new"
    return one_line(("reference", "alias", "before"), (reference, alias, before), f"{alias} -> {reference} ({was})")


def alias_removed(model: RegisteredModel, events: Sequence[Event]) -> Rendering:
    """Return the line after an alias was removed, such as ``champion removed (was churn@9)``."""
    event = _last(events, "alias.removed")
    alias = str(event.details.get("alias")) if event else ""
    before = event.reference if event else ""
    return one_line(("model", "alias", "before"), (str(model.name), alias, before), f"{alias} removed (was {before})")


def renamed(model: RegisteredModel, before: str) -> Rendering:
    """Return the line after a model was renamed, such as ``team/churn (was churn), 3 versions``."""
    name, versions = str(model.name), counted(model.version_count, "version")
    change = f"was {before}" if name != before else "unchanged"
    return one_line(("model", "before"), (name, before), f"{name} ({change}), {versions}")


def edited(result: RegisteredModel | ModelVersion, fields: Sequence[str], events: Sequence[Event]) -> Rendering:
    """Return the line after an edit, such as ``churn@3 data=2026-02 (was 2026-01)``.

    Args:
        fields: The fields that the command set or removed, such as ``description`` or ``tags.data``.
    """
    reference = str(getattr(result, "reference", "") or result.name)  # type: ignore[union-attr]
    event = _last(events, "model.edited", "version.edited")
    changes = event.details if event else {}
    rows: list[Row] = []
    words = []
    for field in dict.fromkeys(fields):
        attribute, _, key = field.partition(".")
        value, change = getattr(result, attribute), changes.get(attribute)
        before = change[0] if isinstance(change, list) else value
        new, old = _text(value, key), _text(before, key)
        rows.append((reference, field, new, old))
        words.append(change_text(key or field, new, old))
    table = Table(columns=("reference", "field", "value", "before"), rows=tuple(rows))
    return Rendering(tables=(), flat=table, summary=f"{reference} {', '.join(words)}")


def change_text(field: str, value: str, before: str) -> str:
    """Return the change of a field, such as ``data=2026-02 (was 2026-01)``; empty texts stand for no value."""
    name = field.replace("_", " ") if field in FIELDS else field
    if value == before:
        return f"{name}={_shown(value)} (unchanged)" if value else f"{name} is not set"
    if not value:
        return f"{name} removed (was {_shown(before)})"
    return f"{name}={_shown(value)} ({f'was {_shown(before)}' if before else 'new'})"


def _text(value: object, key: str) -> str:
    value = value.get(key) if key and isinstance(value, Mapping) else value
    return "" if value is None else str(value)


def _shown(value: str) -> str:
    return value if value and " " not in value and len(value) <= SHOWN else quoted(value, SHOWN)


def _last(events: Sequence[Event], *actions: str) -> Event | None:
    return next((event for event in reversed(events) if event.action in actions), None)
