"""Commands for bundles: export, import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.completion import complete_model, complete_words
from mreg.cli.invocation import invocation_of
from mreg.cli.references import reference_of_bundle
from mreg.domain.text import counted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from mreg.cli.invocation import Invocation
    from mreg.results.imports import ImportReport


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
            raise BadInput(
                "--inspect excludes a reference, --output and --force", hint="leave them out: nothing is exported"
            )
        with run.output.progress("verify") as progress:
            contents = inspect_bundle(inspect, progress)
        run.output.result(contents)
        return
    wanted = reference_of_bundle(run, words)
    if destination == "-":
        raise BadInput("a bundle is not written to standard output", hint="name a file: -o FILE")
    with run.output.progress("export") as progress:
        exported = run.registry.export(wanted, destination, force=force, progress=progress)
    run.output.result(exported)


def import_versions(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Bundle of mreg export; mlflow:URI (a server, sqlite:///FILE or folder); or hf:REPOSITORY[@REVISION].",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            "--as",
            metavar="NAME",
            help="Name of the model here (default: the name in the bundle or of the repository).",
            autocompletion=complete_model,
        ),
    ] = None,
    aliases: Annotated[
        bool, typer.Option("--aliases", help="Set the aliases of the bundle, too, if the policy permits it.")
    ] = False,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", metavar="PATTERN", help="Models of MLflow to import, such as 'churn*' (default: all)."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the versions that would be added. Nothing is changed."),
    ] = False,
) -> None:
    """Import versions from a bundle, MLflow or Hugging Face.

    A bundle is verified first. Then all of its versions are added, or none. They enter no stage. A version keeps its
    number if all numbers of the model are lower, and gets the next number otherwise. Aliases are left out and named,
    unless --aliases is given; an alias that names another version here is refused then.

    From MLflow come the registered models with their versions, which keep their numbers, stages, aliases, tags, metrics
    and parameters. A second import adds only new versions, and an interrupted one continues. Versions that cannot be
    imported are listed, and the others are added.

    From the Hugging Face Hub comes a revision, as the next version of a model. Its endpoint (HF_ENDPOINT), tokens and
    cache apply. A revision that was imported before is not added again.

    Examples:
      mreg import churn.mreg
      mreg import churn.mreg --aliases
      mreg import churn-3.mreg --name vendor/churn
      mreg import mlflow:http://localhost:5000 --dry-run
      mreg import mlflow:sqlite:///mlflow.db --model 'churn*'
      mreg import hf:distilbert/distilbert-base-uncased@main --as distilbert
    """
    run = invocation_of(ctx)
    scheme, _, place = source.partition(":")
    given = {"--name": name is not None, "--aliases": aliases, "--model": bool(models), "--dry-run": dry_run}
    _check_options(scheme, [option for option, is_given in given.items() if is_given])
    if scheme == "mlflow":
        with run.output.progress("import", "versions") as progress:
            report = run.registry.import_mlflow(place, models=models or (), dry_run=dry_run, progress=progress)
        _show(run, report)
    elif scheme == "hf":
        repository, _, revision = place.partition("@")
        with run.output.progress("import") as progress:
            report = run.registry.import_hub(repository, name, revision=revision, dry_run=dry_run, progress=progress)
        _show(run, report)
    else:
        with run.output.progress("import") as progress:
            imported = run.registry.import_bundle(source, name, aliases=aliases, progress=progress)
        run.output.result(imported)


_OPTIONS = {
    "mlflow": ("--model", "--dry-run"),
    "hf": ("--name", "--dry-run"),
    "": ("--name", "--aliases"),
}
"""The options of each kind of import; the empty scheme is that of a bundle."""


def _check_options(scheme: str, given: list[str]) -> None:
    """Check that the options are those of the kind of import.

    Raises:
        BadInput: An option is for another kind.
    """
    kind = scheme if scheme in _OPTIONS else ""
    for option in given:
        if option not in _OPTIONS[kind]:
            names = {"mlflow": "from MLflow", "hf": "from the Hugging Face Hub", "": "of bundles"}
            fitting = " and ".join(names[other] for other in names if option in _OPTIONS[other])
            raise BadInput(f"{option} is for imports {fitting}", hint="leave it out")


def _show(run: Invocation, report: ImportReport) -> None:
    """Print the report of an import, then note what was left out, and fail if a version failed."""
    run.output.result(report)
    for text in report.left_out:
        run.output.note(f"left out of {text}")
    concerned: dict[str, list[str]] = {}
    for entry in report.versions:
        for text in entry.left_out:
            concerned.setdefault(text, []).append(str(entry.reference or entry.source))
    for text, versions in concerned.items():
        more = f" and {len(versions) - 1:,} more" if len(versions) > 1 else ""
        run.output.note(f"left out of {versions[0]}{more}: {text}")
    failed = report.failed
    if not failed:
        return
    from mreg import errors

    codes = [entry.code for entry in failed]
    code = errors.Unavailable.code if errors.Unavailable.code in codes else codes[0]
    kinds = (
        errors.BadInput,
        errors.NotFound,
        errors.AlreadyExists,
        errors.Conflict,
        errors.Corrupt,
        errors.Unavailable,
    )
    kind = next((kind for kind in kinds if kind.code == code), errors.MregError)
    first = next(entry for entry in failed if entry.code == code)
    count = counted(len(report.versions), "version")
    again = "after the cause is removed, run the command again"
    if len(failed) < len(report.versions):
        again = f"the others were imported; {again}"
    raise kind(
        f"{len(failed):,} of {count} were not imported; {first.source}: {first.problem}",
        hint=f"{first.hint}\n{again}".lstrip(),
        failed=[entry.source for entry in failed],
    )
