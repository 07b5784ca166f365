"""Uploads: multipart bodies that become versions while they are received.

The file is written to the artifact store as it arrives (`mreg.server.receiving`). Nothing is stored under a name before
the whole body is read and verified; an interrupted upload leaves nothing.
"""

from __future__ import annotations

from typing import Any

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from mreg.documents import STRICT, json_document, texts_in
from mreg.documents.metrics import RULES, Measured, metrics_in
from mreg.documents.node import Scalar
from mreg.documents.parameters import parameters_in
from mreg.domain.digest import Digest
from mreg.domain.metadata import VersionMetadata
from mreg.domain.metrics import WELL_KNOWN, parse_metric
from mreg.domain.model import ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.text import nearest, quoted
from mreg.errors import BadInput
from mreg.registry.incoming import IncomingArtifact
from mreg.registry.local import LocalRegistry
from mreg.server.concurrency import run_transfer
from mreg.server.form import FILE_PART, FOLDER_PART, FORM_HINT, PARTS, TAR_PART, Form
from mreg.server.new_version import SCHEMA
from mreg.server.problems import Refused
from mreg.server.receiving import announced_size, feed_body, on_threads, refuse_compression, upload_slot

TAR_TYPE = "application/x-tar"
TEXTS = ("run_id", "experiment_id", "description", "stage", "parent", "format", "checksum", "artifact_name")
MAPPINGS = ("metrics", "parameters", "tags", "data")
LISTS = ("aliases", "executables")
FIELDS = (*WELL_KNOWN, *TEXTS, *MAPPINGS, *LISTS)
CHECKSUM_HEADER = "x-checksum-sha256"

_DESCRIPTIONS = {
    "stage": "Stage of the new version (default: None).",
    "parent": "Parent version, such as base@1.",
    "format": "Format of the artifact (default: detected).",
    "checksum": "Expected digest of the file, or of the folder's manifest: sha256: and 64 hexadecimal digits.",
    "artifact_name": (
        "Name of the file or folder (default: the file name of the part; for a folder the last part of the model name)."
    ),
    "metrics": "Metrics, as a JSON object of numbers; keys of nested objects are joined by dots.",
    "parameters": "Parameters, as a JSON object.",
    "tags": "Tags, as a JSON object of strings.",
    "data": "Training data, as a JSON object of URLs.",
    "aliases": "Aliases to set, separated by commas.",
    "executables": "Paths of the executable files of a folder that is sent in parts, as a JSON list.",
}
_SCHEMAS = {
    name: {"type": "string", "description": _DESCRIPTIONS.get(name, "")} for name in (*TEXTS, *MAPPINGS, *LISTS)
} | {name: {"type": "number", "description": f"The metric {name}."} for name in WELL_KNOWN}
REQUEST: dict[str, Any] = {
    "parameters": [
        *({"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _SCHEMAS.items()),
        {
            "name": "X-Checksum-Sha256",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "description": "Expected SHA-256 of the file, or of the folder's manifest, in hexadecimal digits.",
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "minLength": 1},
            "description": "Key of a request with a JSON body that makes at most one version, even if it is repeated.",
        },
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        FILE_PART: {
                            "type": "string",
                            "format": "binary",
                            "description": "The file; or, for a folder, one of the following.",
                        },
                        FOLDER_PART: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "A file of a folder: one part for each; the filename is its path.",
                        },
                        TAR_PART: {
                            "type": "string",
                            "format": "binary",
                            "description": "A folder as an uncompressed tar.",
                        },
                        **_SCHEMAS,
                    },
                },
                "example": {FILE_PART: "@model.pkl", "accuracy": 0.95, "metrics": '{"auc": 0.97}'},
            },
            "application/json": {"schema": SCHEMA},
            TAR_TYPE: {"schema": {"type": "string", "format": "binary", "description": "A folder, uncompressed."}},
        },
    },
}
"""The request of an upload in the OpenAPI document."""


def check_field(name: str) -> None:
    """Check that uploads have a field of this name.

    Raises:
        BadInput: The name is unknown; the hint has the most similar name.
    """
    if name not in FIELDS:
        near = ("model_file",) if name in ("file", "model", "artifact") else nearest(name, (*FIELDS, *PARTS), 1)
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
        BadInput: The form or tar is invalid or has no artifact, or the artifact has a different checksum than the
            client sent.
        Refused: The upload is too large, too slow or interrupted, or too many uploads are in progress.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    is_tar = kind == TAR_TYPE.encode()
    if not is_tar and (kind != b"multipart/form-data" or not options.get(b"boundary")):
        raise Refused(415, "no_form", f"an upload must be multipart/form-data or {TAR_TYPE}", hint=FORM_HINT)
    refuse_compression(request)
    query = _query(request)
    checksum = _checksum(request.headers.get(CHECKSUM_HEADER), "the header X-Checksum-Sha256")
    await run_transfer(request.scope, registry.model, model)
    with upload_slot(request):
        async with on_threads(request, IncomingArtifact(registry, announced_size(request))) as artifact:
            if is_tar:
                await run_transfer(request.scope, artifact.begin_tar)
                await feed_body(request, artifact.write)
                await run_transfer(request.scope, artifact.end)
                fields = query
            else:
                form = Form(options[b"boundary"], artifact, check_field)
                await feed_body(request, form.feed)
                fields = _merged(query, form.finish())
            in_form = _checksum(fields.get("checksum", "").removeprefix("sha256:"), "the field checksum")

            def push() -> tuple[ModelVersion, tuple[str, ...]]:
                metadata, notes = metadata_of(fields)
                received = artifact.finish(model, fields.get("artifact_name", ""), _executables(fields))
                if received is None:
                    raise BadInput(f"the form has no part {FILE_PART} or {FOLDER_PART}", hint=FORM_HINT)
                upload, name = received
                for expected in (checksum, in_form):
                    if expected and upload.digest() != expected:
                        raise BadInput(f"expected {expected}, got {upload.digest()}", hint="upload it again")
                version = registry.push_upload(
                    upload,
                    name,
                    model,
                    metadata,
                    stage=fields.get("stage") or None,
                    parent=fields.get("parent") or None,
                )
                return version, notes

            return await run_transfer(request.scope, push)


def _executables(fields: dict[str, str]) -> tuple[str, ...]:
    """Return the paths in the field ``executables``.

    Raises:
        BadInput: It is not a JSON list of texts.
    """
    if not fields.get("executables"):
        return ()
    document = json_document(fields["executables"], "the field executables", STRICT).value
    paths = [node.value for node in document] if isinstance(document, list) else [document]
    texts = [path.text for path in paths if isinstance(path, Scalar) and path.kind == "string"]
    if not isinstance(document, list) or len(texts) < len(paths):
        raise BadInput("the field executables is not a list of paths", hint='send a JSON list: ["bin/run.sh"]')
    return tuple(texts)


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
