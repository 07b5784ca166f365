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


class UploadState(TypedDict):
    """The upload of a blob by a caller for a model."""

    digest: Annotated[str, "SHA-256"]
    offset: Annotated[int, "number of bytes that have arrived"]
    complete: Annotated[bool, "whether the blob is stored and can be used in a version of the model"]


def _encode_needed(needed: results.NeededBlob) -> NeededBlob:
    return {"digest": str(needed.digest), "method": cast("Literal['server']", needed.method)}


def _decode_needed(shape: NeededBlob) -> results.NeededBlob:
    return results.NeededBlob(digest=Digest.parse(shape["digest"]), method=shape["method"])


def _encode_state(state: results.UploadState) -> UploadState:
    return {"digest": str(state.digest), "offset": state.offset, "complete": state.complete}


def _decode_state(shape: UploadState) -> results.UploadState:
    return results.UploadState(digest=Digest.parse(shape["digest"]), offset=shape["offset"], complete=shape["complete"])


FORMS = (
    Form(results.NeededBlob, NeededBlob, _encode_needed, _decode_needed),
    Form(results.UploadState, UploadState, _encode_state, _decode_state),
)
