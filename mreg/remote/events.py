"""Long operations: server-sent events of their progress, and the files that they prepare for download."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from mreg.domain.digest import Digest
from mreg.domain.text import Caution
from mreg.errors import BadInput, MregError, Unavailable
from mreg.remote import problems
from mreg.remote.documents import InvalidDocument, check_size, count_values, decode_document
from mreg.wire.envelope import Opened, open_envelope
from mreg.wire.protocol import DOCUMENT_BYTES

if TYPE_CHECKING:
    from mreg.remote.connection import Body, Connection, Query

EVENTS = "text/event-stream"

LARGE = ("result", "part", "problem")
"""Kinds of events that can have `DOCUMENT_BYTES`."""

LARGE_STARTS = tuple(f"event: {kind}".encode() for kind in LARGE)

SMALL_BYTES = 1_000_000
"""Maximum size of any other event."""

LINES_LIMIT = 20
"""Maximum number of lines in an event; `mreg serve` writes two."""

VALUES_LIMIT = 5_000_000
"""Maximum number of values in the results of an operation, which bounds the memory that they take."""

PROGRESS_BYTES = 64_000_000
EVENT_COST = 50
"""Maximum number of bytes of comments, notices and progress: a week of an honest server. Each counts as 50 or more."""

PARTS_BYTES = 200_000_000
"""Maximum total size of the parts of a list, which the client has to hold; of a million items, about 150 MB."""

NOTICES_LIMIT = 1_000
NOTICE_CHARACTERS = 10_000

FIRST_SECONDS = 600.0
"""Timeout for the first byte: a proxy can collect the whole answer in a buffer."""

LIVE_SECONDS = 15.0
"""If the first byte arrives within this time, no proxy collects the answer."""

SILENCE_SECONDS = 60.0
"""Timeout of a live stream in which nothing arrives; the server sends a comment every 5 seconds."""

NOTICE_SECONDS = 600.0
"""Time without an advance of the operation after which a notice says so."""

STALLED_SECONDS = 24 * 3600.0
"""Time without an advance after which the client gives up. An import can wait for others for hours, and a copy within a
bucket reports nothing for minutes, but a thread of the server that hangs does not end the stream.
"""


@dataclass(frozen=True, slots=True)
class OfferedFile:
    """A file that the server prepared for this client.

    Attributes:
        path: Path below the URL of the server.
        digest: Digest that the server states.
    """

    path: str
    digest: Digest
    size_bytes: int


@dataclass(slots=True)
class Outcome:
    """The end of a long operation.

    Attributes:
        envelope: The envelope of the result; a long list is complete.
        file: The file that was prepared.
    """

    envelope: Opened
    file: OfferedFile | None = None


class _Advance:
    """Watches whether an operation advances, whatever else its server sends.

    Args:
        tell: Called once with a notice for the user.
    """

    def __init__(self, server: str, tell: Callable[[str], None]) -> None:
        self._server, self._tell = server, tell
        self._progress: tuple[object, object] = (None, None)
        self._last, self._told = time.monotonic(), False

    def event(self, kind: str, document: dict[str, Any]) -> None:
        """Take note of an event; the same progress as before is not an advance."""
        if kind == "progress":
            before, self._progress = self._progress, (document.get("done"), document.get("total"))
            if self._progress == before:
                return
        self._last, self._told = time.monotonic(), False

    def check(self) -> None:
        """Notify the user if the operation has not advanced for some time.

        Raises:
            Unavailable: It has not advanced for `STALLED_SECONDS`.
        """
        idle = time.monotonic() - self._last
        if idle >= STALLED_SECONDS:
            raise Unavailable(
                f"{self._server} has reported no progress for {STALLED_SECONDS / 3600:.0f} hours",
                hint="operator of the server: see the log, and restart mreg serve if the operation hangs",
            )
        if idle >= NOTICE_SECONDS and not self._told:
            self._told = True
            self._tell(
                f"{self._server} has reported no progress for {NOTICE_SECONDS / 60:.0f} minutes; "
                "it is still connected, and Ctrl-C stops the operation"
            )


@dataclass(slots=True)
class _Stream:
    """What has arrived of one operation."""

    items: list[Any] = field(default_factory=list)
    file: OfferedFile | None = None
    notices: int = 0
    values: int = 0
    parts_bytes: int = 0


def run(
    connection: Connection,
    method: str,
    path: str,
    *,
    lost: Unavailable,
    query: Query | None = None,
    body: bytes | Body | None = None,
    length: int | None = None,
    headers: dict[str, str] | None = None,
    repeatable: bool = True,
    progress: Callable[[int, int], None] | None = None,
    notice: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Run a long operation of the server, and return its end.

    Args:
        lost: The error if the connection is lost in the middle: it says what can have been changed. Its message is
            completed with the cause.
        repeatable: Whether the request is repeated if the connection is lost before the operation begins.
        progress: Called as by the operation of a local registry.
        notice: Called with each note at the time at which the server sends it.

    Raises:
        MregError: The error of the operation, as of a local registry; or ``lost``.
    """
    began = time.monotonic()
    with connection.request(
        method,
        path,
        query=query,
        body=body,
        length=length,
        headers=headers,
        accept=EVENTS,
        repeatable=repeatable,
        silence=FIRST_SECONDS,
    ) as response:
        server = str(connection.address)
        if response.media_type != EVENTS:
            raise problems.unexpected_answer(response.status, server, f"its type is {response.media_type!r}")

        def live(chunks: Iterable[bytes]) -> Iterator[bytes]:
            for number, chunk in enumerate(chunks):
                if number == 0 and time.monotonic() - began < LIVE_SECONDS:
                    response.allow_silence(SILENCE_SECONDS)
                yield chunk

        try:
            return read(live(response.chunks()), server, progress=progress, notice=notice)
        except Unavailable as error:
            if not error.details.get("cut"):
                raise connection.with_way(error) from None
            raise Unavailable(f"{lost.message}: {error.message}", hint=lost.hint, cut=True) from error


def read(
    chunks: Iterable[bytes],
    server: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    notice: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Read the events of an operation to its result.

    Args:
        chunks: The body of the answer as it arrives.
        server: URL of the server, for messages.

    Raises:
        MregError: The error of the operation.
        Unavailable: The events are invalid or exceed a limit; the operation does not advance for a day; or the events
            end without a result (``details["cut"]``).
    """
    stream, advance = _Stream(), _Advance(server, notice)

    def watched() -> Iterator[bytes]:
        for chunk in chunks:
            advance.check()
            yield chunk

    for kind, data in _events(watched(), server):
        if kind == "part":
            stream.parts_bytes += len(data)
            if stream.parts_bytes > PARTS_BYTES:
                _refuse(server, "its result is too large")
        document = _document(data, stream, server)
        advance.event(kind, document)
        if kind == "progress":
            done, total = document.get("done"), document.get("total")
            if progress is not None and _is_count(done) and _is_count(total):
                progress(min(done, total) if total else done, total)
        elif kind == "notice":
            _tell(document, stream, notice)
        elif kind == "part":
            items = document.get("items")
            if not isinstance(items, list):
                _refuse(server, "an event of a list has no items")
            stream.items += items
        elif kind == "file":
            stream.file = _file(document, server)
        elif kind == "result":
            return _outcome(document, stream, server)
        elif kind == "problem":
            error, notices = problems.problem_error(_status(document), document, server)
            for text in notices:
                _tell({"text": text}, stream, notice)
            raise error
    raise Unavailable(f"the response from {server} ended without a result", hint="try again", cut=True)


def _events(chunks: Iterable[bytes], server: str) -> Iterator[tuple[str, bytearray]]:
    """Yield the kind and the data of each event; comments are left out."""
    waiting, searched, small = bytearray(), 0, 0
    for chunk in chunks:
        waiting += chunk
        while (end := waiting.find(b"\n\n", searched)) >= 0:
            _check_event(waiting, end, server)
            kind, data = _fields(waiting, end, server)
            del waiting[: end + 2]
            searched = 0
            if kind not in LARGE:
                small += max(end + 2, EVENT_COST)
                if small > PROGRESS_BYTES:
                    _refuse(server, "it has too many events")
            if kind:
                yield kind, data
        searched = max(0, len(waiting) - 1)
        _check_event(waiting, len(waiting), server)


def _check_event(waiting: bytearray, size: int, server: str) -> None:
    """Check the size of an event so far."""
    try:
        check_size(size, DOCUMENT_BYTES if waiting.startswith(LARGE_STARTS) else SMALL_BYTES)
    except InvalidDocument as error:
        _refuse(server, f"an event is too large: {error.why}")


def _fields(waiting: bytearray, end: int, server: str) -> tuple[str, bytearray]:
    """Return the kind and the data of the event that ends there."""
    kind, data, start = "", bytearray(), 0
    lines = 0
    while start <= end:
        lines += 1
        if lines > LINES_LIMIT:
            _refuse(server, "an event has too many lines")
        stop = waiting.find(b"\n", start, end)
        stop = end if stop < 0 else stop
        colon = waiting.find(b":", start, stop)
        name = bytes(waiting[start:colon]) if 0 <= colon - start < 10 else b""
        if name == b"event":
            kind = waiting[colon + 1 : min(stop, colon + 100)].strip().decode("ascii", "replace")
        elif name == b"data":
            data = waiting[colon + 1 : stop]
        start = stop + 1
    return kind, data


def _document(data: bytearray, stream: _Stream, server: str) -> dict[str, Any]:
    stream.values += count_values(data)
    if stream.values > VALUES_LIMIT:
        _refuse(server, "it has too many values")
    try:
        document = decode_document(data, VALUES_LIMIT)
    except InvalidDocument:
        _refuse(server, "an event is not JSON")
    if not isinstance(document, dict):
        _refuse(server, "an event is not an object")
    return document


def _tell(document: dict[str, Any], stream: _Stream, notice: Callable[[str], None]) -> None:
    text = document.get("text")
    stream.notices += 1
    if isinstance(text, str) and stream.notices <= NOTICES_LIMIT:
        shown = text[:NOTICE_CHARACTERS]
        notice(Caution(shown) if document.get("caution") is True or isinstance(text, Caution) else shown)


def _file(document: dict[str, Any], server: str) -> OfferedFile:
    path, digest, size = document.get("path"), document.get("digest"), document.get("size_bytes")
    try:
        if not isinstance(path, str) or not path.startswith("/prepared/") or not isinstance(digest, str):
            raise BadInput("path")
        if not path.isascii() or not path.isprintable() or set(path) & set(" ?#\\%") or ".." in path:
            raise BadInput("path")
        if not _is_count(size):
            raise BadInput("size")
        return OfferedFile(path, Digest.parse(digest), size)
    except BadInput:
        _refuse(server, "it offers an invalid file")


def _outcome(document: dict[str, Any], stream: _Stream, server: str) -> Outcome:
    try:
        envelope = open_envelope(document)
    except MregError as error:
        _refuse(server, error.message)
    if stream.items:
        if not isinstance(envelope.result, list):
            _refuse(server, "its result is not a list")
        envelope.result[:0] = stream.items
    return Outcome(envelope, stream.file)


def _status(document: dict[str, Any]) -> int:
    status = document.get("status")
    return status if _is_count(status) and 100 <= status < 600 else 500


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 1 << 63


def _refuse(server: str, why: str) -> NoReturn:
    raise problems.unexpected_answer(200, server, why)
