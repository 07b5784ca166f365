"""The command trust."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_trusted
from mreg.cli.invocation import invocation_of
from mreg.errors import BadInput


def trust(
    ctx: typer.Context,
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with an mreg.yaml (default: this folder, or the nearest one above).",
            autocompletion=complete_trusted,
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the trusted folders.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Stop trusting the folder.")] = False,
) -> None:
    """Trust the project file of a folder.

    A project file can come with a repository that you cloned. It can always name a store in its own folder, or the
    store of one of your profiles. Any other store or server is used only after mreg trust, and only while the file
    names the same profile, server, catalog and artifacts. Trust also enables your hooks for the store, and allows an
    mreg.yaml that another user owns or can write to. In CI, use --trust-project or MREG_TRUST_PROJECT=1.

    Examples:
      mreg trust
      mreg trust ~/src/churn
      mreg trust --list
      mreg trust --remove ~/src/churn
    """
    from mreg.profile.trust import distrust_folder, trust_folder, trusted_folders

    run = invocation_of(ctx)
    if show:
        if remove or folder is not None:
            raise BadInput("--list takes no folder and no --remove", hint="mreg trust --list")
        import os

        from mreg.results.configuration import TrustedFolder

        run.output.results(trusted_folders(os.environ), TrustedFolder)
        return
    if remove:
        removed = distrust_folder(folder)
        run.output.result(removed)
        run.output.note(f"{removed.file} is not trusted any more")
        return
    trusted = trust_folder(folder)
    run.output.result(trusted)
    run.output.note(f"trusted as long as {trusted.file} names the same profile, server, catalog and artifacts")
