"""A model of the Hugging Face Hub, read with the Hub's own client, so that its endpoint, tokens and cache apply.

The client is imported when it is used. The answers of the endpoint are checked before the client makes paths of them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mreg.domain.paths import check_path
from mreg.domain.redaction import redacted
from mreg.domain.text import quoted
from mreg.errors import BadInput, Corrupt, MregError, NotFound, Unavailable
from mreg.sources.unreachable import connection_failure

INSTALL = "pip install 'mreg[hf]'"

FILES_LIMIT = 100_000
"""Maximum number of files of a revision."""

ANSWER_BYTES = 64 << 20
"""Maximum size of an answer of the endpoint, files aside."""

SPARE_BYTES = 64 << 20
"""Number of bytes above the stated sizes that are downloaded again, for example after a broken connection."""

ANSWERS_LIMIT = 10_000
"""Maximum number of answers of the endpoint for an import, files aside; the Hub lists 1,000 files on a page."""

CHUNK = 1 << 20

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TAG = re.compile(r'(?:W/)?"?[0-9A-Za-z_=:+-]+"?')
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A file of a revision, as the endpoint states it.

    Attributes:
        size: Size in bytes, None if it is not stated.
        sha256: SHA-256 in hex, empty if it is not stated.
        git_id: Id of the git blob, empty if it is not stated or is the one of a pointer.
    """

    size: int | None
    sha256: str
    git_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A revision of a repository.

    Attributes:
        commit: Commit id, 40 hex digits.
        files: Files by path; None if the client is offline.
    """

    repository: str
    commit: str
    files: Mapping[str, HubFile] | None

    @property
    def size(self) -> int:
        """The sum of the stated sizes."""
        return sum(file.size or 0 for file in (self.files or {}).values())


def find_revision(repository: str, revision: str) -> Revision:
    """Return a revision with its files.

    Args:
        revision: Branch, tag or commit; empty for the main branch.

    Raises:
        BadInput: The name or revision is invalid, the client is not installed, or the endpoint's answer is invalid.
        NotFound: The repository or revision does not exist, or is not in the cache of an offline client.
        Unavailable: The endpoint cannot be reached.
    """
    if not _REPOSITORY.fullmatch(repository) or any(part in (".", "..") for part in repository.split("/")):
        raise BadInput(f"invalid repository {quoted(repository)}", hint="write NAME or ORGANIZATION/NAME")
    if revision:
        try:
            check_path(revision)
        except BadInput:
            raise BadInput(f"invalid revision {quoted(revision)}", hint="use a branch, a tag or a commit") from None
    with _client(), _translated(repository, revision):
        from huggingface_hub import HfApi
        from huggingface_hub.errors import OfflineModeIsEnabled

        try:
            info = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
        except OfflineModeIsEnabled:
            return _cached(repository, revision)
        commit = str(info.sha)
        if not _COMMIT.fullmatch(commit):
            raise BadInput(f"the endpoint names an invalid commit {quoted(commit)}")
        siblings = info.siblings or []
        if len(siblings) > FILES_LIMIT:
            raise BadInput(f"the revision has more than {FILES_LIMIT:,} files")
        files = {check_path(str(file.rfilename)): _stated(file) for file in siblings}
    return Revision(repository=repository, commit=commit, files=files)


def _stated(file: Any) -> HubFile:
    lfs = file.lfs
    git_id = str(file.blob_id or "")
    return HubFile(
        size=None if file.size is None else int(file.size),
        sha256=str(lfs.sha256) if lfs is not None else "",
        git_id=git_id if lfs is None and _COMMIT.fullmatch(git_id) else "",
    )


def _cached(repository: str, revision: str) -> Revision:
    """Return a revision from the cache of an offline client."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repository, revision=revision or None, local_files_only=True)
    return Revision(repository=repository, commit=os.path.basename(folder), files=None)


def download(revision: Revision, progress: Callable[[int, int], None] = lambda _done, _total: None) -> str:
    """Download a revision into the cache of the client, and return its folder there.

    Raises:
        BadInput: The endpoint sends more bytes than it states.
        Unavailable: The endpoint cannot be reached.
    """
    if revision.files is not None:
        unstated = [path for path, file in revision.files.items() if file.size is None or file.size < 0]
        if unstated:
            raise BadInput(f"the endpoint states no size of the file {quoted(unstated[0])}")
    with _client(), _translated(revision.repository, revision.commit):
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils import tqdm

        done = 0

        class Counter(tqdm):  # type: ignore[misc, unused-ignore]
            """Counts the bytes of all files, and shows nothing."""

            def __init__(self, *words: Any, **options: Any) -> None:
                super().__init__(*words, **{**options, "disable": True})
                self.bytes = options.get("unit") == "B"

            def update(self, n: float | None = 1) -> bool | None:
                nonlocal done
                if self.bytes:
                    done += int(n or 0)
                    if revision.files is not None and done > 2 * revision.size + SPARE_BYTES:
                        raise BadInput("the endpoint sends more bytes than it states")
                    progress(min(done, revision.size), revision.size)
                return None

        return str(
            snapshot_download(
                revision.repository,
                revision=revision.commit,
                local_files_only=revision.files is None,
                tqdm_class=Counter,
            )
        )


def read_files(revision: Revision, folder: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each file of a downloaded revision with its bytes, which are verified when they end.

    Files in the cache are links to the blobs of the repository; a link that leads elsewhere is refused.

    Raises:
        BadInput: A file is a link to elsewhere, or is not a regular file.
        Corrupt: A file has another size or digest than the endpoint states.
        Unavailable: A file cannot be read.
    """
    home = os.path.realpath(os.path.join(folder, "..", ".."))
    for path in sorted(revision.files if revision.files is not None else _names(folder)):
        place = os.path.realpath(os.path.join(folder, path))
        if not os.path.isfile(place) or os.path.commonpath([home, place]) != home:
            raise BadInput(f"the file {quoted(path)} of {revision.repository} is not in its cache")
        yield path, _verified(path, place, (revision.files or {}).get(path))


def _names(folder: str) -> Iterator[str]:
    for base, _, names in os.walk(folder):
        for name in names:
            yield check_path(os.path.relpath(os.path.join(base, name), folder).replace(os.sep, "/"))


def _verified(path: str, place: str, stated: HubFile | None) -> Iterator[bytes]:
    size = os.path.getsize(place)
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    count = 0
    try:
        with open(place, "rb") as stream:
            while chunk := stream.read(CHUNK):
                count += len(chunk)
                if stated is not None and stated.sha256:
                    sha256.update(chunk)
                elif stated is not None and stated.git_id:
                    git.update(chunk)
                yield chunk
    except OSError as error:
        raise Unavailable(f"cannot read the file {quoted(path)}: {error.strerror or error}") from error
    hint = "remove it from the cache of the client, then repeat the import: hf cache rm"
    if stated is None:
        return
    if stated.size is not None and stated.size != count:
        raise Corrupt(f"the file {quoted(path)} is damaged: expected {stated.size:,} bytes, got {count:,}", hint=hint)
    if (stated.sha256 and stated.sha256 != sha256.hexdigest()) or (
        not stated.sha256 and stated.git_id and stated.git_id != git.hexdigest()
    ):
        raise Corrupt(f"the file {quoted(path)} is damaged: it has another digest than the endpoint states", hint=hint)


@contextmanager
def _client() -> Iterator[None]:
    """Check that the client is installed, keep it from printing, and bound the answers that it reads."""
    silenced = "HF_HUB_DISABLE_TELEMETRY" not in os.environ
    if silenced:
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # read when the client is imported
    try:
        from huggingface_hub.utils import get_session
    except ImportError as error:
        raise BadInput(
            f"an import from the Hugging Face Hub needs huggingface_hub: {redacted(str(error))}", hint=INSTALL
        ) from error
    finally:
        if silenced:
            del os.environ["HF_HUB_DISABLE_TELEMETRY"]
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.CRITICAL)  # its errors reach the user as the error of the import
    session = get_session()
    hooks = session.event_hooks
    guard = _Guard()
    session.event_hooks = {
        **hooks,
        "request": [*hooks.get("request", []), guard.check_request],
        "response": [*hooks.get("response", []), guard.check_answer],
    }
    try:
        yield
    finally:
        session.event_hooks = hooks
        log.setLevel(level)


class _Guard:
    """Checks the requests of the client, and the answers before it reads them or makes paths of them."""

    def __init__(self) -> None:
        from huggingface_hub import constants

        self._endpoint = urlsplit(constants.ENDPOINT)
        self._hub = urlsplit(constants._HF_DEFAULT_ENDPOINT)
        self._answers = 0

    def check_request(self, request: Any) -> None:
        """Refuse to send the token to a server that the endpoint names; its lists name their next pages by URLs.

        Raises:
            BadInput: The request has the token and is for another server than the endpoint or the Hub.
        """
        url = urlsplit(str(request.url))
        known = {(base.scheme, base.netloc.lower()) for base in (self._endpoint, self._hub)}
        if "authorization" in request.headers and (url.scheme, url.netloc.lower()) not in known:
            raise BadInput(f"the endpoint names another server: {quoted(url.netloc.rpartition('@')[2])}")
        # A redirect keeps the extensions of its request.
        request.extensions.setdefault("mreg.api", url.path.startswith(f"{self._endpoint.path.rstrip('/')}/api/"))

    def check_answer(self, response: Any) -> None:
        """Check the headers that become paths, and read an answer of the API, which is not a file, up to a limit.

        Raises:
            BadInput: A header is invalid, or the answer is too large.
        """
        headers = response.headers
        tag = headers.get("x-linked-etag") or headers.get("etag") or "0"
        if response.request.method == "HEAD" and not _TAG.fullmatch(tag):
            raise BadInput(f"the endpoint names an invalid entity tag {quoted(tag)}")
        commit = headers.get("x-repo-commit", "0" * 40)
        if not _COMMIT.fullmatch(commit):
            raise BadInput(f"the endpoint names an invalid commit {quoted(commit)}")
        if not response.request.extensions.get("mreg.api"):
            return
        self._answers += 1
        if self._answers > ANSWERS_LIMIT:
            raise BadInput(f"the endpoint gives more than {ANSWERS_LIMIT:,} answers")
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > ANSWER_BYTES:
                response.close()
                raise BadInput(f"the answer of the endpoint has more than {ANSWER_BYTES >> 20} MiB")
        response._content = bytes(body)
        if "/tree/" in response.request.url.path:
            _check_tree(response._content)


def _check_tree(body: bytes) -> None:
    """Check the paths and digests of a list of files."""
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        return  # the client fails on it
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            check_path(str(entry.get("path")))
            lfs = entry.get("lfs")
            if isinstance(lfs, dict) and not _SHA256.fullmatch(str(lfs.get("oid"))):
                raise BadInput(f"the endpoint names an invalid digest {quoted(str(lfs.get('oid')))}")


@contextmanager
def _translated(repository: str, revision: str) -> Iterator[None]:
    """Translate the errors of the client.

    Raises:
        NotFound: The repository or revision does not exist.
        Unavailable: Anything else fails.
    """
    what = f"{repository}@{revision}" if revision else repository
    try:
        yield
    except MregError as error:
        error.message = f"cannot read {what}: {error.message}"
        raise
    except Exception as error:
        from huggingface_hub import constants
        from huggingface_hub.errors import (
            GatedRepoError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        endpoint = redacted(constants.ENDPOINT)
        why = redacted(str(error)) or type(error).__name__
        if isinstance(error, GatedRepoError):
            raise Unavailable(f"cannot read {what}: {why}", hint="hf auth login") from error
        if isinstance(error, RevisionNotFoundError):
            raise NotFound(f"{repository} has no revision {quoted(revision)}") from error
        if isinstance(error, RepositoryNotFoundError):
            hint = "for a private repository: hf auth login"
            raise NotFound(f"{endpoint} has no repository {quoted(repository)}", hint=hint) from error
        if reason := connection_failure(error):
            hint = "check the network and the endpoint (HF_ENDPOINT)"
            raise Unavailable(f"cannot read {what}: cannot reach {endpoint}: {reason}", hint=hint) from error
        if isinstance(error, LocalEntryNotFoundError) and constants.is_offline_mode():
            hint = "to download it: unset HF_HUB_OFFLINE"
            raise NotFound(f"{what} is not in the cache, and the client is offline", hint=hint) from error
        if isinstance(error, LocalEntryNotFoundError):
            raise NotFound(f"{what} is not in the cache, and the client failed: {why}") from error
        raise Unavailable(f"cannot read {what}: {why}") from error
