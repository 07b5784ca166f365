"""The JSON of imports from other registries."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from mreg.domain.model import ModelStage
from mreg.domain.names import ModelName, VersionRef
from mreg.results import imports as results
from mreg.wire import Form, Stage

Status = Literal["added", "present", "deleted", "planned", "failed"]


class ImportEntry(TypedDict):
    """A version of another registry after its import."""

    source: Annotated[str, "the version there; the model, if its versions cannot be listed"]
    reference: Annotated[str | None, "reference here, or null"]
    status: Annotated[
        Status,
        "`added` or `failed`; `present`: imported before; `deleted`: imported before, then deleted; "
        "`planned`: by a dry run",
    ]
    stage: Annotated[Stage, "stage here; in a dry run, the stage that it would enter"]
    aliases: Annotated[list[str], "aliases of the other registry that name the version here, or would name it"]
    left_out: Annotated[list[str], "values that were not imported, each with the reason"]
    size_bytes: Annotated[int, "size of the artifact, 0 if it was not read"]
    problem: Annotated[str | None, "reason of a failure, or null"]
    code: Annotated[str | None, "code of the failure, or null: see [Exit codes](exit-codes.md)"]


class ImportReport(TypedDict):
    """The outcome of an import from another registry."""

    source: Annotated[str, "the other registry"]
    dry_run: Annotated[bool, "whether nothing was changed"]
    models: Annotated[list[str], "models here"]
    left_out: Annotated[list[str], "values of models that were not imported, each with the reason"]
    versions: Annotated[list[ImportEntry], "by model and number: see ImportEntry"]


def _encode(report: results.ImportReport) -> ImportReport:
    return {
        "source": report.source,
        "dry_run": report.dry_run,
        "models": [str(model) for model in report.models],
        "left_out": list(report.left_out),
        "versions": [
            {
                "source": entry.source,
                "reference": str(entry.reference) if entry.reference else None,
                "status": entry.status.value,
                "stage": entry.stage.value,
                "aliases": list(entry.aliases),
                "left_out": list(entry.left_out),
                "size_bytes": entry.size_bytes,
                "problem": entry.problem or None,
                "code": entry.code or None,
            }
            for entry in report.versions
        ],
    }


def _decode(shape: ImportReport) -> results.ImportReport:
    return results.ImportReport(
        source=shape["source"],
        dry_run=shape["dry_run"],
        models=tuple(map(ModelName, shape["models"])),
        left_out=tuple(shape["left_out"]),
        versions=tuple(
            results.ImportEntry(
                source=entry["source"],
                reference=VersionRef.parse(entry["reference"]) if entry["reference"] else None,
                status=results.ImportStatus(entry["status"]),
                stage=ModelStage(entry["stage"]),
                aliases=tuple(entry["aliases"]),
                left_out=tuple(entry["left_out"]),
                size_bytes=entry["size_bytes"],
                problem=entry["problem"] or "",
                code=entry["code"] or "",
            )
            for entry in shape["versions"]
        ),
    )


FORMS = (Form(results.ImportReport, ImportReport, _encode, _decode),)
