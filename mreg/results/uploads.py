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
class StoredBlob(Result):
    """A blob that was uploaded completely, verified and durable.

    Attributes:
        size: Size in bytes.
    """

    digest: Digest
    size: int
