"""One bucket: its objects, each call a round trip, repeated where it fails in passing."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Any, BinaryIO, cast

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

from mreg.domain.digest import Digest
from mreg.errors import Corrupt, MregError
from mreg.s3.answers import watch
from mreg.s3.express import SMALL_BYTES, Express
from mreg.s3.failures import FAILURES, code_of, foreign, is_foreign, passing, status_of
from mreg.s3.patience import Patience
from mreg.s3.reading import ObjectReader

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""How long an answer may take to begin, or to go on. AWS keeps a connection alive while it joins parts."""

CONNECTIONS = 32

BODILESS = ("delete_object", "abort_multipart_upload")
"""Operations whose answers have no fields, so that a page of a proxy is not detected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketSettings:
    """How a bucket is reached; empty text where the AWS configuration or the default decides."""

    endpoint_url: str = ""
    region: str = ""
    aws_profile: str = ""
    addressing_style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStat:
    """What is known of an object without reading it: bytes, when it was put (aware UTC), its entity tag."""

    size: int
    modified: datetime
    etag: str


class Bucket:
    """The objects of one bucket under one prefix; safe for threads. Nothing is called before it must be.

    Credentials come by botocore's ordinary chain and are never seen here. Failures come out as `MregError`.

    Args:
        url: ``s3://bucket/prefix``.
        notice: Told where a store is waited for.
    """

    def __init__(self, url: str, settings: BucketSettings, notice: Callable[[str], None]) -> None:
        self.name, _, prefix = url.removeprefix("s3://").partition("/")
        self.prefix = prefix.strip("/")
        self.url = f"s3://{self.name}/{self.prefix}".rstrip("/")
        self._settings = settings
        self.patience = Patience(self.url, settings.endpoint_url or "AWS", notice)
        self._conditions = True
        self._connecting = threading.Lock()
        self._connection: tuple[Any, Express] | None = None

    @property
    def client(self) -> Any:
        """botocore's client, made when it is first needed."""
        return self._connected()[0]

    def _connected(self) -> tuple[Any, Express]:
        with self._connecting:
            if self._connection is None:
                try:
                    session = Session(profile=self._settings.aws_profile or None)
                    client = self._connect(session)
                    watch(client)
                    self._connection = client, Express(client, session, self.name, CONNECTIONS)
                except (*FAILURES, ValueError) as error:
                    raise self.patience.translated(error) from error
                self.patience.endpoint = client.meta.endpoint_url
                self.patience.secrets = _secrets(session)
            return self._connection

    def _connect(self, session: Session) -> Any:
        settings = self._settings
        style = settings.addressing_style or ("path" if settings.endpoint_url else "auto")
        signing = {"payload_signing_enabled": False} if self._wants_checksums(session) else {}
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
                # Stores of one's own seldom have a name in DNS for each bucket. Where a checksum, which is signed,
                # covers the content, the signature need not hash it once more.
                s3={"addressing_style": style, **signing},
            ),
        )

    @staticmethod
    def _wants_checksums(session: Session) -> bool:
        return bool(session.get_config_variable("request_checksum_calculation") != "when_required")

    @property
    def checksums(self) -> bool:
        """Whether the store is asked to check SHA-256 sums; ``AWS_REQUEST_CHECKSUM_CALCULATION`` can say no.

        Then the signature, which covers a SHA-256 of the content, protects what is sent.
        """
        return bool(self.client.meta.config.request_checksum_calculation != "when_required")

    @property
    def if_absent(self) -> dict[str, Any]:
        """The arguments that make a write fail where the object exists; empty where the store does not know them."""
        return {"IfNoneMatch": "*"} if self._conditions else {}

    def forget_conditions(self) -> None:
        """The store said that it does not know conditional writes."""
        self._conditions = False

    def checksum(self, digest: Digest) -> dict[str, Any]:
        """The arguments by which a store holds content against a digest."""
        if not self.checksums:
            return {}
        return {"ChecksumSHA256": base64.b64encode(bytes.fromhex(digest.value)).decode()}

    def call(
        self, operation: str, *, expected: Callable[[Exception], bool] = lambda _error: False, **words: Any
    ) -> Any:
        """Return the answer to one operation of the client on this bucket, repeated while it may succeed later.

        A stream among the words is read from its position by each try.

        Raises:
            Unavailable: The operation failed, or the answer has nothing that an S3 store answers.
        """
        method = getattr(self.client, operation)
        body: Any = words.get("Body")
        start = body.tell() if hasattr(body, "tell") else 0

        def work() -> Any:
            if hasattr(body, "seek"):
                body.seek(start)
            return method(Bucket=self.name, **words)

        answer = self.patience.run(work, expected=expected)
        if operation not in BODILESS and set(answer) <= {"ResponseMetadata"}:
            raise foreign(self.patience.endpoint, f" (HTTP {answer['ResponseMetadata']['HTTPStatusCode']})")
        return answer

    @property
    def address(self) -> str:
        """The address of the store, as the profile has it."""
        return self._settings.endpoint_url or "AWS"

    def clock(self) -> datetime:
        """The time by the store's clock (aware UTC), to the second."""
        answer = self.call("list_objects_v2", Prefix=self.key(""), MaxKeys=1)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return parsedate_to_datetime(date)
        except ValueError:
            raise foreign(self.patience.endpoint, " (no date)") from None

    def key(self, key: str) -> str:
        """The object's name in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def put(self, key: str, data: bytes, digest: Digest, *, if_absent: bool = False) -> bool:
        """Make the object, whole or not at all; False where it was there and ``if_absent``.

        A store that does not know the condition is asked first, and then overwritten if two come at once.
        """
        words: dict[str, Any] = {"Key": self.key(key), "Body": data, **self.checksum(digest)}
        if not if_absent:
            self._put(words)
            return True
        if not self._conditions:
            return self._put_unconditionally(key, words)
        if len(data) <= SMALL_BYTES and self.checksums:
            sum_header = {"x-amz-checksum-sha256": words["ChecksumSHA256"]}
            headers = {"If-None-Match": "*", **sum_header}
            express = self._connected()[1]
            status, _ = self.patience.first(lambda: express.put(words["Key"], data, headers), (0, ""))
            if status:
                self.patience.answered()
                return status == 200
        try:
            self._put(self.if_absent | words, expected=_is_condition)
        except ClientError as error:
            if status_of(error) == 412:
                return False
            if status_of(error) == 501 or code_of(error) in ("NotImplemented", "InvalidArgument"):
                self.forget_conditions()
                return self._put_unconditionally(key, words)
            # 409: another's put of the same key is under way; when it is through this one finds it there.
            return self.put(key, data, digest, if_absent=True)
        return True

    def _put_unconditionally(self, key: str, words: dict[str, Any]) -> bool:
        if self.stat(key) is not None:
            return False
        self._put(words)
        return True

    def _put(self, words: dict[str, Any], *, expected: Callable[[Exception], bool] = lambda _error: False) -> None:
        self.genuine(self.call("put_object", expected=expected, **words))

    def genuine(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, if it is a store's by its entity tag, and not a page that a proxy gave with status 200.

        Raises:
            Unavailable: It is not.
        """
        if "ETag" not in answer:
            raise foreign(self.patience.endpoint)
        return answer

    def fetch(self, key: str, etag: str = "", largest: int = sys.maxsize) -> tuple[bytes, str] | None:
        """A whole object with its entity tag; no bytes where it still has the one given, None where there is none.

        Raises:
            Corrupt: It has more than the largest number of bytes, of which none is read.
        """
        express = self._connected()[1]
        found = self.patience.first(lambda: express.fetch(self.key(key), etag, largest), None)
        if found is not None:
            self.patience.answered()
            return found
        condition = {"IfNoneMatch": etag} if etag else {}

        def read() -> tuple[bytes, str]:
            answer = self.genuine(self.client.get_object(Bucket=self.name, Key=self.key(key), **condition))
            if answer["ContentLength"] > largest:
                answer["Body"].close()
                raise Corrupt(
                    f"{self.url}/{key} has {answer['ContentLength']:,} bytes, the limit is {largest:,}",
                    hint="if it is not a catalog, name another: catalog: in the profile, or MREG_CATALOG",
                )
            return answer["Body"].read(), answer["ETag"]

        try:
            return self.patience.run(read, expected=lambda error: _is_missing(error) or status_of(error) == 304)
        except ClientError as error:
            return None if _is_missing(error) else (b"", etag)

    def swap(self, key: str, data: bytes, digest: Digest, etag: str) -> str:
        """Replace an object that still has an entity tag, or make one (empty tag) where there is none; its new tag.

        Empty where another was faster. Where an answer is lost the same request is sent again, and then finds what
        the first one made: who must know asks for what is there.

        Raises:
            Unavailable: The store knows no such conditions, or can't be reached.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        words: dict[str, Any] = {"Key": self.key(key), "Body": data, **self.checksum(digest)}
        if len(data) <= SMALL_BYTES and self.checksums:
            name, value = ("If-Match", etag) if etag else ("If-None-Match", "*")
            headers = {name: value, "x-amz-checksum-sha256": words["ChecksumSHA256"]}
            express = self._connected()[1]
            status, new = self.patience.first(lambda: express.put(words["Key"], data, headers), (0, ""))
            if status:
                self.patience.answered()
                return new
        try:
            answer = self.call("put_object", expected=_is_overtaken, **words, **condition)
        except ClientError:
            return ""
        return str(self.genuine(answer)["ETag"])

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of an object, None where there is none."""
        try:
            found = self.genuine(self.call("head_object", expected=_is_mute, Key=self.key(key)))
        except ClientError as error:
            if _is_missing(error):
                return None
            # The answer to a HEAD has no words; that to a GET has.
            self.call("get_object", Key=self.key(key), Range="bytes=0-0")["Body"].close()
            raise self.patience.translated(error) from error
        except MregError as error:
            raise self._in_words(key, error) from error.__cause__
        return ObjectStat(size=found["ContentLength"], modified=found["LastModified"], etag=found["ETag"])

    def _in_words(self, key: str, error: MregError) -> MregError:
        """Return the error for a HEAD that failed for good, with what the answer to a GET says; it is asked once."""
        cause = error.__cause__
        if not isinstance(cause, ClientError) or not code_of(cause).isdecimal():
            return error
        try:
            self.client.get_object(Bucket=self.name, Key=self.key(key), Range="bytes=0-0")["Body"].close()
        except ClientError as said:
            return self.patience.translated(said)
        except FAILURES:
            return error
        return error

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO | None:
        """An object's bytes; None where there is none. A connection that breaks is taken up again where it broke."""
        if length is not None and length <= SMALL_BYTES:
            express, wanted = self._connected()[1], length
            data = self.patience.first(lambda: express.get(self.key(key), start, wanted), None)
            if data is not None:
                self.patience.answered()
                return BytesIO(data)
        reader = ObjectReader(self.patience, lambda place, count: self._get(key, place, count), start, length)
        return cast("BinaryIO", reader) if reader.found else None

    def _get(self, key: str, start: int, length: int | None) -> Any:
        words: dict[str, Any] = {"Key": self.key(key)}
        if length is not None:
            words["Range"] = f"bytes={start}-{start + length - 1}"
        elif start:
            words["Range"] = f"bytes={start}-"
        return self.client.get_object(Bucket=self.name, **words)["Body"]

    def list(self, prefix: str) -> Iterator[tuple[str, ObjectStat]]:
        """Every object whose key begins with the prefix."""
        words: dict[str, Any] = {"Prefix": self.key(prefix)}
        while True:
            page = self.call("list_objects_v2", **words)
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(f"{self.prefix}/" if self.prefix else "")
                yield key, ObjectStat(size=found["Size"], modified=found["LastModified"], etag=found["ETag"])
            if not page.get("IsTruncated"):
                return
            words["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        """Remove an object; does nothing where there is none."""
        self.call("delete_object", Key=self.key(key))


def _secrets(session: Session) -> tuple[str, ...]:
    """Return the secret key and session token in use, unless a request is needed to learn them."""
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
