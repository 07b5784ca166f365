"""One bucket and its objects. Each call is a round trip and is retried after transient failures."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, BinaryIO, cast

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from mreg.domain.digest import Digest
from mreg.errors import Corrupt, MregError
from mreg.s3.answers import UNREADABLE, Fields, begins_at, watch
from mreg.s3.failures import FAILURES, code_of, foreign, is_foreign, passing, refused, status_of
from mreg.s3.integrity import SUM_HEADER, IntegrityCheck, encoded, protect, sign_with_digests
from mreg.s3.probing import find_etag_form, find_integrity_check, revives
from mreg.s3.reading import ObjectReader
from mreg.s3.retry import RetryPolicy
from mreg.s3.small_objects import SMALL_BYTES, SmallObjectClient
from mreg.s3.traits import BARE, REMEMBERED_SECONDS, Memory, Traits

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""Timeout for the start of a response and between its packets. AWS sends keep-alive bytes while it joins parts."""

CONNECTIONS = 32

CONFLICTS, CONFLICT_SECONDS = 100, 0.1
"""Maximum number of tries of a put that conflicts with another put of the same key, and the longest pause between."""

PUTS_OF_DAMAGED = 3
"""Maximum number of times that an object is put again after it arrived damaged."""

_PIECE = 1 << 20

BODILESS = ("delete_object", "abort_multipart_upload")
"""Operations whose responses have no fields, so that a proxy's page cannot be detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """Connection settings of a bucket; an empty value means the AWS configuration or the default."""

    endpoint_url: str = ""
    region: str = ""
    aws_profile: str = ""
    addressing_style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """Metadata of an object: size in bytes, time of the put (aware UTC) and entity tag."""

    size: int
    modified: datetime
    etag: str


class _Overrides(threading.local):
    """Settings for the requests of one thread while it probes the store; other threads are not affected."""

    integrity: IntegrityCheck | None = None
    tags = ""


class Bucket:
    """The objects of one bucket under one prefix; safe for threads. It connects on first use.

    Credentials come from botocore's standard chain. Failures are raised as `MregError`.

    Args:
        url: ``s3://bucket/prefix``.
        notice: Called with a text for the user while a store does not answer.
        memory: Folder in which the traits of stores are remembered on this machine (default: none).
    """

    def __init__(self, url: str, settings: BucketSettings, notice: Callable[[str], None], memory: str = "") -> None:
        self.name, _, prefix = url.removeprefix("s3://").partition("/")
        self.prefix = prefix.strip("/")
        self.url = f"s3://{self.name}/{self.prefix}".rstrip("/")
        self._settings = settings
        self.retry = RetryPolicy(self.url, settings.endpoint_url or "AWS", notice)
        self._conditions = True
        self._connecting = threading.Lock()
        self._connection: tuple[Any, SmallObjectClient] | None = None
        self._memory = Memory(memory, f"{self.address} {self.name}")
        self._probing = threading.RLock()
        self._traits: Traits | None = None
        self._found_at = 0.0
        self._sent_as = IntegrityCheck.SUM
        self._overrides = _Overrides()

    @property
    def client(self) -> Any:
        """botocore's client, created on first use."""
        return self._connected()[0]

    def _connected(self) -> tuple[Any, SmallObjectClient]:
        with self._connecting:
            if self._connection is None:
                try:
                    session = Session(profile=self._settings.aws_profile or None)
                    client = self._connect(session)
                    watch(client)
                    sign_with_digests(client)
                    client.meta.events.register("before-sign.s3", lambda request, **_: self._protect(request))
                    self._connection = client, SmallObjectClient(client, session, self.name, CONNECTIONS, self._protect)
                except (*FAILURES, ValueError) as error:
                    raise self.retry.translated(error) from error
                self.retry.endpoint = client.meta.endpoint_url
                self.retry.secrets = _secrets(session)
            return self._connection

    def _connect(self, session: Session) -> Any:
        settings = self._settings
        style = settings.addressing_style or ("path" if settings.endpoint_url else "auto")
        return session.create_client(
            "s3",
            endpoint_url=settings.endpoint_url or None,
            region_name=settings.region or session.get_config_variable("region") or "us-east-1",
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                retries={"mode": "standard", "total_max_attempts": 1},
                user_agent_extra="mreg",
                # Self-hosted stores seldom have a DNS name for each bucket.
                # The signature covers the content of every request, except where `Signer` uses a checksum header.
                s3={"addressing_style": style, "payload_signing_enabled": True},
            ),
        )

    # Traits of the store

    def _protect(self, request: Any) -> None:
        protect(request, self._overrides.integrity or self._sent_as)

    @property
    def can_request_checksums(self) -> bool:
        """True if uploads may ask the store to check SHA-256 sums; AWS_REQUEST_CHECKSUM_CALCULATION can forbid it."""
        return bool(self.client.meta.config.request_checksum_calculation != "when_required")

    @property
    def traits(self) -> Traits:
        """The known traits of the store; those that were not probed yet are empty."""
        with self._probing:
            if self._traits is None or time.time() - self._found_at >= REMEMBERED_SECONDS:
                self._traits, self._found_at = self._memory.load()
                if self._traits.integrity is IntegrityCheck.SUM and not self.can_request_checksums:
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
            check = self.traits.integrity
            if check is None:
                check = find_integrity_check(self)
                self.learn(replace(self.traits, integrity=check))
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

    def _see_version(self, version: str) -> None:
        """Forget the probed conditions if the response to a put shows that versioning was turned on or off."""
        versioned = version not in ("", "null")
        if versioned != self.traits.versioned:
            self.learn(replace(self.traits, versioned=versioned, tags="", revives=None))

    @property
    def if_absent(self) -> dict[str, Any]:
        """Parameters that make a write fail if the object exists; empty if the store does not support them."""
        return {"IfNoneMatch": "*"} if self._conditions else {}

    def forget_conditions(self) -> None:
        """Stop using conditional writes, because the store answered that it does not support them."""
        self._conditions = False

    def checksum(self, digest: Digest) -> dict[str, Any]:
        """Return the upload parameters that verify a digest with the method of this store; see `integrity`.

        Raises:
            Unavailable: No method works with this store, or it cannot be written.
        """
        self._sent_as = self.integrity
        return {"ChecksumSHA256": encoded(bytes.fromhex(digest.value))}

    def ask(self, operation: str, **params: Any) -> Any:
        """Call an operation of the client on this bucket once, without retries, and return the response.

        Raises:
            BotoCoreError, ClientError: The operation failed.
            ResponseParserError: The response cannot be parsed.
        """
        try:
            return getattr(self.client, operation)(Bucket=self.name, **params)
        except UNREADABLE as error:
            raise ResponseParserError(f"cannot read the response: {error}") from error

    def call(
        self, operation: str, *, expected: Callable[[Exception], bool] = lambda _error: False, **params: Any
    ) -> Any:
        """Call an operation of the client on this bucket, with retries, and return the response.

        Each try reads a stream in ``Body`` from its current position.

        Args:
            expected: Returns whether an exception is raised unchanged, without retries.

        Raises:
            Unavailable: The operation failed, or the response is not that of an S3 store.
        """
        body: Any = params.get("Body")
        start = body.tell() if hasattr(body, "tell") else 0

        def work() -> Any:
            if hasattr(body, "seek"):
                body.seek(start)
            return self.ask(operation, **params)

        answer = self.retry.run(work, expected=expected)
        if operation not in BODILESS and set(answer) <= {"ResponseMetadata"}:
            raise foreign(self.retry.endpoint, f" (HTTP {answer['ResponseMetadata']['HTTPStatusCode']})")
        return Fields(answer, lambda: foreign(self.retry.endpoint))

    @property
    def address(self) -> str:
        """The address of the store, as written in the profile."""
        return self._settings.endpoint_url or "AWS"

    def clock(self) -> datetime:
        """Return the time of the store's clock (aware UTC), in whole seconds."""
        answer = self.call("list_objects_v2", Prefix=self.key(""), MaxKeys=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            found = parsedate_to_datetime(date)
        except (ValueError, OverflowError):
            raise foreign(self.retry.endpoint, " (no date)") from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def key(self, key: str) -> str:
        """Return the full key in the bucket for a key under the prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def put(self, key: str, data: bytes, digest: Digest, *, if_absent: bool = False) -> bool:
        """Put an object atomically; return False if `if_absent` is set and the object exists.

        If the store does not support conditions, it is looked up first, and simultaneous puts can both return True.
        """
        params: dict[str, Any] = {"Key": self.key(key), "Body": data, **self.checksum(digest)}
        if not if_absent:
            self._put_whole(params)
            return True
        made = self._put_if_absent(params)
        if made is None:  # the store does not support the condition
            made = self.stat(key) is None
            if made:
                self._put_whole(params)
        return made or self._put_over_marker(key, params)

    def _put_whole(self, params: dict[str, Any]) -> None:
        """Put an object, again if it arrived damaged or another put has replaced it.

        Raises:
            Unavailable: The object has other bytes after each put.
        """
        for _ in range(PUTS_OF_DAMAGED):
            if self._put(params):
                return
        raise self.retry.damaged()

    def _put_if_absent(self, params: dict[str, Any]) -> bool | None:
        """Return whether the object was created; None if the store does not support the condition."""
        for tries in range(1, CONFLICTS + 1):
            if not self._conditions:
                break
            status, etag = self._put_small(params, {"If-None-Match": "*"})
            if status == 412:
                return False
            try:
                if not etag and (status or not self._put(self.if_absent | params, expected=_is_condition)):
                    self._put_whole(params)  # the object was created, but has other bytes
                return True
            except ClientError as error:
                if status_of(error) == 412:
                    return False
                if status_of(error) != 409:
                    self.forget_conditions()
                    return None
                if tries == CONFLICTS:
                    raise self.retry.translated(error) from error
            # 409: another put of the same key is in progress. Once it is done, the next try finds the object.
            time.sleep(random.uniform(0.5, 1) * CONFLICT_SECONDS)  # noqa: S311
        return None

    def _put_over_marker(self, key: str, params: dict[str, Any]) -> bool:
        """Put an object that does not exist although the store refused to create it; return whether it was put."""
        if not self._conditions or self.revives or self.stat(key) is not None:
            return False
        self._put_whole(params)
        return True

    def repair(self, key: str, data: bytes, digest: Digest) -> bool:
        """Replace an object that exists with other bytes; return whether it was put.

        Only checked on a store that verifies nothing: there a killed push can leave a damaged object.
        """
        if self.integrity is not IntegrityCheck.TAG:
            return False
        found = self.stat(key)
        if found is not None and found.etag.strip('"') == _md5(data):
            return False
        whole = self.fetch(key)
        if whole is not None and whole[0] == data:
            return False
        return self.put(key, data, digest)

    def _put_small(self, params: dict[str, Any], condition: dict[str, str]) -> tuple[int, str]:
        """Put a small object with `SmallObjectClient`; return status and entity tag, or 0 if botocore must do it."""
        data = params["Body"]
        if len(data) > SMALL_BYTES:
            return 0, ""
        headers = {**condition, SUM_HEADER: params["ChecksumSHA256"]}
        small = self._connected()[1]
        status, etag, version = self.retry.try_once(lambda: small.put(params["Key"], data, headers), (0, "", ""))
        if status:
            self.retry.answered()
        if status == 200:
            etag = self._settled(params, etag, version)
        return status, etag

    def _put(self, params: dict[str, Any], *, expected: Callable[[Exception], bool] = lambda _error: False) -> str:
        answer = self.genuine(self.call("put_object", expected=expected, **params))
        return self._settled(params, answer["ETag"], answer.get("VersionId", ""))

    def _settled(self, params: dict[str, Any], etag: str, version: str) -> str:
        """Return the entity tag of an object that arrived undamaged; empty if the object has other bytes now.

        Most stores return the MD5 sum of the bytes as the entity tag. If the tag differs, the object is read: the store
        encrypts objects, the object arrived damaged, or another put has replaced it. If the store verifies nothing, an
        object that arrived damaged is put again, unless another put has replaced it.

        Raises:
            Unavailable: The object arrived damaged each time.
        """
        self._see_version(version)
        checked = self._sent_as is not IntegrityCheck.TAG
        if checked and self.traits.opaque:
            return etag
        md5 = _md5(params["Body"])
        again = {name: value for name, value in params.items() if name not in ("IfMatch", "IfNoneMatch")}
        for left in range(PUTS_OF_DAMAGED, -1, -1):
            if etag.strip('"') == md5:
                return etag
            try:
                found = self._fetch(params["Key"])
            except MregError as error:
                if checked and refused(error.__cause__):  # these credentials can only write
                    return etag
                raise
            if found is not None and found[0] == params["Body"]:
                if checked and found[1].strip('"') != md5:
                    self.learn(replace(self.traits, opaque=True))
                return found[1]
            if checked or found is None or found[1] != etag:
                return ""
            if left:
                condition = {"IfMatch": self.tag(etag)} if self.traits.tags else {}
                try:
                    put = self.call("put_object", expected=_is_overtaken, **again, **condition)
                    etag = str(self.genuine(put)["ETag"])
                except ClientError:
                    return ""
        raise self.retry.damaged()

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

    def genuine(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the response if it has an entity tag, as a page of a proxy with status 200 has not.

        Raises:
            Unavailable: The response has no entity tag.
        """
        if "ETag" not in answer:
            raise foreign(self.retry.endpoint)
        return answer

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
        small = self._connected()[1]
        found = self.retry.try_once(lambda: small.fetch(name, etag, largest), None)
        if found is not None:
            self.retry.answered()
            return found
        condition = {"IfNoneMatch": etag} if etag else {}

        def read() -> tuple[bytes, str]:
            answer = self.genuine(self.ask("get_object", Key=name, **condition))
            with contextlib.closing(answer["Body"]) as body:
                size = answer.get("ContentLength")
                if size is None:  # the store announced no length
                    pieces = iter(lambda: body.read(_PIECE), b"")
                    data = b"".join(_until(pieces, largest))
                    size = len(data)
                elif size <= largest:
                    data = body.read()
            if size > largest:
                raise Corrupt(
                    f"s3://{self.name}/{name} is too large: {size:,} bytes; the limit is {largest:,}",
                    hint="if it is not a catalog, name another: catalog: in the profile, or MREG_CATALOG",
                )
            return data, answer["ETag"]

        try:
            return self.retry.run(read, expected=lambda error: _is_missing(error) or status_of(error) == 304)
        except ClientError as error:
            return None if _is_missing(error) else (b"", etag)

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
        params: dict[str, Any] = {"Key": self.key(key), "Body": data, **self.checksum(digest)}
        name, value = ("If-Match", self.tag(etag)) if etag else ("If-None-Match", "*")
        status, new = self._put_small(params, {name: value})
        if status:
            return new
        try:
            return self._put({**params, name.replace("-", ""): value}, expected=_is_overtaken)
        except ClientError:
            return ""

    def stat(self, key: str) -> ObjectStat | None:
        """Return the metadata of an object; None if it does not exist."""
        return self._stat(self.key(key))

    def _stat(self, name: str) -> ObjectStat | None:
        """Return `stat` of an object by its full key."""
        try:
            found = self.genuine(self.call("head_object", expected=_is_mute, Key=name))
        except ClientError as error:
            if _is_missing(error):
                return None
            # Unlike HEAD, GET returns an error code. For a missing object, a store can answer with an HTML page.
            try:
                self.call("get_object", expected=_is_missing, Key=name, Range="bytes=0-0")["Body"].close()
            except ClientError:
                return None
            if status_of(error) != 404:
                raise self.retry.translated(error) from error
            found = self.genuine(self.call("head_object", Key=name))  # created in the meantime
        except MregError as error:
            raise self._with_details(name, error) from error.__cause__
        return ObjectStat(size=found["ContentLength"], modified=found["LastModified"], etag=found["ETag"])

    def _with_details(self, name: str, error: MregError) -> MregError:
        """Return the error for a failed HEAD with the details from the response to a single GET."""
        cause = error.__cause__
        if not isinstance(cause, ClientError) or not code_of(cause).isdecimal():
            return error
        try:
            self.ask("get_object", Key=name, Range="bytes=0-0")["Body"].close()
        except ClientError as get_error:
            return self.retry.translated(get_error)
        except FAILURES:
            return error
        return error

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO | None:
        """Open an object for reading; None if it does not exist. A broken connection is resumed at the next byte."""
        if length is not None and length <= SMALL_BYTES:
            small, wanted = self._connected()[1], length
            data = self.retry.try_once(lambda: small.get(self.key(key), start, wanted), None)
            if data is not None:
                self.retry.answered()
                return BytesIO(data)
        reader = ObjectReader(self.retry, lambda start, count: self._get(key, start, count), start, length)
        return cast("BinaryIO", reader) if reader.found else None

    def _get(self, key: str, start: int, length: int | None) -> Any:
        params: dict[str, Any] = {"Key": self.key(key)}
        if length is not None:
            params["Range"] = f"bytes={start}-{start + length - 1}"
        elif start:
            params["Range"] = f"bytes={start}-"
        answer = self.ask("get_object", **params)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        if not begins_at(start, answer["ResponseMetadata"]["HTTPStatusCode"], headers):
            answer["Body"].close()
            raise foreign(self.retry.endpoint, " (it returned another byte range than requested)")
        return answer["Body"]

    def list(self, prefix: str) -> Iterator[tuple[str, ObjectStat]]:
        """Yield every object whose key begins with a prefix, as key and metadata."""
        beginning = self.key("")
        for page in self.pages("list_objects_v2", ("ContinuationToken",), Prefix=self.key(prefix)):
            for found in page.get("Contents", ()):
                name = found["Key"]
                if name.startswith(beginning):
                    key = name.removeprefix(beginning)
                    yield key, ObjectStat(size=found["Size"], modified=found["LastModified"], etag=found["ETag"])

    def pages(
        self,
        operation: str,
        markers: Sequence[str],
        *,
        expected: Callable[[Exception], bool] = lambda _error: False,
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
                raise foreign(self.retry.endpoint, f" ({operation}: the list starts again)")
            starts.add(start)
            params.update(following)

    def delete(self, key: str) -> bool:
        """Remove an object if it exists; return whether the store keeps a delete marker under the key."""
        return bool(self.call("delete_object", Key=self.key(key)).get("DeleteMarker"))


def _until(pieces: Iterator[bytes], largest: int) -> Iterator[bytes]:
    """Yield the pieces of an object up to the first that exceeds the maximum size in bytes."""
    count = 0
    for piece in pieces:
        count += len(piece)
        yield piece
        if count > largest:
            return


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _secrets(session: Session) -> tuple[str, ...]:
    """Return the secret key and session token in use, if they are known without a request."""
    known = vars(session.get_credentials() or object)
    return tuple(str(known[key]) for key in ("secret_key", "token", "_secret_key", "_token") if known.get(key))


def _is_condition(error: Exception) -> bool:
    return status_of(error) in (409, 412, 501) or code_of(error) in ("NotImplemented", "InvalidArgument")


def _is_overtaken(error: Exception) -> bool:
    return status_of(error) in (409, 412) or _is_missing(error)


def _is_mute(error: Exception) -> bool:
    return _is_missing(error) or (code_of(error).isdecimal() and not passing(error))


def _is_missing(error: Exception) -> bool:
    return status_of(error) == 404 and code_of(error) != "NoSuchBucket" and not is_foreign(error)
