"""Uploads of large blobs to the object store of a server, in parts by presigned URLs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from mreg.artifacts.backend import ContinuedUpload
from mreg.artifacts.parallel import Stoppable, in_order
from mreg.errors import BadInput, Conflict, MregError, Unavailable
from mreg.remote import events
from mreg.remote.connection import BACKOFF_SECONDS, Connection
from mreg.remote.direct import ATTEMPTS, Direct, failure
from mreg.remote.problems import NOT_DONE, unexpected_answer
from mreg.results.uploads import DirectUpload as State
from mreg.results.uploads import UploadPart
from mreg.wire import decode

AT_ONCE = 4
"""Number of parts that are sent in parallel."""

BUSY_SECONDS = 600.0
"""Time to wait for a server that verifies other uploads."""

LOST = "the connection was lost while the server verified the upload"


class DirectUpload(ContinuedUpload):
    """The upload of one blob. The server knows which parts have arrived, also after a restart of either side.

    Args:
        path: Path of the blob on the server.
        is_missing: Returns whether the server still needs the blob.
        kept: Called with each number of bytes that the store has received and keeps.
        instead: Returns the upload through the server, which is used if no part can be sent to the store.
    """

    def __init__(
        self,
        server: Connection,
        direct: Direct,
        path: str,
        size: int,
        *,
        is_missing: Callable[[], bool],
        kept: Callable[[int], None],
        instead: Callable[[], ContinuedUpload],
    ) -> None:
        self._server, self._direct, self._path, self._size = server, direct, path, size
        self._is_missing, self._kept, self._instead = is_missing, kept, instead
        self._state = self._ask()
        self.start = self._state.arrived_bytes
        kept(self.start)

    def _ask(self) -> State:
        """Return what has arrived, with the next parts to send."""
        opened = self._server.call("POST", f"{self._path}/direct", body={"size": self._size}, repeatable=True)
        try:
            state = decode(State, opened.result)
        except BadInput as error:
            raise self._invalid(error.message) from error
        if not 0 <= state.arrived_bytes <= self._size or not all(map(self._is_valid, state.parts)):
            raise self._invalid("it names parts that the blob does not have")
        return state

    def _is_valid(self, part: UploadPart) -> bool:
        return part.start >= 0 and part.size_bytes > 0 and part.start + part.size_bytes <= self._size

    def _invalid(self, why: str) -> MregError:
        return unexpected_answer(200, str(self._server.address), why)

    def send(
        self,
        chunks: Callable[[int], Iterator[bytes]],
        advance: Callable[[int], None],
        verified: Callable[[int], None],
    ) -> bool:
        arrived, sent, failures, losses = self.start, 0, 0, 0
        while self._state.parts:
            if not self._direct.usable and not sent:
                upload = self._instead()
                advance(upload.start - arrived)
                return upload.send(chunks, advance, verified)
            count, error = self._send_parts(chunks, advance)
            arrived, sent = arrived + count, sent + count
            if error is not None and not sent and (failures or not _is_refused(error)):
                self._direct.give_up(error)
                continue
            if ATTEMPTS in (failures, losses):
                raise error or self._invalid("the parts that were sent have not arrived")
            if error is not None:
                time.sleep(BACKOFF_SECONDS * 2.0**failures)
                if not self._is_missing():  # another push of the same bytes has finished the upload
                    advance(self._size - arrived)
                    return False
            before, self._state = self._state.arrived_bytes, self._ask()
            failures = 0 if self._state.arrived_bytes > before else failures + 1
            losses += self._state.arrived_bytes < before
            self._kept(self._state.arrived_bytes - arrived)
            advance(self._state.arrived_bytes - arrived)
            arrived = self._state.arrived_bytes
        self._finish(verified)
        return True

    def _send_parts(
        self, chunks: Callable[[int], Iterator[bytes]], advance: Callable[[int], None]
    ) -> tuple[int, MregError | None]:
        """Send the parts whose URLs are known; return the number of bytes that have arrived, and the first failure.

        After a failure, no further part is started.
        """
        stoppable = Stoppable(lambda _count: None)
        failures: list[MregError] = []

        def send(part: UploadPart) -> int:
            def body() -> Iterator[bytes]:
                left = part.size_bytes
                with closing(chunks(part.start)) as found:  # type: ignore[type-var]
                    for chunk in found:
                        stoppable(0)
                        yield chunk[:left]
                        left -= len(chunk)
                        if left <= 0:
                            return

            if failures:
                return 0
            try:
                with self._direct.send("PUT", part.url, body=body, length=part.size_bytes) as response:
                    if response.status >= 300:
                        raise failure(part.url, response)
                    response.drain()
            except (BadInput, Unavailable) as error:
                failures.append(error)
                return 0
            return part.size_bytes

        count = 0
        with closing(in_order(send, self._state.parts, at_once=AT_ONCE)) as results, stoppable:
            for size in results:
                count += size
                self._kept(size)
                advance(size)
        return count, failures[0] if failures else None

    def _finish(self, verified: Callable[[int], None]) -> None:
        """Have the server verify the bytes and store the blob; a lost answer is asked for again.

        Raises:
            BadInput: The bytes do not have the digest.
            Unavailable: The connection was lost repeatedly. The bytes stay at the store.
        """
        import json

        body = json.dumps({"size": self._size}).encode()
        deadline = time.monotonic() + BUSY_SECONDS
        failures = 0
        while True:
            verified(0)
            try:
                events.run(
                    self._server,
                    "POST",
                    f"{self._path}/direct/finish",
                    body=body,
                    headers={"Content-Type": "application/json"},
                    lost=Unavailable(LOST),
                    progress=lambda done, total: verified(done * self._size // total if total else 0),
                    notice=self._direct.notice,
                )
            except Unavailable as error:
                busy = error.details.get("refused") in NOT_DONE and time.monotonic() < deadline
                failures += not busy
                if failures == ATTEMPTS or not (busy or error.details.get("cut")):
                    raise
                time.sleep(BACKOFF_SECONDS * 2.0**failures)
            except Conflict:
                if self._is_missing():
                    raise
                return
            else:
                verified(self._size)
                return


def _is_refused(error: MregError) -> bool:
    """Return whether the store answered as for an expired URL, or for an upload that is over."""
    return error.details.get("status") in (400, 401, 403, 404)
