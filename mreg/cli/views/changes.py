"""Tables of stage changes and deletions."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table, one_line, stage_cell
from mreg.cli.views import View
from mreg.domain.text import counted
from mreg.results.changes import Deletion, StageChange


def _stage_change(change: StageChange) -> Rendering:
    version = change.version
    was = f" (was {change.before.value})" if change.before is not version.stage else ""  # equal if a hook failed
    sentence = (
        f"{version.reference} is {version.stage.location}{was}"
        if change.changed
        else f"{version.reference} was {version.stage.location} already"
    )
    archived = ", ".join(map(str, change.archived))
    if change.back:  # a hook failed, and the change was rolled back
        back = ", ".join(str(other.reference) for other in change.back)
        sentence += f"; {back} is {change.back[0].stage.location}"
    return one_line(
        ("reference", "stage", "before", "archived"),
        (str(version.reference), stage_cell(version.stage), change.before.value, archived),
        sentence + (f"; {archived} is archived" if archived else ""),
    )


def deleted(deletion: Deletion, *, dry_run: bool = False) -> Rendering:
    """Return the line after a deletion, or in a dry run."""
    rows = tuple((str(reference),) for reference in deletion.versions)
    versions = "" if deletion.reference.selector else f" with {counted(len(rows), 'version')}"
    return Rendering(
        tables=(),
        flat=Table(columns=("reference",), rows=rows or ((str(deletion.reference),),)),
        summary=f"{deletion.reference}{versions} {'would be' if dry_run else 'was'} deleted",
    )


VIEWS = (
    View(
        StageChange,
        render=_stage_change,
        # After a change that was rolled back the version is not in the stage, so a script must not go on with it.
        references=lambda change: [] if change.rolled_back else [str(change.version.reference)],
    ),
    View(Deletion, render=deleted, references=lambda deletion: [str(deletion.reference)]),
)
