"""Upkeep: the operations of a registry that look after it, each in its own module behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mreg.registry.serving import Serving

if TYPE_CHECKING:
    from datetime import timedelta

    from mreg.domain.names import VersionRef
    from mreg.results.upkeep import CatalogCopy, Check, Finding, Garbage, Upgrade, Verification


class Upkeep(Serving):
    """What `mreg.Registry` does for itself."""

    def verify(
        self,
        reference: VersionRef | str | None = None,
        *,
        sample: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Verification:
        """Read bytes against their digests, all or a version's; see `mreg.registry.verify.verify`."""
        from mreg.registry.verify import verify

        return verify(self._session, reference, sample=sample, progress=progress)

    def collect(
        self, *, grace: timedelta | None = None, remove: bool = False, seen: Collection[Garbage] | None = None
    ) -> tuple[Garbage, ...]:
        """What nothing needs in the store, and remove it if asked; see `mreg.registry.gc.collect`."""
        from mreg.registry.gc import GRACE, collect

        return collect(self._session, grace=GRACE if grace is None else grace, remove=remove, seen=seen)

    def check(self) -> tuple[Check, ...]:
        """Whether catalog and store can be used; see `mreg.registry.check.check`."""
        from mreg.registry.check import check

        return check(self._session)

    def refuse_unfit(self) -> str:
        """Try the conditions of a catalog in a bucket; see `mreg.registry.check.refuse_unfit`."""
        from mreg.registry.check import refuse_unfit

        return refuse_unfit(self._session)

    def examine(self) -> tuple[Finding, ...]:
        """Look at all that can go wrong, each finding with its remedy; see `mreg.registry.doctor.examine`."""
        from mreg.registry.doctor import examine

        return examine(self._session)

    def backup(self, file: str | os.PathLike[str], *, force: bool = False) -> CatalogCopy:
        """Write the catalog into a file; see `mreg.registry.backup.backup`."""
        from mreg.registry.backup import backup

        return backup(self._session, file, force=force)

    def restore(self, file: str | os.PathLike[str]) -> CatalogCopy:
        """Make the catalog what a backup says; see `mreg.registry.backup.restore`."""
        from mreg.registry.backup import restore

        return restore(self._session, file)

    def upgrade(self, *, dry_run: bool = False) -> Upgrade:
        """Bring an older catalog to this release's schema; see `mreg.registry.upgrade.upgrade`."""
        from mreg.registry.upgrade import upgrade

        return upgrade(self._session, dry_run=dry_run)

    def copy_catalog(self, other: Upkeep) -> CatalogCopy:
        """Copy the catalog to the empty one of another registry; see `mreg.registry.backup.copy_catalog`."""
        from mreg.registry.backup import copy_catalog

        return copy_catalog(self._session, other._session)
