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
        direct: Whether it can also be uploaded directly to the object store.
    """

    digest: Digest
    method: str = "server"
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPart(Result):
    """A part of a blob that must be sent to the object store.

    Attributes:
        number: Part number, from 1.
        start: Offset in the blob.
        size_bytes: Number of bytes.
        url: Presigned URL for the PUT of exactly these bytes; a secret until it expires.
    """

    number: int
    start: int
    size_bytes: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload(Result):
    """An upload of a blob to the object store by a caller for a model.

    Attributes:
        arrived_bytes: Number of bytes that have arrived.
        parts: The next missing parts; empty if all have arrived, so that the upload can be finished.
    """

    digest: Digest
    arrived_bytes: int
    parts: tuple[UploadPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedUpload(Result):
    """An upload by a caller for a model, whose digest the client names at its end.

    Attributes:
        offset: Number of bytes that have arrived.
        hash_first: Whether the client should hash the file and ask whether the blob is missing, instead of this upload:
            the caller could have it already, or it can be sent directly to the object store.
    """

    offset: int
    hash_first: bool = False


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
