"""One try of each request for an object, over obstore: no retries, and every failure is a `Failure`.

`connect` is the only code that knows the providers.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError, NotModifiedError

from mreg.stores import aws, azure, google
from mreg.stores.failures import Failure, Kind, Target, Words, secrets_in
from mreg.stores.integrity import IntegrityCheck
from mreg.stores.responses import failure_of, one_line
from mreg.stores.settings import StoreSettings

T = TypeVar("T")

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Timeout for the start of a response and between its packets. AWS sends keep-alive bytes while it joins parts."""

SLOWEST_BYTES = 64 << 10
"""Upload rate in bytes a second that is waited for, since the timeout of a response begins with the upload."""

CONNECTIONS = 32
BLOCK, BLOCKS_LIMIT, BLOCKS_AT_ONCE = 8 << 20, 10_000, 8
"""Bytes of a block of a large upload, maximum number of blocks, and how many are sent at the same time."""

PATIENT = {"max_retries": 10, "retry_timeout": timedelta(seconds=60)}
"""How often a block of a large upload is sent again."""

PIECE = 256 << 10
"""Bytes of a body that are handed over at once."""

FAILURES = (BaseError, OSError, ValueError, TypeError, OverflowError)
"""Exceptions of obstore: FileNotFoundError is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Metadata of an object: size in bytes, time of the put (aware UTC), entity tag, and version or nothing."""

    size: int
    modified: datetime
    etag: str
    version: str = ""


@dataclass(slots=True, kw_only=True)
class Connection:
    """How to reach one bucket of a provider.

    Attributes:
        provider: s3, az or gs.
        target: The store in messages.
        make: Returns obstore's store for options of the HTTP client, and whether uploads carry a SHA-256 sum.
        credentials: The callable that obstore asks for credentials, if its failure must be known.
        can_request_checksums: Uploads may ask the store to check SHA-256 sums.
        options: Options of the HTTP client.
        make_patient: Returns obstore's store for large uploads, which retries each block of them.
        integrity: How damage of uploads is detected; None if a probe of the store must find it out.
    """

    provider: str
    target: Target
    make: Callable[[dict[str, Any], bool], Any]
    credentials: aws.Credentials | None = None
    can_request_checksums: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    make_patient: Callable[[dict[str, Any]], Any] | None = None
    integrity: IntegrityCheck | None = None


def words_of(url: str) -> Words:
    """Return what messages about the store of a URL say."""
    return {"az": azure.WORDS, "abfss": azure.WORDS, "gs": google.WORDS}.get(url.partition("://")[0], aws.WORDS)


def address_of(url: str, settings: StoreSettings) -> str:
    """Return the address of the store of a URL, which tells it from others with the same bucket; connects nowhere."""
    scheme = url.partition("://")[0]
    if settings.endpoint_url or scheme == "s3":
        return settings.endpoint_url or "AWS"
    if scheme == "gs":
        return "Google Cloud Storage"
    try:
        return azure.read_config(url, settings, os.environ).endpoint
    except Failure:
        return "Azure"


def connect(url: str, settings: StoreSettings) -> Connection:
    """Return the way to the bucket of a URL; nothing is sent yet.

    Raises:
        Failure: The settings cannot be used.
    """
    scheme, _, rest = url.partition("://")
    bucket = rest.partition("/")[0]
    if scheme == "s3":
        return _connect_s3(url, bucket, settings)
    if scheme in ("az", "abfss"):
        return _connect_azure(url, settings)
    if scheme == "gs":
        return _connect_google(url, bucket)
    raise Failure(Kind.SETTINGS, f"unknown kind of store: {scheme}")


def _connect_s3(url: str, bucket: str, settings: StoreSettings) -> Connection:
    from obstore.store import S3Store

    config = aws.read_config(settings, os.environ)
    endpoint = (config.endpoint_url or f"https://{aws.host_of_aws(config.region, os.environ)}").rstrip("/")
    check_endpoint(endpoint)
    virtual = aws.is_virtual(settings.addressing_style, bucket, endpoint, named=bool(settings.endpoint_url))
    scheme, _, host = endpoint.partition("://")

    target = Target(
        url=url,
        endpoint=config.endpoint_url or endpoint,
        words=aws.WORDS,
        secrets=secrets_in((config.keys or ())[1:]),
        explain_tls=_explain_tls(endpoint, config.ca_bundle),
    )

    def learn(secrets: tuple[str, ...]) -> None:
        target.secrets = secrets

    credentials = aws.Credentials(config, settings.aws_profile, learn)
    known = config.keys is not None or config.chained or not config.metadata

    def make(options: dict[str, Any], checksum: bool) -> Any:
        chosen: Any = options
        sums: Any = {"checksum_algorithm": "SHA256"} if checksum else {}
        address = f"{scheme}://{bucket}.{host}" if virtual else endpoint
        return S3Store(
            bucket,
            client_options=chosen,
            retry_config={"max_retries": 0},
            credential_provider=credentials if known else None,
            region=config.region,
            endpoint=address,
            aws_endpoint_url_s3=address,
            virtual_hosted_style_request=virtual,
            unsigned_payload=False,
            disable_bulk_delete=True,
            **sums,
        )

    return Connection(
        provider="s3",
        target=target,
        make=make,
        credentials=credentials if known else None,
        can_request_checksums=config.checksums,
        options=_certificates(config.ca_bundle),
    )


ENDPOINT = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?")


def check_endpoint(url: str) -> None:
    """Refuse an address that obstore would panic at.

    Raises:
        Failure: It is not an HTTP URL of a host.
    """
    if not ENDPOINT.fullmatch(url):
        raise Failure(Kind.SETTINGS, f"{url!r} is not the URL of a store: expected https://HOST or http://HOST:PORT")


def _connect_azure(url: str, settings: StoreSettings) -> Connection:
    from obstore.store import AzureStore

    config = azure.read_config(url, settings, os.environ)
    check_endpoint(config.endpoint)

    def make(options: dict[str, Any], retries: Any) -> Any:
        chosen: Any = config.options
        return AzureStore(
            config.container,
            client_options=options,  # type: ignore[arg-type]
            retry_config=retries,
            account_name=config.account,
            endpoint=config.endpoint,
            disable_tagging=True,
            **chosen,
        )

    return Connection(
        provider="az",
        target=Target(
            url=url,
            endpoint=config.endpoint,
            words=azure.WORDS,
            secrets=config.secrets,
            explain=azure.explain(config),
            explain_tls=_explain_tls(config.endpoint, config.ca_bundle),
        ),
        make=lambda options, _checksum: make(options, {"max_retries": 0}),
        make_patient=lambda options: make(options, PATIENT),
        options=_certificates(config.ca_bundle, "SSL_CERT_FILE"),
        integrity=_integrity(config.endpoint),
    )


def _connect_google(url: str, bucket: str) -> Connection:
    from obstore.store import GCSStore

    endpoint = "https://storage.googleapis.com"

    def make(options: dict[str, Any], retries: Any) -> Any:
        return GCSStore(bucket, client_options=options, retry_config=retries)  # type: ignore[arg-type]

    return Connection(
        provider="gs",
        target=Target(url=url, endpoint=endpoint, words=google.WORDS, explain_tls=_explain_tls(endpoint, "")),
        make=lambda options, _checksum: make(options, {"max_retries": 0}),
        make_patient=lambda options: make(options, PATIENT),
        options=_certificates(os.environ.get("SSL_CERT_FILE", ""), "SSL_CERT_FILE"),
        integrity=_integrity(endpoint),
    )


def _explain_tls(endpoint: str, ca_bundle: str) -> Callable[[], tuple[str, str]]:
    """Return `mreg.stores.tls.explain_tls` of an endpoint, which is imported only once a handshake has failed."""

    def explain() -> tuple[str, str]:
        from mreg.stores.tls import explain_tls

        return explain_tls(endpoint, ca_bundle)

    return explain


def _integrity(endpoint: str) -> IntegrityCheck:
    """Return how damage of uploads is detected by a client that cannot send checksums: TLS detects it on the way."""
    return IntegrityCheck.TLS if endpoint.startswith("https://") else IntegrityCheck.READ


def _certificates(path: str, variable: str = "AWS_CA_BUNDLE") -> dict[str, Any]:
    """Return the option that trusts the certificates of a file, which a variable names."""
    if not path:
        return {}
    hint = f"set {variable} to a file of certificates in PEM format"
    try:
        with open(path, "rb") as stream:
            certificates = stream.read()
    except OSError as error:
        raise Failure(Kind.SETTINGS, f"cannot read {variable} {path}: {error.strerror}", hint=hint) from error
    if b"-----BEGIN " not in certificates:
        raise Failure(Kind.SETTINGS, f"invalid {variable} {path}: it has no certificate", hint=hint)
    return {"root_certificate": certificates}


class ObjectClient:
    """The objects of one bucket, by their full keys; safe for threads.

    Args:
        connection: The way to the bucket; see `connect`.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._stores: dict[tuple[bool, int], Any] = {}
        self._making = threading.Lock()

    def _store(self, size: int = 0, *, checksum: bool = False) -> Any:
        """Return obstore's store with the timeout for an upload of a size in bytes; there are few of them."""
        seconds = READ_SECONDS
        while size > SLOWEST_BYTES * seconds:
            seconds *= 2
        with self._making:
            found = self._stores.get((checksum, seconds))
            if found is None:
                options = self._options(seconds)
                found = self._tried(lambda: self.connection.make(options, checksum))
                self._stores[checksum, seconds] = found
        return found

    def _options(self, seconds: int) -> dict[str, Any]:
        """Return the options of the HTTP client, with a timeout for the start of a response in seconds."""
        return {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=seconds),
            "timeout": timedelta(days=30),  # a large object takes its time
            "pool_max_idle_per_host": str(CONNECTIONS),
            "user_agent": "mreg",
            **self.connection.options,
        }

    def _run(self, work: Callable[[], T]) -> T:
        return self._tried(lambda: interruptible(work))

    def _tried(self, work: Callable[[], T]) -> T:
        credentials = self.connection.credentials
        try:
            return work()
        except FAILURES as error:
            if credentials is not None and credentials.failure is not None:
                failure, credentials.failure = credentials.failure, None
                raise failure from error
            raise failure_of(error, self.connection.target.endpoint) from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # of obstore's Rust code, and not an Exception
                raise Failure(Kind.FOREIGN, f" (obstore failed: {one_line(str(error))})") from error
            raise

    def head(self, key: str) -> Head:
        """Return the metadata of an object."""
        found = self._run(lambda: obstore.head(self._store(), key))
        return self._head(found)

    def _head(self, found: Any) -> Head:
        etag = self._tag(found)
        if not etag:
            raise Failure(Kind.FOREIGN)
        return Head(
            size=found["size"],
            modified=found["last_modified"].astimezone(UTC),
            etag=etag,
            version=str(found["version"] or ""),
        )

    def get(self, key: str, start: int = 0, length: int | None = None, *, etag: str = "") -> Body | None:
        """Open an object for reading; None if it still has an entity tag.

        Args:
            start: Offset of the first byte.
            length: Maximum number of bytes, at least 1 (default: all).
            etag: Known entity tag.
        """
        if etag and self.connection.provider == "gs":  # whose tag here is a generation, which it does not compare
            if self.head(key).etag == etag:
                return None
            etag = ""
        options: Any = {"if_none_match": etag} if etag else {}
        if length is not None:
            options["range"] = (start, start + length)
        elif start:
            options["range"] = {"offset": start}
        try:
            return Body(self, self._run(lambda: obstore.get(self._store(), key, options=options)))
        except Failure as failure:
            if etag and isinstance(failure.__cause__, NotModifiedError):
                return None
            raise

    def put(
        self, key: str, data: bytes, *, create: bool = False, etag: str = "", checksum: bool = False
    ) -> tuple[str, str]:
        """Put an object, and return its entity tag and version.

        Args:
            create: Fail with status 412 if the object exists.
            etag: Fail with status 412 if the object has another entity tag, in the form that the store accepts.
            checksum: Ask the store to check the SHA-256 sum. The signature covers the content in any case.
        """
        condition = "version" if self.connection.provider == "gs" else "e_tag"
        mode: Any = "create" if create else {condition: etag} if etag else "overwrite"
        store = self._store(len(data), checksum=checksum)
        try:
            found = self._run(lambda: obstore.put(store, key, data, mode=mode, use_multipart=False))
        except Failure as failure:
            if failure.code == "BlobAlreadyExists":
                failure.status = 412  # other stores answer a failed condition with it, and 409 means a conflict
            raise
        if not self._tag(found):
            raise Failure(Kind.FOREIGN)
        version = "" if self.connection.provider == "gs" else str(found["version"] or "")
        return self._tag(found), version

    def _tag(self, found: Any) -> str:
        """Return what a conditional put compares: the entity tag, or the generation of an object of Google."""
        return str(found["version" if self.connection.provider == "gs" else "e_tag"] or "")

    def put_stream(self, key: str, chunks: Iterator[bytes], size: int) -> None:
        """Put a large object in blocks, of which a few are under way at the same time.

        Args:
            chunks: The content; an exception of it ends the upload, and is raised.
            size: Number of bytes of the content.
        """
        make = self.connection.make_patient
        if make is None:
            raise Failure(Kind.SETTINGS, "large objects need parts")
        store = self._tried(lambda: make(self._options(READ_SECONDS)))
        raised: list[BaseException] = []

        def watched() -> Iterator[bytes]:
            try:
                yield from chunks
            except BaseException as error:
                raised.append(error)
                raise

        try:
            self._run(
                lambda: obstore.put(
                    store,
                    key,
                    watched(),
                    use_multipart=True,
                    chunk_size=max(BLOCK, -(-size // BLOCKS_LIMIT)),
                    max_concurrency=BLOCKS_AT_ONCE,
                )
            )
        except BaseException:
            if raised:
                raise raised[0] from None
            raise

    def clock(self) -> datetime:
        """Return the time of the store's clock (aware UTC), in whole seconds."""
        from email.utils import parsedate_to_datetime
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        try:
            with urlopen(Request(self.connection.target.endpoint, method="HEAD"), timeout=CONNECT_SECONDS) as found:  # noqa: S310
                date = found.headers.get("date", "")
        except HTTPError as error:
            date = error.headers.get("date", "")
        except (URLError, OSError) as error:
            raise Failure(Kind.UNREACHABLE, str(getattr(error, "reason", error))) from error
        try:
            return parsedate_to_datetime(date).astimezone(UTC)
        except (ValueError, OverflowError):
            raise Failure(Kind.FOREIGN, " (no date)") from None

    def delete(self, key: str) -> None:
        """Remove an object if it exists."""
        try:
            self._run(lambda: obstore.delete(self._store(), key))
        except Failure as failure:
            if not failure.is_missing:  # Azure and Google answer so; S3 does not tell
                raise

    def pages(self, prefix: str, after: str = "") -> Iterator[list[tuple[str, Head]]]:
        """Yield pages of the objects whose keys begin with a prefix, each with its key and metadata.

        obstore lists whole path segments; the rest of the prefix is compared here.

        Args:
            after: Key behind which the list begins.
        """
        folder, _, _ = prefix.rpartition("/")
        pages = self._run(lambda: obstore.list(self._store(), folder or None, offset=after or None))
        while True:
            page = self._run(lambda: next(pages, None))
            if page is None:
                return
            yield [(found["path"], self._head(found)) for found in page if found["path"].startswith(prefix)]

    def presign(self, method: str, key: str, seconds: int) -> str:
        """Return a URL that permits one request without credentials.

        Args:
            method: HTTP method.
            seconds: How long the URL is valid.
        """
        allowed: Any = method
        return str(self._run(lambda: obstore.sign(self._store(), allowed, key, timedelta(seconds=seconds))))


class Body:
    """The bytes of a response, which arrive in pieces.

    Attributes:
        meta: Metadata of the object; its size is that of the whole object.
        etag: Entity tag; empty if the response has none.
        size: Number of bytes of the response.
    """

    def __init__(self, client: ObjectClient, found: Any) -> None:
        self._client = client
        self._pieces = found.stream(PIECE)
        begin, end = found.range
        self.size = end - begin
        self.etag = client._tag(found.meta)

    def read(self) -> memoryview:
        """Return some bytes; empty at the end."""
        piece = self._client._run(lambda: next(self._pieces, None))
        return memoryview(b"") if piece is None else memoryview(piece)

    def close(self) -> None:
        """Give up the rest of the response."""
        self._pieces = iter(())


class _Helper(threading.Thread):
    """A thread that makes the requests of the main thread, one after the other."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="mreg-store")
        self.work: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.result: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        while True:
            work = self.work.get()
            try:
                self.result.put((work(), None))
            except BaseException as error:  # noqa: BLE001  raised again in the main thread
                self.result.put((None, error))


_helper: list[_Helper] = []


def interruptible(work: Callable[[], T]) -> T:
    """Return the result of a call; Ctrl-C ends it.

    Python handles signals in the main thread, between two instructions: a call into Rust would delay them until it
    returns. So another thread makes the call. After an interrupt the thread is left alone with its call.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    helper = _helper.pop() if _helper else _Helper()
    if not helper.is_alive():
        helper = _Helper()
        helper.start()
    helper.work.put(work)
    result, error = helper.result.get()
    _helper.append(helper)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]
