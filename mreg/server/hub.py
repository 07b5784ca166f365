"""Routes of the Hugging Face Hub that its clients need to download a model; `HF_ENDPOINT` names this server.

A repository is a model, and a revision is a version; see `mreg.registry.revisions`. The routes, documents and headers
are those of the Hub as `huggingface_hub` reads them. Errors are problem documents as on all other routes, with the
headers from which the client makes its exceptions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mreg.domain.commit import commit_id
from mreg.domain.events import time_text
from mreg.domain.model import ModelVersion
from mreg.domain.names import ModelName
from mreg.domain.text import quoted
from mreg.errors import BadInput, MregError, NotFound
from mreg.registry.local import LocalRegistry
from mreg.registry.revisions import DEFAULT_REVISION
from mreg.results.files import StoredFile
from mreg.server.download import BYTES, send_file
from mreg.server.guard import Caller
from mreg.server.hub_errors import add_error_headers
from mreg.server.listings import Listings
from mreg.server.parameters import RegistryOf, decoded
from mreg.server.problems import PrintableJSONResponse, error_response, http_error_response
from mreg.server.schemas import PROBLEMS

OID_DIGITS = 40
"""Length of the ids of files and folders, which are SHA-1 in a git repository."""

POINTER_BYTES = 134
"""Size of a Git LFS pointer, which each file has in the Hub's own listings."""


class _Repository(StringConvertor):
    """A model name in a path: one segment, or two segments with a slash between them."""

    regex = "[^/]+(?:/[^/]+)?"


register_url_convertor("repository", _Repository())


class HubRoute(APIRoute):
    """A route whose errors have the headers of the Hub."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers a request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except MregError as error:
                response = error_response(request, error)
                kind = str(error.details.get("kind", ""))
            except HTTPException as error:
                response = http_error_response(request, error)
                kind = ""
            add_error_headers(response, kind)
            if commit := getattr(request.state, "commit", ""):
                response.headers["X-Repo-Commit"] = commit
            return response

        return handle


router = APIRouter(tags=["Hugging Face clients"], route_class=HubRoute, responses=PROBLEMS)

INFO: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The model at a revision, as the Hub describes it.",
        "content": {
            "application/json": {
                "example": {
                    "id": "team/churn",
                    "modelId": "team/churn",
                    "sha": "00000003964c3755933dba0c2d592eaf69dacae0",
                    "siblings": [{"rfilename": "model.pkl"}],
                }
            }
        },
    }
}
TREE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The files, and without ``recursive`` also the folders, as the Hub describes them.",
        "content": {
            "application/json": {
                "example": [
                    {
                        "type": "file",
                        "path": "model.pkl",
                        "size": 1024,
                        "oid": "964c3755933dba0c2d592eaf69dacae09b0c19df",
                    }
                ]
            }
        },
    }
}
WHOAMI: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The client, by its token.",
        "content": {"application/json": {"example": {"type": "user", "name": "ci", "orgs": []}}},
    }
}


async def _repository(
    repo: Annotated[
        str, Path(description="Model name; at most one slash, which is not encoded.", examples=["team/churn"])
    ],
) -> ModelName:
    name = decoded(repo)
    try:
        return ModelName(name)
    except BadInput as error:
        raise NotFound(error.message, hint=error.hint, kind="model", name=name) from error


Repository = Annotated[ModelName, Depends(_repository)]


async def _revision(
    revision: Annotated[
        str,
        Path(
            description="A version number, latest, best, a stage, an alias, a commit id, or main.",
            examples=["production"],
        ),
    ],
) -> str:
    return decoded(revision)


Revision = Annotated[str, Depends(_revision)]
Recursive = Annotated[bool, Query(description="Whether to list the files of all folders, in place of the folders.")]
Blobs = Annotated[bool, Query(description="Whether to add the size and SHA-256 of each file.")]


@router.get("/api/whoami-v2", responses=WHOAMI)
async def whoami(request: Request) -> JSONResponse:
    """Return the name and role of the client; `hf auth login` and `hf auth whoami` ask for it."""
    caller: Caller = request.scope["mreg.caller"]
    token = {"displayName": caller.name, "role": str(caller.role)}
    return PrintableJSONResponse(
        {"type": "user", "id": caller.name, "name": caller.name, "fullname": caller.name, "orgs": []}
        | {"auth": {"type": "access_token", "accessToken": token}}
    )


@router.get("/api/models/{repo:repository}/revision/{revision}", responses=INFO)
def show_revision(
    repo: Repository, revision: Revision, registry: RegistryOf, request: Request, blobs: Blobs = False
) -> JSONResponse:
    """Return a model at a revision, with its commit id and files."""
    version = registry.revision(repo, revision)
    info = _info(version, registry.files_of(version), blobs=blobs)
    return PrintableJSONResponse(info | {"private": request.scope["mreg.caller"].token is not None})


@router.get("/api/models/{repo:repository}/tree/{revision}", responses=TREE)
def list_tree(repo: Repository, revision: Revision, registry: RegistryOf, recursive: Recursive = False) -> JSONResponse:
    """List the files of a revision on one page."""
    return _tree(registry, repo, revision, "", recursive=recursive)


@router.get("/api/models/{repo:repository}/tree/{revision}/{path:path}", responses=TREE)
def list_folder(
    repo: Repository,
    revision: Revision,
    path: Annotated[str, Path(description="Path of the folder.")],
    registry: RegistryOf,
    recursive: Recursive = False,
) -> JSONResponse:
    """List the files in a folder of a revision on one page."""
    return _tree(registry, repo, revision, decoded(path).strip("/"), recursive=recursive)


@router.get("/api/models/{repo:repository}", responses=INFO)
def show_repository(repo: Repository, registry: RegistryOf, request: Request, blobs: Blobs = False) -> JSONResponse:
    """Return a model at the revision ``main``."""
    return show_revision(repo, DEFAULT_REVISION, registry, request, blobs)


@router.get("/{repo:repository}/resolve/{revision}/{path:path}", responses=BYTES)
async def resolve(
    repo: Repository,
    revision: Revision,
    path: Annotated[str, Path(description="Path of the file.")],
    registry: RegistryOf,
    request: Request,
) -> Response:
    """Download a file of a revision; supports ranges and entity tags.

    ``X-Repo-Commit`` has the commit id of the version, ``ETag`` and ``X-Linked-Etag`` the SHA-256 of the file, and
    ``X-Linked-Size`` its size.
    """
    version = await run_sync(registry.revision, repo, revision)
    request.state.commit = commit = commit_id(version)
    listings: Listings = request.app.state.listings
    file = await run_sync(listings.file, registry, version, decoded(path))
    etag = f'"{file.digest.value}"'
    headers = {"X-Repo-Commit": commit, "X-Linked-Etag": etag, "X-Linked-Size": str(file.size_bytes)}
    return await send_file(request, registry, file, etag, headers)


@router.get("/api/models/{repo:path}", include_in_schema=False)
@router.get("/{repo:path}/resolve/{revision}/{path:path}", include_in_schema=False)
def refuse_repository(repo: str) -> Response:
    """Refuse a name with several slashes, which no client of the Hub accepts."""
    name = decoded(repo)
    raise NotFound(
        f"{quoted(name)} is not a repository of the Hub: its name has more than one slash",
        hint="use GET /models/{model}/versions/{version}/files, or rename the model",
        kind="model",
        name=name,
    )


@router.get("/api/datasets/{path:path}", include_in_schema=False)
@router.get("/api/spaces/{path:path}", include_in_schema=False)
def refuse_type(path: str) -> Response:
    """Refuse repositories that are not models."""
    raise NotFound("this server has models only", hint="use the repository type model", kind="model", name=path)


def _info(version: ModelVersion, files: Iterable[StoredFile], *, blobs: bool) -> dict[str, Any]:
    name = str(version.model_name)
    return {
        "_id": commit_id(version),
        "id": name,
        "modelId": name,
        "sha": commit_id(version),
        "createdAt": time_text(version.created_at),
        "lastModified": time_text(version.created_at),
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"{key}:{value}" for key, value in version.tags.items()],
        "siblings": [_sibling(file, blobs=blobs) for file in files],
    }


def _sibling(file: StoredFile, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    value = file.digest.value
    lfs = {"sha256": value, "size": file.size_bytes, "pointerSize": POINTER_BYTES}
    return {"rfilename": file.path, "size": file.size_bytes, "blobId": value[:OID_DIGITS], "lfs": lfs}


def _tree(registry: LocalRegistry, name: ModelName, revision: str, folder: str, *, recursive: bool) -> JSONResponse:
    """Return the listing of a folder (default: the whole version) on one page.

    The Hub splits long listings and names the next page by its full URL. This server does not know its own URL behind a
    proxy, and a client would send its token to whatever host the page names.
    """
    version = registry.revision(name, revision)
    prefix = f"{folder}/" if folder else ""
    files = [file for file in registry.files_of(version) if file.path.startswith(prefix)]
    if folder and not files:
        raise NotFound(f"{version.reference} has no folder {quoted(folder)}", kind="file", path=folder)
    return PrintableJSONResponse(list(_entries(files, prefix, recursive=recursive)))


def _entries(files: Iterable[StoredFile], prefix: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    folders: set[str] = set()
    for file in files:
        below = file.path[len(prefix) :]
        if not recursive and "/" in below:
            folder = prefix + below.partition("/")[0]
            if folder not in folders:
                folders.add(folder)
                oid = hashlib.sha256(folder.encode(errors="surrogatepass")).hexdigest()[:OID_DIGITS]
                yield {"type": "directory", "path": folder, "size": 0, "oid": oid}
            continue
        value = file.digest.value
        lfs = {"oid": value, "size": file.size_bytes, "pointerSize": POINTER_BYTES}
        yield {"type": "file", "path": file.path, "size": file.size_bytes, "oid": value[:OID_DIGITS], "lfs": lfs}
