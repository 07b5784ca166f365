"""Commands for a whole catalog: backup, restore, upgrade, catalog copy."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_profile
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Yes


def backup(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    """Write a backup of the catalog.

    The catalog can be in use. The backup has no artifacts.

    Examples:
      mreg backup catalog-2026-03-01.db
      mreg backup /mnt/backup/mreg.db --force
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.backup(file, force=force))


def restore(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Backup, written by mreg backup.")],
    with_tokens: Annotated[
        bool, typer.Option("--with-tokens", help="Restore the tokens of the server's clients if the catalog lost them.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Restore the catalog from a backup.

    Changes made after the backup are lost. A damaged catalog is renamed and kept. The tokens of the server's clients
    stay unchanged: a token that was revoked after the backup stays revoked. The command asks for confirmation.

    Examples:
      mreg restore catalog-2026-03-01.db
      mreg restore catalog-2026-03-01.db --yes
    """
    run = invocation_of(ctx)
    registry = run.local_registry("restore a backup")
    registry.check_backup(file)
    run.output.confirm(f"replace the catalog {registry.profile.catalog} by {file}?", yes=yes)
    done = registry.restore(file, with_tokens=with_tokens)
    if done.set_aside:
        run.output.warn(f"the damaged catalog is at {done.set_aside}")
    run.output.result(done)
    run.output.note("mreg verify tells whether the bytes of all its versions are there")


def upgrade(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--check", "--dry-run", help="Show the changes of an upgrade and make none.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Upgrade the catalog of an older release.

    The command makes a backup next to the catalog first. Older releases of mreg cannot use the catalog afterwards. The
    command asks for confirmation, and refuses while an older release is known to use the catalog.

    Examples:
      mreg upgrade --check
      mreg upgrade
      mreg upgrade --yes --json
    """
    run = invocation_of(ctx)
    registry = run.local_registry("upgrade the catalog")
    found = registry.upgrade(dry_run=True)
    if dry_run or not found.migrations:
        run.output.result(found)
        return
    for migration in found.migrations:
        run.output.note(f"schema {migration.schema} adds {migration.adds}")
    if found.caution:
        run.output.note(found.caution)
    run.output.confirm(
        f"upgrade the catalog {found.place} from schema {found.schema} to {found.target}, which older releases refuse?",
        yes=yes,
    )
    run.output.result(registry.upgrade())


def copy_catalog(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option("--from-profile", metavar="NAME", help="Profile of the catalog.", autocompletion=complete_profile),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to-profile", metavar="NAME", help="Profile of the new, empty catalog.", autocompletion=complete_profile
        ),
    ],
    with_artifacts: Annotated[
        bool, typer.Option("--with-artifacts", help="Copy the artifacts to the store of the new profile, too.")
    ] = False,
) -> None:
    """Copy a catalog to a file, a bucket or PostgreSQL.

    Every row is compared after the copy. The artifacts stay in their store, or are copied first, each verified by its
    SHA-256. An interrupted copy registers nothing; repeat the command to copy what is missing. Use only one of two
    catalogs of one store afterwards: mreg gc of one would remove the artifacts that only the other one needs.

    Examples:
      mreg catalog copy --from-profile local --to-profile team
      mreg catalog copy --from-profile local --to-profile team --with-artifacts
    """
    from mreg.profile.load import load_profile
    from mreg.registry.open import open_local

    run = invocation_of(ctx)
    from_profile = run.load_profile(source)
    to_profile = load_profile(profile=target, config=run.config, trust_project=run.trust_project)  # the same notices
    for profile in (from_profile, to_profile):
        if profile.server:
            from mreg.registry.remote_refusals import cannot_copy

            raise cannot_copy(profile, source, target)
    with (
        open_local(from_profile, notice=run.notice) as registry,
        open_local(to_profile, notice=run.notice) as other,
    ):
        with run.output.progress("copy") as progress:
            copied = registry.copy_catalog(other, with_artifacts=with_artifacts, progress=progress)
        run.output.result(copied)
        run.output.note(f"use --profile {target} from now on, or make it the default: mreg profile use {target}")


CATALOG_COMMANDS = {"copy": ("catalog", "copy_catalog", "Copy a catalog to a file, a bucket or PostgreSQL.")}
