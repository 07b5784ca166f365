"""Stage changes and deletions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mreg.domain.model import ModelStage, ModelVersion
    from mreg.domain.names import VersionRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """The outcome of a stage change.

    Attributes:
        version: The present state of the version.
        before: The stage that the version was in; equal to its present stage if nothing had to be done.
        archived: The versions that had to leave the stage for it and are still archived.
        rolled_back: Whether a hook failed and the change was rolled back.
        back: The versions that are in the stage again because of that. Not part of the JSON form.
    """

    version: ModelVersion
    before: ModelStage
    archived: tuple[VersionRef, ...] = ()
    rolled_back: bool = False
    back: tuple[ModelVersion, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything had to be done."""
        return self.version.stage is not self.before or bool(self.archived) or self.rolled_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """A deletion, planned or done.

    Attributes:
        reference: The model or version.
        versions: Every version that it deletes, oldest first.
        places: By version, the stage in use (Staging or Production) and the aliases that it has. Not part of the JSON
            form.
    """

    reference: VersionRef
    versions: tuple[VersionRef, ...]
    places: Mapping[VersionRef, tuple[str, ...]] = field(default_factory=dict)
