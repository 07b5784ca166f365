"""One bucket: its objects, each call a round trip, repeated where it fails in passing."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from mreg.s3.failures import FAILURES, code_of, foreign, is_foreign, passing, status_of
from mreg.s3.integrity import SUM_HEADER, Way, encoded, protect, sign_with_digests
from mreg.s3.reading import ObjectReader
from mreg.s3.retry import RetryPolicy
from mreg.s3.small_objects import SMALL_BYTES, SmallObjectClient
from mreg.s3.traits import BARE, REMEMBERED_SECONDS, Memory, Traits
from mreg.s3.trying import find_tags, find_way, revives

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""How long an answer may take to begin, or to go on. AWS keeps a connection alive while it joins parts."""

CONNECTIONS = 32

CONFLICTS, CONFLICT_SECONDS = 100, 0.1
"""How often a put is tried while another of the same key is under way, and the longest pause after each."""

PUTS_OF_DAMAGED = 3
"""How often an object is put again that arrived with other bytes, where the store has it by then."""

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
        memory: The folder in which this machine remembers what stores do; empty to remember nothing.
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
        self._trying = threading.RLock()
        self._traits: Traits | None = None
        self._found_at = 0.0
        self._sent_as = Way.SUM
        self._tags_as = ""

    @property
    def client(self) -> Any:
        """botocore's client, made when it is first needed."""
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
                # Stores of one's own seldom have a name in DNS for each bucket.
                s3={"addressing_style": style},
            ),
        )

    # What the store does

    def _protect(self, request: Any) -> None:
        protect(request, self._sent_as)

    @property
    def may_ask_for_sums(self) -> bool:
        """Whether the store may be asked to check SHA-256 sums: AWS_REQUEST_CHECKSUM_CALCULATION can forbid it."""
        return bool(self.client.meta.config.request_checksum_calculation != "when_required")

    @property
    def traits(self) -> Traits:
        """The known traits of the store; those that were not tried yet are empty."""
        with self._trying:
            if self._traits is None or time.time() - self._found_at >= REMEMBERED_SECONDS:
                self._traits, self._found_at = self._memory.load()
                if self._traits.way is Way.SUM and not self.may_ask_for_sums:
                    self._traits = replace(self._traits, way=None)
            return self._traits

    def learn(self, traits: Traits) -> None:
        """Take what was found out, and remember it on this machine."""
        with self._trying:
            if traits != self.traits:
                self._traits = traits
                self._memory.keep(traits, self._found_at)

    def forget(self) -> None:
        """Forget the traits of the store, so that each is tried again when it is needed."""
        with self._trying:
            self._traits, self._found_at = Traits(), time.time()

    @property
    def way(self) -> Way:
        """What finds damage of uploads on their way. It is tried before the first upload.

        Raises:
            Unavailable: Nothing does, or the store cannot be written.
        """
        with self._trying:
            way = self.traits.way
            if way is None:
                way = find_way(self)
                self.learn(replace(self.traits, way=way))
            return way

    def send_as(self, way: Way) -> None:
        """Let the sum of an upload become what one way checks: for trying it."""
        self._sent_as = way

    def require_conditions(self, key: str, *, again: bool = False) -> None:
        """Raise if writers of one object would overwrite each other here. This is tried once, with a probe.

        Args:
            again: Try also if it is known.

        Raises:
            Unfit: The store ignores a condition, or refuses a right one.
            Unavailable: It cannot be written.
        """
        with self._trying:
            if again or not self.traits.tags:
                self.learn(replace(self.traits, tags=""))
                self.learn(find_tags(self, key))

    @property
    def revives(self) -> bool:
        """Whether a put with If-None-Match succeeds where an object was deleted; tried when it is first asked for."""
        with self._trying:
            known = self.traits.revives
            if known is None:
                known = revives(self)
                self.learn(replace(self.traits, revives=known))
            return known

    def _see_version(self, version: str) -> None:
        """Notice by the answer to a put that versioning was turned on or off: conditions may work no more."""
        versioned = version not in ("", "null")
        if versioned != self.traits.versioned:
            self.learn(replace(self.traits, versioned=versioned, tags="", revives=None))

    @property
    def if_absent(self) -> dict[str, Any]:
        """The arguments that make a write fail where the object exists; empty where the store does not know them."""
        return {"IfNoneMatch": "*"} if self._conditions else {}

    def forget_conditions(self) -> None:
        """The store said that it does not know conditional writes."""
        self._conditions = False

    def checksum(self, digest: Digest) -> dict[str, Any]:
        """The arguments by which an upload is held against a digest, by whatever finds damage here.

        Raises:
            Unavailable: Nothing does, or the store cannot be written.
        """
        self._sent_as = self.way
        return {"ChecksumSHA256": encoded(bytes.fromhex(digest.value))}

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

        answer = self.retry.run(work, expected=expected)
        if operation not in BODILESS and set(answer) <= {"ResponseMetadata"}:
            raise foreign(self.retry.endpoint, f" (HTTP {answer['ResponseMetadata']['HTTPStatusCode']})")
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
            raise foreign(self.retry.endpoint, " (no date)") from None

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
        made = self._put_if_absent(words)
        if made is None:  # the store does not know the condition
            made = self.stat(key) is None
            if made:
                self._put(words)
        return made or self._put_over_marker(key, words)

    def _put_if_absent(self, words: dict[str, Any]) -> bool | None:
        """Whether the object was made; None where the store does not know the condition."""
        for tries in range(1, CONFLICTS + 1):
            if not self._conditions:
                break
            status, _ = self._put_small(words, {"If-None-Match": "*"})
            if status:
                return status == 200
            try:
                self._put(self.if_absent | words, expected=_is_condition)
                return True
            except ClientError as error:
                if status_of(error) == 412:
                    return False
                if status_of(error) != 409:
                    self.forget_conditions()
                    return None
                if tries == CONFLICTS:
                    raise self.retry.translated(error) from error
            # 409: another's put of the same key is under way; when it is through this one finds it there.
            time.sleep(random.uniform(0.5, 1) * CONFLICT_SECONDS)  # noqa: S311
        return None

    def _put_over_marker(self, key: str, words: dict[str, Any]) -> bool:
        """Put an object that is absent although the store refused to make it. Return whether it was absent."""
        if not self._conditions or self.revives or self.stat(key) is not None:
            return False
        self._put(words)
        return True

    def put_right(self, key: str, data: bytes, digest: Digest) -> bool:
        """Put an object again if it should have these bytes and has others. Return whether it was put.

        Looked at on a store that checks nothing alone, where a push that was killed can leave damaged bytes.
        """
        if self.way is not Way.TAG:
            return False
        found = self.stat(key)
        if found is not None and found.etag.strip('"') == _md5(data):
            return False
        whole = self.fetch(key)
        if whole is not None and whole[0] == data:
            return False
        return self.put(key, data, digest)

    def _put_small(self, words: dict[str, Any], condition: dict[str, str]) -> tuple[int, str]:
        """Status and entity tag of a small put by the shorter way; 0 where it must go by the client."""
        data = words["Body"]
        if len(data) > SMALL_BYTES:
            return 0, ""
        headers = {**condition, SUM_HEADER: words["ChecksumSHA256"]}
        small_objects = self._connected()[1]
        status, etag, version = self.retry.first(lambda: small_objects.put(words["Key"], data, headers), (0, "", ""))
        if status:
            self.retry.answered()
        if status == 200:
            etag = self._settled(words, etag, version)
        return status, etag

    def _put(self, words: dict[str, Any], *, expected: Callable[[Exception], bool] = lambda _error: False) -> str:
        answer = self.genuine(self.call("put_object", expected=expected, **words))
        return self._settled(words, answer["ETag"], answer.get("VersionId", ""))

    def _settled(self, words: dict[str, Any], etag: str, version: str) -> str:
        """The entity tag of an object that was put and has the bytes that were sent; empty if another replaced it.

        Where the store checks nothing, an object that arrived with other bytes is put again, unless another replaced
        it.

        Raises:
            Unavailable: It arrived with other bytes each time.
        """
        self._see_version(version)
        if self._sent_as is not Way.TAG:
            return etag
        md5 = _md5(words["Body"])
        again = {name: value for name, value in words.items() if name not in ("IfMatch", "IfNoneMatch")}
        for left in range(PUTS_OF_DAMAGED, -1, -1):
            if etag.strip('"') == md5:
                return etag
            found = self._stat(words["Key"]) if left else None
            if not left or found is None or found.etag != etag:
                break
            condition = {"IfMatch": self.tag(etag)} if self.traits.tags else {}
            try:
                etag = str(self.genuine(self.call("put_object", expected=_is_overtaken, **again, **condition))["ETag"])
            except ClientError:
                break
        if left:
            return ""  # another put over it, and looks after what it put
        raise self.retry.damaged()

    def tag(self, etag: str) -> str:
        """An entity tag as the store wants it in If-Match."""
        return etag.strip('"') if (self._tags_as or self.traits.tags) == BARE else etag

    @contextlib.contextmanager
    def tags_as(self, form: str) -> Iterator[None]:
        """Send entity tags quoted or bare meanwhile: for trying it."""
        self._tags_as = form
        try:
            yield
        finally:
            self._tags_as = ""

    def genuine(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer, if it is a store's by its entity tag, and not a page that a proxy gave with status 200.

        Raises:
            Unavailable: It is not.
        """
        if "ETag" not in answer:
            raise foreign(self.retry.endpoint)
        return answer

    def fetch(self, key: str, etag: str = "", largest: int = sys.maxsize) -> tuple[bytes, str] | None:
        """A whole object with its entity tag; no bytes where it still has the one given, None where there is none.

        Raises:
            Corrupt: It has more than the largest number of bytes, of which none is read.
        """
        small_objects = self._connected()[1]
        found = self.retry.first(lambda: small_objects.fetch(self.key(key), etag, largest), None)
        if found is not None:
            self.retry.answered()
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
            return self.retry.run(read, expected=lambda error: _is_missing(error) or status_of(error) == 304)
        except ClientError as error:
            return None if _is_missing(error) else (b"", etag)

    def swap(self, key: str, data: bytes, digest: Digest, etag: str) -> str:
        """Replace an object that still has an entity tag, or make one (empty tag) where there is none; its new tag.

        Empty where another was faster, or where the store refuses a right entity tag: see `require_conditions`. Where
        an answer is lost the same request is sent again, and then finds what the first one made: who must know asks
        for what is there.

        Raises:
            Unavailable: The store does not implement such conditions, or can't be reached.
        """
        words: dict[str, Any] = {"Key": self.key(key), "Body": data, **self.checksum(digest)}
        name, value = ("If-Match", self.tag(etag)) if etag else ("If-None-Match", "*")
        status, new = self._put_small(words, {name: value})
        if status:
            return new
        try:
            return self._put({**words, name.replace("-", ""): value}, expected=_is_overtaken)
        except ClientError:
            return ""

    def stat(self, key: str) -> ObjectStat | None:
        """What is known of an object, None where there is none."""
        return self._stat(self.key(key))

    def _stat(self, name: str) -> ObjectStat | None:
        """`stat` of an object by its name in the bucket."""
        try:
            found = self.genuine(self.call("head_object", expected=_is_mute, Key=name))
        except ClientError as error:
            if _is_missing(error):
                return None
            # The answer to a HEAD has no words; that to a GET has. A store may call a missing object a page.
            try:
                self.call("get_object", expected=_is_missing, Key=name, Range="bytes=0-0")["Body"].close()
            except ClientError:
                return None
            if status_of(error) != 404:
                raise self.retry.translated(error) from error
            found = self.genuine(self.call("head_object", Key=name))  # it was made in between
        except MregError as error:
            raise self._in_words(name, error) from error.__cause__
        return ObjectStat(size=found["ContentLength"], modified=found["LastModified"], etag=found["ETag"])

    def _in_words(self, name: str, error: MregError) -> MregError:
        """Return the error for a HEAD that failed for good, with what the answer to a GET says; it is asked once."""
        cause = error.__cause__
        if not isinstance(cause, ClientError) or not code_of(cause).isdecimal():
            return error
        try:
            self.client.get_object(Bucket=self.name, Key=name, Range="bytes=0-0")["Body"].close()
        except ClientError as said:
            return self.retry.translated(said)
        except FAILURES:
            return error
        return error

    def open(self, key: str, start: int = 0, length: int | None = None) -> BinaryIO | None:
        """An object's bytes; None where there is none. A connection that breaks is taken up again where it broke."""
        if length is not None and length <= SMALL_BYTES:
            small_objects, wanted = self._connected()[1], length
            data = self.retry.first(lambda: small_objects.get(self.key(key), start, wanted), None)
            if data is not None:
                self.retry.answered()
                return BytesIO(data)
        reader = ObjectReader(self.retry, lambda place, count: self._get(key, place, count), start, length)
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

    def delete(self, key: str) -> bool:
        """Remove an object, if there is one. Return whether the store keeps a marker under the key."""
        return bool(self.call("delete_object", Key=self.key(key)).get("DeleteMarker"))


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


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
