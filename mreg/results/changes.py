"""Stage changes and deletions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mreg.domain.value import Result, short_repr

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange(Result):
    """The result of a stage change.

    Attributes:
        version: The version after the change and its hooks.
        before: Stage of the version before; the same as the current stage if nothing changed.
        archived: Versions that left the stage for this version and are still archived.
        rolled_back: Whether a hook failed and the change was rolled back.
        back: Versions in the stage after the rollback. Not part of the JSON form.
    """

    version: ModelVersion
    before: ModelStage
    archived: tuple[VersionRef, ...] = ()
    rolled_back: bool = False
    back: tuple[ModelVersion, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether the operation changed anything."""
        return self.version.stage is not self.before or bool(self.archived) or self.rolled_back

    def __repr__(self) -> str:
        return short_repr(self, self.version.reference, self.before.value, "->", self.version.stage.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion(Result):
    """A deletion, done or planned.

    Attributes:
        reference: The model or version.
        versions: The deleted versions, oldest first.
        places: The stage (only Staging or Production) and the aliases of each version that has any. Not part of the
            JSON form.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    places: Mapping[VersionRef, tuple[str, ...]] = field(default_factory=dict)
