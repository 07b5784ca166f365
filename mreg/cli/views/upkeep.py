"""Tables of the maintenance commands."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Items, Rendering, Size, Table, Toned, rendering_of, short_digest
from mreg.cli.views import View
from mreg.domain.text import counted, quoted, size_text
from mreg.results.upkeep import CatalogCopy, Check, CopyVerification, Finding, Garbage, Upgrade, Verification

LISTED = 3
"""Maximum number of files that are named for each state of a copy."""

STATE_TONES = {"fine": "good", "note": "strong", "damaged": "bad", "unreachable": "bad"}


def _checks(checks: Sequence[Check]) -> Rendering:
    rows = tuple(
        (check.name, check.place, _outcome(check), check.error or check.lacks or _speed(check)) for check in checks
    )
    columns = ("check", "place", "outcome", "message")
    return rendering_of(Table(columns=columns, rows=rows, optional=("place",), wide=("message",)))


def _speed(check: Check) -> str:
    if check.latency is not None:
        return f"{check.latency * 1000:.3g} ms"
    if check.upload is None or check.download is None:
        return ""
    return f"{size_text(int(check.upload))}/s up, {size_text(int(check.download))}/s down"


def _outcome(check: Check) -> Toned:
    if check.error:
        return Toned("failed", "bad")
    return Toned("note", "strong") if check.lacks else Toned("works", "good")


def _findings(findings: Sequence[Finding]) -> Rendering:
    rows = tuple(
        (finding.name, Toned(finding.state, STATE_TONES[finding.state]), finding.place, finding.message, finding.remedy)
        for finding in findings
    )
    columns = ("check", "state", "place", "message", "remedy")
    return rendering_of(Table(columns=columns, rows=rows, optional=("place",), wide=("message", "remedy")))


def _garbage(found: Sequence[Garbage]) -> Rendering:
    columns = ("kind", "name", ">bytes", "modified", "removed")
    flat = Table(
        columns=columns,
        rows=tuple((item.kind, item.name, Size(item.size_bytes), item.modified, item.removed) for item in found),
    )
    table = Table(
        columns=columns,
        rows=tuple((row[0], short_digest(item.name), *row[2:]) for item, row in zip(found, flat.rows, strict=True)),
        optional=("removed",),
        wide=("name",),
    )
    unfinished = sum(item.kind == "unfinished" for item in found)
    total = sum(item.size_bytes for item in found)
    counts = ((unfinished, "unfinished upload"), (len(found) - unfinished, "unreferenced blob"))
    garbage = ", ".join(counted(count, noun) for count, noun in counts if count)
    state = "removed" if any(item.removed for item in found) else "can be removed"
    summary = f"{state}: {garbage}, {size_text(total)}" if found else "nothing to remove"
    return Rendering(tables=(table,) if found else (), flat=flat, summary=summary)


def _verification(found: Verification) -> Rendering:
    rows = tuple(
        (Toned(problem.problem, "bad"), str(problem.checksum), Items(map(str, problem.versions)), problem.hint)
        for problem in found.problems
    )
    columns, wide = ("problem", "blob", "versions", "remedy"), ("versions", "remedy")
    flat = Table(columns=columns, rows=rows)
    table = Table(columns=columns, rows=tuple((row[0], short_digest(str(row[1])), *row[2:]) for row in rows), wide=wide)
    blobs, size = counted(found.blobs, "blob"), size_text(found.size_bytes)
    summary = f"{blobs} of {counted(found.artifacts, 'artifact')} read, {size}"
    if found.artifacts < found.all_artifacts:
        summary += f" (a sample of {counted(found.all_artifacts, 'artifact')})"
    summary += f"; {counted(len(found.problems), 'problem')}" if found.problems else "; all intact"
    if found.unreferenced:
        summary += f"; {unreferenced(found)} (mreg gc)"
    return Rendering(tables=(table,) if rows else (), flat=flat, summary=summary)


def _copy_verification(found: CopyVerification) -> Rendering:
    rows = tuple((problem.path, Toned(problem.state, "bad"), problem.reason) for problem in found.problems)
    table = Table(columns=("file", "state", "reason"), rows=rows, wide=("file", "reason"))
    size = f"{counted(found.files, 'file')}, {size_text(found.size_bytes)}"
    result = counted(len(rows), "difference") if rows else "all intact"
    summary = f"{found.path} compared with {found.reference}: {size}; {result}"
    return Rendering(tables=(table,) if rows else (), flat=table, summary=summary)


def differences(found: CopyVerification) -> str:
    """Return the number of files in each state, with the first names, such as ``1 missing ('a'), 1 extra ('b')``."""
    parts = []
    for state in ("missing", "changed", "extra", "unreadable"):
        names = [quoted(problem.path) for problem in found.problems if problem.state == state]
        if names:
            parts.append(f"{len(names)} {state} ({', '.join(names[:LISTED])}{', ...' * (len(names) > LISTED)})")
    return ", ".join(parts)


def unreferenced(found: Verification) -> str:
    """Return the number and the size of the blobs that no version needs."""
    return f"{counted(found.unreferenced or 0, 'unreferenced blob')}, {size_text(found.unreferenced_bytes or 0)}"


def _catalog_copy(copy: CatalogCopy) -> Rendering:
    rows = ((copy.source, copy.target, copy.rows, copy.events, copy.last_hash),)
    table = Table(columns=("from", "to", ">rows", ">events", "last hash"), rows=rows)
    size = f"{counted(copy.rows, 'row')} and {counted(copy.events, 'event')}"
    summary = f"{copy.target}: {size}, compared with {copy.source}"
    if copy.blobs:
        summary += f"; {counted(copy.blobs, 'blob')} copied, {size_text(copy.size_bytes)}"
    return Rendering(tables=(), flat=table, summary=summary)


def _upgrade(upgrade: Upgrade) -> Rendering:
    steps = tuple((migration.schema, migration.adds) for migration in upgrade.migrations)
    others = "; ".join(upgrade.others)
    flat = Table(
        columns=("catalog", ">schema", ">target", "adds", "in use by", "caution", "backup"),
        rows=(
            (
                upgrade.place,
                upgrade.schema,
                upgrade.target,
                "; ".join(adds for _, adds in steps),
                others,
                upgrade.caution,
                upgrade.backup,
            ),
        ),
    )
    if not steps:
        summary = f"{upgrade.place}: schema {upgrade.schema} is current"
    elif upgrade.backup:
        summary = f"{upgrade.place}: schema {upgrade.target} (was {upgrade.schema}); backup: {upgrade.backup}"
    else:
        summary = f"{upgrade.place}: schema {upgrade.schema}; mreg upgrade brings it to {upgrade.target}"
        summary += f"; in use by {others}" if others else ""
        summary += f"; {upgrade.caution}" if upgrade.caution else ""
    tables = (Table(columns=(">schema", "adds"), rows=steps),) if steps else ()
    return Rendering(tables=tables, flat=flat, summary=summary)


VIEWS = (
    View(Check, render_list=_checks, references=lambda check: [check.place]),
    View(Finding, render_list=_findings, references=lambda finding: [finding.name] if finding.state != "fine" else []),
    View(Garbage, render_list=_garbage, references=lambda garbage: [garbage.name]),
    View(
        Verification,
        render=_verification,
        references=lambda found: [str(problem.checksum) for problem in found.problems],
    ),
    View(
        CopyVerification,
        render=_copy_verification,
        references=lambda found: [problem.path for problem in found.problems],
    ),
    View(CatalogCopy, render=_catalog_copy, references=lambda copy: [copy.last_hash]),
    View(
        Upgrade, render=_upgrade, references=lambda upgrade: [str(upgrade.target if upgrade.backup else upgrade.schema)]
    ),
)
