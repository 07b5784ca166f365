"""Requests of a server's clients that are made once: a repeated one returns the version that the first one made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mreg.catalog.requests import Requests, RequestWriter
from mreg.domain.digest import Digest
from mreg.domain.text import check_line
from mreg.errors import Conflict

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import ModelVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentRequest:
    """A request that makes at most one version.

    Attributes:
        key: Idempotency key, which its client chose.
        caller: Identity of the client (`mreg.registry.session.Session.caller`); keys of other clients are others.
        fingerprint: Digest of the content of the request.

    Raises:
        BadInput: The key is not a line of text.
    """

    key: str
    caller: str
    fingerprint: Digest

    def __post_init__(self) -> None:
        check_line("idempotency key", self.key)

    def earlier(self, reader: Reader) -> ModelVersion | None:
        """Return the version that this request has made; None if it has made none.

        Raises:
            Conflict: Another request had the same key, or the version was deleted.
        """
        found = Requests(reader).request(self.key, self.caller)
        if found is None:
            return None
        if found.fingerprint != self.fingerprint:
            raise Conflict("another request was made with the same idempotency key", hint="use a new key")
        version = reader.version_by_id(found.version_id)
        if version is None:
            raise Conflict(
                "the version that was made with this idempotency key was deleted, or renamed to a model that you "
                "cannot see",
                hint="use a new key to make another",
            )
        return version

    def record(self, writer: Writer, version: ModelVersion) -> None:
        """Record the version that this request makes, in the transaction of the version."""
        RequestWriter(writer).record_request(self.key, self.caller, self.fingerprint, version.version_id)
