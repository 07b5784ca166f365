"""The session of a registry on a server: everything that its operations work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from mreg.errors import BadInput, MregError, NotFound, Unavailable
from mreg.remote.problems import unexpected_answer
from mreg.results import Page
from mreg.wire import decode
from mreg.wire.envelope import Opened, add_rest
from mreg.wire.protocol import OLDEST_API

if TYPE_CHECKING:
    from mreg.domain.names import VersionRef
    from mreg.registry.session import HookLog
    from mreg.remote.connection import Connection
    from mreg.results.profiles import Profile

R = TypeVar("R")

PAGE = 1_000
"""Number of items that are requested at once: the maximum of the server."""

SMALLER = 8
"""How many times fewer items are requested after an answer that is too large."""

LIST_VALUES = 20_000_000
"""Maximum number of values and keys in all parts of a list, which bounds the memory that it takes.

A server returns at most 200,000 items in parts.
"""


class Parts:
    """A list that is fetched in parts.

    Args:
        path: Path of the list.
        query: Parameters besides the limit and the offset.
        limit: Maximum number of items (default: all).
        offset: Number of items to skip.
    """

    def __init__(
        self, session: RemoteSession, path: str, query: Mapping[str, object], *, limit: int | None, offset: int
    ) -> None:
        self._session, self._path, self._query = session, path, query
        self._limit, self._offset = limit, offset
        self._most, self._values = PAGE, 0

    def next(self, count: int) -> Opened:
        """Return the next part; its items are requested again in smaller parts if they are too large for one answer.

        Args:
            count: Number of items so far.

        Raises:
            Unavailable: The list has too many values.
        """
        wanted = self._most if self._limit is None else max(min(self._most, self._limit - count), 1)
        query = {**self._query, "limit": wanted, "offset": self._offset + count}
        try:
            part = self._session.call("GET", self._path, query=query)
        except Unavailable as error:
            if wanted == 1 or "too_large" not in error.details:
                raise
            self._most = max(wanted // SMALLER, 1)
            return self.next(count)
        self._values += part.size
        if self._values > LIST_VALUES:
            raise self._session.invalid("the list has too many values")
        return part


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSession:
    """The connection, profile and receivers of a registry on a server.

    Attributes:
        notice: Receives the notices of the server for the user.
        hook_log: Receives the hooks that the server ran, and the events of the changes.
    """

    connection: Connection
    profile: Profile
    notice: Callable[[str], None]
    hook_log: HookLog

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        api: int = OLDEST_API,
    ) -> Opened:
        """Call a route, pass on what the operation said and did, and return the envelope.

        All operations use this function, or `take` for an envelope that came in another way. The arguments are those of
        `mreg.remote.connection.Connection.call`.
        """
        try:
            opened = self.connection.call(
                method, path, query=query, body=body, headers=headers, repeatable=repeatable, api=api
            )
        except MregError as error:
            for notice in error.details.pop("notices", ()):  # type: ignore[attr-defined]
                self.notice(notice)
            raise
        self.take(opened)
        return opened

    def take(self, opened: Opened) -> None:
        """Pass on the notices, events and hook runs of an envelope."""
        for notice in opened.notices:
            self.notice(notice)
        if self.hook_log.events is not None:
            self.hook_log.events.extend(opened.events)
        self.hook_log.deployments.extend(opened.deployments)
        self.hook_log.rollbacks.extend(opened.rollbacks)

    def result(self, kind: type[R], opened: Opened) -> R:
        """Return the result of an envelope.

        Raises:
            Unavailable: The server sent another type.
        """
        try:
            return cast("R", add_rest(decode(kind, opened.result), opened.rest))
        except BadInput as error:
            raise self.invalid(error.message) from error

    def results(self, kind: type[R], opened: Opened) -> tuple[R, ...]:
        """Return the list of results of an envelope.

        Raises:
            Unavailable: The server sent another type.
        """
        if not isinstance(opened.result, list):
            raise self.invalid("it is not a list")
        try:
            return tuple(decode(kind, item) for item in opened.result)
        except BadInput as error:
            raise self.invalid(error.message) from error

    def texts(self, opened: Opened) -> tuple[str, ...]:
        """Return the list of texts of an envelope.

        Raises:
            Unavailable: The server sent another type.
        """
        found = opened.result
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.invalid("it is not a list of texts")
        return tuple(found)

    def page(
        self,
        kind: type[R],
        path: str,
        *,
        limit: int | None,
        offset: int,
        query: Mapping[str, object] | None = None,
        key: Callable[[R], int] | None = None,
    ) -> Page[R]:
        """Return a part of a list; a long one is fetched in pages of `PAGE`.

        Args:
            limit: Maximum number of items (default: all).
            offset: Number of items to skip.
            key: Returns a number by which the list descends; an item that a later page repeats, because the list grew
                meanwhile, is then left out.
        """
        items: list[R] = []
        more, parts = True, Parts(self, path, query or {}, limit=limit, offset=offset)
        while more and (limit is None or len(items) < limit):
            part = parts.next(len(items))
            found = self.results(kind, part)
            more = part.more and bool(found)
            if key is not None and items:
                found = tuple(item for item in found if key(item) < key(items[-1]))
            items += found
        return Page(items, more=more, kind=kind)

    def split(self, reference: VersionRef, operation: Callable[[VersionRef], R]) -> R:
        """Return the result of an operation on a model or version; ``name/3`` can mean ``name@3``.

        The rule is that of `mreg.registry.references.find`, for routes that differ between a model and a version.
        """
        try:
            return operation(reference)
        except NotFound as error:
            other = reference.split_last_part()
            if other is None or error.details.get("kind") != "model":
                raise
            try:
                return operation(other)
            except NotFound as second:
                raise (error if second.details.get("kind") == "model" else second) from None

    def invalid(self, why: str) -> MregError:
        """Return the error for an answer that cannot be decoded."""
        return unexpected_answer(200, str(self.connection.address), why)
