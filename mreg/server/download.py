"""Downloads: verified files with entity tags and ranges (RFC 9110)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response

from mreg.domain.names import VersionRef
from mreg.domain.paths import is_project_file
from mreg.errors import MregError
from mreg.registry.local import LocalRegistry
from mreg.server.concurrency import ConcurrencyLimit, client_of, run_transfer
from mreg.server.guard import token_revoked
from mreg.server.problems import Refused
from mreg.server.settings import DIRECT_SECONDS

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from mreg.domain.digest import Digest
    from mreg.registry.prepared import PreparedFile
    from mreg.results.files import StoredFile
    from mreg.server.damage import DamagedFiles
    from mreg.server.listings import Listings
    from mreg.server.settings import ServerSettings

PIECE_BYTES = 256 << 10
"""Size of one write; it stays in memory while the client does not read."""

DOWNLOADS = ConcurrencyLimit("downloads", 128, each=64)
"""Each download holds a few megabytes."""

NAME_BYTES = 240
"""Maximum length of a file name in ``Content-Disposition``; file systems allow 255 bytes, and clients append to it."""

_ALWAYS_UNSAFE = r"^[ .-]|[ .]$|^(?=(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)).|~"
"""Hidden files, command-line options, names that Windows changes or reserves, and the escape character itself."""

_UNSAFE_ASCII = re.compile(rf"{_ALWAYS_UNSAFE}|[^A-Za-z0-9_.,+=@() -]", re.ASCII | re.IGNORECASE)
_UNSAFE = re.compile(
    rf"{_ALWAYS_UNSAFE}|%(?=[0-9a-f]{{2}})|[\x00-\x1f\x7f-\x9f/\\\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
    re.ASCII | re.IGNORECASE,
)
"""Characters that control a terminal or change the folder, and ``%2e``, which wget decodes again."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    },
    206: {"description": "A range of the file."},
    304: {"description": "The client has the current file."},
    416: {"description": "The range is beyond the end of the file."},
}
"""The responses of a download, for the OpenAPI document."""


async def download(request: Request, registry: LocalRegistry, version: VersionRef, path: str | None) -> Response:
    """Return the response with a file of a version, or with a range of it.

    A whole file is hashed while it is sent. If it is damaged, the connection is closed before the last chunk, so that
    no client takes it for complete, and ranges of it are refused. Other ranges are not verified; ``ETag``,
    ``X-Checksum-Sha256`` and ``Repr-Digest`` have the digest of the whole file.

    Args:
        path: File of a folder artifact (default: the only file of the version).

    Raises:
        NotFound: The version or file does not exist.
        Corrupt, Unavailable: The file cannot be read; detected before the first byte is sent.
        Refused: The range is beyond the end of the file, or the file does not match ``If-Match``.
    """
    if path is None:
        file = await run_sync(registry.file, version)
    else:
        listings: Listings = request.app.state.listings
        file = await run_sync(listings.file, registry, await run_sync(registry.version, version), path)
    return await send_file(request, registry, file, f'"{file.digest}"')


async def download_blob(
    request: Request, registry: LocalRegistry, version: VersionRef, digest: Digest, *, direct: bool
) -> Response:
    """Return the response with a blob of a version, or with a range of it; see `download`.

    Args:
        direct: Return a redirect to the bucket, if the server may. The client verifies the bytes itself.

    Raises:
        NotFound: The version does not exist or does not have the blob.
        Corrupt, Unavailable: The blob cannot be read; detected before the first byte is sent.
        Refused: The range is beyond the end of the blob, or the blob does not match ``If-Match``.
    """
    listings: Listings = request.app.state.listings
    file = await run_sync(listings.blob, registry, await run_sync(registry.version, version), digest)
    settings: ServerSettings = request.app.state.settings
    if direct and settings.direct and not request.scope.get("mreg.head"):
        url = await run_sync(registry.presign, file, DIRECT_SECONDS)
        return Response(status_code=307, headers={"Location": url, "Cache-Control": "no-store"})
    return await send_file(request, registry, file, f'"{file.digest}"')


async def send_file(
    request: Request, registry: LocalRegistry, file: StoredFile, etag: str, more: Mapping[str, str] | None = None
) -> Response:
    """Return the response with a file, or with a range of it; see `download`.

    Args:
        etag: The entity tag, in quotes.
        more: Further headers.

    Raises:
        Corrupt, Unavailable: The file cannot be read; detected before the first byte is sent.
        Refused: The range is beyond the end of the file, or the file does not match ``If-Match``.
    """
    headers = {
        **(more or {}),
        **_headers(f"{file.reference}-{file.path}", file.path.rpartition("/")[2], file.digest, etag),
        "Cache-Control": "private, no-cache",
        "X-Reference": str(file.reference),
    }
    part = _part(request, headers, file.size_bytes, etag, f"the file is {file.digest}")
    if isinstance(part, Response):
        return part
    start, length, status = part
    damaged: DamagedFiles = request.app.state.damaged
    if status == 206 and file in damaged:
        await run_sync(damaged.check, file, registry.read_file(file))
    return await begin(damaged.watch(file, registry.read_file(file, start, length)), status, headers)


async def begin(
    chunks: Generator[bytes], status: int, headers: dict[str, str], end: Callable[[bool], None] = lambda _complete: None
) -> Response:
    """Return the response with the chunks of a generator, once it has yielded the first.

    Args:
        end: Called once, from any thread, when the generator is closed: with whether it has yielded all chunks.
    """
    steps = _Steps(chunks, end)
    try:
        return FileResponse(await run_sync(steps.next), steps, status, headers)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_sync(steps.close)
        raise


async def send_prepared(request: Request, file: PreparedFile, end: Callable[[bool], None]) -> Response:
    """Return the response with a prepared file, or with a range of it.

    Args:
        end: Called once, from any thread, at the end of the response: with whether the last byte of the file was sent.

    Raises:
        Refused: The range is beyond the end of the file, or the file does not match ``If-Match``.
    """
    etag = f'"{file.digest}"'
    headers = {**_headers(file.name, file.name, file.digest, etag), "Cache-Control": "no-store"}

    try:
        part = _part(request, headers, file.size_bytes, etag, f"the file is {file.digest}")
    except Refused:
        end(False)
        raise
    if isinstance(part, Response):
        end(False)
        return part
    start, length, status = part
    return await begin(
        file.read(start, length), status, headers, lambda sent: end(sent and start + length == file.size_bytes)
    )


def _headers(plain: str, name: str, digest: Digest, etag: str) -> dict[str, str]:
    """Return the headers of a file; see `_disposition` for its two names."""
    return {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "X-Checksum-Sha256": digest.value,
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(digest.value)).decode()}:",
        "Content-Disposition": _disposition(plain, name),
    }


def _part(
    request: Request, headers: dict[str, str], size: int, etag: str, current: str
) -> Response | tuple[int, int, int]:
    """Return the start, length and status of the part of a file to send, or the response without a body.

    Args:
        headers: The headers of the file; those of the part are added.
        current: Description of the file for the error.

    Raises:
        Refused: The range is beyond the end of the file, or the file does not match ``If-Match``.
    """
    if not _matches(request.headers.get("if-match", "*"), etag):
        raise Refused(412, "other_content", f"If-Match does not match: {current}", headers={"ETag": etag})
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    start, length, status = 0, size, 200
    range_header = request.headers.get("range", "")
    if range_header and request.headers.get("if-range", etag) == etag:
        bounds = _range(range_header, size)
        if bounds is not None:
            start, length = bounds
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    headers["Content-Length"] = str(length)
    if request.scope.get("mreg.head"):
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    return start, length, status


def _disposition(plain: str, name: str) -> str:
    """Return the ``Content-Disposition`` header of a file (RFC 6266, RFC 8187).

    ``filename`` is for clients such as curl, which read nothing else and overwrite a file of the same name: the
    reference of the version, ``-``, and the path of the file, as ASCII that is safe in every shell and file system.
    Names of models have no ``@``, so it is different for every file of every version. ``filename*`` is the real name of
    the file; it keeps every character that cannot lead a client into another folder.
    """
    full = _escaped(name, _UNSAFE)
    if is_project_file(name):  # mreg would read the downloaded file as its project file
        full = "".join(f"~{byte:02X}" for byte in _utf8(name[0])) + _escaped(name[1:], _UNSAFE)
    plain = _escaped(plain, _UNSAFE_ASCII)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full, safe='', errors='surrogatepass')}"


def _escaped(name: str, unsafe: re.Pattern[str]) -> str:
    """Return the name with ``~XX`` for each UTF-8 byte of an unsafe character, at most `NAME_BYTES` bytes long."""
    escaped = unsafe.sub(lambda match: "".join(f"~{byte:02X}" for byte in _utf8(match[0])), name)
    if len(_utf8(escaped)) <= NAME_BYTES:
        return escaped
    start = _utf8(escaped)[: NAME_BYTES // 2].decode(errors="ignore")
    suffix = _SUFFIX.search(escaped)
    return f"{start}~-{hashlib.sha256(_utf8(name)).hexdigest()}{suffix[0] if suffix else ''}"


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _matches(tags: str, etag: str) -> bool:
    words = [word.strip().removeprefix("W/") for word in tags.split(",")]
    return "*" in words or etag in words


def _range(range_header: str, size: int) -> tuple[int, int] | None:
    """Return the start and length of a ``Range`` header; None if the whole file is to be sent.

    Raises:
        Refused: The range is beyond the end of the file.
    """
    match = _RANGE.fullmatch(range_header.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        start = size - length
    else:
        start = int(match[1])
        if match[2] and int(match[2]) < start:
            return None
        length = (min(int(match[2]) + 1, size) if match[2] else size) - start
    if length <= 0 or start >= size:
        raise Refused(
            416,
            "no_such_range",
            f"the range is beyond the end of the file, which has {size:,} bytes",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, length


class _Steps:
    """A generator that is read and closed in threads.

    A task that is cancelled leaves its thread in the middle of a step, and the generator cannot be closed meanwhile:
    `close` waits for the end of the step.
    """

    def __init__(self, chunks: Generator[bytes], end: Callable[[bool], None]) -> None:
        self._chunks = chunks
        self._end = end
        self._complete = self._closed = False
        self._alone = threading.Lock()

    def next(self) -> bytes:
        """Return the next chunk; empty at the end."""
        with self._alone:
            chunk = next(self._chunks, b"")
            self._complete = self._complete or not chunk
            return chunk

    def close(self) -> None:
        """Close the generator; idempotent."""
        with self._alone:
            if not self._closed:
                self._closed = True
                try:
                    self._chunks.close()
                finally:
                    self._end(self._complete)


class FileResponse(Response):
    """A response from a generator, read in a thread; ends before ``Content-Length`` if the file is damaged."""

    def __init__(self, first: bytes, rest: _Steps, status: int, headers: dict[str, str]) -> None:
        self._first = first
        self._rest = rest
        self.status_code = status
        self.media_type = "application/octet-stream"
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks while the client is connected."""
        try:
            with DOWNLOADS.slot(client_of(scope)):
                await self._send(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_transfer(scope, self._rest.close)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(disconnected(receive))  # send() does not raise if the client has disconnected
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            chunk = self._first
            while chunk:
                if scope["mreg.revoked"]():
                    scope["mreg.failure"] = token_revoked(scope).detail
                    return  # the client receives fewer bytes than Content-Length
                if gone.done():
                    break
                for start in range(0, len(chunk), PIECE_BYTES):
                    piece = chunk[start : start + PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                chunk = await run_transfer(scope, self._rest.next)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except MregError as error:
            # The client receives fewer bytes than Content-Length, which every client reports as a failure.
            scope["mreg.failure"] = error.message
        finally:
            gone.cancel()


async def disconnected(receive: Receive) -> None:
    """Return when the client disconnects, or when receiving fails because its token was revoked."""
    with contextlib.suppress(Refused):
        while (await receive())["type"] != "http.disconnect":
            pass
