"""Commands for a whole catalog: backup, restore, upgrade, catalog copy."""

from __future__ import annotations

from typing import Annotated

import typer

from mreg.cli.completion import complete_profile
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Yes


def backup(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write the whole catalog into one file, also while it is in use; the artifacts are not in it.

    Examples:

    \b
      mreg backup catalog-2026-03-01.db
      mreg backup /mnt/backup/mreg.db --force
    """
    run = invocation_of(ctx)
    run.output.result(run.registry.backup(file, force=force))


def restore(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What mreg backup wrote.")],
    yes: Yes = False,
) -> None:
    """Make the catalog what it was at a backup; what came after it is gone. Asks first.

    A damaged catalog is set aside, not removed.

    Examples:

    \b
      mreg restore catalog-2026-03-01.db
      mreg restore catalog-2026-03-01.db --yes
    """
    run = invocation_of(ctx)
    run.output.confirm(f"replace the catalog {run.registry.profile.catalog} by {file}?", yes=yes)
    done = run.registry.restore(file)
    if done.set_aside:
        run.output.warn(f"the damaged catalog is at {done.set_aside}")
    run.output.result(done)
    run.output.note("mreg verify tells whether the bytes of all its versions are there")


def upgrade(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--check", "--dry-run", help="Show what an upgrade changes; change nothing.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Upgrade the catalog of an older mreg to this one.

    Makes a backup next to the catalog first. After the upgrade an older mreg cannot use the catalog. Asks first, and
    refuses while an older mreg is known to use it.

    Examples:

    \b
      mreg upgrade --check
      mreg upgrade
      mreg upgrade --yes --json
    """
    run = invocation_of(ctx)
    found = run.registry.upgrade(dry_run=True)
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
    run.output.result(run.registry.upgrade())


def copy_catalog(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Option(
            "--from-profile", metavar="NAME", help="The profile of the catalog.", autocompletion=complete_profile
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            "--to-profile", metavar="NAME", help="The profile of the empty place.", autocompletion=complete_profile
        ),
    ],
) -> None:
    """Copy a catalog to another place of any kind: a file, a bucket, PostgreSQL. Every row is compared.

    The artifacts stay where they are. Use one of the two from then on: each would take what only the other knows for
    garbage.

    Examples:

    \b
      mreg catalog copy --from-profile local --to-profile team
    """
    from mreg.registry.open import open_registry

    run = invocation_of(ctx)
    trust_project, notice = run.trust_project, run.notice
    with (
        open_registry(source, config=run.config, trust_project=trust_project, notice=notice) as registry,
        open_registry(target, config=run.config, trust_project=trust_project) as other,  # the notices are the same
    ):
        run.output.result(registry.copy_catalog(other))
        run.output.note(f"use --profile {target} from now on, or make it the default: mreg profile use {target}")


CATALOG_COMMANDS = {"copy": ("catalog", "copy_catalog")}
