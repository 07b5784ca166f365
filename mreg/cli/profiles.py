"""Commands for the configuration: profile, init."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from mreg.cli.completion import complete_profile, one_of
from mreg.cli.invocation import Invocation, invocation_of
from mreg.cli.options import Yes
from mreg.errors import BadInput, MregError, Unavailable

if TYPE_CHECKING:
    from mreg.results.profiles import Profile

PROFILE_COMMANDS = {
    "list": ("profiles", "list_profiles", "List the profiles and mark the active one."),
    "show": ("profiles", "show_profile", "Show the values of a profile with their origins."),
    "use": ("profiles", "use_profile", "Make a profile the default."),
    "add": ("profiles", "add_profile", "Add a profile to your profile file."),
    "remove": ("profiles", "remove_profile", "Remove a profile from your profile file."),
    "check": ("profiles", "check_profile", "Check what the catalog and the artifact store support."),
}
"""The module, the name and the first line of help of each subcommand of ``mreg profile``."""

ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="Profile.", autocompletion=complete_profile)]


def list_profiles(ctx: typer.Context) -> None:
    """List the profiles and mark the active one.

    Examples:
      mreg profile list
    """
    from mreg.profile.load import list_profiles as entries

    run = invocation_of(ctx)
    listed = entries(profile=run.profile, config=run.config, trust_project=run.trust_project, notice=run.notice)
    with suppress(MregError):  # an invalid profile is listed, too
        active = run.load_profile()
        if active.overridden_by:
            run.output.note(f"{active.overridden_by} names the registry: {active.server or active.catalog} is used")
    run.output.result(listed)


def show_profile(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Profile (default: the active one).", autocompletion=complete_profile),
    ] = None,
) -> None:
    """Show the values of a profile with their origins.

    The origin of a value is an option, a variable, mreg.yaml, the profile file or the default. With a server, the
    origin of its token is shown, but not the token.

    Examples:
      mreg profile show
      mreg profile show team --json
    """
    from mreg.profile.server import check_token_has_server

    run = invocation_of(ctx)
    profile = run.load_profile(name)
    try:
        check_token_has_server(profile, None, os.environ)
    except BadInput as error:
        run.output.warn(f"commands fail here: {error.message}")
    run.output.result(_with_token_source(run, profile))


def _with_token_source(run: Invocation, profile: Profile) -> Profile:
    """Return a profile with the origin of the token for its server, empty if there is no token."""
    if not profile.server:
        return profile
    from mreg.profile.credentials import source_of_token

    try:
        source = source_of_token(profile)
    except MregError as error:
        run.output.warn(error.message)
        return profile
    return profile.with_origin("token", source)


def _written(run: Invocation, name: str, file: str) -> Profile:
    """Return a profile as the profile file has it now."""
    from mreg.profile.load import read_profiles

    default = read_profiles(file, required=False).default
    origin = default[1] if default is not None and default[0] == name else file
    return _with_token_source(run, run.load_profile(name, alone=True).with_origin("name", origin))


def use_profile(ctx: typer.Context, name: ProfileName) -> None:
    """Make a profile the default.

    Examples:
      mreg profile use team
    """
    from mreg.profile.edit import use_profile as use

    run = invocation_of(ctx)
    file = use(name, config=run.config)
    run.output.note(f"{name} is the default now, in {file}")
    _warn_of_overrides(run)
    run.output.result(_written(run, name, file))


def _warn_of_overrides(run: Invocation) -> None:
    from mreg.profile.load import project_here
    from mreg.results.profiles import KEYS

    project, values = project_here(os.environ, trusting=run.trust_project, notice=run.notice)
    keys = [key for key in values if key in ("profile", "server", "catalog", "artifacts")]
    if project is not None and keys:
        run.output.warn(f"here {project.path} has its own word: {', '.join(keys)}")
    variables = [f"MREG_{key.upper()}" for key in ("profile", *KEYS) if os.environ.get(f"MREG_{key.upper()}")]
    if variables:
        run.output.warn(f"set in the environment, so they override the profile: {', '.join(variables)}")


def add_profile(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new profile.")],
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="URL of mreg serve, instead of a catalog and artifacts: https://HOST.",
            rich_help_panel="Registry",
        ),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="PLACE",
            help="Catalog: file, s3://BUCKET/PREFIX/catalog.db, az://CONTAINER/PREFIX/catalog.db, "
            "postgresql://USER@HOST/DATABASE or redis://HOST:PORT/DATABASE.",
            rich_help_panel="Registry",
        ),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option(
            "--artifacts",
            metavar="PLACE",
            help="Artifact store: folder, s3://BUCKET/PREFIX or az://CONTAINER/PREFIX.",
            rich_help_panel="Registry",
        ),
    ] = None,
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url",
            metavar="URL",
            help="Address of an S3 store other than AWS, or of an Azure storage account.",
            rich_help_panel="S3",
        ),
    ] = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="NAME", help="Region of the bucket.", rich_help_panel="S3")
    ] = None,
    aws_profile: Annotated[
        str | None,
        typer.Option(
            "--aws-profile",
            metavar="NAME",
            help="Profile of the AWS configuration with the credentials.",
            rich_help_panel="S3",
        ),
    ] = None,
    addressing_style: Annotated[
        str | None,
        typer.Option(
            "--addressing-style",
            metavar="STYLE",
            help="Style of bucket addresses: auto, path or virtual.",
            autocompletion=one_of("auto", "path", "virtual"),
            rich_help_panel="S3",
        ),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache",
            metavar="SIZE|FOLDER",
            help="Pull cache for a bucket or server: size such as 20GB, or folder.",
            rich_help_panel="Registry",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Model of a push without --name.", rich_help_panel="Registry"),
    ] = None,
    existing_only: Annotated[
        bool, typer.Option("--existing-only", help="Pushes never register a new model.", rich_help_panel="Registry")
    ] = False,
    user: Annotated[
        str | None, typer.Option("--user", metavar="NAME", help="User in the audit trail.", rich_help_panel="Registry")
    ] = None,
) -> None:
    """Add a profile to your profile file.

    Credentials are never written: they come from mreg login, the AWS configuration, az login and the environment. A
    bucket for the catalog is tested first, and refused if writers would overwrite each other.

    Examples:
      mreg profile add team --server https://models.example
      mreg profile add nas --catalog /mnt/nas/mreg/catalog.db
      mreg profile add team --artifacts s3://ml-models/registry --cache 20GB
      mreg profile add server --catalog postgresql://mreg@db.example/mreg \\
        --artifacts s3://ml-models/registry
      mreg profile add cache --catalog redis://cache.example:6379/0 \\
        --artifacts s3://ml-models/registry
      mreg profile add azure \\
        --artifacts abfss://ml-models@mlteam.dfs.core.windows.net/registry
      mreg profile add minio --artifacts s3://models \\
        --endpoint-url https://minio.example:9000
    """
    from mreg.profile.edit import add_profile as add

    run = invocation_of(ctx)
    given = {
        "server": server,
        "catalog": catalog,
        "artifacts": artifacts,
        "endpoint_url": endpoint_url,
        "region": region,
        "aws_profile": aws_profile,
        "addressing_style": addressing_style,
        "cache": cache,
        "model": model,
        "existing_only": "true" if existing_only else None,
        "user": user,
    }
    values = {key: value for key, value in given.items() if value is not None}
    other = next((key for key in ("catalog", "artifacts") if key in values), "")
    if server is not None and other:
        raise BadInput(
            f"--server and --{other} exclude each other",
            hint="leave one of them out: a server has its own catalog and artifacts",
        )
    reasons: list[str] = []

    def check(partial: str) -> None:
        from mreg.domain.buckets import is_bucket
        from mreg.profile.load import load_profile
        from mreg.registry.open import open_local

        profile = load_profile(profile=name, config=partial, alone=True)
        if profile.server:
            return
        with open_local(profile, notice=run.notice) as registry:
            registry.check_places()
            if is_bucket(profile.catalog):
                reasons.append(registry.refuse_unfit())

    file = add(name, values, config=run.config, check=check)
    for reason in filter(None, reasons):
        run.output.warn(f"the profile was added, but its bucket could not be tried: {reason}")
        run.output.warn(f"once the bucket can be reached, try it: mreg profile check {name}")
    run.output.note(f"added to {file}; mreg profile use {name} makes it the default")
    made = _written(run, name, file)
    if made.origins.get("token") == "":
        run.output.note(f"no token is saved for this server yet: mreg login {made.server}")
    run.output.result(made)


def remove_profile(ctx: typer.Context, name: ProfileName, yes: Yes = False) -> None:
    """Remove a profile from your profile file.

    The registry of the profile is not changed: its catalog and its artifacts stay. The command asks for confirmation.

    Examples:
      mreg profile remove team
      mreg profile remove team --yes
    """
    from mreg.profile.edit import check_removable, remove_profile
    from mreg.profile.load import BUILT_IN, list_profiles

    run = invocation_of(ctx)
    check_removable(name, config=run.config)
    run.output.confirm(f"remove the profile {name} from your profile file?", yes=yes)
    removed = remove_profile(name, config=run.config)
    run.output.note(f"removed {name} from {removed.file}; its catalog and its artifacts were not deleted")
    if removed.was_default:
        run.output.warn(f"{name} was the default; now it is {BUILT_IN}; to choose another: mreg profile use NAME")
    _warn_of_uses(run, name)
    run.output.result(list_profiles(profile=BUILT_IN, config=run.config, trust_project=run.trust_project))


def _warn_of_uses(run: Invocation, name: str) -> None:
    """Warn of a variable or a project file that still names a removed profile."""
    from mreg.profile.load import project_here

    if os.environ.get("MREG_PROFILE") == name:
        run.output.warn(f"MREG_PROFILE still names {name}: unset MREG_PROFILE")
    project, values = project_here(os.environ, trusting=run.trust_project)
    if project is not None and values.get("profile", ("",))[0] == name:
        run.output.warn(f"{values['profile'][1]} still names {name}")


def check_profile(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Profile (default: the active one).", autocompletion=complete_profile),
    ] = None,
) -> None:
    """Check what the catalog and the artifact store support.

    With a server, the connection, the token, the release of the server and the clocks are checked; a token with role
    admin also has the server check its catalog and artifact store.

    A probe is written to the store, read and removed. The catalog is not changed. Latency and throughput are those of a
    few small requests, so they show a slow store or network. The exit code is 8 if a check fails.

    Examples:
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
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Model of a push without --name.")] = "",
    local: Annotated[
        bool, typer.Option("--local", help="Keep the catalog and the artifacts in the folder .mreg.")
    ] = False,
) -> None:
    """Create a project file (mreg.yaml).

    The project file names the model and the store of this folder and of the folders in it.

    Examples:
      mreg init --model churn
      mreg init --local
    """
    from mreg.profile.edit import init_project

    run = invocation_of(ctx)
    run.load_profile(alone=True)  # fails if the profile does not exist, before the file is written
    file = init_project(os.getcwd(), model=model, profile=run.profile or "", local=local)
    run.output.note(f"made {file}")
    run.output.result(_with_token_source(run, run.load_profile()))
