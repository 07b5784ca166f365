"""Tables of pulls, exports, imports and bundles."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table, Toned, one, one_line, stage_cell
from mreg.cli.views import View
from mreg.domain.text import counted
from mreg.results.transfers import BundleContents, Exported, Imported, Pulled


def _pulled(pulled: Pulled) -> Rendering:
    version = pulled.version
    state = "already there, verified" if pulled.unchanged else "verified"
    return one_line(
        ("reference", "file", "bytes", "checksum", "state"),
        (
            str(version.reference),
            str(pulled.destination),
            version.artifact.size_bytes,
            str(version.artifact.digest),
            Toned(state, "good"),
        ),
        f"{version.reference} is at {pulled.destination} ({state})",
    )


def _exported(found: Exported) -> Rendering:
    count = len(found.versions)
    columns = ("reference", ">versions", ">bytes", "destination")
    row = (str(found.reference), count, found.size_bytes, str(found.destination))
    what = str(found.reference) if found.reference.selector else f"{found.reference} with {counted(count, 'version')}"
    return Rendering(
        tables=(),
        flat=Table(columns=columns, rows=(row,)),
        summary=f"{what} is in {found.destination}, {counted(found.size_bytes, 'byte')}",
    )


def _bundle(found: BundleContents) -> Rendering:
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


def _imported(found: Imported) -> Rendering:
    rows = tuple(
        (str(version.source), str(version.reference), "already there" if version.already_there else "added")
        for version in found.versions
    )
    return one(Table(columns=("from", "reference", "outcome"), rows=rows))


VIEWS = (
    View(Pulled, one=_pulled, references=lambda pulled: [str(pulled.version.reference)]),
    View(Exported, one=_exported, references=lambda found: [str(found.reference)]),
    View(
        BundleContents,
        one=_bundle,
        references=lambda found: [str(bundled.version.reference) for bundled in found.versions],
    ),
    View(Imported, one=_imported, references=lambda found: [str(version.reference) for version in found.versions]),
)
