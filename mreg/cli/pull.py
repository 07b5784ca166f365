"""The command pull."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mreg import streams
from mreg.cli.invocation import invocation_of
from mreg.cli.options import ReferenceArgument
from mreg.domain.names import Selector, SelectorKind, VersionRef
from mreg.domain.text import quoted
from mreg.errors import BadInput


def pull(
    ctx: typer.Context,
    reference: ReferenceArgument,
    destination: Annotated[
        str | None,
        typer.Argument(metavar="DEST", help="File or folder to create (default: the name of the artifact)."),
    ] = None,
    to_stdout: Annotated[
        bool, typer.Option("--stdout", help="Write an artifact that is one file to standard output.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files of the same name.")] = False,
) -> None:
    """Download the artifact of a version and verify it.

    A pull is atomic: if it fails, an existing destination is unchanged. With --force, a file replaces a file. A folder
    replaces files of the same name and removes unchanged files of earlier pulls; other files stay. A folder never
    replaces a file, a link, the current folder, the home folder, a repository or a registry.

    Examples:
      mreg pull churn@production
      mreg pull churn@3 models/churn.pkl --force
      mreg pull churn@champion --stdout | sha256sum
    """
    run = invocation_of(ctx)
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
    _refuse_selector(reference, destination)
    with run.output.progress("pull") as progress:
        pulled = run.registry.pull(reference, destination, force=force, progress=progress)
    run.output.result(pulled)


def _refuse_selector(reference: str, destination: str | None) -> None:
    """Refuse ``pull classifier 3``, which would write the latest version to a file named 3."""
    wanted = VersionRef.parse(reference)
    if destination is None or wanted.selector is not None or os.path.lexists(destination):
        return
    try:
        selector = Selector.parse(destination)
    except BadInput:
        return
    if selector.kind is not SelectorKind.ALIAS:
        raise BadInput(
            f"{quoted(destination)} reads like a version and stands where the destination does",
            hint=f"mreg pull {wanted}@{selector}; or, for a file of that name: mreg pull {wanted} ./{destination}",
        )
