"""Upgrade the catalog of an older release to this release's schema, with a backup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.schema import BRINGS, SCHEMA
from mreg.registry.backup import place_of
from mreg.results.upkeep import Migration, Upgrade

if TYPE_CHECKING:
    from mreg.registry.session import Session


def upgrade(session: Session, *, dry_run: bool = False) -> Upgrade:
    """See `mreg.Registry.upgrade`."""
    session.scope.check_unlimited("upgrade the catalog")
    found = session.catalog.check_upgrade()
    backup = "" if dry_run or found.schema == SCHEMA else session.catalog.upgrade()
    return Upgrade(
        place=place_of(session),
        schema=found.schema,
        target=SCHEMA,
        migrations=tuple(Migration(schema=step, adds=BRINGS[step]) for step in range(found.schema + 1, SCHEMA + 1)),
        others=() if backup else found.others,
        caution=found.caution,
        backup=backup,
    )
