"""HTML tables of results for notebooks.

A notebook trusts the HTML of a result, so every text of the registry is escaped; there are no links, and the classes
keep MathJax from reading formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from mreg.domain.events import Event
from mreg.domain.model import ModelVersion
from mreg.domain.text import printable, size_text
from mreg.notebook.frames import is_time
from mreg.notebook.rows import Rows, rows_of
from mreg.results import Page
from mreg.results.comparison import Comparison
from mreg.results.deployments import DeploymentReport
from mreg.results.models import ModelSummary, ModelVersions

ROWS = 50
"""Maximum number of rows of a table."""

ENTRIES = 10
"""Maximum number of columns for the entries of a mapping, such as the metrics."""

TEXT = 200
"""Maximum number of characters of a cell."""

_COLUMNS = {
    ModelVersion: ("reference", "stage", "aliases", "metrics", "parameters", "tags", "created_at", "created_by"),
    ModelSummary: ("name", "version_count", "latest_version", "production_version", "metric", "latest_metric",
                   "production_metric", "updated_at"),
    Event: ("seq", "at", "actor", "action", "model", "version"),
    DeploymentReport: ("reference", "hook", "action", "stage", "status", "attempts", "outcome", "created_at"),
}  # fmt: skip
"""The columns of lists, by the type of their items; a list of another type has all columns."""

_VERSION = (
    "reference", "stage", "description", "aliases", "metrics", "parameters", "tags", "data", "parent_version", "run_id",
    "experiment_id", "artifact.name", "artifact.size_bytes", "artifact.checksum", "artifact.format",
    "artifact.file_count", "source.git_commit", "source.git_branch", "created_at", "created_by", "deployed_at",
)  # fmt: skip
"""The fields of one version."""


def html(value: object) -> str:
    """Return a result as HTML: one or more tables."""
    if isinstance(value, Page):
        tables: Iterable[str] = [_list(value, value.kind, more=value.more)]
    elif isinstance(value, ModelVersions):
        tables = [_list(value, ModelVersion, more=value.more, title=_title(value))]
    elif isinstance(value, Comparison):
        tables = _comparison(value)
    else:
        tables = [_one(value)]
    return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(tables)}</div>'


def _list(value: object, kind: type | None, *, more: bool, title: str = "") -> str:
    found = rows_of(value)
    columns = _chosen(found, _COLUMNS.get(kind, ()) if kind is not None else ())
    rows = [[_cell(name, row.get(name)) for name in columns] for row in found.rows[:ROWS]]
    note = _hidden(len(found.rows)) or ("there are more" if more else "")
    return _table(title, columns, rows, note)


def _comparison(comparison: Comparison) -> Iterator[str]:
    first, second = str(comparison.first.reference), str(comparison.second.reference)
    columns = ("metric", first, second, "delta", "percent", "verdict")
    rows = [
        [_cell("", cell) for cell in (row.name, row.first, row.second, row.delta, row.percent, row.verdict.value)]
        for row in comparison.metrics
    ]
    yield _table(_title(comparison), columns, rows[:ROWS], _hidden(len(rows)))
    if comparison.changes:
        changes = [
            [_cell("", cell) for cell in (f"{row.group}.{row.name}", row.first, row.second)]
            for row in comparison.changes
        ]
        yield _table("", ("changed", first, second), changes[:ROWS], _hidden(len(changes)))


def _one(value: object) -> str:
    found = rows_of(value)
    (row,) = found.rows
    names = _chosen(found, _VERSION, every=True) if isinstance(value, ModelVersion) else found.columns
    filled = [name for name in names if row.get(name) not in (None, "", [], {})]
    rows = [[_head(name), _cell(name, row[name])] for name in filled]
    return _table(_title(value), (), rows[:ROWS], _hidden(len(rows)))


def _chosen(found: Rows, keys: Sequence[str], *, every: bool = False) -> tuple[str, ...]:
    """Return the columns with these keys, or with the entries of these mappings; all columns without keys."""
    names: list[str] = []
    for key in keys:
        entries = [name for name in found.columns if name.startswith(f"{key}.")]
        names += [key] if key in found.columns else entries if every else entries[:ENTRIES]
    return tuple(names) if keys else found.columns


def _hidden(count: int) -> str:
    return f"{count - ROWS:,} more rows" if count > ROWS else ""


def _title(value: object) -> str:
    text = repr(value)
    return text[1:-1] if text.startswith("<") else type(value).__name__


def _head(text: str) -> str:
    return f'<th style="text-align:left">{_text(text)}</th>'


def _cell(name: str, value: Any) -> str:
    """Return the cell of a value; numbers are aligned to the right."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        size = name == "artifact.size_bytes" or name == "size_bytes"
        number = size_text(int(value)) if size else f"{value:.6g}" if isinstance(value, float) else str(value)
        return f'<td style="text-align:right">{_text(number)}</td>'
    if value is None:
        text = ""
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, str):
        text = f"{value[:16].replace('T', ' ')} UTC" if is_time(name) else value
    elif isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value)
    else:
        text = repr(value)
    return f'<td style="text-align:left">{_text(text)}</td>'


def _text(text: str) -> str:
    shown = printable(text if len(text) <= TEXT else f"{text[:TEXT]}…")
    return escape(shown)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> str:
    """Return a table of finished cells."""
    caption = f'<caption style="text-align:left">{_text(title)}</caption>' if title else ""
    head = f"<thead><tr>{''.join(map(_head, columns))}</tr></thead>" if columns else ""
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>" + (f"<p>{_text(note)}</p>" if note else "")
