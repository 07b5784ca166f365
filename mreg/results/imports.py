"""Imports from the registries of other tools."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mreg.domain.model import ModelStage
from mreg.domain.value import Result, Value

if TYPE_CHECKING:
    from mreg.domain.names import ModelName, VersionRef


class ImportStatus(Enum):
    """Outcome of one version of an import.

    ``PRESENT`` is a version that an earlier import added, ``DELETED`` one that was deleted here since, ``PLANNED`` one
    that a dry run would add.
    """

    ADDED = "added"
    PRESENT = "present"
    DELETED = "deleted"
    PLANNED = "planned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportEntry(Value):
    """A version of another registry after its import.

    Attributes:
        source: The version there, such as ``churn/3``; the model, if its versions cannot be listed.
        reference: The version here; None if it was not added.
        stage: Stage here; in a dry run, the stage that it would enter.
        aliases: Aliases of the other registry that name the version here; in a dry run, also those that would name it.
        left_out: Values that were not imported, each with the reason.
        size_bytes: Size of the artifact, 0 if it was not read.
        problem: Reason of a failure.
        code: Code of the failure; see `mreg.MregError`.
    """

    source: str
    reference: VersionRef | None = None
    status: ImportStatus
    stage: ModelStage = ModelStage.NONE
    aliases: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    size_bytes: int = 0
    problem: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport(Result):
    """The result of an import from another registry.

    Attributes:
        source: The other registry, without credentials.
        dry_run: Whether nothing was changed.
        models: The models here that it has versions of, or that it registered.
        left_out: Values of models that were not imported, each with the reason.
        versions: The versions of the other registry, by model and number.
    """

    source: str
    dry_run: bool = False
    models: tuple[ModelName, ...] = ()
    left_out: tuple[str, ...] = ()
    versions: tuple[ImportEntry, ...] = ()

    @property
    def failed(self) -> tuple[ImportEntry, ...]:
        """The versions that were not imported."""
        return tuple(entry for entry in self.versions if entry.status is ImportStatus.FAILED)
