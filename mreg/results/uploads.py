"""Uploads of blobs to a server."""

from __future__ import annotations

from dataclasses import dataclass

from mreg.domain.digest import Digest
from mreg.domain.value import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededBlob(Result):
    """A blob that must be uploaded before a version can have it.

    Attributes:
        method: ``server``: to the server.
    """

    digest: Digest
    method: str = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState(Result):
    """The upload of a blob by a caller for a model.

    Attributes:
        offset: Number of bytes that have arrived.
        complete: Whether the blob is in the store, verified and durable, and can be used in a version of the model.
    """

    digest: Digest
    offset: int
    complete: bool
