"""Uploads: multipart bodies that become versions while they are received.

The file is written to the artifact store as it arrives. While a thread parses, hashes and writes one chunk, the event
loop collects the next, so memory is bounded for any size and a slow client occupies no thread. Nothing is stored under
a name before the whole body is read and verified; an interrupted upload leaves nothing.
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
"""Size of the chunks that a thread processes; smaller chunks would be slower."""

FIELDS_BYTES = 1 << 20
"""Maximum size of all fields of a form, without the file."""

PART_HEADERS_BYTES = 8 << 10
"""Maximum size of the headers of one part of a form."""

UPLOADS = ConcurrencyLimit("uploads", 64)
"""Each upload holds an open file and a few megabytes."""

FILE_FIELD = "model_file"
FORM_HINT = f"send multipart/form-data with the file in the part {FILE_FIELD}"
TEXTS = ("run_id", "experiment_id", "description", "stage", "parent", "format", "checksum")
MAPPINGS = ("metrics", "parameters", "tags", "data")
FIELDS = (*WELL_KNOWN, *TEXTS, *MAPPINGS, "aliases")
CHECKSUM_HEADER = "x-checksum-sha256"

_DESCRIPTIONS = {
    "stage": "Stage of the new version (default: None).",
    "parent": "Parent version, such as base@1.",
    "format": "Format of the artifact (default: detected).",
    "checksum": "Expected digest of the file: sha256: and 64 hexadecimal digits.",
    "metrics": "Metrics, as a JSON object of numbers; keys of nested objects are joined by dots.",
    "parameters": "Parameters, as a JSON object.",
    "tags": "Tags, as a JSON object of strings.",
    "data": "Training data, as a JSON object of URLs.",
    "aliases": "Aliases to set, separated by commas.",
}
_SCHEMAS = {
    name: {"type": "string", "description": _DESCRIPTIONS.get(name, "")} for name in (*TEXTS, *MAPPINGS, "aliases")
} | {name: {"type": "number", "description": f"The metric {name}."} for name in WELL_KNOWN}
REQUEST: dict[str, Any] = {
    "parameters": [
        *({"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _SCHEMAS.items()),
        {
            "name": "X-Checksum-Sha256",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "description": "Expected SHA-256 of the file in hexadecimal digits.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {FILE_FIELD: {"type": "string", "format": "binary"}, **_SCHEMAS},
                },
                "example": {FILE_FIELD: "@model.pkl", "accuracy": 0.95, "metrics": '{"auc": 0.97}'},
            }
        },
    },
}
"""The request of an upload in the OpenAPI document."""


class Form:
    """A parser for a multipart body: passes the file on and keeps the fields.

    Args:
        write: Called with the next bytes of the file.

    Attributes:
        fields: Values of the fields by name.
        file_name: File name of the client, None before the file.
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
            raise BadInput(f"invalid form: {error}", hint=FORM_HINT) from None

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the body.

        Raises:
            BadInput: The body is not a valid form of an upload.
            Unavailable: The file cannot be written.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadInput(f"invalid form: {error}", hint=FORM_HINT) from None

    def finish(self) -> str:
        """Check that the body is complete, and return the name of the file.

        Raises:
            BadInput: The body is incomplete or has no file.
        """
        if not self._ended:
            raise BadInput("the form is incomplete", hint="upload again")
        if self.file_name is None:
            raise BadInput(f"the form has no part {FILE_FIELD}", hint=FORM_HINT)
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
            raise BadInput(f"the headers of a part are too large: the maximum is {PART_HEADERS_BYTES} bytes")

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name == FILE_FIELD:
            if self.file_name is not None:
                raise BadInput(f"repeated part {FILE_FIELD}", hint="upload one file; pack a folder into an archive")
            self.file_name = options.get(b"filename", b"").decode("utf-8", "replace") or "model"
        elif self._name in self.fields:
            raise BadInput(f"repeated field {quoted(self._name)}", hint="send it once")
        else:
            check_field(self._name)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FILE_FIELD:
            self._write(memoryview(data)[start:end])  # a slice of bytes would be a copy
            return
        self._size += end - start
        if self._size > FIELDS_BYTES:
            raise BadInput(f"the fields of the form are too large: the maximum is {FIELDS_BYTES} bytes")
        self._data += data[start:end]

    def _part_end(self) -> None:
        if self._name == FILE_FIELD:
            return
        try:
            self.fields[self._name] = self._data.decode()
        except UnicodeDecodeError:
            raise BadInput(f"the field {quoted(self._name)} is not valid UTF-8") from None

    def _end(self) -> None:
        self._ended = True


def check_field(name: str) -> None:
    """Check that uploads have a field of this name.

    Raises:
        BadInput: The name is unknown; the hint has the most similar name.
    """
    if name not in FIELDS:
        near = nearest(name, FIELDS, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BadInput(
            f"unknown field {quoted(name)}",
            hint=f'{hint}send other metrics in the field metrics: {{"auc": 0.97}}',
        )


def metadata_of(fields: dict[str, str]) -> tuple[VersionMetadata, tuple[str, ...]]:
    """Return the metadata in the fields of a form, and notes about metrics that were skipped.

    Raises:
        BadInput: A field is not valid.
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
                raise BadInput(f"repeated metric {name}", hint="send it once")
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
    """Receive an upload and return its version, and notes about metrics that were skipped.

    Raises:
        NotFound: The model does not exist; detected before the body is read.
        BadInput: The form is invalid or has no file, or the file has a different checksum than the client sent.
        Refused: The upload is too large, too slow or interrupted, or too many uploads are in progress.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(415, "no_form", "an upload must be multipart/form-data", hint=FORM_HINT)
    query = _query(request)
    checksum = _checksum(request.headers.get(CHECKSUM_HEADER), "the header X-Checksum-Sha256")
    await run_sync(registry.model, model)
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdecimal() and len(length) < 20 else 0
    with UPLOADS.slot():
        async with _on_threads(registry.open_upload(size)) as upload:
            form = Form(options[b"boundary"], upload.write)
            await _feed(request, form)
            file_name = form.finish()
            fields = _merged(query, form.fields)
            in_form = _checksum(fields.get("checksum", "").removeprefix("sha256:"), "the field checksum")

            def push() -> tuple[ModelVersion, tuple[str, ...]]:
                metadata, notes = metadata_of(fields)
                for expected in (checksum, in_form):
                    if expected and upload.digest() != expected:
                        raise BadInput(f"expected {expected}, got {upload.digest()}", hint="upload the file again")
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
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        check_field(name)
        if name in values:
            raise BadInput(f"repeated field {quoted(name)}", hint="send it once")
        values[name] = value
    return values


def _merged(query: dict[str, str], fields: dict[str, str]) -> dict[str, str]:
    for name in query:
        if name in fields:
            raise BadInput(f"repeated field {quoted(name)}: in the form and in the query", hint="send it once")
    return {**query, **fields}


def _checksum(text: str | None, where: str) -> Digest | None:
    if not text:
        return None
    try:
        return Digest.sha256(text.lower())
    except BadInput:
        raise BadInput(f"{where} is not a valid SHA-256", hint="send 64 hexadecimal digits") from None


async def _feed(request: Request, form: Form) -> None:
    """Parse the whole body: each chunk in a thread, while the next is collected."""
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
        raise Refused(400, "cut", "the upload was interrupted") from None
    finally:
        if parsing is not None and not parsing.done():  # the thread must not write to a closed upload
            with anyio.CancelScope(shield=True), suppress(MregError):
                await parsing


@asynccontextmanager
async def _on_threads(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context manager in threads, as it may wait for disks and networks."""
    value = await run_sync(manager.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(manager.__exit__, *sys.exc_info())
