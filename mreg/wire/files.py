"""The JSON of pulls and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

from mreg.domain.digest import Digest
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
    Form(results.StoredFile, StoredFile, _encode_file, _decode_file),
)
