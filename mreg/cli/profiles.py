"""Commands for the configuration: profile, init."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from mreg.cli.completion import complete_profile
from mreg.cli.invocation import Invocation, invocation_of
from mreg.errors import Unavailable

PROFILE_COMMANDS = {
    "list": ("profiles", "list_profiles"),
    "show": ("profiles", "show_profile"),
    "use": ("profiles", "use_profile"),
    "add": ("profiles", "add_profile"),
    "check": ("profiles", "check_profile"),
}
"""The module and the name of each subcommand of ``mreg profile``."""

ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="The profile.", autocompletion=complete_profile)]


def list_profiles(ctx: typer.Context) -> None:
    """List the profiles that can be chosen, and which one is in use here.

    Examples:

    \b
      mreg profile list
    """
    from mreg.profile.load import list_profiles as entries

    run = invocation_of(ctx)
    run.output.result(
        entries(profile=run.profile, config=run.config, trust_project=run.trust_project, notice=run.notice)
    )


def show_profile(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The profile; else the one in use.", autocompletion=complete_profile),
    ] = None,
) -> None:
    """Show every value of a profile and from where it came.

    Examples:

    \b
      mreg profile show
      mreg profile show team --json
    """
    run = invocation_of(ctx)
    run.output.result(run.load_profile(name))


def use_profile(ctx: typer.Context, name: ProfileName) -> None:
    """Make a profile the default one.

    Examples:

    \b
      mreg profile use team
    """
    from mreg.profile.edit import use_profile as use

    run = invocation_of(ctx)
    file = use(name, config=run.config)
    run.output.note(f"{name} is the default now, in {file}")
    _warn_of_overrides(run)
    run.output.result(run.load_profile(name, alone=True))


def _warn_of_overrides(run: Invocation) -> None:
    from mreg.profile.load import project_here
    from mreg.results.profiles import KEYS

    project, values = project_here(os.environ, trusting=run.trust_project, notice=run.notice)
    keys = [key for key in values if key in ("profile", "catalog", "artifacts")]
    if project is not None and keys:
        run.output.warn(f"here {project.path} has its own word: {', '.join(keys)}")
    variables = [f"MREG_{key.upper()}" for key in ("profile", *KEYS) if os.environ.get(f"MREG_{key.upper()}")]
    if variables:
        run.output.warn(f"in this environment {', '.join(variables)} come first")


def add_profile(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The new profile.")],
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="PLACE",
            help="A file, s3://bucket/prefix/catalog.db, or postgresql://user@host/database.",
        ),
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option("--artifacts", metavar="PLACE", help="A folder, or s3://bucket/prefix.")
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option("--endpoint-url", metavar="URL", help="Address of an S3 store that is not AWS's."),
    ] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="NAME", help="Region of the bucket.")] = None,
    aws_profile: Annotated[
        str | None, typer.Option("--aws-profile", metavar="NAME", help="AWS profile whose credentials are used.")
    ] = None,
    addressing_style: Annotated[
        str | None, typer.Option("--addressing-style", metavar="STYLE", help="auto, path or virtual.")
    ] = None,
    cache: Annotated[
        str | None, typer.Option("--cache", metavar="SIZE|FOLDER", help="Keep what is pulled from a bucket here.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="The model of a push without one.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Who acts, in the audit trail.")] = None,
) -> None:
    """Add a profile to your profile file.

    Examples:

    \b
      mreg profile add nas --catalog /mnt/nas/mreg/catalog.db --artifacts /mnt/nas/mreg/artifacts
      mreg profile add team --artifacts s3://ml-models/registry --region eu-central-1
      mreg profile add server --catalog postgresql://mreg@db.example/mreg --artifacts s3://ml-models/registry
      mreg profile add minio --artifacts s3://models --endpoint-url https://minio.example:9000 --cache 20GB

    Credentials are never written: they come from the AWS configuration and environment. A bucket is tried for a catalog
    in it; one in which writers would overwrite each other is refused.
    """
    from mreg.profile.edit import add_profile as add

    run = invocation_of(ctx)
    given = {
        "catalog": catalog,
        "artifacts": artifacts,
        "endpoint_url": endpoint_url,
        "region": region,
        "aws_profile": aws_profile,
        "addressing_style": addressing_style,
        "cache": cache,
        "model": model,
        "user": user,
    }
    values = {key: value for key, value in given.items() if value is not None}
    reasons: list[str] = []

    def check(partial: str) -> None:
        from mreg.profile.load import load_profile
        from mreg.registry.open import wire_registry

        profile = load_profile(profile=name, config=partial, alone=True)
        if profile.catalog.startswith("s3://"):
            with wire_registry(profile, notice=run.notice) as registry:
                reasons.append(registry.refuse_unfit())

    file = add(name, values, config=run.config, check=check)
    for reason in filter(None, reasons):
        run.output.warn(f"the bucket was not tried for the catalog: {reason}")
    run.output.note(f"added to {file}; mreg profile use {name} makes it the default")
    run.output.result(run.load_profile(name, alone=True))


def check_profile(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The profile; else the one in use.", autocompletion=complete_profile),
    ] = None,
) -> None:
    """Try all that mreg does with the catalog and the artifact store, and say what works and what the store lacks.

    A probe is written, read and removed; of the catalog nothing changes.

    Examples:

    \b
      mreg profile check
      mreg profile check team
    """
    run = invocation_of(ctx)
    run.profile = name or run.profile
    checks = run.registry.check()
    run.output.result(checks)
    failed = next((check for check in checks if check.error), None)
    if failed is not None:
        raise Unavailable(failed.error, hint=failed.hint)


def init(
    ctx: typer.Context,
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model of this folder.")] = "",
    local: Annotated[bool, typer.Option("--local", help="Keep catalog and artifacts in this folder's .mreg.")] = False,
) -> None:
    """Make an mreg.yaml here, by which mreg knows this project's model and store.

    Examples:

    \b
      mreg init --model classifier
      mreg init --local
    """
    from mreg.profile.edit import init_project

    run = invocation_of(ctx)
    run.load_profile(alone=True)  # fails if the profile does not exist, before the file is written
    file = init_project(os.getcwd(), model=model, profile=run.profile or "", local=local)
    run.output.note(f"made {file}")
    run.output.result(run.load_profile())
