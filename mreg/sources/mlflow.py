"""The registry of an MLflow tracking server, SQLite database or file store, read with MLflow's own client.

MLflow is imported when a registry is opened. Errors of MLflow, of its stores and of the network become `MregError`.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
import shlex
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from mreg.domain.paths import check_path
from mreg.domain.redaction import redacted
from mreg.domain.text import quoted
from mreg.errors import BadInput, MregError, NotFound, Unavailable
from mreg.sources.unreachable import connection_failure

if TYPE_CHECKING:
    from types import TracebackType

INSTALL = "pip install 'mreg[mlflow]'"

PLACES = "name a tracking server, sqlite:///FILE or a folder: mreg import mlflow:http://HOST:PORT"
SERVER = "check the address, and that the tracking server runs"
CREDENTIALS = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"

PAGE = 1_000
"""Number of models or versions that are asked for at once."""

ITEMS_LIMIT = 1_000_000
"""Maximum number of models, of versions of a model, and of files and folders of a version that are read."""

ANSWER_BYTES = 64 << 20
"""Maximum size of an answer of a tracking server, artifacts aside."""

ANSWER_SECONDS = 600.0
"""Maximum time for an answer of a tracking server, artifacts aside."""

HOPS = 5
"""Maximum number of ``runs:/`` and ``models:/`` URIs that lead to each other."""

CHUNK = 1 << 20

OBJECT_STORES = ("s3", "r2", "b2", "gs", "wasbs", "abfss")
"""Schemes of artifacts that the user's own credentials must permit to read."""

_AZURE = r"core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net)"
_PLACE = r"[A-Za-z0-9$._-]+@"

SERVICES = {
    "r2": re.compile(rf"{_PLACE}[a-z0-9]+(?:\.[a-z]+)?\.r2\.cloudflarestorage\.com"),
    "b2": re.compile(rf"{_PLACE}s3\.[a-z0-9-]+\.backblazeb2\.com"),
    "wasbs": re.compile(rf"{_PLACE}[a-z0-9]+\.blob\.{_AZURE}"),
    "abfss": re.compile(
        rf"{_PLACE}(?:[a-z0-9-]+\.dfs\.(?:{_AZURE}|fabric\.microsoft\.com)|[a-z0-9]+\.z[0-9]+\.dfs\.storage\.azure\.net)"
    ),
}
"""The servers of each scheme whose URI names one: MLflow sends the user's tokens to whatever server it names."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # the user named the folder, and nothing is added to it
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # MLflow's own 7 take four minutes for each request
}
"""Settings of MLflow for an import, unless the user set them."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_HERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceModel:
    """A registered model of MLflow; times are None if they are unknown."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceVersion:
    """A version of a registered model of MLflow.

    Attributes:
        status: ``READY``, or the status that its registration stopped in.
        model_id: Id of the logged model that was registered, or empty.
    """

    model: str
    number: int
    description: str
    tags: Mapping[str, str]
    stage: str
    status: str
    source: str
    run_id: str
    run_link: str
    model_id: str
    user: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What MLflow recorded about the training of a version.

    Attributes:
        missing: The run or the logged model that MLflow no longer has, for a note; empty if there is none.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    experiment_id: str = ""
    git_commit: str = ""
    missing: str = ""


class Sink(Protocol):
    """Receives the files of an artifact one after the other."""

    def begin(self, path: str) -> None:
        """Begin a file."""

    def write(self, chunk: bytes) -> None:
        """Append bytes to the file."""

    def end(self) -> None:
        """End the file."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file of a remote artifact, with the size that the server states."""

    path: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The location of the files of a version.

    Attributes:
        path: Absolute path of a file or folder of this machine; empty for a remote artifact.
        files: Files of a remote artifact; one with an empty path is the artifact itself.
        read: Yields the bytes of a file of a remote artifact, which can be more or fewer than it states.
        name: Last part of the location.
    """

    path: str = ""
    files: tuple[ListedFile, ...] = ()
    read: Callable[[ListedFile], Iterator[bytes]] = field(default=lambda _file: iter(()), repr=False)
    name: str = ""

    @property
    def size(self) -> int:
        """The size of all files of a remote artifact."""
        return sum(file.size for file in self.files)

    @property
    def is_file(self) -> bool:
        """Whether a remote artifact is a single file."""
        return [file.path for file in self.files] == [""]

    def write_to(self, sink: Sink) -> None:
        """Send the files of a remote artifact to a sink.

        Raises:
            BadInput: A file is longer or shorter than the server states, or its path is invalid.
            NotFound: The server does not have a file.
            Unavailable: The server cannot be reached or fails.
        """
        for file in self.files:
            name = quoted(file.path or self.name)
            sink.begin(file.path)
            count = 0
            with closing(_translating(self.read(file), f"the file {name}")) as chunks:
                for chunk in chunks:
                    count += len(chunk)
                    if count > file.size:
                        break
                    sink.write(chunk)
            if count != file.size:
                got = f"more than {file.size:,}" if count > file.size else f"{count:,}"
                raise BadInput(
                    f"the file {name} has another size than the server states: expected {file.size:,} bytes, got {got}"
                )
            sink.end()


class MlflowRegistry:
    """An MLflow registry; a context manager, which restores the settings of MLflow that it changes.

    Args:
        place: URL of a tracking server, ``sqlite:///FILE``, or the folder of a file store.

    Raises:
        BadInput: The place is of another kind, or MLflow is not installed.
        NotFound: The database or folder does not exist, or is not MLflow's.
        Unavailable: The server cannot be reached, or the database or folder cannot be read.
    """

    def __init__(self, place: str) -> None:
        self.uri, self.remote = _uri(place)
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        self._stack.enter_context(_quiet())
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise BadInput(f"an import from MLflow needs MLflow: {redacted(str(error))}", hint=INSTALL) from error
        if self.uri.startswith("sqlite:") and find_spec("sqlalchemy") is None:
            raise BadInput("an import from a database of MLflow needs all of MLflow", hint="pip install mlflow")
        if self.remote:
            self._stack.enter_context(_guarded_requests())
        with _translated(f"the MLflow registry {redacted(self.uri)}"):
            self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            # For the location of each version the other client loads the model with all its versions.
            self._registry = self._client._get_registry_client()

    def __enter__(self) -> MlflowRegistry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in (self._client._tracking_client, self._registry):
            engine = getattr(service.store, "engine", None)
            if engine is not None:  # of SQLAlchemy, whose connections MLflow keeps open
                engine.dispose()
        self._stack.close()

    def models(self) -> tuple[SourceModel, ...]:
        """Return the registered models by name; prompts, which have no artifacts, are left out.

        Raises:
            Unavailable: The registry cannot be read.
        """
        with _translated(f"the registered models of {redacted(self.uri)}"):
            found = [
                SourceModel(
                    name=str(model.name),
                    description=model.description or "",
                    tags=_texts(model.tags),
                    aliases={str(alias): int(number) for alias, number in (model.aliases or {}).items()},
                    created_at=_time(model.creation_timestamp),
                    updated_at=_time(model.last_updated_timestamp),
                )
                for model in _pages(self._client.search_registered_models, None)
            ]
        return tuple(sorted(found, key=lambda model: model.name))

    def versions(self, name: str) -> tuple[SourceVersion, ...]:
        """Return the versions of a registered model in ascending order.

        Raises:
            Unavailable: The registry cannot be read.
        """
        quote_mark = "'" if "'" not in name else '"'
        where = None if quote_mark in name else f"name = {quote_mark}{name}{quote_mark}"
        with _translated(f"the versions of {quoted(name)}"):
            found = {
                int(version.version): SourceVersion(
                    model=name,
                    number=int(version.version),
                    description=version.description or "",
                    tags=_texts(version.tags),
                    stage=str(version.current_stage or "None"),
                    status=str(version.status),
                    source=str(version.source or ""),
                    run_id=str(version.run_id or ""),
                    run_link=str(version.run_link or ""),
                    model_id=str(version.model_id or "") or _logged_model(str(version.source or "")),
                    user=str(version.user_id or ""),
                    created_at=_time(version.creation_timestamp),
                    updated_at=_time(version.last_updated_timestamp),
                )
                for version in _pages(self._client.search_model_versions, where)
                if version.name == name
            }
        return tuple(found[number] for number in sorted(found))

    def measured(self, version: SourceVersion) -> Measured:
        """Return the metrics and parameters of a version: of its logged model, and otherwise of its run.

        Raises:
            Unavailable: The registry cannot be read.
        """
        metrics: dict[str, float] = {}
        parameters: dict[str, str] = {}
        experiment_id = commit = ""
        missing = []
        if version.run_id:
            try:
                with _translated(f"the run {quoted(version.run_id)}"):
                    run = self._client.get_run(version.run_id)
                    metrics, parameters = dict(run.data.metrics), _texts(run.data.params)
                    experiment_id = str(run.info.experiment_id or "")
                    found = str(run.data.tags.get("mlflow.source.git.commit", ""))
                    commit = found if _COMMIT.fullmatch(found) else ""
            except NotFound:
                missing.append(f"the run {version.run_id}")
        if version.model_id:
            try:
                with _translated(f"the logged model {quoted(version.model_id)}"):
                    model = self._client.get_logged_model(version.model_id)
                    last = sorted(model.metrics or (), key=lambda metric: (metric.timestamp or 0, metric.step or 0))
                    metrics |= {str(metric.key): metric.value for metric in last}
                    parameters |= _texts(model.params)
            except NotFound:
                missing.append(f"the logged model {version.model_id}")
        return Measured(
            metrics=metrics,
            parameters=parameters,
            experiment_id=experiment_id,
            git_commit=commit,
            missing=" and ".join(missing),
        )

    def artifact(self, version: SourceVersion) -> Artifact:
        """Return the location of the files of a version; remote files are listed, and not read.

        Raises:
            NotFound: The files do not exist.
            BadInput: A server names a place on this machine or on another server, or states no size of a file.
            Unavailable: The registry or the store of its artifacts cannot be read.
        """
        what = f"the artifact of version {version.number}"
        with _translated(what):
            uri = self._resolved(
                str(self._registry.get_model_version_download_uri(version.model, str(version.number)) or version.source)
            )
            scheme = urlsplit(uri).scheme.lower()
            if not self.remote and scheme in ("", "file"):
                return _local(uri)
            self._refuse_foreign(uri, scheme)
            from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

            return _remote(get_artifact_repository(uri, tracking_uri=self.uri, registry_uri=self.uri), uri)

    def _resolved(self, uri: str) -> str:
        """Return the URI of the store that a ``runs:/`` or ``models:/`` URI leads to."""
        for _hop in range(HOPS):
            scheme, _, rest = uri.partition(":")
            first, _, path = rest.lstrip("/").partition("/")
            if scheme == "runs":
                root = str(self._client.get_run(first).info.artifact_uri)
            elif scheme == "models" and first.startswith("m-"):
                root = str(self._client.get_logged_model(first).artifact_location)
            elif scheme == "models":
                number, _, path = path.partition("/")
                root = str(self._registry.get_model_version_download_uri(unquote(first), number))
            else:
                return uri
            uri = posixpath.join(root, path) if path else root
        raise BadInput(f"more than {HOPS} locations lead to each other, from {quoted(uri)}")

    def _refuse_foreign(self, uri: str, scheme: str) -> None:
        """Refuse a location that the user did not name: everyone with permission to register a version can write it.

        MLflow would send the credentials of the tracking server to any other server.
        """
        shown = quoted(redacted(uri), 200)
        if scheme in OBJECT_STORES:
            if scheme in SERVICES and not SERVICES[scheme].fullmatch(urlsplit(uri).netloc):
                raise BadInput(f"the artifact is at {shown}, and this is not a server of the scheme {quoted(scheme)}")
            return
        if scheme in ("", "file"):
            raise BadInput(
                f"the artifact is at {shown}, and a tracking server must not name a place on this machine",
                hint="import on the machine of the server, from its database or folder: mreg import mlflow:sqlite:///FILE",
            )
        if scheme not in ("http", "https", "mlflow-artifacts"):
            raise BadInput(f"the artifact is at {shown}: an import does not read the scheme {quoted(scheme)}")
        here = urlsplit(self.uri)
        there = urlsplit(uri)
        if not self.remote:
            raise BadInput(
                f"the artifact is at {shown}, which only its tracking server can read",
                hint="import from the server: mreg import mlflow:http://HOST:PORT",
            )
        same = there.netloc.lower() == here.netloc.lower() and scheme in ("mlflow-artifacts", here.scheme)
        if not (same or (scheme == "mlflow-artifacts" and not there.netloc)):
            raise BadInput(f"the artifact is at {shown}, and not on the tracking server {here.netloc}")


def _uri(place: str) -> tuple[str, bool]:
    """Return the URI of a place for MLflow, and whether it is a server."""
    if not place:
        raise BadInput("the address of the MLflow registry is empty", hint=PLACES)
    scheme = place.partition(":")[0].lower() if _HERE.match(place) else ""
    if scheme in ("http", "https"):
        parts = urlsplit(place)
        if "@" in parts.netloc:
            raise BadInput(
                "the URL of a tracking server must not have a user and password",
                hint="export MLFLOW_TRACKING_USERNAME=USER MLFLOW_TRACKING_PASSWORD=PASSWORD",
            )
        if not parts.hostname or parts.query or parts.fragment:
            raise BadInput(f"invalid URL of a tracking server: {quoted(redacted(place))}")
        return place.rstrip("/"), True
    if scheme == "sqlite":
        path = unquote(place.partition(":")[2].partition("?")[0])
        if not path.startswith("///"):
            raise BadInput(
                f"invalid database {quoted(redacted(place))}", hint="write sqlite:///FILE, or sqlite:////PATH/FILE"
            )
        return f"sqlite:///{_checked_database(os.path.abspath(path[3:]))}", False
    if scheme not in ("", "file"):
        raise BadInput(
            f"cannot import from a place of the scheme {quoted(scheme)}",
            hint=PLACES,
        )
    folder = os.path.abspath(unquote(urlsplit(place).path) if scheme else os.path.expanduser(place))
    if not os.path.lexists(folder):
        raise NotFound(f"the folder {quoted(folder, 200)} does not exist")
    if not os.path.isdir(folder):
        hint = f"for a SQLite database: mreg import {shlex.quote(f'mlflow:sqlite:///{folder}')}"
        raise NotFound(f"{quoted(folder, 200)} is not the folder of a file store", hint=hint)
    if not os.path.isdir(os.path.join(folder, "models")):
        raise NotFound(
            f"no MLflow registry in {quoted(folder, 200)}: it has no folder named models",
            hint="name the folder of the file store, which is usually named mlruns",
        )
    return f"file://{quote(folder)}", False


def _checked_database(path: str) -> str:
    """Return the path of a SQLite database of MLflow.

    MLflow creates a missing database, and makes its tables in any other one.
    """
    import sqlite3

    if not os.path.isfile(path):
        raise NotFound(f"the database {quoted(path, 200)} does not exist")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=30)) as connection:
            names = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise Unavailable(f"cannot read the database {quoted(path, 200)}: {error}") from error
    if not {"alembic_version", "registered_models", "model_versions"} <= names:
        raise NotFound(f"the database {quoted(path, 200)} is not MLflow's: it has no table of registered models")
    return path


def _pages(search: Callable[..., Any], where: str | None) -> Iterator[Any]:
    """Yield the items of all pages of a search; a server that repeats pages, or never ends, is refused."""
    token = None
    tokens: set[str] = set()
    count = 0
    while True:
        page = search(filter_string=where, max_results=PAGE, page_token=token)
        for item in page:
            count += 1
            if count > ITEMS_LIMIT:
                raise BadInput(f"the server lists more than {ITEMS_LIMIT:,} items")
            yield item
        token = page.token
        if not token:
            return
        if token in tokens or (not page and len(tokens) > HOPS):
            raise BadInput("the server repeats the pages of a list")
        tokens.add(token)


def _local(uri: str) -> Artifact:
    path = unquote(urlsplit(uri).path) if uri[:5].lower() == "file:" else uri
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise NotFound(f"{quoted(path, 200)} does not exist")
    return Artifact(path=path, name=os.path.basename(path))


def _remote(repository: Any, uri: str) -> Artifact:
    """List the files of a store of artifacts."""
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    over_http = isinstance(repository, HttpArtifactRepository)
    name = unquote(urlsplit(uri).path.rstrip("/")).rpartition("/")[2]
    files: list[ListedFile] = []
    folders: list[str | None] = [None]
    count = 0
    while folders:
        for entry in repository.list_artifacts(folders.pop()):
            path = str(entry.path)
            check_path(path)
            count += 1
            if count > ITEMS_LIMIT:
                raise BadInput(f"the artifact has more than {ITEMS_LIMIT:,} files and folders")
            if entry.is_dir:
                folders.append(path)
            else:
                files.append(ListedFile(path, _stated_size(path, entry.file_size)))
    if not files:
        files = _single_file(repository, uri, name)
    read = _read_over_http if over_http else _read_object
    return Artifact(files=tuple(files), read=lambda file: read(repository, file), name=name)


def _single_file(repository: Any, uri: str, name: str) -> list[ListedFile]:
    """Return the file that the location itself is, from the list of its folder."""
    parent = type(repository)(uri.rstrip("/").rpartition("/")[0], tracking_uri=repository.tracking_uri)
    for entry in parent.list_artifacts(None):
        if str(entry.path) == name and not entry.is_dir:
            return [ListedFile("", _stated_size(name, entry.file_size))]
    raise NotFound(f"there are no files at {quoted(redacted(uri), 200)}")


def _stated_size(path: str, size: Any) -> int:
    if size is None or int(size) < 0:
        raise BadInput(f"the server states no size of the file {quoted(path)}")
    return int(size)


def _read_over_http(repository: Any, file: ListedFile) -> Iterator[bytes]:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    endpoint = f"/{quote(file.path)}" if file.path else ""
    creds = get_default_host_creds(repository.artifact_uri)
    response = http_request(creds, endpoint, "GET", stream=True)
    with closing(response):
        if response.status_code != 200:
            _raise_status(response.status_code)
        yield from response.iter_content(chunk_size=CHUNK)


def _raise_status(status: int) -> None:
    if status == 404:
        raise NotFound("the server does not have it")
    if status in (401, 403):
        raise Unavailable(
            f"the server refuses it: status {status}", hint="set MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN"
        )
    raise Unavailable(f"the server failed: status {status}")


def _read_object(repository: Any, file: ListedFile) -> Iterator[bytes]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="mreg-incoming-") as folder:
        copy = os.path.join(folder, "file")
        repository._download_file(file.path, copy)
        with open(copy, "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk


def _texts(values: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items()}


def _time(milliseconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds))
    except (TypeError, ValueError, OverflowError):
        return None


def _logged_model(source: str) -> str:
    found = re.fullmatch(r"models:/+(m-[0-9a-zA-Z]+)(?:/.*)?", source)
    return found[1] if found else ""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Translate the errors of MLflow and of what it is built on.

    Raises:
        NotFound: MLflow says that it does not have the object.
        Unavailable: Anything else fails.
    """
    try:
        yield
    except MregError as error:
        if what not in error.message:
            error.message = f"cannot read {what}: {error.message}"
        raise
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except Exception as error:
        known = _refusal(error)
        if known is not None:
            raise type(known)(f"cannot read {what}: {known.message}", hint=known.hint) from error
        why = redacted(str(error)) or type(error).__name__
        if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST" or _status(error) == 404:
            raise NotFound(f"cannot read {what}: {why}") from error
        if reason := connection_failure(error):
            raise Unavailable(f"cannot read {what}: {reason}", hint=SERVER) from error
        hint = CREDENTIALS if _status(error) in (401, 403) else ""
        raise Unavailable(f"cannot read {what}: {why}", hint=hint) from error


def _translating(chunks: Iterator[bytes], what: str) -> Generator[bytes]:
    """Yield chunks, and translate the errors of reading them; those of whoever takes them are left alone."""
    while True:
        with _translated(what):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _refusal(error: BaseException) -> MregError | None:
    """Return the refusal of `_guarded_requests` that MLflow put into another error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MregError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _status(error: BaseException) -> int:
    response = getattr(error, "response", None)
    return int(getattr(response, "status_code", 0) or 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow from sending telemetry and from printing, and set its settings for an import."""
    added = {name: value for name, value in QUIET.items() if name not in os.environ}
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "sqlalchemy", "urllib3")]
    before = [logger.disabled for logger in loggers]
    silent = [logger.propagate for logger in loggers]
    handler = logging.NullHandler()
    os.environ.update(added)
    try:
        for logger in loggers:
            logger.propagate = False
            logger.addHandler(handler)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled, propagate in zip(loggers, before, silent, strict=True):
            logger.removeHandler(handler)
            logger.disabled, logger.propagate = disabled, propagate
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _guarded_requests() -> Iterator[None]:
    """Bound the answers that MLflow's client reads, and refuse redirects to other servers.

    MLflow makes its sessions in one function, which has no setting for either.
    """
    import requests
    from mlflow.utils import request_utils

    original = request_utils._get_request_session
    guarded: dict[int, requests.Session] = {}

    def session(*args: Any, **options: Any) -> requests.Session:
        made = original(*args, **options)
        if id(made) not in guarded:
            own = requests.Session()
            for prefix, adapter in made.adapters.items():
                own.mount(prefix, adapter)
            own.hooks["response"].append(_check_answer)
            guarded[id(made)] = own
        return guarded[id(made)]

    request_utils._get_request_session = session
    try:
        yield
    finally:
        request_utils._get_request_session = original


def _check_answer(response: Any, **options: Any) -> None:
    """Check an answer before its body is read.

    Raises:
        BadInput: It redirects to another server, or is too large.
        Unavailable: It takes too long.
    """
    if response.is_redirect:
        here, there = urlsplit(response.url), urlsplit(response.headers.get("location", ""))
        same = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        if there.netloc and not same and not (there.scheme == "https" and there.hostname == here.hostname):
            raise BadInput(f"the server redirects to another one: {quoted(there.netloc.rpartition('@')[2])}")
    if options.get("stream"):
        return
    deadline = time.monotonic() + ANSWER_SECONDS
    body = bytearray()
    for chunk in response.iter_content(chunk_size=1 << 16):
        body += chunk
        if len(body) > ANSWER_BYTES:
            response.close()
            raise BadInput(f"the answer of the server has more than {ANSWER_BYTES >> 20} MiB")
        if time.monotonic() > deadline:
            response.close()
            raise Unavailable(f"the answer of the server takes more than {ANSWER_SECONDS:.0f} seconds")
    response._content = bytes(body)
