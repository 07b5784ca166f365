"""Commands for bundles: export, import."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_reference
from mreg.cli.invocation import invocation_of
from mreg.errors import BadInput


def export(
    ctx: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="REF",
            help="A version: classifier@3; a bare name is the whole model.",
            autocompletion=complete_reference,
        ),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to make; else classifier-3.mreg, here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at the destination.")] = False,
    inspect: Annotated[
        str | None,
        typer.Option(
            "--inspect", metavar="FILE", help="Verify a bundle and show what is in it, in place of exporting."
        ),
    ] = None,
) -> None:
    """Write a version, or a model with all its versions, to one file: bytes, metadata and history, verified.

    Examples:

    \b
      mreg export classifier@3
      mreg export classifier -o classifier.mreg
      mreg export --inspect classifier.mreg
    """
    run = invocation_of(ctx)
    if inspect is not None:
        from mreg.registry.importing import inspect_bundle

        if reference is not None or destination is not None or force:
            raise BadInput("--inspect looks at a file and exports nothing", hint="mreg export --inspect FILE")
        with run.output.progress("verify") as progress:
            contents = inspect_bundle(inspect, progress)
        run.output.result(contents)
        return
    if reference is None:
        raise BadInput("no version or model is named", hint="mreg export classifier@3, or mreg export classifier")
    if destination == "-":
        raise BadInput("a bundle is not written to standard output", hint=f"mreg export {reference} -o FILE")
    with run.output.progress("export") as progress:
        exported = run.registry.export(reference, destination, force=force, progress=progress)
    run.output.result(exported)


def import_bundle(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="FILE", help="A file that mreg export wrote.")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="Another name for the model here.")
    ] = None,
) -> None:
    """Add the versions of a bundle, after all of it was verified: all of them or none, and in no stage.

    Examples:

    \b
      mreg import classifier.mreg
      mreg import classifier-3.mreg --name vendor/classifier
    """
    run = invocation_of(ctx)
    with run.output.progress("import") as progress:
        imported = run.registry.import_bundle(path, name, progress=progress)
    run.output.result(imported)
