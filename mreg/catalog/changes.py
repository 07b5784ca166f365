"""What an edit changed, for its event."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def changes(before: object, after: object, fields: Collection[str]) -> dict[str, object]:
    """``{field: [before, after]}`` of the fields that differ, JSON-ready."""
    pairs = {field: (getattr(before, field), getattr(after, field)) for field in fields}
    return {field: [_plain(old), _plain(new)] for field, (old, new) in pairs.items() if old != new}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return "" if value is None else str(value)
