"""The command path."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.references import reference_and_file


def path(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF] [FILE]",
            help="Version, and a file in its folder (default: the latest of the default model, the whole artifact).",
            autocompletion=complete_words,
        ),
    ] = None,
) -> None:
    """Print the local path of a version, verified.

    The files are in the pull cache, once for all processes. The first call fetches and verifies them. Later calls read
    only the catalog; a file that was modified since is detected by its size and time, and replaced. The files are
    read-only: copy them to change them.

    The path stays valid for an hour after it was last printed, also if another process makes room in the cache. With
    FILE, only this file of a folder is fetched.

    The cache is that of the profile (MREG_CACHE), or ~/.cache/mreg with 20 GB.

    Examples:
      mreg path churn@production
      mreg path net@3 config.json
      mreg path churn@champion --json
    """
    run = invocation_of(ctx)
    reference, file = reference_and_file(run, words)
    with run.output.progress("path") as progress:
        found = run.registry.locate(reference, file, progress=progress)
    if run.output.format in ("table", "plain") and not run.quiet:
        run.output.text(f"{found.path}\n")
    else:
        run.output.result(found)
