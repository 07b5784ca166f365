"""Transfers between this machine and the object store of a server, by presigned URLs that the server gives.

A presigned URL permits one request for one object, without a token: it is never shown or written. The token of the
server is not sent to the store, and no redirect of the store is followed. A hostile server can name any URL, so the
request must be protected like one to the server; see `mreg.remote.connection.Connection.to_store`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from mreg.domain.text import printable
from mreg.errors import BadInput, MregError, Unavailable
from mreg.remote.connection import BACKOFF_SECONDS, Connection
from mreg.remote.problems import redirect_error
from mreg.remote.response import Response

FAILED = range(300, 600)
"""Statuses of a store that are looked at here."""

REFUSED = (400, 401, 403)
"""Statuses of an expired URL: stores differ."""

OVERLOADED = (429, 500, 502, 503, 504)
"""Statuses of requests that are sent again."""

ATTEMPTS = 5
"""Number of times that a request to an overloaded store is sent."""

URL_LIMIT = 16 << 10
"""Maximum length of a presigned URL."""

_URL = re.compile(r"(https?://[^/?#\\@]+)(/[^#\\]*)", re.IGNORECASE)


class Direct:
    """Requests to the object store of a server, which threads can share.

    If the store cannot be used, everything goes through the server from then on, and one notice says so.

    Args:
        server: Connection to the server.
        notice: Receives the notice, and those of the server about an upload.
    """

    def __init__(self, server: Connection, notice: Callable[[str], None]) -> None:
        self._server = server
        self.notice = notice
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._urls: dict[str, str] = {}
        self._over = False

    @property
    def usable(self) -> bool:
        """Whether the store has been usable so far."""
        return not self._over

    def give_up(self, why: MregError | None = None) -> None:
        """Use the server from now on.

        Args:
            why: The reason (default: the server does not offer its store).
        """
        with self._lock:
            over, self._over = self._over, True
        if why is not None and not over:
            self.notice(f"the bytes go through {self._server.address}, not directly: {why.message}")

    def get(self, path: str, headers: Mapping[str, str]) -> Response | None:
        """Return the response with a blob, or with a range of it: of the store, or of a server that offers none.

        Args:
            path: Path of the blob on the server.
            headers: ``Range``, or nothing.

        Returns:
            None if the store cannot be used; `give_up` was called then.

        Raises:
            MregError: The server refuses the request for the URL.
        """
        refused = ""
        while self.usable:
            url = self._located(path, headers, refused)
            if isinstance(url, Response):
                return url
            try:
                response = self.send("GET", url, headers=headers)
            except (BadInput, Unavailable) as error:
                self.give_up(error)
                return None
            if response.status == (206 if headers else 200) or response.status == 416:
                return response
            response.close()
            if response.status in REFUSED and not refused:
                refused = url
                continue
            self.give_up(failure(url, response))
        return None

    def _located(self, path: str, headers: Mapping[str, str], refused: str) -> str | Response:
        """Return the presigned URL of a blob, or the response of a server that sends the bytes itself."""
        with self._asking:
            known = self._urls.get(path)
            if known is not None and known != refused:
                return known
            query = {"direct": True} if self.usable else {}
            response = self._server.request(
                "GET", path, query=query, headers=headers, accept="application/octet-stream", expect=(307, 416)
            )
            if response.status != 307:
                self.give_up()
                return response
            location = response.headers.get("Location", "")
            response.close()
            if not response.is_mreg:
                raise redirect_error(response.status, location, str(self._server.address))
            self._urls[path] = location
            return location

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Iterable[bytes]] | None = None,
        length: int | None = None,
    ) -> Response:
        """Send a request to the store, and return its response, whatever its status is.

        An overloaded store is asked again. A store that has answered before is also asked again if it cannot be
        reached.

        Args:
            body: Returns the chunks of the body; called once for each attempt.

        Raises:
            BadInput: The URL is invalid, or the request would be less protected than one to the server.
            Unavailable: The store cannot be reached.
        """
        origin, target = _split(url)
        try:
            store = self._server.to_store(origin)
        except BadInput as error:
            raise BadInput(f"the server gave an invalid presigned URL: {error.message}") from error
        for attempt in range(ATTEMPTS):
            response = store.request(
                method, target, headers=headers, body=body, length=length, expect=FAILED, repeatable=True
            )
            if response.status not in OVERLOADED or attempt == ATTEMPTS - 1:
                break
            response.close()
            time.sleep(BACKOFF_SECONDS * 2.0**attempt)
        return response


def failure(url: str, response: Response) -> Unavailable:
    """Return the error for an unexpected status of a store; it does not contain the URL."""
    words = f"{response.status} {printable(response.reason[:100])}".strip()
    what = "redirects" if 300 <= response.status < 400 else "answered"
    return Unavailable(f"{_split(url)[0]} {what} ({words})", hint="try again in a minute", status=response.status)


def _split(url: str) -> tuple[str, str]:
    """Return the origin and the target of a presigned URL.

    Raises:
        BadInput: The URL is invalid.
    """
    match = _URL.fullmatch(url) if url.isascii() and url.isprintable() and " " not in url else None
    if match is None or len(url) > URL_LIMIT:
        raise BadInput("the server gave an invalid presigned URL")
    return match[1], match[2]
