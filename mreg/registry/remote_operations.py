"""Long operations on a server: one call with its progress, and the download of a file that it prepared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mreg.errors import Unavailable
from mreg.registry.remote_session import RemoteSession

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mreg.registry.registry import Progress
    from mreg.remote.connection import Body
    from mreg.remote.events import OfferedFile, Outcome

UNCHANGED = "nothing was changed"
REPEAT = "repeat the command"
STOPS = "the server stops the operation, too"

ATTEMPTS = 5
"""Number of times in succession that a download is continued without a byte arriving."""


def run(
    session: RemoteSession,
    method: str,
    path: str,
    *,
    query: Mapping[str, object] | None = None,
    body: bytes | Body | None = None,
    length: int | None = None,
    content_type: str = "",
    left: str = UNCHANGED,
    hint: str = REPEAT,
    repeatable: bool = True,
    progress: Progress = None,
) -> Outcome:
    """Run a long operation of the server, pass on what it said and did, and return its end.

    Args:
        left: What an operation without its end can have changed: its connection was lost, or it was interrupted.
        hint: Hint for that case.
        repeatable: Whether the request is repeated if the connection is lost before the operation begins.

    Raises:
        MregError: The error of the operation, as of a local registry.
        Unavailable: The connection was lost.
    """
    from mreg.remote import events

    try:
        outcome = events.run(
            session.connection,
            method,
            path,
            query=query,
            body=body,
            length=length,
            headers={"Content-Type": content_type} if content_type else None,
            lost=Unavailable(f"the connection was lost, and {left}", hint=hint),
            repeatable=repeatable,
            progress=progress,
            notice=session.notice,
        )
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C or SIGTERM
            error.add_note(f"{STOPS}; {left}\n{hint}")
        raise
    session.take(outcome.envelope)
    return outcome


def prepared_file(session: RemoteSession, outcome: Outcome) -> OfferedFile:
    """Return the file that an operation prepared.

    Raises:
        Unavailable: The server offers none.
    """
    if outcome.file is None:
        raise session.invalid("it offers no file")
    return outcome.file


def downloaded(session: RemoteSession, file: OfferedFile, start: int = 0) -> Iterator[bytes]:
    """Yield the bytes of a prepared file from an offset; a download that is cut is continued. The caller verifies them.

    Raises:
        Unavailable: The connection was lost too often, or the server sends other bytes than it announced.
    """
    position, failures = start, 0
    while position < file.size_bytes:
        try:
            for chunk in _part(session, file, position):
                position, failures = position + len(chunk), 0
                if position > file.size_bytes:
                    raise session.invalid(f"it has more than {file.size_bytes:,} bytes")
                yield chunk
        except Unavailable as error:
            failures += 1
            if not error.details.get("cut") or failures >= ATTEMPTS:
                raise


def _part(session: RemoteSession, file: OfferedFile, start: int) -> Iterator[bytes]:
    headers = {"Range": f"bytes={start}-", "If-Match": f'"{file.digest}"'} if start else {}
    with session.connection.request("GET", file.path, headers=headers, accept="application/octet-stream") as response:
        expected = f"bytes {start}-{file.size_bytes - 1}/{file.size_bytes}"
        if start and (response.status != 206 or response.headers.get("Content-Range") != expected):
            raise session.invalid("it is not the rest of the file")
        yield from response.chunks()
