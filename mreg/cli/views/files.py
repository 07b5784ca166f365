"""Tables of pulls and of the files of a version."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.columns import Column, Columns
from mreg.cli.table import Rendering, Row, Size, Table, Toned, one_line, rendering_of
from mreg.cli.views import View
from mreg.domain.text import counted, size_text
from mreg.results.files import LocalArtifact, Pulled, PulledFile, PushPlan, StoredFile

LONG = "file,bytes,checksum,executable"
"""The columns with ``--long``."""

FILES: Columns[StoredFile] = Columns(
    usual=(Column("file", lambda file: file.path), Column(">bytes", lambda file: Size(file.size_bytes))),
    more=(Column("checksum", lambda file: str(file.digest)), Column("executable", lambda file: file.executable)),
    synonyms={"path": "file", "size": "bytes", "digest": "checksum"},
    empty="no files",
)
"""The columns of the files of a version."""

TONES = {"new": "good", "unchanged": "dim", "replaced": "next", "removed": "bad"}


def _pulled(pulled: Pulled) -> Rendering:
    if pulled.dry_run:
        return _planned(pulled)
    version = pulled.version
    state = "already there, verified" if pulled.unchanged else "verified"
    what = str(version.reference)
    size = version.artifact.size_bytes
    if pulled.files:
        kept = [file for file in pulled.files if file.state != "removed" and not file.path.endswith("/")]
        size = sum(file.size_bytes for file in kept)
        what = f"{counted(len(kept), 'file')} of {what}"
    return one_line(
        ("reference", "file", "bytes", "checksum", "state"),
        (
            str(version.reference),
            str(pulled.destination),
            size,
            str(version.artifact.digest),
            Toned(state, "good"),
        ),
        f"{what} {'are' if pulled.files and not what.startswith('1 ') else 'is'} at {pulled.destination} ({state})",
    )


def _planned(pulled: Pulled) -> Rendering:
    table = _file_table(pulled.files)
    written = [file for file in pulled.files if file.state in ("new", "replaced") and not file.path.endswith("/")]
    size = size_text(sum(file.size_bytes for file in written))
    there = [file for file in pulled.files if file.state == "unchanged" and not file.path.endswith("/")]
    summary = f"dry run: {counted(len(written), 'file')}, {size}, would be written to {pulled.destination}"
    if there:
        summary += f"; {counted(len(there), 'file')} would be kept"
    return Rendering(tables=(table,), flat=table, summary=summary)


def _file_table(files: Sequence[PulledFile]) -> Table:
    return Table(
        columns=("file", ">bytes", "state"),
        rows=tuple((file.path, Size(file.size_bytes), Toned(file.state, TONES.get(file.state, ""))) for file in files),
        wide=("file",),
    )


def _plan(plan: PushPlan) -> Rendering:
    """Return the files of a push that was not made, with the sum below a table."""
    rows: list[Row] = [(file.path, Size(file.size_bytes)) for file in plan.files]
    table = Table(
        columns=("file", ">bytes"), rows=(*rows, *((f"{folder}/", None) for folder in plan.folders)), empty="no files"
    )
    summary = (
        f"dry run: {counted(len(plan.files), 'file')}, {size_text(plan.size_bytes)}, would be pushed to {plan.model}"
    )
    return Rendering(tables=(table,), flat=table, summary=summary)


def _local(local: LocalArtifact) -> Rendering:
    row = (str(local.version.reference), str(local.path))
    return one_line(("reference", "path"), row, f"{local.version.reference} is at {local.path}")


VIEWS = (
    View(LocalArtifact, render=_local, references=lambda local: [str(local.path)]),
    View(PushPlan, render=_plan, references=lambda plan: [file.path for file in plan.files]),
    View(Pulled, render=_pulled, references=lambda pulled: [str(pulled.version.reference)]),
    View(
        StoredFile,
        render_list=lambda files: rendering_of(FILES.table(files)),
        references=lambda file: [file.path],
    ),
)
