"""Tables of what is told of more than one thing: comparisons, histories, trees, profiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mreg.cli.table import STAGE_TONES, Cell, Rendering, Table, Toned, one, stage_cell
from mreg.domain.text import counted

if TYPE_CHECKING:
    from mreg.domain.events import Event
    from mreg.domain.names import VersionRef
    from mreg.results.comparison import Comparison, MetricDifference
    from mreg.results.history import StagesAt
    from mreg.results.lineage import Lineage
    from mreg.results.models import Deletion
    from mreg.results.profiles import Profile, ProfileEntry, TrustedFolder
    from mreg.results.tokens import NewToken
    from mreg.results.transfers import BundleContents, Exported, Imported

VERDICT_TONES = {"better": "good", "worse": "bad", "missing": "bad"}


def comparison(compared: Comparison) -> Rendering:
    """Metrics with delta and verdict, then the other differences."""
    first, second = compared.first.reference, compared.second.reference
    tables = [metric_table(first, second, compared.metrics)]
    tables += [
        Table(
            title=group,
            columns=("", str(first), str(second)),
            rows=tuple((change.name, change.first, change.second) for change in changes),
        )
        for group, changes in groupby(compared.changes, key=lambda change: change.group)
    ]
    flat_rows: list[tuple[Cell | Toned, ...]] = [
        ("metrics", row.name, row.first, row.second, row.delta, row.percent, row.verdict.value)
        for row in compared.metrics
    ]
    flat_rows += [
        (change.group, change.name, change.first, change.second, None, None, "differs") for change in compared.changes
    ]
    columns = ("group", "name", str(first), str(second), "delta", "percent", "verdict")
    return Rendering(
        tables=tuple(tables),
        flat=Table(columns=columns, rows=tuple(flat_rows)),
        summary="The bytes of both are the same." if compared.same_artifact else "",
        marker=f"mreg compare {compared.first.model_name} {compared.second.model_name}",
    )


def metric_table(first: VersionRef, second: VersionRef, metrics: Sequence[MetricDifference]) -> Table:
    """The metrics of two versions, one a row."""
    rows = tuple(
        (
            row.name,
            row.first,
            row.second,
            _signed(row.delta),
            f"{row.percent:+.2f} %" if row.percent is not None else None,
            Toned(row.verdict.value, VERDICT_TONES.get(row.verdict.value, "")),
        )
        for row in metrics
    )
    return Table(
        title=f"{first} against {second}",
        columns=("metric", f">{first}", f">{second}", ">delta", ">percent", "verdict"),
        rows=rows,
        optional=(">percent", ">delta"),
    )


def _signed(delta: int | float | None) -> str | None:
    return None if delta is None else (f"{delta:+d}" if isinstance(delta, int) else f"{delta:+.6g}")


def events(found: Sequence[Event]) -> Rendering:
    """Events, each explained in a line."""
    rows = tuple(
        (
            event.seq,
            event.at,
            event.actor,
            event.action,
            f"{event.model}@{event.version}" if event.version else event.model,
            _explained(event),
        )
        for event in found
    )
    columns = (">seq", "at", "actor", "action", "of", "details")
    return one(Table(columns=columns, rows=rows, optional=(">seq", "actor") if len(rows) > 1 else ()))


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
        metrics = details.get("metrics")
        numbers = [f"{name}={value}" for name, value in metrics.items()] if isinstance(metrics, dict) else []
        parent = [f"from {details['parent']}"] if details.get("parent") else []
        origin = details.get("imported")
        imported = [f"imported from {origin.get('reference')}"] if isinstance(origin, dict) else []
        size = f"{details.get('size_bytes')} bytes"
        return ", ".join([str(details.get("checksum"))[:19], size, *imported, *parent, *numbers])
    if event.action in ("version.approved", "version.rejected", "version.decision_withdrawn", "policy.overridden"):
        said = details.get("comment") or details.get("reason")
        return f"for {details.get('target')}" + (f": {said}" if said else "")
    if event.action == "policy.changed":
        before, after = details.get("before"), details.get("after")
        return f"{_rules(before)} to {_rules(after)}"
    shown = {key: value for key, value in details.items() if value not in (None, "", {}, [], False)}
    return ", ".join(f"{key} {_change(value)}" for key, value in shown.items())


def _rules(document: object) -> str:
    return f"rules for {', '.join(document)}" if isinstance(document, dict) and document else "no policy"


def _change(value: object) -> str:
    """A detail in words; of an edit, what it was and what it became."""
    if isinstance(value, list) and len(value) == 2:
        return f"{_compact(value[0])} to {_compact(value[1])}"
    return _compact(value)


def _compact(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={one}" for key, one in value.items()) or "nothing"
    return str(value) or "nothing"


def stages_at(found: StagesAt) -> Rendering:
    """The versions by stage."""
    rows = tuple(
        (Toned(stage.value, STAGE_TONES.get(stage.value, "")), f"{found.model}@{version}")
        for stage, versions in found.stages.items()
        for version in versions
    )
    return one(Table(title=f"{found.model} at {found.at}", columns=("stage", "version"), rows=rows))


def lineage(found: Lineage) -> Rendering:
    """The tree: ancestors, the version itself, descendants."""
    from mreg.results.lineage import LineageNode, flatten

    version = found.version
    ancestors = [node for _, node in flatten(found.parents)][::-1]
    depth = len(ancestors)
    itself = LineageNode(
        reference=version.reference,
        stage=version.stage,
        run_id=version.run_id,
        git_commit=version.source.git_commit,
        data=version.data,
    )
    placed = [
        *((place, node, "parent") for place, node in enumerate(ancestors)),
        (depth, itself, "itself"),
        *((depth + 1 + below, node, "child") for below, node in flatten(found.children)),
    ]
    flat: list[tuple[Cell | Toned, ...]] = []
    drawn: list[tuple[Cell | Toned, ...]] = []
    for level, node, relation in placed:
        stage = stage_cell(node.stage) if node.stage else Toned("deleted", "dim")
        data = ", ".join(f"{name}={value}" for name, value in node.data.items())
        flat.append((level, relation, str(node.reference), stage, node.run_id, node.git_commit, data))
        indent = "   " * (level - 1) + "└─ " if level else ""
        label = Toned(f"{indent}{node.reference}", "strong" if relation == "itself" else "")
        drawn.append((label, stage, node.run_id, node.git_commit[:12], data))
    return Rendering(
        tables=(
            Table(
                columns=("version", "stage", "run", "commit", "data"), rows=tuple(drawn), optional=("data", "commit")
            ),
        ),
        flat=Table(columns=(">depth", "relation", "reference", "stage", "run", "commit", "data"), rows=tuple(flat)),
    )


def deletion(found: Deletion) -> Rendering:
    """What went, or would go."""
    rows = tuple((str(reference),) for reference in found.versions)
    count = len(rows)
    return Rendering(
        tables=(),
        flat=Table(columns=("reference",), rows=rows or ((str(found.reference),),)),
        summary=f"{found.reference}, {count} version{'' if count == 1 else 's'} in all",
    )


def profile(found: Profile) -> Rendering:
    """Every value and from where it came."""
    from mreg.results.profiles import KEYS

    rows = [
        (key, getattr(found, key), Toned(found.origins.get(key, ""), "dim"))
        for key in ("name", *KEYS)
        if getattr(found, key)
    ]
    return one(Table(title="", columns=("key", "value", "from"), rows=tuple(rows)))


def profile_entries(entries: Sequence[ProfileEntry]) -> Rendering:
    """The profiles that can be chosen."""
    rows = tuple((Toned(entry.name, "strong"), entry.active, Toned(entry.origin, "dim")) for entry in entries)
    return one(Table(columns=("profile", "in use", "from"), rows=rows))


def trusted_folders(entries: Sequence[TrustedFolder]) -> Rendering:
    """The folders whose project file may name a store, one a row."""
    rows = tuple((Toned(one.folder, "strong"), one.profile, one.catalog, one.artifacts) for one in entries)
    return one(Table(columns=("folder", "profile", "catalog", "artifacts"), rows=rows))


def exported(found: Exported) -> Rendering:
    """What was written, and where."""
    count = len(found.versions)
    columns = ("reference", ">versions", ">bytes", "destination")
    row = (str(found.reference), count, found.size_bytes, str(found.destination))
    what = str(found.reference) if found.reference.selector else f"{found.reference} with {counted(count, 'version')}"
    return Rendering(
        tables=(),
        flat=Table(columns=columns, rows=(row,)),
        summary=f"{what} is in {found.destination}, {counted(found.size_bytes, 'byte')}",
    )


def bundle(found: BundleContents) -> Rendering:
    """What is in a bundle, verified."""
    rows = tuple(
        (
            str(version.reference),
            stage_cell(version.stage),
            version.artifact.kind.value,
            version.artifact.format,
            version.artifact.size_bytes,
            version.artifact.file_count,
            ", ".join(f"{name}={number}" for name, number in version.metrics.items()),
            str(version.artifact.digest),
            version.created_at,
            version.created_by,
        )
        for version in (one.version for one in found.versions)
    )
    columns = ("version", "stage", "kind", "format", ">bytes", ">files", "metrics", "checksum", "created", "by")
    table = Table(columns=columns, rows=rows, optional=("checksum", "kind", ">files", "by", "format"))
    return Rendering(
        tables=(table,),
        flat=table,
        summary=f"{found.model.name}: {counted(len(rows), 'version')}, {counted(found.event_count, 'event')}, "
        f"{counted(found.blob_count, 'blob')}, {counted(found.size_bytes, 'byte')}; every byte is what its digest says",
    )


def imported(found: Imported) -> Rendering:
    """Which reference became which."""
    rows = tuple(
        (str(version.source), str(version.reference), "already there" if version.already_there else "added")
        for version in found.versions
    )
    return one(Table(columns=("from", "reference", "outcome"), rows=rows))


def new_token(made: NewToken) -> Rendering:
    """The secret, which is shown once, and the line for the file."""
    token = made.token
    facts = (("name", token.name), ("role", str(token.role)), ("secret", made.secret), ("line", token.line))
    return Rendering(
        tables=(Table(columns=("field", "value"), rows=facts, facts=True),),
        flat=Table(columns=tuple(name for name, _ in facts), rows=(tuple(value for _, value in facts),)),
        summary="the secret is shown this once; the line is for serve --token-file (-q prints it alone)",
    )
