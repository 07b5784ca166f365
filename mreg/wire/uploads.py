"""The JSON of uploads."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict, cast

from mreg.domain.digest import Digest
from mreg.results import uploads as results
from mreg.wire import Form


class NeededBlob(TypedDict):
    """A blob that must be uploaded before a version can have it."""

    digest: Annotated[str, "SHA-256"]
    method: Annotated[Literal["server"], "`server`: to the server, at /models/{model}/blobs/{digest}"]
    direct: Annotated[
        bool, "whether it can also be sent directly to the bucket: POST /models/{model}/blobs/{digest}/direct"
    ]


class UploadPart(TypedDict):
    """A part of a blob that must be sent to the bucket."""

    number: Annotated[int, "part number, from 1"]
    start: Annotated[int, "offset in the blob"]
    size_bytes: Annotated[int, "number of bytes"]
    url: Annotated[str, "presigned URL for the `PUT` of exactly these bytes; a secret until it expires"]


class DirectUpload(TypedDict):
    """An upload of a blob to the bucket by a caller for a model."""

    digest: Annotated[str, "SHA-256"]
    arrived_bytes: Annotated[int, "number of bytes that have arrived"]
    parts: Annotated[list[UploadPart], "the next missing parts; empty if the upload can be finished"]


class StagedUpload(TypedDict):
    """An upload by a caller for a model, whose digest is named at its end."""

    offset: Annotated[int, "number of bytes that have arrived"]
    hash_first: Annotated[
        bool,
        "whether to hash the file and ask whether the blob is missing instead; false after the first request",
    ]


class UploadState(TypedDict):
    """The upload of a blob by a caller for a model."""

    digest: Annotated[str, "SHA-256"]
    offset: Annotated[int, "number of bytes that have arrived"]
    complete: Annotated[bool, "whether the blob is stored and can be used in a version of the model"]


def _encode_needed(needed: results.NeededBlob) -> NeededBlob:
    return {
        "digest": str(needed.digest),
        "method": cast("Literal['server']", needed.method),
        "direct": needed.direct,
    }


def _decode_needed(shape: NeededBlob) -> results.NeededBlob:
    # A server of an older release does not have the key.
    return results.NeededBlob(
        digest=Digest.parse(shape["digest"]), method=shape["method"], direct=shape.get("direct") is True
    )


def _encode_part(part: results.UploadPart) -> UploadPart:
    return {"number": part.number, "start": part.start, "size_bytes": part.size_bytes, "url": part.url}


def _decode_part(shape: UploadPart) -> results.UploadPart:
    return results.UploadPart(
        number=shape["number"], start=shape["start"], size_bytes=shape["size_bytes"], url=shape["url"]
    )


def _encode_direct(upload: results.DirectUpload) -> DirectUpload:
    return {
        "digest": str(upload.digest),
        "arrived_bytes": upload.arrived_bytes,
        "parts": [_encode_part(part) for part in upload.parts],
    }


def _decode_direct(shape: DirectUpload) -> results.DirectUpload:
    return results.DirectUpload(
        digest=Digest.parse(shape["digest"]),
        arrived_bytes=shape["arrived_bytes"],
        parts=tuple(map(_decode_part, shape["parts"])),
    )


def _encode_staged(upload: results.StagedUpload) -> StagedUpload:
    return {"offset": upload.offset, "hash_first": upload.hash_first}


def _decode_staged(shape: StagedUpload) -> results.StagedUpload:
    return results.StagedUpload(offset=shape["offset"], hash_first=shape["hash_first"])


def _encode_state(state: results.UploadState) -> UploadState:
    return {"digest": str(state.digest), "offset": state.offset, "complete": state.complete}


def _decode_state(shape: UploadState) -> results.UploadState:
    return results.UploadState(digest=Digest.parse(shape["digest"]), offset=shape["offset"], complete=shape["complete"])


FORMS = (
    Form(results.NeededBlob, NeededBlob, _encode_needed, _decode_needed),
    Form(results.DirectUpload, DirectUpload, _encode_direct, _decode_direct),
    Form(results.StagedUpload, StagedUpload, _encode_staged, _decode_staged),
    Form(results.UploadState, UploadState, _encode_state, _decode_state),
)
