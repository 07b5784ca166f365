"""The command pull."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg import streams
from mreg.cli.completion import complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.references import reference_and_destination
from mreg.errors import BadInput


def pull(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF] [DEST]",
            help="Version and destination (default: the latest of the default model, named as the artifact).",
            autocompletion=complete_words,
        ),
    ] = None,
    to_stdout: Annotated[
        bool, typer.Option("--stdout", help="Write an artifact that is one file to standard output.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files of the same name.")] = False,
) -> None:
    """Download the artifact of a version and verify it.

    After a model, a number, latest, best, a stage or @ALIAS is the version; for a file of such a name write ./NAME.

    A pull is atomic: if it fails, an existing destination is unchanged. With --force, a file replaces a file. A folder
    replaces files of the same name and removes unchanged files of earlier pulls; other files stay. A folder never
    replaces a file, a link, the current folder, the home folder, a repository or a registry.

    Examples:
      mreg pull churn@production
      mreg pull churn@3 models/churn.pkl --force
      mreg pull churn 3 models/churn.pkl
      mreg pull churn@champion --stdout | sha256sum
    """
    run = invocation_of(ctx)
    reference, destination = reference_and_destination(run, words)
    if to_stdout:
        if destination is not None:
            raise BadInput("--stdout and a destination exclude each other", hint="give one of them")
        if streams.is_closed("stdout"):
            raise BadInput("standard output is closed")
        if streams.is_terminal("stdout"):
            raise BadInput(
                "the bytes of a model are not for a terminal",
                hint=f"send them on: mreg pull {reference} --stdout | ..., or name a file: mreg pull {reference} DEST",
            )
        run.registry.stream(reference, streams.raw_output())
        return
    with run.output.progress("pull") as progress:
        pulled = run.registry.pull(reference, destination, force=force, progress=progress)
    run.output.result(pulled)
