"""The JSON of pulls and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypedDict

from mreg.domain.digest import Digest
from mreg.domain.model import ArtifactKind
from mreg.domain.names import ModelName
from mreg.results import files as results
from mreg.wire import Form
from mreg.wire.models import ModelVersion, decode_version, encode_version


class Pulled(ModelVersion):
    """A version whose verified bytes are at their destination."""

    destination: Annotated[str, "absolute path"]
    unchanged: Annotated[bool, "whether the same bytes were there already"]
    other_files: Annotated[bool, "whether the folder also holds files that are not part of the artifact"]
    files: Annotated[list[PulledFile], "files of a dry run, or of a pull with patterns; otherwise empty"]
    dry_run: Annotated[bool, "whether nothing was written"]


class PulledFile(TypedDict):
    """A file of a pull."""

    path: Annotated[str, "path in the folder; name of an artifact that is one file; an empty folder ends in /"]
    size_bytes: Annotated[int, "size"]
    state: Annotated[str, "before the pull: new, unchanged (there already), replaced, or removed (of an earlier pull)"]


class LocalArtifact(ModelVersion):
    """A version whose verified files are in the pull cache of this machine."""

    path: Annotated[str, "absolute path of the file or folder; the files are read-only"]
    file: Annotated[str | None, "path in the folder if one file of it was asked for, otherwise null"]


class PlannedFile(TypedDict):
    """A file that a push would take."""

    path: Annotated[str, "path in the folder; name of the file if a file is pushed"]
    size_bytes: Annotated[int, "size"]


class PushPlan(TypedDict):
    """What a push would take."""

    model: Annotated[str, "model that would get the version"]
    path: Annotated[str, "file or folder"]
    kind: Annotated[Literal["file", "folder"], "`file` or `folder`"]
    size_bytes: Annotated[int, "size of all files"]
    file_count: Annotated[int, "number of files"]
    files: Annotated[list[PlannedFile], "files by path: see PlannedFile"]
    folders: Annotated[list[str], "empty folders"]
    left_out: Annotated[dict[str, int], "number of files and folders that would be left out, by reason"]


class StoredFile(TypedDict):
    """A file of a version."""

    path: Annotated[str, "path in the folder; name of an artifact that is one file"]
    size_bytes: Annotated[int, "size"]
    checksum: Annotated[str, "SHA-256"]
    executable: Annotated[bool, "whether it was executable when it was pushed"]


def _encode_pulled(pulled: results.Pulled) -> Pulled:
    return {
        **encode_version(pulled.version),
        "destination": str(pulled.destination),
        "unchanged": pulled.unchanged,
        "other_files": pulled.other_files,
        "files": [_encode_pulled_file(file) for file in pulled.files],
        "dry_run": pulled.dry_run,
    }


def _decode_pulled(shape: Pulled) -> results.Pulled:
    return results.Pulled(
        version=decode_version(shape),
        destination=Path(shape["destination"]),
        unchanged=shape["unchanged"],
        other_files=shape["other_files"],
        files=tuple(_decode_pulled_file(file) for file in shape["files"]),
        dry_run=shape["dry_run"],
    )


def _encode_pulled_file(file: results.PulledFile) -> PulledFile:
    return {"path": file.path, "size_bytes": file.size_bytes, "state": file.state}


def _decode_pulled_file(shape: PulledFile) -> results.PulledFile:
    return results.PulledFile(path=shape["path"], size_bytes=shape["size_bytes"], state=shape["state"])


def _encode_local(local: results.LocalArtifact) -> LocalArtifact:
    return {**encode_version(local.version), "path": str(local.path), "file": local.file or None}


def _decode_local(shape: LocalArtifact) -> results.LocalArtifact:
    return results.LocalArtifact(version=decode_version(shape), path=Path(shape["path"]), file=shape["file"] or "")


def _encode_planned(file: results.PlannedFile) -> PlannedFile:
    return {"path": file.path, "size_bytes": file.size_bytes}


def _decode_planned(shape: PlannedFile) -> results.PlannedFile:
    return results.PlannedFile(path=shape["path"], size_bytes=shape["size_bytes"])


def _encode_plan(plan: results.PushPlan) -> PushPlan:
    return {
        "model": str(plan.model),
        "path": plan.path,
        "kind": plan.kind.value,
        "size_bytes": plan.size_bytes,
        "file_count": len(plan.files),
        "files": [_encode_planned(file) for file in plan.files],
        "folders": list(plan.folders),
        "left_out": dict(plan.left_out),
    }


def _decode_plan(shape: PushPlan) -> results.PushPlan:
    return results.PushPlan(
        model=ModelName(shape["model"]),
        path=shape["path"],
        kind=ArtifactKind(shape["kind"]),
        files=tuple(_decode_planned(file) for file in shape["files"]),
        folders=tuple(shape["folders"]),
        left_out=shape["left_out"],
    )


def _encode_file(file: results.StoredFile) -> StoredFile:
    return {
        "path": file.path,
        "size_bytes": file.size_bytes,
        "checksum": str(file.digest),
        "executable": file.executable,
    }


def _decode_file(shape: StoredFile) -> results.StoredFile:
    return results.StoredFile(
        path=shape["path"],
        size_bytes=shape["size_bytes"],
        digest=Digest.parse(shape["checksum"]),
        executable=shape["executable"],
    )


FORMS = (
    Form(results.Pulled, Pulled, _encode_pulled, _decode_pulled),
    Form(results.LocalArtifact, LocalArtifact, _encode_local, _decode_local),
    Form(results.PushPlan, PushPlan, _encode_plan, _decode_plan),
    Form(results.StoredFile, StoredFile, _encode_file, _decode_file),
)
