"""The JSON of stage changes and deletions."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.domain.model import ModelStage
from mreg.domain.names import VersionRef
from mreg.results import changes as results
from mreg.wire import Form, Stage
from mreg.wire.models import ModelVersion, decode_version, encode_version


class StageChange(ModelVersion):
    """A version after a stage change and its hooks."""

    previous_stage: Annotated[Stage, "stage before the change"]
    changed: Annotated[
        bool, "whether anything had to be done; also true if a hook failed and the change was rolled back"
    ]
    archived: Annotated[list[str], "references that had to leave the stage and are still archived"]


class Deletion(TypedDict):
    """A deletion, planned or done."""

    reference: Annotated[str, "model or version that was named"]
    versions: Annotated[list[str], "references of the versions that it deletes"]


def _encode_change(change: results.StageChange) -> StageChange:
    return {
        **encode_version(change.version),
        "previous_stage": change.before.value,
        "changed": change.changed,
        "archived": [str(reference) for reference in change.archived],
    }


def _decode_change(shape: StageChange) -> results.StageChange:
    version, before = decode_version(shape), ModelStage(shape["previous_stage"])
    archived = tuple(map(VersionRef.parse, shape["archived"]))
    rolled_back = shape["changed"] and version.stage is before and not archived
    return results.StageChange(version=version, before=before, archived=archived, rolled_back=rolled_back)


def _encode_deletion(deletion: results.Deletion) -> Deletion:
    return {"reference": str(deletion.reference), "versions": [str(reference) for reference in deletion.versions]}


def _decode_deletion(shape: Deletion) -> results.Deletion:
    return results.Deletion(
        reference=VersionRef.parse(shape["reference"]), versions=tuple(map(VersionRef.parse, shape["versions"]))
    )


FORMS = (
    Form(results.StageChange, StageChange, _encode_change, _decode_change),
    Form(results.Deletion, Deletion, _encode_deletion, _decode_deletion),
)
