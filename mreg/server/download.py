"""Downloads: verified bytes with entity tags and ranges (RFC 9110)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import Generator
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response

from mreg.domain.names import VersionRef
from mreg.domain.paths import is_project_file
from mreg.errors import MregError
from mreg.registry.local import LocalRegistry
from mreg.server.concurrency import ConcurrencyLimit
from mreg.server.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from mreg.results.files import StoredFile

PIECE_BYTES = 256 << 10
"""Sent at once; all of it waits in memory where nobody reads."""

DOWNLOADS = ConcurrencyLimit("downloads", 128)
"""Each holds some megabytes."""

LONGEST_NAME = 240
"""Bytes of a file's name that a client is given; file systems take 255, and clients append to it."""

_ALWAYS = r"^[ .-]|[ .]$|^(?=(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)).|~"
"""Hidden files, options, names that Windows changes or takes for a device; and the character that escapes."""

_NOT_PLAIN = re.compile(rf"{_ALWAYS}|[^A-Za-z0-9_.,+=@() -]", re.ASCII | re.IGNORECASE)
_NOT_SAFE = re.compile(
    rf"{_ALWAYS}|%(?=[0-9a-f]{{2}})|[\x00-\x1f\x7f-\x9f/\\\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
    re.ASCII | re.IGNORECASE,
)
"""Characters that act on a terminal or lead into another folder; ``%2e``, which wget decodes once more."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


async def download(request: Request, registry: LocalRegistry, version: VersionRef, path: str | None) -> Response:
    """The answer with the bytes of a file of a version, or with a part of them.

    A whole file is hashed on its way; where it is damaged the connection is cut before the last chunk, so that no
    client takes it for whole. A range can't be hashed: ``ETag``, ``X-Checksum-Sha256`` and ``Repr-Digest`` say what the
    whole must have.

    Raises:
        NotFound: There is no such version or file.
        Corrupt, Unavailable: The bytes can't be given, found before the first of them was.
        Refused: The range lies beyond the file, or the file is not the one that the client asks for.
    """
    file = await run_sync(registry.file, version, path)
    etag = f'"{file.digest}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "X-Checksum-Sha256": file.digest.value,
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.digest.value)).decode()}:",
        "X-Reference": str(file.reference),
        "Content-Disposition": _disposition(file.path.rpartition("/")[2]),
    }
    if not _matches(request.headers.get("if-match", "*"), etag):
        raise Refused(412, "other_content", f"the file is {file.digest}", headers={"ETag": etag})
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    start, length, status = 0, file.size_bytes, 200
    asked = request.headers.get("range", "")
    if asked and request.headers.get("if-range", etag) == etag:
        found = _range(asked, file)
        if found is not None:
            start, length = found
            status = 206
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{file.size_bytes}"
    headers["Content-Length"] = str(length)
    if request.scope.get("mreg.head"):
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    chunks = registry.read_file(file, start, length)
    first = await run_sync(next, chunks, b"")
    return _Bytes(first, chunks, status, headers)


def _disposition(name: str) -> str:
    """Return the Content-Disposition of a file: RFC 6266, RFC 8187.

    ``filename`` is for clients that know nothing else, such as curl: ASCII that is safe in every shell and file system.
    ``filename*`` follows if it can say more: the name itself, unless a client could be led elsewhere by it. Different
    names stay different in both.
    """
    plain = _escaped(name, _NOT_PLAIN)
    full = _escaped(name, _NOT_SAFE)
    if is_project_file(name):  # mreg would read it as its project file
        first = "".join(f"~{byte:02X}" for byte in _utf8(name[0]))
        plain, full = (first + _escaped(name[1:], unsafe) for unsafe in (_NOT_PLAIN, _NOT_SAFE))
    extended = "" if full == plain else f"; filename*=UTF-8''{quote(full, safe='', errors='surrogatepass')}"
    return f'attachment; filename="{plain}"{extended}'


def _escaped(name: str, unsafe: re.Pattern[str]) -> str:
    """Return the name with ``~XX`` for each UTF-8 byte of an unsafe character, at most `LONGEST_NAME` bytes long."""
    escaped = unsafe.sub(lambda found: "".join(f"~{byte:02X}" for byte in _utf8(found[0])), name)
    if len(_utf8(escaped)) <= LONGEST_NAME:
        return escaped
    start = _utf8(escaped)[: LONGEST_NAME // 2].decode(errors="ignore")
    suffix = _SUFFIX.search(escaped)
    return f"{start}~-{hashlib.sha256(_utf8(name)).hexdigest()}{suffix[0] if suffix else ''}"


def _utf8(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _matches(tags: str, etag: str) -> bool:
    words = [word.strip().removeprefix("W/") for word in tags.split(",")]
    return "*" in words or etag in words


def _range(asked: str, file: StoredFile) -> tuple[int, int] | None:
    """Where a range begins and how long it is; None for what may be answered with the whole file.

    Raises:
        Refused: It lies beyond the file.
    """
    match = _RANGE.fullmatch(asked.replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    size = file.size_bytes
    if not match[1]:
        length = min(int(match[2]), size)
        start = size - length
    else:
        start = int(match[1])
        if match[2] and int(match[2]) < start:
            return None
        length = (min(int(match[2]) + 1, size) if match[2] else size) - start
    if length <= 0 or start >= size:
        raise Refused(416, "no_such_range", f"the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return start, length


class _Bytes(Response):
    """Bytes from a generator, each chunk read on a thread; ends before its promised length where they are damaged."""

    def __init__(self, first: bytes, rest: Generator[bytes], status: int, headers: dict[str, str]) -> None:
        self._first = first
        self._rest = rest
        self.status_code = status
        self.media_type = "application/octet-stream"
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, as long as the client is there."""
        try:
            with DOWNLOADS.place():
                await self._send(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self._rest.close)

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_gone(receive))  # sending to a client that went away raises nothing here
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            chunk = self._first
            while chunk:
                if scope["mreg.revoked"]():
                    scope["mreg.failure"] = "the token was revoked"
                    return  # the client sees fewer bytes than it was promised
                if gone.done():
                    break
                for start in range(0, len(chunk), PIECE_BYTES):
                    piece = chunk[start : start + PIECE_BYTES]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                chunk = await run_sync(next, self._rest, b"")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except MregError as error:
            # The client sees fewer bytes than it was promised, which every client takes for a failure.
            scope["mreg.failure"] = error.message
        finally:
            gone.cancel()


async def _gone(receive: Receive) -> None:
    """Return when the client went away, or when its token was revoked, which receiving refuses."""
    with contextlib.suppress(Refused):
        while (await receive())["type"] != "http.disconnect":
            pass
