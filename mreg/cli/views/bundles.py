"""Tables of bundles."""

from __future__ import annotations

from mreg.cli.table import Items, Rendering, Size, Table, rendering_of, stage_cell
from mreg.cli.views import View
from mreg.domain.text import counted, size_text
from mreg.results.bundles import BundleContents, Exported, Imported


def _exported(exported: Exported) -> Rendering:
    count = len(exported.versions)
    columns = ("reference", ">versions", ">bytes", "destination")
    row = (str(exported.reference), count, Size(exported.size_bytes), str(exported.destination))
    subject = str(exported.reference)
    if not exported.reference.selector:
        subject += f" with {counted(count, 'version')}"
    return Rendering(
        tables=(),
        flat=Table(columns=columns, rows=(row,)),
        summary=f"{subject} is in {exported.destination}, {size_text(exported.size_bytes)}",
    )


def _bundle(bundle: BundleContents) -> Rendering:
    rows = tuple(
        (
            str(version.reference),
            stage_cell(version.stage),
            version.artifact.kind.value,
            version.artifact.format,
            Size(version.artifact.size_bytes),
            version.artifact.file_count,
            Items(f"{name}={number}" for name, number in version.metrics.items()),
            str(version.artifact.digest),
            version.created_at,
            version.created_by,
        )
        for version in (bundled.version for bundled in bundle.versions)
    )
    columns = ("version", "stage", "kind", "format", ">bytes", ">files", "metrics", "checksum", "created", "by")
    table = Table(
        columns=columns,
        rows=rows,
        optional=("checksum", "kind", ">files", "by", "format", "created"),
        shortened=("version",),
        wide=("metrics",),
    )
    return Rendering(
        tables=(table,),
        flat=table,
        summary=f"{bundle.model.name}: {counted(len(rows), 'version')}, {counted(bundle.event_count, 'event')}, "
        f"{counted(bundle.blob_count, 'blob')}, {size_text(bundle.size_bytes)}; "
        "all digests match",
    )


def _imported(imported: Imported) -> Rendering:
    rows = tuple(
        (str(version.source), str(version.reference), "already there" if version.already_there else "added")
        for version in imported.versions
    )
    names = ("source", "reference")
    return rendering_of(Table(columns=(*names, "outcome"), rows=rows, shortened=names))


VIEWS = (
    View(Exported, render=_exported, references=lambda exported: [str(exported.reference)]),
    View(
        BundleContents,
        render=_bundle,
        references=lambda bundle: [str(bundled.version.reference) for bundled in bundle.versions],
    ),
    View(
        Imported,
        render=_imported,
        references=lambda imported: [str(version.reference) for version in imported.versions],
    ),
)
