"""The JSON of stage changes and deletions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, TypedDict

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


def _encode_rest_of_change(change: results.StageChange) -> dict[str, Any]:
    return {"rolled_back": change.rolled_back, "back": [encode_version(version) for version in change.back]}


def _add_rest_of_change(change: results.StageChange, rest: Any) -> results.StageChange:
    return replace(change, rolled_back=bool(rest["rolled_back"]), back=tuple(map(decode_version, rest["back"])))


def _encode_rest_of_deletion(deletion: results.Deletion) -> dict[str, Any]:
    return {"places": {str(reference): list(places) for reference, places in deletion.places.items()}}


def _add_rest_of_deletion(deletion: results.Deletion, rest: Any) -> results.Deletion:
    places = {VersionRef.parse(text): tuple(map(str, places)) for text, places in rest["places"].items()}
    return replace(deletion, places=places)


FORMS = (
    Form(
        results.StageChange,
        StageChange,
        _encode_change,
        _decode_change,
        _encode_rest_of_change,
        _add_rest_of_change,
    ),
    Form(
        results.Deletion,
        Deletion,
        _encode_deletion,
        _decode_deletion,
        _encode_rest_of_deletion,
        _add_rest_of_deletion,
    ),
)
