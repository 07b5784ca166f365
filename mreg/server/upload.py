"""Uploads: multipart bodies that become versions while they arrive.

The file's bytes go to the artifact store as they come: while one chunk is parsed, hashed and written on a thread, the
next is collected, so that memory is bounded whatever the size and a slow client holds no thread. Nothing is stored
under a name before the whole body was read and found good; a body that is cut leaves nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mreg.documents import STRICT, json_document, texts_in
from mreg.documents.metrics import RULES, Measured, metrics_in
from mreg.documents.parameters import parameters_in
from mreg.domain.digest import Digest
from mreg.domain.metadata import VersionMetadata
from mreg.domain.metrics import WELL_KNOWN, parse_metric
from mreg.domain.model import ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput, MregError
from mreg.registry.local import LocalRegistry
from mreg.server.concurrency import ConcurrencyLimit
from mreg.server.problems import Refused

T = TypeVar("T")

CHUNK_BYTES = 1 << 20
"""Handed to a thread at once; smaller ones would cost more than they carry."""

FIELDS_BYTES = 1 << 20
"""Of all fields of a form together, the file left out."""

PART_HEADERS_BYTES = 8 << 10
"""Of one part of a form."""

UPLOADS = ConcurrencyLimit("uploads", 64)
"""Each holds an open file and some megabytes."""

FILE = "model_file"
TEXTS = ("run_id", "experiment_id", "description", "stage", "parent", "format", "checksum")
MAPPINGS = ("metrics", "parameters", "tags", "data")
FIELDS = (*WELL_KNOWN, *TEXTS, *MAPPINGS, "aliases")
CHECKSUM_HEADER = "x-checksum-sha256"

_HELP = {
    "stage": "The stage to enter at once.",
    "parent": "The version it was made from, such as base@1.",
    "format": "What the content is; else told from it.",
    "checksum": "sha256: and the hex digits that the file must have.",
    "metrics": "Metrics as a JSON object of numbers; keys of nested objects are joined by dots.",
    "parameters": "Parameters, as a JSON object.",
    "tags": "Tags, as a JSON object of texts.",
    "data": "What it was made from, as a JSON object of addresses.",
    "aliases": "Aliases to set, with commas between.",
}
_SCHEMAS = {name: {"type": "string", "description": _HELP.get(name, "")} for name in (*TEXTS, *MAPPINGS, "aliases")} | {
    name: {"type": "number", "description": f"The metric {name}."} for name in WELL_KNOWN
}
REQUEST: dict[str, Any] = {
    "parameters": [
        *({"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _SCHEMAS.items()),
        {
            "name": "X-Checksum-Sha256",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "description": "The hex digits of the SHA-256 that the file must have.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE],
                    "properties": {FILE: {"type": "string", "format": "binary"}, **_SCHEMAS},
                },
                "example": {FILE: "@model.pkl", "accuracy": 0.95, "metrics": '{"auc": 0.97}'},
            }
        },
    },
}
"""What the OpenAPI document says of an upload."""


class Form:
    """A multipart body, parsed as it comes: the file is given on, everything else kept.

    Args:
        write: Takes the bytes of the file.

    Attributes:
        fields: Texts by name.
        file_name: As the client gave it; None where no file came.
    """

    def __init__(self, boundary: bytes, write: Callable[[bytes | memoryview], None]) -> None:
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self._write = write
        self._header = self._value = b""
        self._name = ""
        self._disposition = b""
        self._data = bytearray()
        self._size = self._headers_size = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadInput(f"the body can't be read: {error}") from None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            BadInput: They are no form, or one that is not taken.
            Unavailable: The file's bytes can't be kept.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadInput(f"the body is no form: {error}", hint=f"curl -F {FILE}=@model.pkl") from None

    def check_whole(self) -> str:
        """The file's name, if the body came to its end and had a file.

        Raises:
            BadInput: It did not.
        """
        if not self._ended:
            raise BadInput("the form ends in the middle", hint="send it again")
        if self.file_name is None:
            raise BadInput(f"the form has no file {FILE}", hint=f"curl -F {FILE}=@model.pkl")
        return self.file_name

    def _begin(self) -> None:
        self._disposition = self._header = self._value = b""
        self._headers_size = 0
        self._data.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_headers(end - start)
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_headers(end - start)
        self._value += data[start:end]

    def _count_headers(self, more: int) -> None:
        self._headers_size += more
        if self._headers_size > PART_HEADERS_BYTES:
            raise BadInput(f"a part of the form has more than {PART_HEADERS_BYTES} bytes of headers")

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == FILE:
            if self.file_name is not None:
                raise BadInput(
                    f"the form has the file {FILE} twice", hint="a version is one file; send a folder as one"
                )
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace") or "model"
        elif self._name in self.fields:
            raise BadInput(f"the field {quoted(self._name)} is given twice")
        else:
            check_field(self._name)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE:
            self._write(memoryview(data)[start:end])  # no second copy of each megabyte
            return
        self._size += end - start
        if self._size > FIELDS_BYTES:
            raise BadInput(f"the fields of the form are larger than {FIELDS_BYTES} bytes")
        self._data += data[start:end]

    def _part_end(self) -> None:
        if self._name == FILE:
            return
        try:
            self.fields[self._name] = self._data.decode()
        except UnicodeDecodeError:
            raise BadInput(f"the field {quoted(self._name)} is no UTF-8") from None

    def _end(self) -> None:
        self._ended = True


def check_field(name: str) -> None:
    """Nothing, if an upload may have a field of that name.

    Raises:
        BadInput: It may not; the hint names the nearest.
    """
    if name not in FIELDS:
        near = nearest(name, FIELDS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BadInput(
            f"an upload has no field {quoted(name)}",
            hint=f'{hint}other metrics go into the field metrics: {{"auc": 0.97}}',
        )


def metadata_of(fields: dict[str, str]) -> tuple[VersionMetadata, tuple[str, ...]]:
    """Return the metadata in the fields of a form, and notes about metrics that were skipped.

    Raises:
        BadInput: A field can't be read.
    """
    documents = {
        name: json_document(fields[name], f"the field {name}", RULES if name == "metrics" else STRICT)
        for name in MAPPINGS
        if fields.get(name)
    }
    measured = metrics_in(documents["metrics"], "the field metrics") if "metrics" in documents else Measured({})
    metrics = measured.metrics
    for name in WELL_KNOWN:
        if fields.get(name):
            if name in metrics:
                raise BadInput(f"the metric {name} is given twice")
            metrics[name] = parse_metric(name, fields[name])
    parameters = parameters_in(documents["parameters"], "the field parameters") if "parameters" in documents else {}
    texts = {name: texts_in(documents[name], f"the field {name}") for name in ("tags", "data") if name in documents}
    aliases = fields.get("aliases")
    metadata = VersionMetadata(
        metrics=metrics,
        parameters=parameters,
        tags=texts.get("tags", {}),
        data=texts.get("data", {}),
        aliases=tuple(alias.strip() for alias in aliases.split(",")) if aliases else (),
        description=fields.get("description", ""),
        run_id=fields.get("run_id", ""),
        experiment_id=fields.get("experiment_id", ""),
        format=fields.get("format", ""),
    )
    return metadata, measured.notes


async def receive_upload(
    request: Request, registry: LocalRegistry, model: ModelName
) -> tuple[ModelVersion, tuple[str, ...]]:
    """Return the version that an upload becomes, and notes about metrics that were skipped.

    Raises:
        NotFound: There is no such model; told before the body is asked for.
        BadInput: The form can't be read, lacks its file, or the bytes have another checksum than the client said.
        Refused: It is too large, too slow, cut, or one too many.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(415, "no_form", "an upload is multipart/form-data", hint=f"curl -F {FILE}=@model.pkl")
    query = _query(request)
    checksum = _checksum(request.headers.get(CHECKSUM_HEADER), "the header X-Checksum-Sha256")
    await run_sync(registry.model, model)
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdecimal() and len(length) < 20 else 0
    with UPLOADS.place():
        async with _on_threads(registry.open_upload(size)) as upload:
            form = Form(options[b"boundary"], upload.write)
            await _feed(request, form)
            file_name = form.check_whole()
            fields = _merged(query, form.fields)
            in_form = _checksum(fields.get("checksum", "").removeprefix("sha256:"), "the field checksum")

            def push() -> tuple[ModelVersion, tuple[str, ...]]:
                metadata, notes = metadata_of(fields)
                for expected in (checksum, in_form):
                    if expected and upload.digest() != expected:
                        raise BadInput(
                            f"the file that came is {upload.digest()}, and was to be {expected}", hint="send it again"
                        )
                version = registry.push_upload(
                    upload,
                    file_name,
                    model,
                    metadata,
                    stage=fields.get("stage") or None,
                    parent=fields.get("parent") or None,
                )
                return version, notes

            return await run_sync(push)


def _query(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        check_field(name)
        if name in found:
            raise BadInput(f"the field {quoted(name)} is given twice")
        found[name] = value
    return found


def _merged(query: dict[str, str], fields: dict[str, str]) -> dict[str, str]:
    for name in query:
        if name in fields:
            raise BadInput(f"the field {quoted(name)} is given twice: in the form and in the query")
    return {**query, **fields}


def _checksum(text: str | None, where: str) -> Digest | None:
    if not text:
        return None
    try:
        return Digest.sha256(text.lower())
    except BadInput:
        raise BadInput(f"{where} is no SHA-256", hint="write its 64 hex digits") from None


async def _feed(request: Request, form: Form) -> None:
    """Give the whole body to the form, a chunk on a thread while the next is collected."""
    parsing: asyncio.Task[None] | None = None
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size >= CHUNK_BYTES:
                if parsing is not None:
                    await parsing
                parsing = asyncio.create_task(run_sync(form.feed, b"".join(parts)))
                parts, size = [], 0
        if parsing is not None:
            await parsing
        await run_sync(form.feed, b"".join(parts))
    except ClientDisconnect:
        raise Refused(400, "cut", "the upload was cut") from None
    finally:
        if parsing is not None and not parsing.done():  # nobody may write to what is about to be dropped
            with anyio.CancelScope(shield=True), suppress(MregError):
                await parsing


@asynccontextmanager
async def _on_threads(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A context that is entered and left on threads, since it may wait for disks and networks."""
    value = await run_sync(manager.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(manager.__exit__, *sys.exc_info())
