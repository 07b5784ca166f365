"""Commands for bundles: export, import."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_model, complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.references import reference
from mreg.errors import BadInput


def export(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REF",
            help="Version, such as churn@3 or churn 3, or model with all its versions (default: the default model).",
            autocompletion=complete_words,
        ),
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write (default: NAME-VERSION.mreg or NAME.mreg)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    inspect: Annotated[
        str | None,
        typer.Option("--inspect", metavar="FILE", help="Bundle to verify and show. Nothing is exported."),
    ] = None,
) -> None:
    """Export a version or a model as a bundle.

    A bundle is one file with artifacts, metadata and history. Each artifact is verified while it is written. The same
    content gives the same file.

    Examples:
      mreg export churn@3
      mreg export churn -o churn.mreg
      mreg export --inspect churn.mreg
    """
    run = invocation_of(ctx)
    if inspect is not None:
        from mreg.registry.importing import inspect_bundle

        if words or destination is not None or force:
            raise BadInput("--inspect looks at a file and exports nothing", hint="mreg export --inspect FILE")
        with run.output.progress("verify") as progress:
            contents = inspect_bundle(inspect, progress)
        run.output.result(contents)
        return
    wanted = reference(run, words)
    if destination == "-":
        raise BadInput("a bundle is not written to standard output", hint=f"mreg export {wanted} -o FILE")
    with run.output.progress("export") as progress:
        exported = run.registry.export(wanted, destination, force=force, progress=progress)
    run.output.result(exported)


def import_bundle(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="FILE", help="Bundle, written by mreg export.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            metavar="NAME",
            help="Name of the model here (default: the name in the bundle).",
            autocompletion=complete_model,
        ),
    ] = None,
    aliases: Annotated[
        bool, typer.Option("--aliases", help="Set the aliases of the bundle, too, if the policy permits it.")
    ] = False,
) -> None:
    """Import the versions of a bundle.

    The bundle is verified first. Then all of its versions are added, or none. They enter no stage. A version keeps its
    number if all numbers of the model are lower, and gets the next number otherwise. Aliases are left out and named,
    unless --aliases is given; an alias that names another version here is refused then.

    Examples:
      mreg import churn.mreg
      mreg import churn.mreg --aliases
      mreg import churn-3.mreg --name vendor/churn
    """
    run = invocation_of(ctx)
    with run.output.progress("import") as progress:
        imported = run.registry.import_bundle(path, name, aliases=aliases, progress=progress)
    run.output.result(imported)
