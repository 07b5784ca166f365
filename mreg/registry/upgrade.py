"""Bring the catalog of an older release to this release's schema, with a backup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.catalog.schema import BRINGS, SCHEMA
from mreg.registry.backup import place_of

if TYPE_CHECKING:
    from mreg.registry.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of an upgrade.

    Attributes:
        schema: Its number.
        adds: What the catalog has after it.
    """

    schema: int
    adds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """An upgrade of a catalog, planned or done.

    Attributes:
        place: Where the catalog is.
        schema: Its schema before.
        target: The schema of this release.
        migrations: The steps from the one to the other; empty if there is nothing to do.
        others: Active clients that could be older, a line each; the upgrade refuses while there are any.
        caution: What the engine cannot know about other clients.
        backup: Where the backup is; empty unless the upgrade was done.
    """

    place: str
    schema: int
    target: int
    migrations: tuple[Migration, ...]
    others: tuple[str, ...] = ()
    caution: str = ""
    backup: str = ""


def upgrade(session: Session, *, dry_run: bool = False) -> Upgrade:
    """Upgrade the catalog in one transaction, after a backup next to it.

    Args:
        dry_run: Only look at what would be done.

    Raises:
        Conflict: An active client could be older; nothing was changed.
        Unavailable: The catalog can't be reached or written, or has a newer schema.
    """
    found = session.catalog.check_upgrade()
    backup = "" if dry_run or found.schema == SCHEMA else session.catalog.upgrade()
    return Upgrade(
        place=place_of(session),
        schema=found.schema,
        target=SCHEMA,
        migrations=tuple(Migration(schema=one, adds=BRINGS[one]) for one in range(found.schema + 1, SCHEMA + 1)),
        others=() if backup else found.others,
        caution=found.caution,
        backup=backup,
    )
