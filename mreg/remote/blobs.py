"""Blobs of a model on a server, by their digests: uploads for a new version, and downloads of one version.

A blob can be uploaded for any version of the model. It can be read once a version has it. Every byte that is read is
verified by `mreg.artifacts.store`; the server verifies every byte that it receives.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mreg.artifacts.backend import (
    BlobBackend,
    BlobRequest,
    BlobStat,
    ContinuedUpload,
    StagedUpload,
    Unfinished,
    WrongBytes,
)
from mreg.artifacts.parallel import in_order
from mreg.domain.digest import Digest, digest_of_key
from mreg.domain.text import shell_word
from mreg.errors import BadInput, Conflict, MregError, NotAllowed, NotFound, Unavailable
from mreg.remote.problems import NO_ROUTE, unexpected_answer
from mreg.remote.references import model_path, version_path
from mreg.wire.batches import encode_batch, encode_digests
from mreg.wire.errors import OPERATOR
from mreg.wire.protocol import DIRECT_BYTES

if TYPE_CHECKING:
    from mreg.artifacts.hashed_file import HashedFile
    from mreg.domain.names import ModelName, VersionRef
    from mreg.remote.connection import Connection
    from mreg.remote.direct import Direct
    from mreg.remote.response import Response

ASKED_BLOBS = 2_000
ASKED_BYTES = 16 << 20
GROUPS_AT_ONCE = 2
"""Small blobs are sent in groups of that number and size: the server is asked which are missing, then gets those."""

BATCHED_BYTES = 256 << 10
BATCH_BYTES = 4 << 20
BATCH_BLOBS = 500
BATCH_READ = 96
AT_ONCE = 4
"""Blobs up to the first size are sent and fetched together: of that size and number in a request, and in parallel."""

UNASKED_BYTES = 64 << 10
"""Up to this size, a single blob is sent without asking whether the server has it: both cost one request."""

FIRST_PIECE = 8 << 20
LARGEST_PIECE = 256 << 20
"""Sizes of the pieces of a large blob, each of which the server acknowledges."""

PIECE_SECONDS = 2.0
"""Time that a piece should take: later pieces are larger or smaller. It is also how often progress is reported."""

HASHING_SECONDS = 600.0
"""Timeout of a server that has received a piece, and hashes or stores the blob."""

ATTEMPTS = 5
"""Number of failed requests in a row, without a byte in between, after which a transfer gives up.

Also the number of times that a server loses bytes of an upload.
"""

PAUSE_SECONDS = 0.25
"""Pause after the first failed request; it doubles with each."""

OFFSET, LENGTH = "Upload-Offset", "Upload-Length"
BYTES = "application/octet-stream"


class HttpBlobs(BlobBackend):
    """The blobs of a model on a server.

    Args:
        model: The model of a new version whose blobs are sent.
        version: The version whose blobs can be read (default: none).
        direct: Requests to the object store of the server (default: all bytes go through the server).

    Attributes:
        sent_bytes: Number of bytes that the server or its object store has received and keeps, also if the push is
            interrupted.
    """

    remote = True
    batch_bytes, batch_blobs, batched_bytes = BATCH_BYTES, BATCH_READ, BATCHED_BYTES

    def __init__(
        self, connection: Connection, model: ModelName, version: VersionRef | None = None, direct: Direct | None = None
    ) -> None:
        self._connection = connection
        self._model = model
        self._version = version
        self._direct = direct
        self._takes_staged = True
        self.sent_bytes = 0

    @property
    def url(self) -> str:
        return str(self._connection.address)

    def repair(self, key: str, *, taken: bool = False) -> str:  # noqa: ARG002  only the server knows its blobs
        command = f"mreg verify {shell_word(str(self._version))}" if self._version is not None else "mreg verify"
        first = "" if taken else "repeat the command, since bytes can change in transit\n"
        return f"{first}{OPERATOR}{command}"

    # Writing

    def put_if_absent(self, key: str, data: bytes) -> bool:
        digest = _digest(key)
        if len(data) > UNASKED_BYTES and not self.missing_of({digest: len(data)}):
            return False
        self._put(digest, data)
        return True

    def put_many_if_absent(self, blobs: Iterable[tuple[str, bytes]]) -> int:
        asked = _batches(((_digest(key), data) for key, data in blobs), ASKED_BLOBS, ASKED_BYTES)
        with closing(in_order(self._put_missing, asked, at_once=GROUPS_AT_ONCE)) as sent:
            return sum(sent)

    def _put_missing(self, blobs: dict[Digest, bytes]) -> int:
        """Send those of the blobs that the server lacks, and return their number."""
        missing = self.missing_of({digest: len(data) for digest, data in blobs.items()})
        needed = [(digest, data) for digest, data in blobs.items() if digest in missing]
        small = (blob for blob in needed if len(blob[1]) <= BATCHED_BYTES)
        batches = [*_batches(small, BATCH_BLOBS, BATCH_BYTES)]
        batches += [{digest: data} for digest, data in needed if len(data) > BATCHED_BYTES]
        with closing(in_order(self._put_batch, batches, at_once=AT_ONCE)) as sent:
            for _ in sent:
                pass
        return len(needed)

    def _put_batch(self, blobs: dict[Digest, bytes]) -> None:
        if len(blobs) == 1:
            self._put(*next(iter(blobs.items())))
            return
        path, headers = model_path(self._model, "blobs"), {"Content-Type": BYTES}
        with self._connection.request("POST", path, body=encode_batch(blobs), headers=headers, repeatable=True) as sent:
            sent.json()
        self.sent_bytes += sum(map(len, blobs.values()))

    def missing_of(self, blobs: dict[Digest, int]) -> dict[Digest, bool]:
        """Return those of the blobs, by their sizes, that must be sent before a version can have them.

        Each has whether it can be sent directly to the object store of the server.
        """
        body = {"blobs": [{"digest": str(digest), "size": size} for digest, size in blobs.items()]}
        opened = self._connection.call("POST", model_path(self._model, "blobs", "missing"), body=body, repeatable=True)
        try:
            return {Digest.parse(item["digest"]): item.get("direct") is True for item in opened.result}
        except (TypeError, KeyError, AttributeError, BadInput):
            raise unexpected_answer(200, self.url, "it is not a list of blobs") from None

    def _put(self, digest: Digest, data: bytes) -> None:
        path = model_path(self._model, "blobs", str(digest))
        with self._connection.request("PUT", path, body=data, headers={"Content-Type": BYTES}, repeatable=True) as sent:
            sent.json()
        self.sent_bytes += len(data)

    def begin_staged(self, name: str, size: int) -> StagedUpload | None:
        """See `mreg.artifacts.backend.SupportsContinuing`."""
        if not self._takes_staged:
            return None
        path = model_path(self._model, "uploads", name)
        try:
            opened = self._connection.call("POST", path, body={"size": size}, repeatable=True)
        except Unavailable as error:
            if error.details.get("refused") not in NO_ROUTE:
                raise
            self._takes_staged = False  # an older server
            return None
        try:
            offset, hash_first = opened.result["offset"], opened.result["hash_first"]
        except (TypeError, KeyError):
            raise unexpected_answer(200, self.url, "it is not an upload") from None
        if hash_first:
            return None
        if not isinstance(offset, int) or not 0 <= offset <= size:
            raise unexpected_answer(200, self.url, "its offset is invalid")
        return _StagedUpload(self, self._connection, path, size, offset)

    def continue_upload(self, key: str, size: int) -> ContinuedUpload | None:
        """See `mreg.artifacts.backend.SupportsContinuing`."""
        digest = _digest(key)
        missing = self.missing_of({digest: size})
        if digest not in missing:
            return None
        path = model_path(self._model, "blobs", str(digest))

        def through_the_server() -> ContinuedUpload:
            return _Upload(self, self._connection, path, size, digest)

        if self._direct is None or not self._direct.usable or not missing[digest]:
            return through_the_server()
        from mreg.remote.direct_upload import DirectUpload

        try:
            return DirectUpload(
                self._connection,
                self._direct,
                path,
                size,
                is_missing=lambda: self.lacks(digest, size),
                kept=self._note_kept,
                instead=through_the_server,
            )
        except Conflict as error:  # too many are not finished
            self._direct.give_up(error)
            return through_the_server()

    def lacks(self, digest: Digest, size: int) -> bool:
        """Return whether a blob must be sent before a version can have it."""
        return digest in self.missing_of({digest: size})

    def _note_kept(self, count: int) -> None:
        self.sent_bytes += count

    def delete(self, key: str) -> None:
        raise NotAllowed(f"{self.url} removes unused blobs automatically", hint="mreg gc", key=key)

    def unfinished(self) -> Iterator[Unfinished]:
        yield from ()  # the server removes them

    def discard(self, unfinished: Unfinished) -> None:
        """Do nothing: see `unfinished`."""

    # Reading

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO:
        return cast("BinaryIO", _Reader(self, _digest(key), start, length))

    def read(self, digest: Digest, start: int, length: int | None) -> Response | None:
        """Send the request for a range of a blob; return None if the blob ends before it.

        Raises:
            NotFound: The version does not have the blob.
        """
        if self._version is None:
            raise NotFound(f"no version has the blob {digest}", kind="blob")
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        path = version_path(self._version, "blobs", str(digest))
        is_large = length is None or start + length >= DIRECT_BYTES
        response = self._direct.get(path, headers) if self._direct is not None and is_large else None
        if response is None:
            response = self._connection.request("GET", path, headers=headers, accept=BYTES, expect=(416,))
        if response.status == 416:
            response.close()
            return None
        if start and response.status != 206:
            response.close()
            raise unexpected_answer(response.status, self.url, "it is not the range that was requested")
        return response

    def cut_off(self, response: Response, error: Unavailable) -> bool:
        """Return whether a range that was cut off repeatedly can be had in another way: by the server."""
        if self._direct is None or response.is_mreg or not self._direct.usable:
            return False
        self._direct.give_up(error)
        return True

    def open_many(self, requests: Sequence[BlobRequest]) -> Iterator[bytes]:
        """See `mreg.artifacts.backend.SupportsBatches`."""
        if self._version is None:
            raise NotFound("no version has the blobs", kind="blob")
        query = {"digests": encode_digests(request.digest for request in requests)}
        path = version_path(self._version, "blobs")
        with self._connection.request("GET", path, query=query, accept=BYTES) as response:
            for request in requests:
                data = bytearray()
                while len(data) < request.size and (more := response.read(request.size - len(data))):
                    data += more
                yield bytes(data)

    def stat(self, key: str) -> BlobStat | None:
        if self._version is None:
            return None
        path = version_path(self._version, "blobs", str(_digest(key)))
        try:
            with self._connection.request("HEAD", path, accept=BYTES) as response:
                size = response.headers.get("Content-Length", "")
        except NotFound:
            return None
        # The server does not say when it was stored.
        return BlobStat(size=int(size), modified=datetime.fromtimestamp(0, UTC)) if size.isdecimal() else None

    def list(self, prefix: str) -> Iterator[tuple[str, BlobStat]]:  # noqa: ARG002  a server lists none
        yield from ()


class _Pieces:
    """The upload of a large file in pieces. The server knows how many bytes have arrived, also after a restart.

    Args:
        start: Number of bytes that have arrived.
    """

    def __init__(self, blobs: HttpBlobs, connection: Connection, path: str, size: int, start: int) -> None:
        self._blobs, self._connection, self._path, self._size = blobs, connection, path, size
        self._piece = FIRST_PIECE
        self.start = start
        blobs.sent_bytes += start

    def _told(self, response: Response) -> int:
        return _offset_in(response, self._size, self._blobs.url)

    def _send_all(
        self,
        advance: Callable[[int], None],
        *,
        step: Callable[[int], tuple[int, bool]],
        is_stored: Callable[[], bool],
    ) -> None:
        """Send pieces until the server has the blob; after a failure, continue from where the server is.

        Args:
            step: Sends a piece from an offset; returns how many bytes have arrived, and whether the blob is stored.
            is_stored: Returns whether the blob is stored, if all bytes have arrived or none: an answer can be lost.
        """
        offset, failures, losses, done = self.start, 0, 0, False
        while not done:
            try:
                arrived, done = step(offset)
            except (Unavailable, Conflict) as error:
                failures += 1
                if failures == ATTEMPTS or not _is_temporary(error):
                    raise
                time.sleep(PAUSE_SECONDS * 2.0 ** (failures - 1))
                arrived = _offset_at(self._connection, self._path, self._size)
                if arrived in (0, self._size) and is_stored():
                    arrived, done = self._size, True
                if arrived > offset:
                    failures = 0
            else:
                failures = 0 if done or arrived > offset else failures + 1
            losses += arrived < offset
            if ATTEMPTS in (failures, losses):
                raise unexpected_answer(200, self._blobs.url, "it does not accept the bytes that are sent")
            self._blobs.sent_bytes += arrived - offset
            advance(arrived - offset)
            offset = arrived

    def _send_piece(self, offset: int, chunks: Callable[[int], Iterator[bytes]]) -> int:
        length = min(self._piece, self._size - offset)
        began = time.monotonic()

        def body() -> Iterator[bytes]:
            left = length
            with closing(chunks(offset)) as found:  # type: ignore[type-var]
                for chunk in found:
                    yield chunk[:left]
                    left -= len(chunk)
                    if left <= 0:
                        return

        headers = {OFFSET: str(offset), LENGTH: str(self._size), "Content-Type": BYTES}
        # After a restart, the server first hashes what it has.
        with self._connection.request(
            "PATCH", self._path, body=body, length=length, headers=headers, silence=HASHING_SECONDS
        ) as response:
            arrived = self._told(response)
            response.drain()
        seconds = max(time.monotonic() - began, 0.001)
        self._piece = int(min(max(length / seconds * PIECE_SECONDS, FIRST_PIECE), LARGEST_PIECE))
        return arrived


class _Upload(_Pieces, ContinuedUpload):
    """The upload of a blob by its digest, which is stored once the server has received the last byte."""

    def __init__(self, blobs: HttpBlobs, connection: Connection, path: str, size: int, digest: Digest) -> None:
        super().__init__(blobs, connection, path, size, _offset_at(connection, path, size))
        self._digest = digest

    def send(
        self,
        chunks: Callable[[int], Iterator[bytes]],
        advance: Callable[[int], None],
        verified: Callable[[int], None],  # noqa: ARG002  the server verifies the bytes as they arrive
    ) -> bool:
        def step(offset: int) -> tuple[int, bool]:
            arrived = self._send_piece(offset, chunks)
            return arrived, arrived == self._size

        self._send_all(advance, step=step, is_stored=lambda: not self._blobs.lacks(self._digest, self._size))
        return True


class _StagedUpload(_Pieces, StagedUpload):
    """The upload of a file whose digest is named in the last request."""

    def send(self, file: HashedFile, advance: Callable[[int], None]) -> Digest:
        def step(offset: int) -> tuple[int, bool]:
            if offset < self._size:
                file.hash_to(offset)  # not while the server waits for the bytes of a request
                return self._send_piece(offset, file.chunks), False
            self._finish(file.digest())
            return self._size, True

        def is_stored() -> bool:
            return file.all_hashed and not self._blobs.lacks(file.digest(), self._size)

        self._send_all(advance, step=step, is_stored=is_stored)
        return file.digest()

    def _finish(self, digest: Digest) -> None:
        body = json.dumps({"digest": str(digest), "size": self._size}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with self._connection.request(
                "POST", f"{self._path}/finish", body=body, headers=headers, repeatable=True, silence=HASHING_SECONDS
            ) as response:
                response.json()
        except BadInput:
            self._blobs.sent_bytes -= self._size
            raise WrongBytes(digest) from None


class _Reader(io.RawIOBase):
    """A range of a blob as a stream, which is requested again from where the connection failed."""

    def __init__(self, blobs: HttpBlobs, digest: Digest, start: int, length: int | None) -> None:
        self._blobs, self._digest = blobs, digest
        self._place, self._left = start, length
        self._failures = 0
        self._response = blobs.read(digest, start, length)
        self._total = None if self._response is None else self._response.length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        while self._response is not None:
            try:
                data = self._response.read(size)
            except Unavailable as error:
                self._failures += 1
                if not error.details.get("cut"):
                    raise
                if self._failures == ATTEMPTS:
                    if not self._blobs.cut_off(self._response, error):
                        raise
                    self._failures = 1
                time.sleep(PAUSE_SECONDS * 2.0 ** (self._failures - 1))
                self._response = self._blobs.read(self._digest, self._place, self._left)
                continue
            if data:
                self._failures = 0
                self._place += len(data)
                if self._left is not None:
                    self._left -= len(data)
            return data
        return b""

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
        super().close()


def _digest(key: str) -> Digest:
    digest = digest_of_key(key)
    if digest is None:
        raise BadInput(f"invalid key of a blob: {key}")
    return digest


def _batches(blobs: Iterable[tuple[Digest, bytes]], count: int, total: int) -> Iterator[dict[Digest, bytes]]:
    """Yield the blobs in parts of limited number and size, equal blobs of a part once."""
    batch: dict[Digest, bytes] = {}
    size = 0
    for digest, data in blobs:
        if batch and (len(batch) == count or size + len(data) > total):
            yield batch
            batch, size = {}, 0
        batch[digest] = data
        size += len(data)
    if batch:
        yield batch


def _offset_at(connection: Connection, path: str, size: int) -> int:
    """Return the number of bytes of an upload that the server has."""
    try:
        with connection.request("HEAD", path) as response:
            return _offset_in(response, size, str(connection.address))
    except NotFound:
        return 0


def _offset_in(response: Response, size: int, server: str) -> int:
    """Return the offset in the headers of a response."""
    text = response.headers.get(OFFSET, "")
    if not text.isdecimal() or len(text) > 19 or int(text) > size:
        raise unexpected_answer(response.status, server, f"its header {OFFSET} is invalid")
    return int(text)


def _is_temporary(error: MregError) -> bool:
    """Return whether an upload can continue after an error."""
    if isinstance(error, Conflict):  # otherwise the file has changed
        return "offset" in error.details
    return error.details.get("status") not in (401, 403)
