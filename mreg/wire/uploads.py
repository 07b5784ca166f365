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


class StoredBlob(TypedDict):
    """A blob that was uploaded completely."""

    digest: Annotated[str, "SHA-256"]
    size: Annotated[int, "size in bytes"]


def _encode_needed(needed: results.NeededBlob) -> NeededBlob:
    return {"digest": str(needed.digest), "method": cast("Literal['server']", needed.method)}


def _decode_needed(shape: NeededBlob) -> results.NeededBlob:
    return results.NeededBlob(digest=Digest.parse(shape["digest"]), method=shape["method"])


def _encode_stored(stored: results.StoredBlob) -> StoredBlob:
    return {"digest": str(stored.digest), "size": stored.size}


def _decode_stored(shape: StoredBlob) -> results.StoredBlob:
    return results.StoredBlob(digest=Digest.parse(shape["digest"]), size=shape["size"])


FORMS = (
    Form(results.NeededBlob, NeededBlob, _encode_needed, _decode_needed),
    Form(results.StoredBlob, StoredBlob, _encode_stored, _decode_stored),
)
