"""The command pull."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg import streams
from mreg.cli.completion import complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Exclude, Include
from mreg.cli.references import reference_and_destination, swapped
from mreg.errors import BadInput, NotFound


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
    include: Include = None,
    exclude: Exclude = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, and write nothing.")] = False,
    if_changed: Annotated[
        bool, typer.Option("--if-changed", help="Exit with 9 if DEST has the same bytes already.")
    ] = False,
) -> None:
    """Download the artifact of a version and verify it.

    After a model, a number, latest, best, a stage or @ALIAS is the version; for a file of such a name write ./NAME.

    A pull is atomic: if it fails, an existing destination is unchanged. With --force, a file replaces a file. A folder
    replaces files of the same name and removes unchanged files of earlier pulls, also of other models; other files
    stay. A folder never replaces a file, a link, the current folder, the home folder, a repository or a registry.

    A DEST that ends in / is a folder: a file is written into it under its own name. A folder becomes DEST itself.
    Missing folders are created.

    --include and --exclude select files of a folder by patterns in the syntax of .gitignore. Only these are
    transferred, and keep their paths: mreg pull churn@3 --include config.json writes NAME/config.json, NAME being the
    name of the artifact. They are added to an existing folder, and no file is removed.

    --if-changed is for scripts that do something after a change. The files at DEST are compared with the version by
    their SHA-256. The exit code is 9 if nothing had to be written, and 0 if files were written; with --dry-run, if they
    would be. Add --force to replace an earlier version.

    Examples:
      mreg pull churn@production
      mreg pull churn@3 models/churn.pkl --force
      mreg pull churn 3 models/churn.pkl
      mreg pull churn@champion --stdout | sha256sum
      mreg pull churn@3 models/
      mreg pull churn@3 --include config.json --include '*.safetensors'
      mreg pull churn@3 --include config.json --stdout | jq .
      mreg pull churn@3 models/churn --dry-run
      mreg pull churn@production m.pkl --force --if-changed && ./restart.sh
    """
    run = invocation_of(ctx)
    try:
        reference, destination = reference_and_destination(run, words)
    except BadInput as error:
        error.hint = swapped(run, words) or error.hint
        raise
    if to_stdout:
        if destination is not None:
            raise BadInput("--stdout and a destination exclude each other", hint="give one of them")
        for option, given in (("--dry-run", dry_run), ("--if-changed", if_changed)):
            if given:
                raise BadInput(f"--stdout and {option} exclude each other", hint="give one of them")
        if streams.is_closed("stdout"):
            raise BadInput("standard output is closed")
        if streams.is_terminal("stdout"):
            raise BadInput(
                "the bytes of a model are not for a terminal",
                hint=f"send them on: mreg pull {reference} --stdout | ..., or name a file: mreg pull {reference} DEST",
            )
        run.registry.stream(reference, streams.raw_output(), include=include or (), exclude=exclude or ())
        return
    try:
        with run.output.progress("pull") as progress:
            pulled = run.registry.pull(
                reference,
                destination,
                include=include or (),
                exclude=exclude or (),
                force=force,
                dry_run=dry_run,
                progress=progress,
            )
    except NotFound as error:
        error.hint = (error.details.get("kind") == "model" and swapped(run, words)) or error.hint
        raise
    run.output.result(pulled)
    if if_changed and pulled.unchanged:
        from mreg.cli.failures import UNCHANGED

        raise typer.Exit(UNCHANGED)
