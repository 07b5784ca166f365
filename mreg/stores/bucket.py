"""One bucket and its objects. Each call is a round trip and is retried after transient failures."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from mreg.domain.digest import Digest
from mreg.errors import Corrupt, MregError
from mreg.stores.client import Body, Connection, Head, ObjectClient, address_of, connect, words_of
from mreg.stores.failures import Failure, Kind, Target, refused, translated
from mreg.stores.integrity import IntegrityCheck, encoded
from mreg.stores.probing import find_etag_form, find_integrity_check, is_strict, revives
from mreg.stores.reading import ObjectReader
from mreg.stores.responses import OTHER_RANGE
from mreg.stores.retry import RetryPolicy
from mreg.stores.settings import StoreSettings
from mreg.stores.traits import BARE, REMEMBERED_SECONDS, Memory, Traits

if TYPE_CHECKING:
    from mreg.stores.boto import Aws

T = TypeVar("T")

SMALL_BYTES = 1 << 20
"""Reads up to this size take one response, without a stream that can be resumed."""

CONFLICTS, CONFLICT_SECONDS = 100, 0.1
"""Maximum number of tries of a put that conflicts with another put of the same key, and the longest pause between."""

PUTS_OF_DAMAGED = 3
"""Maximum number of times that an object is put again after it arrived damaged."""


class _Overrides(threading.local):
    """Settings for the requests of one thread while it probes the store; other threads are not affected."""

    integrity: IntegrityCheck | None = None
    tags = ""


class Bucket:
    """The objects of one bucket under one prefix; safe for threads. It connects on first use.

    Failures are raised as `MregError`.

    Args:
        url: ``s3://bucket/prefix``.
        notice: Called with a text for the user while a store does not answer.
        memory: Folder in which the traits of stores are remembered on this machine (default: none).
    """

    def __init__(self, url: str, settings: StoreSettings, notice: Callable[[str], None], memory: str = "") -> None:
        self.scheme, _, rest = url.partition("://")
        self.name, _, prefix = rest.partition("/")
        self.prefix = prefix.strip("/")
        self.url = f"{self.scheme}://{self.name}/{self.prefix}".rstrip("/")
        self._settings = settings
        self._notice = notice
        self._conditions = True
        self._connecting = threading.Lock()
        self._connected: tuple[ObjectClient, RetryPolicy] | None = None
        self._aws: Aws | None = None
        self._signing: Aws | None = None
        self._memory = Memory(memory, f"{self.address} {self.name}")
        self._probing = threading.RLock()
        self._traits: Traits | None = None
        self._found_at = 0.0
        self._sent_as = IntegrityCheck.SUM
        self._overrides = _Overrides()

    def _connect(self) -> tuple[ObjectClient, RetryPolicy]:
        with self._connecting:
            if self._connected is None:
                try:
                    connection = connect(self.url, self._settings)
                except Failure as failure:
                    raise translated(
                        failure, Target(url=self.url, endpoint=self.address, words=words_of(self.url))
                    ) from failure
                self._connected = ObjectClient(connection), RetryPolicy(connection.target, self._notice)
            return self._connected

    @property
    def client(self) -> ObjectClient:
        """The client that makes a single try of each request, created on first use."""
        return self._connect()[0]

    @property
    def retry(self) -> RetryPolicy:
        """The retries of this store."""
        return self._connect()[1]

    @property
    def connection(self) -> Connection:
        """The way to the bucket."""
        return self.client.connection

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no message may contain."""
        return self.connection.target.secrets

    # Traits of the store

    @property
    def traits(self) -> Traits:
        """The known traits of the store; those that were not probed yet are empty."""
        with self._probing:
            if self._traits is None or time.time() - self._found_at >= REMEMBERED_SECONDS:
                self._traits, self._found_at = self._memory.load()
                if self._traits.integrity is IntegrityCheck.SUM and not self.connection.can_request_checksums:
                    self._traits = replace(self._traits, integrity=None)
            return self._traits

    def learn(self, traits: Traits) -> None:
        """Set the traits, and remember them on this machine."""
        with self._probing:
            if traits != self.traits:
                self._traits = traits
                self._memory.keep(traits, self._found_at)

    def forget(self) -> None:
        """Forget the traits of the store, so that each is probed again when it is needed."""
        with self._probing:
            self._traits, self._found_at = Traits(), time.time()

    @property
    def integrity(self) -> IntegrityCheck:
        """How damage of uploads in transit is detected; probed before the first upload.

        Raises:
            Unavailable: No method works with this store, or it cannot be written.
        """
        with self._probing:
            check = self.connection.integrity or self.traits.integrity
            if check is None:
                check = find_integrity_check(self)
                self.learn(replace(self.traits, integrity=check))
            self._sent_as = check
            return check

    @contextlib.contextmanager
    def sending_with(self, check: IntegrityCheck) -> Iterator[None]:
        """Send this thread's checksums for one method within the ``with`` block; for probes."""
        self._overrides.integrity = check
        try:
            yield
        finally:
            self._overrides.integrity = None

    def require_conditions(self, key: str, *, again: bool = False) -> None:
        """Check with a probe that conditional writes work, so that concurrent writers cannot overwrite each other.

        Args:
            again: Probe the store even if the result is known.

        Raises:
            ConditionalWritesUnsupported: The store ignores a condition, or refuses a condition that holds.
            Unavailable: The store cannot be written.
        """
        with self._probing:
            if again or not self.traits.tags:
                self.learn(replace(self.traits, tags=""))
                self.learn(find_etag_form(self, key))

    @property
    def revives(self) -> bool:
        """True if a put with If-None-Match succeeds after the object was deleted; probed on first use."""
        with self._probing:
            known = self.traits.revives
            if known is None:
                known = revives(self)
                self.learn(replace(self.traits, revives=known))
            return known

    @property
    def strict(self) -> bool:
        """True if a request by a presigned URL is refused when it has headers that were not signed; see `is_strict`.

        Raises:
            Unavailable: The store does not answer the probe.
        """
        with self._probing:
            known = self.traits.strict
            if known is None:
                known = is_strict(self)
                self.learn(replace(self.traits, strict=known))
            return known

    def _see_version(self, version: str) -> None:
        """Forget the probed conditions if the response to a put shows that versioning was turned on or off."""
        versioned = version not in ("", "null")
        if versioned != self.traits.versioned:
            self.learn(replace(self.traits, versioned=versioned, tags="", revives=None))

    @property
    def conditional(self) -> bool:
        """True unless the store answered that it does not support conditional writes."""
        return self._conditions

    def forget_conditions(self) -> None:
        """Stop using conditional writes, because the store answered that it does not support them."""
        self._conditions = False

    # AWS's own client

    @property
    def aws(self) -> Aws:
        """boto3's client, created on first use.

        Raises:
            Failure: The settings cannot be used.
        """
        from mreg.stores.boto import Aws

        with self._connecting:
            if self._aws is None:
                self._aws = Aws(self.name, self._settings, lambda: self._overrides.integrity or self._sent_as)
                if self._connected is not None and self._aws.secrets:
                    self._connected[0].connection.target.secrets = self._aws.secrets
            return self._aws

    @property
    def signing(self) -> Aws:
        """boto3's client for what other programs upload by presigned URLs, created on first use.

        Raises:
            Failure: The settings cannot be used.
        """
        from mreg.stores.boto import Aws

        with self._connecting:
            if self._signing is None:
                self._signing = Aws(self.name, self._settings, lambda: IntegrityCheck.SUM, signing=True)
            return self._signing

    def prepare(self) -> None:
        """Create boto3's client if it can be created; its errors are raised when it is used."""
        with contextlib.suppress(Exception):
            self.aws  # noqa: B018

    def checksum(self, digest: Digest) -> dict[str, Any]:
        """Return the upload parameters of `call` that verify a digest with the method of this store; see `integrity`.

        Raises:
            Unavailable: No method works with this store, or it cannot be written.
        """
        self._sent_as = self.integrity
        return {"ChecksumSHA256": encoded(bytes.fromhex(digest.value))}

    def call(
        self, operation: str, *, expected: Callable[[Failure], bool] = lambda _failure: False, **params: Any
    ) -> Any:
        """Call an operation of AWS's client on this bucket, with retries, and return the response.

        Each try reads a stream in ``Body`` from its current position.

        Args:
            expected: Returns whether a failure is raised unchanged, without retries.

        Raises:
            Unavailable: The operation failed, or the response is not that of an S3 store.
        """
        body: Any = params.get("Body")
        start = body.tell() if hasattr(body, "tell") else 0

        def work() -> Any:
            if hasattr(body, "seek"):
                body.seek(start)
            return self.aws.ask(operation, **params)

        from mreg.stores.boto import Fields

        answer = self.retry.run(work, expected=expected)
        return Fields(answer, lambda: self.retry.translated(Failure(Kind.FOREIGN)))

    def pages(
        self,
        operation: str,
        markers: Sequence[str],
        *,
        expected: Callable[[Failure], bool] = lambda _failure: False,
        **params: Any,
    ) -> Iterator[dict[str, Any]]:
        """Yield every page of a list operation; see `call`.

        Args:
            markers: Names of the parameters that set the start of a page. The previous page returns their values,
                under the names with the prefix ``Next``.

        Raises:
            Unavailable: The list does not end: a page starts at the same markers as an earlier page.
        """
        starts: set[tuple[str, ...]] = set()
        while True:
            page = self.call(operation, expected=expected, **params)
            yield page
            if not page.get("IsTruncated"):
                return
            following = {marker: page[f"Next{marker}"] for marker in markers}
            start = tuple(map(str, following.values()))
            if start in starts:
                raise self.retry.translated(Failure(Kind.FOREIGN, f" ({operation}: the list starts again)"))
            starts.add(start)
            params.update(following)

    # Objects

    @property
    def address(self) -> str:
        """The address of the store, as written in the profile."""
        return address_of(self.url, self._settings)

    def clock(self) -> datetime:
        """Return the time of the store's clock (aware UTC), in whole seconds."""
        found = self.retry.run(lambda: self.aws.clock(self.key("")) if self.scheme == "s3" else self.client.clock())
        return cast("datetime", found if found.tzinfo else found.replace(tzinfo=UTC))

    def key(self, key: str) -> str:
        """Return the full key in the bucket for a key under the prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def put(self, key: str, data: bytes, digest: Digest, *, if_absent: bool = False) -> bool:
        """Put an object atomically; return False if `if_absent` is set and the object exists.

        If the store does not support conditions, it is looked up first, and simultaneous puts can both return True.
        """
        put = _Put(self, self.key(key), data, digest)
        if not if_absent:
            put.whole()
            return True
        made = put.if_absent() if self._conditions else None
        if made is None:  # the store does not support the condition
            made = self.stat(key) is None
            if made:
                put.whole()
        if made or not self._conditions or self.revives or self.stat(key) is not None:
            return made
        put.whole()  # over a delete marker, which the store takes for an object
        return True

    def repair(self, key: str, data: bytes, digest: Digest) -> bool:
        """Replace an object that exists with other bytes; return whether it was put.

        Only checked on a store that verifies nothing: there a killed push can leave a damaged object.
        """
        if self.integrity.is_by_store:
            return False
        found = self.stat(key)
        if found is not None and found.etag.strip('"') == _md5(data):
            return False
        whole = self.fetch(key)
        if whole is not None and whole[0] == data:
            return False
        return self.put(key, data, digest)

    def swap(self, key: str, data: bytes, digest: Digest, etag: str) -> str:
        """Replace an object if its entity tag matches (compare-and-swap), and return the new entity tag.

        The result is empty if another writer was faster, or if the store refuses matching entity tags (see
        `require_conditions`). It can also be empty after a successful write: if a response is lost, the retry conflicts
        with the first try. A caller that needs certainty fetches the object.

        Args:
            etag: Expected entity tag; empty to create the object.

        Raises:
            Unavailable: The store does not support conditions, or cannot be reached.
        """
        try:
            return _Put(self, self.key(key), data, digest).once(
                create=not etag, etag=self.tag(etag), expected=_is_overtaken
            )
        except Failure:
            return ""

    def tag(self, etag: str) -> str:
        """Return an entity tag in the form that the store accepts in If-Match."""
        return etag.strip('"') if (self._overrides.tags or self.traits.tags) == BARE else etag

    @contextlib.contextmanager
    def tags_as(self, form: str) -> Iterator[None]:
        """Send this thread's entity tags in one form, quoted or bare, within the ``with`` block; for probes."""
        self._overrides.tags = form
        try:
            yield
        finally:
            self._overrides.tags = ""

    def fetch(self, key: str, etag: str = "", largest: int = sys.maxsize) -> tuple[bytes, str] | None:
        """Return the bytes and the entity tag of an object; None if it does not exist.

        Args:
            etag: Known entity tag; if it still matches, the bytes returned are empty.
            largest: Maximum size in bytes.

        Raises:
            Corrupt: The object is larger.
        """
        return self._fetch(self.key(key), etag, largest)

    def _fetch(self, name: str, etag: str = "", largest: int = sys.maxsize) -> tuple[bytes, str] | None:
        """Return `fetch` of an object by its full key."""

        def read() -> tuple[bytes, str]:
            body = self.client.get(name, etag=etag)
            if body is None:
                return b"", etag
            if not body.etag:
                raise Failure(Kind.FOREIGN)
            with contextlib.closing(body):
                if body.size > largest:
                    raise Corrupt(
                        f"{self.scheme}://{self.name}/{name} is too large: {body.size:,} bytes; the limit is "
                        f"{largest:,}",
                        hint="if it is not a catalog, name another: catalog: in the profile, or MREG_CATALOG",
                    )
                return b"".join(iter(body.read, b"")), body.etag

        try:
            return self.retry.run(read, expected=lambda failure: failure.is_missing)
        except Failure:
            return None

    def stat(self, key: str) -> Head | None:
        """Return the metadata of an object; None if it does not exist."""
        name = self.key(key)
        try:
            return self.retry.run(lambda: self.client.head(name), expected=_is_mute)
        except Failure as failure:
            # Unlike HEAD, GET returns an error code. For a missing object, a store can answer with an HTML page.
            try:
                self.retry.run(lambda: self._get(name, 0, 1).close(), expected=_is_missing_or_empty)
            except Failure as found:
                if found.is_missing:
                    return None
            if failure.status != 404:
                raise self.retry.translated(failure) from failure
            return self.retry.run(lambda: self.client.head(name))  # created in the meantime
        except MregError as error:
            raise self._with_details(name, error) from error.__cause__

    def _with_details(self, name: str, error: MregError) -> MregError:
        """Return the error for a failed HEAD with the details from the response to a single GET."""
        cause = error.__cause__
        if not isinstance(cause, Failure) or not cause.code.isdecimal():
            return error
        try:
            self._get(name, 0, 1).close()
        except Failure as failure:
            return self.retry.translated(failure) if failure.kind is Kind.ANSWER else error
        return error

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO | None:
        """Open an object for reading; None if it does not exist. A broken connection is resumed at the next byte."""
        name = self.key(key)
        if length is not None and 0 < length <= SMALL_BYTES:
            return self._read(name, start, length)
        reader = ObjectReader(self.retry, lambda start, count: self._get(name, start, count), start, length)
        return cast("BinaryIO", reader) if reader.found else None

    def _read(self, name: str, start: int, length: int) -> BinaryIO | None:
        """Read a small range of an object."""

        def read() -> bytes:
            try:
                body = self._get(name, start, length)
            except Failure as failure:
                if failure.code == "InvalidRange" or failure.status == 416:
                    return b""  # the object ends before this offset
                raise
            if body.size > length:
                raise Failure(Kind.FOREIGN, OTHER_RANGE)
            data = bytes(body.read())
            while len(data) < body.size and (more := body.read()):
                data += more
            return data

        try:
            return BytesIO(self.retry.run(read, expected=lambda failure: failure.is_missing))
        except Failure:
            return None

    def _get(self, name: str, start: int, length: int | None) -> Body:
        return cast("Body", self.client.get(name, start, length))

    def list(self, prefix: str) -> Iterator[tuple[str, Head]]:
        """Yield every object whose key begins with a prefix, as key and metadata."""
        beginning = self.key("")
        if self.scheme != "s3":
            yield from self._list(self.key(prefix), beginning)
            return
        for page in self.pages("list_objects_v2", ("ContinuationToken",), Prefix=self.key(prefix)):
            for found in page.get("Contents", ()):
                name = found["Key"]
                if name.startswith(beginning):
                    key = name.removeprefix(beginning)
                    yield key, Head(size=found["Size"], modified=found["LastModified"], etag=found["ETag"])

    def _list(self, prefix: str, beginning: str) -> Iterator[tuple[str, Head]]:
        """Yield `list` by full prefix; a list that breaks off is begun again behind the last key."""
        pages, last = self.client.pages(prefix), ""

        def following() -> list[tuple[str, Head]] | None:
            nonlocal pages
            try:
                return next(pages, None)
            except Failure:
                pages = self.client.pages(prefix, last)
                raise

        while (page := self.retry.run(following)) is not None:
            for name, found in page:
                last = name
                yield name.removeprefix(beginning), found

    def put_stream(self, key: str, chunks: Callable[[], Iterator[bytes]], size: int) -> bool:
        """Put a large object in blocks. Each is retried, and then all of them. If it fails, nothing is under the key.

        Returns:
            False if the blocks are gone because another upload of the key was completed meanwhile.

        Args:
            chunks: Returns an iterator over the content, whose exceptions are raised unchanged.
            size: Number of bytes of the content.
        """
        try:
            self.retry.run(
                lambda: self.client.put_stream(self.key(key), chunks(), size),
                expected=lambda failure: failure.code == "InvalidBlockList",
                watched=False,
            )
        except Failure:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove an object if it exists."""
        self.retry.run(lambda: self.client.delete(self.key(key)))

    def presign(self, key: str, seconds: int, method: str = "GET") -> str:
        """Return a URL that permits one request for an object without credentials.

        Args:
            seconds: How long the URL is valid.
        """
        return self.retry.run(lambda: self.client.presign(method, self.key(key), seconds))


class _Put:
    """The puts of one object until it has arrived undamaged.

    Args:
        name: Full key.
    """

    def __init__(self, bucket: Bucket, name: str, data: bytes, digest: Digest) -> None:
        self._bucket = bucket
        self._name = name
        self._data = data
        self._digest = digest

    def whole(self) -> None:
        """Put the object, again if it arrived damaged or another put has replaced it.

        Raises:
            Unavailable: The object has other bytes after each put.
        """
        for _ in range(PUTS_OF_DAMAGED):
            if self.once():
                return
        raise self._bucket.retry.damaged()

    def if_absent(self) -> bool | None:
        """Return whether the object was created; None if the store does not support the condition."""
        for tries in range(1, CONFLICTS + 1):
            try:
                if not self.once(create=True, expected=_is_condition):
                    self.whole()  # the object was created, but has other bytes
                return True
            except Failure as failure:
                if failure.status == 412:
                    return False
                if failure.status != 409:
                    self._bucket.forget_conditions()
                    return None
                if tries == CONFLICTS:
                    raise self._bucket.retry.translated(failure) from failure
            # 409: another put of the same key is in progress. Once it is done, the next try finds the object.
            time.sleep(random.uniform(0.5, 1) * CONFLICT_SECONDS)  # noqa: S311
        return None

    def once(
        self,
        *,
        create: bool = False,
        etag: str = "",
        expected: Callable[[Failure], bool] = lambda _failure: False,
    ) -> str:
        """Put the object, and return the entity tag if it arrived undamaged; empty if it has other bytes now."""
        check = self._bucket.integrity
        try:
            found, version = self._bucket.retry.run(
                lambda: self._send(check, create, etag),
                expected=lambda failure: failure.kind is Kind.FOREIGN or expected(failure),
            )
        except Failure as failure:
            if failure.kind is not Kind.FOREIGN:
                raise
            return self._after_half_an_answer(failure)
        return self._settled(check, found, version)

    def _after_half_an_answer(self, failure: Failure) -> str:
        """Return the entity tag if the object arrived; empty if it has other bytes.

        A success without an entity tag is the page of a proxy, or the start of a response that broke off.

        Raises:
            Unavailable: The object does not exist.
        """
        try:
            found = self._bucket._fetch(self._name, largest=len(self._data))
        except Corrupt:
            return ""
        if found is None:
            raise self._bucket.retry.translated(failure) from failure
        return found[1] if found[0] == self._data else ""

    def _send(self, check: IntegrityCheck, create: bool, etag: str) -> tuple[str, str]:
        if check is not IntegrityCheck.MD5:
            return self._bucket.client.put(
                self._name, self._data, create=create, etag=etag, checksum=check is IntegrityCheck.SUM
            )
        # obstore cannot send Content-MD5.
        condition = {"IfNoneMatch": "*"} if create else {"IfMatch": etag} if etag else {}
        checksum = self._bucket.checksum(self._digest)
        answer = self._bucket.aws.ask("put_object", Key=self._name, Body=self._data, **checksum, **condition)
        if "ETag" not in answer:
            raise Failure(Kind.FOREIGN)
        return answer["ETag"], answer.get("VersionId", "")

    def _settled(self, check: IntegrityCheck, etag: str, version: str) -> str:
        """Return the entity tag of an object that arrived undamaged; empty if the object has other bytes now.

        Most stores return the MD5 sum of the bytes as the entity tag. If the tag differs, the object is read: the store
        encrypts objects, the object arrived damaged, or another put has replaced it. If the store verifies nothing, an
        object that arrived damaged is put again, unless another put has replaced it.

        Raises:
            Unavailable: The object arrived damaged each time.
        """
        bucket = self._bucket
        bucket._see_version(version)
        checked = check.is_by_store
        if checked and (bucket.traits.opaque or check is IntegrityCheck.TLS):
            return etag
        md5 = _md5(self._data)
        for left in range(PUTS_OF_DAMAGED, -1, -1):
            if etag.strip('"') == md5:
                return etag
            try:
                found = bucket._fetch(self._name)
            except MregError as error:
                if checked and refused(error.__cause__):  # these credentials can only write
                    return etag
                raise
            if found is not None and found[0] == self._data:
                if checked and found[1].strip('"') != md5:
                    bucket.learn(replace(bucket.traits, opaque=True))
                return found[1]
            if checked or found is None or found[1] != etag:
                return ""
            if left:
                tag = bucket.tag(etag) if bucket.traits.tags else ""
                try:
                    etag, _ = bucket.retry.run(lambda tag=tag: self._send(check, False, tag), expected=_is_overtaken)  # type: ignore[misc]
                except Failure:
                    return ""
        raise bucket.retry.damaged()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _is_condition(failure: Failure) -> bool:
    return failure.status in (409, 412, 501) or failure.code in ("NotImplemented", "InvalidArgument")


def _is_overtaken(failure: Failure) -> bool:
    return failure.status in (409, 412) or failure.is_missing


def _is_mute(failure: Failure) -> bool:
    return failure.is_missing or (failure.kind is Kind.ANSWER and failure.code.isdecimal() and not failure.is_transient)


def _is_missing_or_empty(failure: Failure) -> bool:
    return failure.is_missing or failure.code == "InvalidRange" or failure.status == 416
