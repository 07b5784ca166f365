"""The JSON of the maintenance commands."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.domain.names import VersionRef
from mreg.results import upkeep as results
from mreg.wire import Form, decode_time


class Check(TypedDict):
    """The outcome of one attempt to use the catalog or the store."""

    name: Annotated[str, "attempt"]
    place: Annotated[str, "path or URL"]
    ok: Annotated[bool, "whether it worked"]
    error: Annotated[str | None, "failure, or null"]
    hint: Annotated[str | None, "remedy, or null"]
    lacks: Annotated[str | None, "feature that the place does not have and mreg does without, or null"]
    latency_seconds: Annotated[float | None, "median duration of a small read, or null"]
    upload_bytes_per_second: Annotated[float | None, "throughput of a small upload, or null"]
    download_bytes_per_second: Annotated[float | None, "throughput of a small download, or null"]


class Garbage(TypedDict):
    """An unfinished upload or unreferenced blob in the artifact store."""

    kind: Annotated[
        str,
        "`unfinished` (left by a killed push, probe or upload to a server) or `unreferenced` (a blob of no version)",
    ]
    place: Annotated[str, "artifact store, or the catalog if the object is next to it"]
    name: Annotated[str, "name in the store"]
    size_bytes: Annotated[int, "bytes that arrived"]
    modified: Annotated[str, "time at which the last bytes arrived"]
    removed: Annotated[bool, "whether it was removed"]


class BlobProblem(TypedDict):
    """A damaged or missing blob that versions need."""

    checksum: Annotated[str, "SHA-256 of the blob"]
    problem: Annotated[str, "`missing`, `damaged` or `unreadable`"]
    message: Annotated[str, "text"]
    hint: Annotated[str | None, "remedy, or null"]
    versions: Annotated[list[str], "references of versions that need it, not all of them"]


class Verification(TypedDict):
    """The outcome of verifying stored bytes."""

    artifacts: Annotated[int, "number of verified artifacts"]
    all_artifacts: Annotated[int, "number of all artifacts; `--sample` verifies fewer"]
    blobs: Annotated[int, "number of verified blobs"]
    size_bytes: Annotated[int, "bytes that were read"]
    problems: Annotated[list[BlobProblem], "problems: see BlobProblem"]
    unreferenced: Annotated[
        int | None, "number of blobs of no version; null if they were not counted, as for a sample or a reference"
    ]
    unreferenced_bytes: Annotated[int | None, "their size, or null"]


class Finding(TypedDict):
    """The outcome of one examination."""

    name: Annotated[str, "examination"]
    place: Annotated[str, "path or URL"]
    state: Annotated[str, "`fine`, `note` (works, but worth knowing), `damaged` or `unreachable`"]
    message: Annotated[str | None, "finding, or null"]
    remedy: Annotated[str | None, "next step, or null"]


class CopiedFile(TypedDict):
    """A file of a pulled copy that differs from the version."""

    path: Annotated[str, "path in the folder; name of an artifact that is one file; an empty folder ends in /"]
    state: Annotated[str, "`missing`, `changed`, `extra` (not in the version) or `unreadable`"]
    reason: Annotated[str | None, "details, or null"]


class CopyVerification(TypedDict):
    """The result of comparing a pulled copy with its version."""

    reference: Annotated[str, "version"]
    path: Annotated[str, "absolute path of the file or folder"]
    files: Annotated[int, "number of files of the version that were compared"]
    size_bytes: Annotated[int, "their size"]
    problems: Annotated[list[CopiedFile], "files that differ: see CopiedFile"]


class CatalogCopy(TypedDict):
    """A catalog that was copied."""

    source: Annotated[str, "catalog that was copied"]
    target: Annotated[str, "copy"]
    rows: Annotated[int, "rows that were copied and compared one by one"]
    events: Annotated[int, "events in the audit trail of the copy"]
    last_hash: Annotated[str | None, "hash of the last event, or null"]
    set_aside: Annotated[str | None, "new place of the damaged catalog that the copy replaced, or null"]
    blobs: Annotated[int, "blobs that were copied, too"]
    size_bytes: Annotated[int, "size of these blobs"]


class Migration(TypedDict):
    """One step of an upgrade."""

    schema: Annotated[int, "number of the schema after the step"]
    adds: Annotated[str, "what the schema adds"]


class Upgrade(TypedDict):
    """An upgrade of the catalog, planned or done."""

    place: Annotated[str, "path or URL of the catalog"]
    schema: Annotated[int, "number of its schema before the upgrade"]
    target: Annotated[int, "number of the schema of this release"]
    migrations: Annotated[list[Migration], "steps: see Migration; empty if there is nothing to upgrade"]
    others: Annotated[list[str], "active clients that could be older, a text each"]
    caution: Annotated[str | None, "what cannot be known about other clients, or null"]
    backup: Annotated[str | None, "path of the backup; null if nothing was upgraded"]


def _encode_check(check: results.Check) -> Check:
    return {
        "name": check.name,
        "place": check.place,
        "ok": not check.error,
        "error": check.error or None,
        "hint": check.hint or None,
        "lacks": check.lacks or None,
        "latency_seconds": check.latency,
        "upload_bytes_per_second": check.upload,
        "download_bytes_per_second": check.download,
    }


def _decode_check(shape: Check) -> results.Check:
    return results.Check(
        name=shape["name"],
        place=shape["place"],
        error=shape["error"] or "",
        hint=shape["hint"] or "",
        lacks=shape["lacks"] or "",
        latency=shape.get("latency_seconds"),
        upload=shape.get("upload_bytes_per_second"),
        download=shape.get("download_bytes_per_second"),
    )


def _encode_garbage(garbage: results.Garbage) -> Garbage:
    return {
        "kind": garbage.kind,
        "place": garbage.place,
        "name": garbage.name,
        "size_bytes": garbage.size_bytes,
        "modified": time_text(garbage.modified),
        "removed": garbage.removed,
    }


def _decode_garbage(shape: Garbage) -> results.Garbage:
    return results.Garbage(
        kind=shape["kind"],
        place=shape["place"],
        name=shape["name"],
        size_bytes=shape["size_bytes"],
        modified=decode_time(shape["modified"]),
        removed=shape["removed"],
    )


def _encode_problem(problem: results.BlobProblem) -> BlobProblem:
    return {
        "checksum": str(problem.checksum),
        "problem": problem.problem,
        "message": problem.message,
        "hint": problem.hint or None,
        "versions": [str(reference) for reference in problem.versions],
    }


def _decode_problem(shape: BlobProblem) -> results.BlobProblem:
    return results.BlobProblem(
        checksum=Digest.parse(shape["checksum"]),
        problem=shape["problem"],
        message=shape["message"],
        hint=shape["hint"] or "",
        versions=tuple(map(VersionRef.parse, shape["versions"])),
    )


def _encode_verification(verification: results.Verification) -> Verification:
    return {
        "artifacts": verification.artifacts,
        "all_artifacts": verification.all_artifacts,
        "blobs": verification.blobs,
        "size_bytes": verification.size_bytes,
        "problems": [_encode_problem(problem) for problem in verification.problems],
        "unreferenced": verification.unreferenced,
        "unreferenced_bytes": verification.unreferenced_bytes,
    }


def _decode_verification(shape: Verification) -> results.Verification:
    return results.Verification(
        artifacts=shape["artifacts"],
        all_artifacts=shape["all_artifacts"],
        blobs=shape["blobs"],
        size_bytes=shape["size_bytes"],
        problems=tuple(map(_decode_problem, shape["problems"])),
        unreferenced=shape["unreferenced"],
        unreferenced_bytes=shape["unreferenced_bytes"],
    )


def _encode_finding(finding: results.Finding) -> Finding:
    return {
        "name": finding.name,
        "place": finding.place,
        "state": finding.state,
        "message": finding.message or None,
        "remedy": finding.remedy or None,
    }


def _decode_finding(shape: Finding) -> results.Finding:
    return results.Finding(
        name=shape["name"],
        place=shape["place"],
        state=shape["state"],
        message=shape["message"] or "",
        remedy=shape["remedy"] or "",
    )


def _encode_copy(copy: results.CatalogCopy) -> CatalogCopy:
    return {
        "source": copy.source,
        "target": copy.target,
        "rows": copy.rows,
        "events": copy.events,
        "last_hash": copy.last_hash or None,
        "set_aside": copy.set_aside or None,
        "blobs": copy.blobs,
        "size_bytes": copy.size_bytes,
    }


def _decode_copy(shape: CatalogCopy) -> results.CatalogCopy:
    return results.CatalogCopy(
        source=shape["source"],
        target=shape["target"],
        rows=shape["rows"],
        events=shape["events"],
        last_hash=shape["last_hash"] or "",
        set_aside=shape["set_aside"] or "",
        blobs=shape["blobs"],
        size_bytes=shape["size_bytes"],
    )


def _encode_upgrade(upgrade: results.Upgrade) -> Upgrade:
    return {
        "place": upgrade.place,
        "schema": upgrade.schema,
        "target": upgrade.target,
        "migrations": [{"schema": step.schema, "adds": step.adds} for step in upgrade.migrations],
        "others": list(upgrade.others),
        "caution": upgrade.caution or None,
        "backup": upgrade.backup or None,
    }


def _decode_upgrade(shape: Upgrade) -> results.Upgrade:
    return results.Upgrade(
        place=shape["place"],
        schema=shape["schema"],
        target=shape["target"],
        migrations=tuple(results.Migration(schema=step["schema"], adds=step["adds"]) for step in shape["migrations"]),
        others=tuple(shape["others"]),
        caution=shape["caution"] or "",
        backup=shape["backup"] or "",
    )


def _encode_copied(file: results.CopiedFile) -> CopiedFile:
    return {"path": file.path, "state": file.state, "reason": file.reason or None}


def _decode_copied(shape: CopiedFile) -> results.CopiedFile:
    return results.CopiedFile(path=shape["path"], state=shape["state"], reason=shape["reason"] or "")


def _encode_copy_verification(found: results.CopyVerification) -> CopyVerification:
    return {
        "reference": str(found.reference),
        "path": found.path,
        "files": found.files,
        "size_bytes": found.size_bytes,
        "problems": [_encode_copied(file) for file in found.problems],
    }


def _decode_copy_verification(shape: CopyVerification) -> results.CopyVerification:
    return results.CopyVerification(
        reference=VersionRef.parse(shape["reference"]),
        path=shape["path"],
        files=shape["files"],
        size_bytes=shape["size_bytes"],
        problems=tuple(_decode_copied(file) for file in shape["problems"]),
    )


FORMS = (
    Form(results.CopyVerification, CopyVerification, _encode_copy_verification, _decode_copy_verification),
    Form(results.Check, Check, _encode_check, _decode_check),
    Form(results.Garbage, Garbage, _encode_garbage, _decode_garbage),
    Form(results.Verification, Verification, _encode_verification, _decode_verification),
    Form(results.Finding, Finding, _encode_finding, _decode_finding),
    Form(results.CatalogCopy, CatalogCopy, _encode_copy, _decode_copy),
    Form(results.Upgrade, Upgrade, _encode_upgrade, _decode_upgrade),
)
