"""The command files."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.invocation import invocation_of
from mreg.cli.options import ColumnNames, ColumnOrder, Exclude, Include, OptionalReferenceWords
from mreg.cli.references import reference


def files(
    ctx: typer.Context,
    words: OptionalReferenceWords = None,
    include: Include = None,
    exclude: Exclude = None,
    long: Annotated[bool, typer.Option("--long", help="Show the checksum and whether a file is executable.")] = False,
    columns: ColumnNames = None,
    sort: ColumnOrder = None,
) -> None:
    """List the files of a version.

    Patterns have the syntax of .gitignore. No bytes of the files are read.

    Examples:
      mreg files churn@3
      mreg files churn@production --long
      mreg files churn@3 --include '*.safetensors' --sort -size
      mreg files churn@3 --json
    """
    from mreg.cli.table import rendering_of
    from mreg.cli.views.files import FILES, LONG

    run = invocation_of(ctx)
    found = run.registry.files(reference(run, words), include=include or (), exclude=exclude or ())
    if sort is not None:
        found = tuple(FILES.sort(found, sort))
    table = FILES.table(found, columns or (LONG if long else None))
    run.output.result(found, lambda _found: rendering_of(table))
