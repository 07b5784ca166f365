"""An object store that answers wrongly: the command fails and says so, or nothing is lost."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mreg.artifacts.hashing import digest_of
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.packing import pack
from mreg.catalog.schema import SCHEMA
from mreg.stores import boto
from mreg.stores.integrity import IntegrityCheck
from tests.conftest import EVERY_STORE, ROOT, Mreg
from tests.forger import Answer, Forger, Request, refusal
from tests.hostile import attack
from tests.servers import BUCKET, Place, bucket_of

KEY = "catalog.db"
LARGE = (8 << 20) + 1000
FOREIGN = "is not from an S3 store"

on_moto = pytest.mark.parametrize("object_store", ["moto"], indirect=True)


@pytest.fixture
def forger(bucket: Place, monkeypatch: pytest.MonkeyPatch, impatient: None) -> Iterator[Forger]:
    """A registry with everything in a bucket, behind a proxy that can forge answers."""
    forger = Forger(bucket.server.port)
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    monkeypatch.setenv("MREG_ENDPOINT_URL", forger.endpoint)
    yield forger
    forger.stop()


def write(name: str, size: int = 1000) -> bytes:
    data = os.urandom(size)
    Path(name).write_bytes(data)
    return data


def without(tag: str) -> Callable[[Answer], Answer]:
    """The change of an answer that removes every element of a name."""

    def change(answer: Answer) -> Answer:
        before, *after = answer.body.split(f"<{tag}>".encode())
        return replace(answer, body=before + b"".join(one.partition(f"</{tag}>".encode())[2] for one in after))

    return change


def with_text(tag: str, text: str) -> Callable[[Answer], Answer]:
    """The change of an answer that gives every element of a name another text."""

    def change(answer: Answer) -> Answer:
        before, *after = answer.body.split(f"<{tag}>".encode())
        opened, closed = f"<{tag}>{text}</{tag}>".encode(), f"</{tag}>".encode()
        return replace(answer, body=before + b"".join(opened + one.partition(closed)[2] for one in after))

    return change


ANSWERS: dict[str, tuple[str, str, Callable[[Answer], Answer]]] = {
    "a list without keys": ("gc", "list-type=2", without("Key")),
    "a list without sizes": ("gc", "list-type=2", without("Size")),
    "a list without times": ("verify", "list-type=2", without("LastModified")),
    "a list whose sizes are words": ("gc", "list-type=2", with_text("Size", "large")),
    "a list whose sizes have 5,000 digits": ("verify", "list-type=2", with_text("Size", "9" * 5000)),
    "a list whose times are words": ("gc", "list-type=2", with_text("LastModified", "yesterday")),
    "a list whose times are too late": ("gc", "list-type=2", with_text("LastModified", "99999-01-01T00:00:00Z")),
    "a list that goes on nowhere": (
        "gc",
        "list-type=2",
        lambda answer: without("NextContinuationToken")(with_text("IsTruncated", "true")(answer)),
    ),
    "a list whose length is a word": ("gc", "list-type=2", lambda answer: replace(answer, length="many")),
    "a blob without a length": ("push large.bin -n m", "HEAD", lambda _: Answer(headers=(("ETag", '"1"'),))),
    "a blob of a length that is a word": (
        "push large.bin -n m",
        "HEAD",
        lambda _: Answer(headers=(("ETag", '"1"'), ("Content-Length", "many"))),
    ),
    "an upload without an id": ("push large.bin -n m", "?uploads ", without("UploadId")),
}


@EVERY_STORE
@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_that_lacks_something_or_is_malformed_is_told(kind: str, forger: Forger, command: Mreg) -> None:
    words, sign, change = ANSWERS[kind]
    write("a.bin")
    write("large.bin", LARGE)
    assert command("push", "a.bin", "-n", "m").code == 0
    changed = []

    def after(request: Request, answer: Answer) -> Answer:
        if sign not in f"{request.line} ":
            return answer
        changed.append(request.line)
        return change(answer)

    forger.after = after
    done = command(*words.split())
    assert changed, [one.line for one in forger.seen]
    if kind == "a list whose length is a word":  # the connection tells where it ends
        assert done.code in (0, 8), done
        return
    assert (done.code, FOREIGN in done.err) == (8, True), done
    forger.heal()
    assert command("verify").code == 0


# Success that is none


def sign_of(kind: str) -> Callable[[Request], bool]:
    method, sign = {
        "small blob": ("PUT", "/blobs/"),
        "part": ("PUT", "partNumber=1"),
        "complete": ("POST", "uploadId="),
        "catalog": ("PUT", f"/{KEY}"),
    }[kind]
    return lambda request: request.method == method and sign in request.path


@EVERY_STORE
@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize("kind", ["small blob", "part", "complete", "catalog"])
def test_a_store_that_says_done_and_did_nothing_loses_no_version(
    kind: str, always: bool, forger: Forger, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.catalog import object_database

    monkeypatch.setattr(object_database, "SECONDS", 3.0)
    write("first", 100)
    data = write("model.bin", LARGE if kind in ("part", "complete") else 1000)
    assert command("push", "first", "-n", "m").code == 0
    matches, told = sign_of(kind), list[str]()

    def before(request: Request) -> Answer | None:
        if not matches(request) or (told and not always):
            return None
        told.append(request.line)
        body = b"<CompleteMultipartUploadResult><ETag>&quot;0123&quot;</ETag></CompleteMultipartUploadResult>"
        return Answer(headers=(("ETag", '"0123456789abcdef0123456789abcdef"'),), body=body)

    forger.before = before
    done = command("push", "model.bin", "-n", "m")
    assert told
    forger.heal()
    assert command("verify").code == 0
    shown = command("show", "m@2")
    assert (done.code == 0) == (shown.code == 0), (done, shown)
    assert done.code in ((7, 8) if always else (0, 7, 8)), done
    if done.code == 0:
        assert command("pull", "m@2", "out").code == 0
        assert Path("out").read_bytes() == data


@EVERY_STORE
def test_entity_tags_that_are_not_sums_cost_one_request_a_day(
    forger: Forger, command: Mreg, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Such as those of a bucket that is encrypted with a key of the user's own."""
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath(KEY))

    def after(_: Request, answer: Answer) -> Answer:
        tag = answer.header("ETag")
        return answer.with_header("ETag", f'"{hashlib.md5(tag.encode()).hexdigest()}"') if tag else answer

    forger.after = after
    methods = []
    for name in ("a.bin", "b.bin", "c.bin"):
        write(name)
        forger.seen.clear()
        done = command("push", name, "-n", "m")
        if request.node.callspec.params["object_store"] == "moto":  # its tags are all that tells of damage
            assert (done.code, "mreg cannot verify uploads" in done.err) == (8, True), done
            return
        assert done.code == 0, done
        methods.append([one.method for one in forger.seen if "/blobs/" in one.path])
    assert methods == [["PUT", "GET"], ["PUT"], ["PUT"]]


@pytest.mark.parametrize("object_store", ["seaweedfs", "radosgw"], indirect=True)
def test_who_can_write_and_not_read_an_encrypted_bucket_pushes(
    forger: Forger, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath(KEY))
    forger.before = lambda request: refusal(403, "AccessDenied") if request.method == "GET" else None
    forger.after = lambda _, answer: answer.with_header("ETag", '"opaque"') if answer.header("ETag") else answer
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    assert [one.method for one in forger.seen].count("GET") > 0


# Answers that are lost after the store acted


def lose(matches: Callable[[Request], bool], *, times: int = 1) -> Callable[[Request, Answer], Answer]:
    """The forger's `after` that breaks the connection in place of some answers."""
    lost: list[str] = []

    def after(request: Request, answer: Answer) -> Answer:
        if not matches(request) or len(lost) >= times:
            return answer
        lost.append(request.line)
        return Answer(length="1000", broken=True)

    return after


@EVERY_STORE
@pytest.mark.parametrize("what", ["catalog", "backup"])
def test_an_upgrade_whose_answer_is_lost_is_done_once(what: str, forger: Forger, bucket: Place, command: Mreg) -> None:
    old = (ROOT / "tests/compat/schema-3/catalog.db").read_bytes()
    bucket.write(KEY, pack(old))
    sign = f"/{KEY}.schema-" if what == "backup" else f"/{KEY}"
    forger.after = lose(lambda request: request.method == "PUT" and sign in request.path and ".probe-" not in request.path
                        and (what == "backup" or request.path.endswith(KEY)))  # fmt: skip
    done = command("upgrade", "--yes")
    assert done.code == 0, done
    backups = bucket.keys(f"{KEY}.schema-3-")
    assert len(backups) == 1, backups
    assert bucket.read(backups[0]) == pack(old)
    assert backups[0] in done.out + done.err
    database = BucketDatabase(bucket_of(bucket), KEY, os.path.abspath("copies"))
    assert database.schema() == SCHEMA
    database.close()


@pytest.mark.parametrize("object_store", ["seaweedfs"], indirect=True)
def test_a_lost_answer_is_not_taken_for_a_marker(forger: Forger, bucket: Place) -> None:
    def second(request: Request) -> bool:
        return request.method == "PUT" and any(one.method == "DELETE" for one in forger.seen)

    forger.after = lose(second)
    assert bucket_of(bucket, forger.endpoint).revives


@on_moto
@pytest.mark.parametrize(
    ("second", "code"), [("page", 8), ("length", 6), ("bytes", 6)], ids=["a page", "a length that lies", "other bytes"]
)
def test_a_change_of_which_nothing_is_known_is_told_as_that(
    second: str, code: int, forger: Forger, command: Mreg
) -> None:
    """The put arrives, its answer does not, and neither does what is asked for then."""
    write("a.bin")
    write("b.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    acted = []

    def after(request: Request, answer: Answer) -> Answer:
        if not request.path.endswith(f"/{KEY}"):
            return answer
        if request.method == "PUT":
            acted.append(request.line)
            return answer if len(acted) > 1 else Answer(length="1000", broken=True)
        if second == "length" and acted:
            return replace(answer, length="999999999999")
        if second == "bytes" and acted:
            return replace(answer, body=b"other bytes")
        return Answer(headers=(("Content-Type", "text/html"),), body=b"<title>Log in</title>") if acted else answer

    forger.after = after
    done = command("push", "b.bin", "-n", "m")
    assert done.code == code, done
    assert "it is unknown whether the change was made" in done.err
    forger.heal()
    assert command("show", "m@2").code == 0


@on_moto
def test_a_page_in_place_of_each_answer_to_a_change_is_told_as_not_known(forger: Forger, command: Mreg) -> None:
    write("a.bin")
    write("b.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    page = Answer(headers=(("Content-Type", "text/html"),), body=b"<title>Log in</title>")
    forger.after = lambda request, answer: (
        page if request.line.endswith(f"/{KEY}") and request.method == "PUT" else answer
    )
    done = command("push", "b.bin", "-n", "m")
    assert done.code == 0 or "it is unknown whether the change was made" in done.err, done


# Lists


@on_moto
@pytest.mark.parametrize(
    ("words", "sign", "tag", "value"),
    [
        ("gc", "list-type=2", "NextContinuationToken", "again"),
        ("verify", "list-type=2", "NextContinuationToken", "again"),
        ("gc", "?uploads", "NextKeyMarker", "again"),
        ("push large.bin -n m", "uploadId=", "NextPartNumberMarker", "1"),
    ],
)
def test_a_list_without_an_end_is_told(
    words: str, sign: str, tag: str, value: str, forger: Forger, bucket: Place, command: Mreg
) -> None:
    data = write("large.bin", LARGE)
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    digest = hashlib.sha256(data).hexdigest()
    client = bucket.server.client()
    client.create_multipart_upload(Bucket=BUCKET, Key=f"{bucket.prefix}/blobs/sha256/{digest[:2]}/{digest[2:]}")
    told, page = list[str](), list[Answer]()

    def before(request: Request) -> Answer | None:
        if request.method != "GET" or sign not in request.path:
            return None
        if not told:
            answer = with_text("IsTruncated", "true")(without(tag)(without("NextUploadIdMarker")(forger.ask(request))))
            end = answer.body.rindex(b"</")
            more = f"<{tag}>{value}</{tag}><NextUploadIdMarker>x</NextUploadIdMarker>".encode()
            page.append(replace(answer, body=answer.body[:end] + more + answer.body[end:]))
        told.append(request.line)
        assert len(told) < 20, "it is asked again and again"
        return page[0]

    forger.before = before
    done = command(*words.split())
    assert 1 < len(told) < 20
    assert (done.code, FOREIGN in done.err) == (8, True), done
    assert "the list starts again" in done.err


@on_moto
def test_what_a_store_lists_outside_of_the_prefix_is_left_alone(forger: Forger, bucket: Place, command: Mreg) -> None:
    """Some stores ignore the prefix where they list uploads. moto does not check signatures, so it can be taken out."""
    client = bucket.server.client()
    others = ["other/file", "blobs/sha256/aa/" + 62 * "a", f"{bucket.prefix}/other", f"{bucket.prefix}x/blobs/y"]
    ids = {key: client.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"] for key in others}
    for key in others:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"theirs")
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    assert command("push", "a.bin", "-n", "n").code == 0

    def before(request: Request) -> Answer | None:
        path = request.path
        if request.method != "GET" or "prefix=" not in path or "max-keys" in path:
            return None
        start = path.index("prefix=")
        end = path.find("&", start)
        return forger.ask(replace(request, path=path[:start].rstrip("&?") + (path[end:] if end > 0 else "")))

    def old(_: Request, answer: Answer) -> Answer:
        return with_text("Initiated", "2001-01-01T00:00:00Z")(with_text("LastModified", "2001-01-01T00:00:00Z")(answer))

    forger.before = lambda request: (found := before(request)) and old(request, found)
    forger.after = old
    done = command("gc", "--remove", "--yes", "--grace", "0s", "--json")
    assert done.code == 0, done
    assert "other" not in done.out
    assert "aaaa" not in done.out
    there = {one["UploadId"] for one in client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]}
    assert set(ids.values()) <= there
    for key in others:
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"theirs"
        client.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=ids[key])
        client.delete_object(Bucket=BUCKET, Key=key)
    forger.heal()
    assert command("verify").code == 0


@pytest.mark.parametrize("object_store", ["radosgw"], indirect=True)
def test_an_upload_stays_protected_while_another_thread_tries_the_store(forger: Forger, bucket: Place) -> None:
    """What is known of a store is tried again after a day, also in a server that is taking uploads."""
    store, data = bucket_of(bucket, forger.endpoint), os.urandom(1000)
    assert store.integrity is IntegrityCheck.SIGNATURE
    trying, sent = threading.Event(), threading.Event()

    def look_again() -> None:
        store.forget()
        assert store.integrity is IntegrityCheck.SIGNATURE

    other, uploads = threading.Thread(target=look_again), list[Request]()

    def before(request: Request) -> Answer | None:
        if "/probes/" in request.path and request.method == "PUT" and not trying.is_set():
            trying.set()
            assert sent.wait(30)
        if not request.path.endswith("/mine"):
            return None
        uploads.append(request)
        if len(uploads) == 1:
            other.start()
            assert trying.wait(30)
            return refusal(503, "SlowDown")
        sent.set()
        return None

    forger.before = before
    assert store.put("mine", data, digest_of(data))
    other.join()
    assert len(uploads) == 2
    for request in uploads:
        assert request.header("x-amz-content-sha256") == digest_of(data).value
        assert not request.header("x-amz-checksum-sha256")


@on_moto
@pytest.mark.parametrize("how", ["whole", "elsewhere"])
def test_other_bytes_of_a_blob_than_were_asked_for_are_not_called_damage(
    how: str, forger: Forger, command: Mreg
) -> None:
    """A proxy may drop the header Range, or a cache answer with another range."""
    data = write("large.bin", LARGE)
    assert command("push", "large.bin", "-n", "m").code == 0

    def before(request: Request) -> Answer | None:
        if (
            not request.header("Range")
            or "/blobs/" not in request.path
            or request.header("Range").startswith("bytes=0-")
        ):
            return None
        kept = tuple(one for one in request.headers if one[0].lower() != "range")
        return forger.ask(replace(request, headers=kept if how == "whole" else (*kept, ("Range", "bytes=100-2000"))))

    forger.before = before
    done = command("pull", "m@1", "out")
    assert done.code == 8, done
    assert "returned another byte range than requested" in done.err
    assert not os.path.lexists("out")
    forger.heal()
    assert command("pull", "m@1", "out").code == 0
    assert Path("out").read_bytes() == data


@EVERY_STORE
@pytest.mark.parametrize("words", ["pull m@1 out", "verify"])
def test_a_bit_that_changes_on_the_way_back_does_not_cost_a_good_blob(
    words: str, forger: Forger, command: Mreg
) -> None:
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0

    def after(request: Request, answer: Answer) -> Answer:
        if request.method != "GET" or "/blobs/" not in request.path or not answer.body:
            return answer
        return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:])

    forger.after = after
    done = command(*words.split())
    assert done.code in (6, 8), done
    assert (
        done.code == 8 or "repeat the command, since bytes can change in transit; if it fails again, remove" in done.err
    )
    forger.heal()
    assert command(*words.split()).code == 0


def test_a_store_that_refuses_to_make_any_object_is_told(forger: Forger, command: Mreg) -> None:
    refused = refusal(412, "PreconditionFailed")
    forger.before = lambda request: refused if request.header("If-None-Match") == "*" else None
    write("a.bin")
    done = command("push", "a.bin", "-n", "m")
    assert done.code == 8, done
    assert "refuses If-None-Match although the object does not exist" in done.err


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("words", ["gc", "push large.bin -n m", "profile check"])
def test_a_store_that_redirects_everything_gets_few_requests(
    words: str, status: int, forger: Forger, command: Mreg
) -> None:
    write("large.bin", LARGE)
    assert command("list").code == 0
    forger.seen.clear()
    forger.before = lambda request: (
        None if KEY in request.path else Answer(status=status, headers=(("Location", "http://127.0.0.1:1/x"),))
    )
    done = command(*words.split())
    assert done.code == 8, done
    assert "recursion" not in done.err + done.out
    assert len(forger.seen) < 40


@EVERY_STORE
def test_an_object_may_be_longer_than_an_answer(bucket: Place, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a HEAD announces the bytes of the object, and has none itself."""
    monkeypatch.setattr(boto, "LONGEST_ANSWER", 1 << 20)
    data = write("large.bin", LARGE)
    for name in ("m", "n"):
        assert command("push", "large.bin", "-n", name).code == 0
    assert command("pull", "n@1", "out").code == 0
    assert Path("out").read_bytes() == data


CONTENTS = "<Contents><Key>x</Key><Size>1</Size><LastModified>2020-01-01T00:00:00Z</LastModified></Contents>"
LISTS = {
    "many elements": "<ListBucketResult>" + "<a/>" * (15 << 20) + "</ListBucketResult>",
    "many keys": "<ListBucketResult>" + CONTENTS * 600_000 + "</ListBucketResult>",
    "many elements below the limit": "<ListBucketResult>" + "<a/>" * 2_000_000 + "</ListBucketResult>",
    "deep elements below the limit": "<a>" * 1_000_000 + "</a>" * 1_000_000,
}


@on_moto
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_that_is_too_long_is_refused_in_bounded_memory(kind: str, forger: Forger, command: Mreg) -> None:
    write("a.bin")
    assert command("push", "a.bin", "-n", "m").code == 0
    answer = Answer(headers=(("Content-Type", "application/xml"),), body=LISTS[kind].encode())
    forger.before = lambda request: answer if "list-type=2" in request.path else None
    outcome = attack("gc")
    assert outcome.code in ((0, 8) if "below" in kind else (8,)), outcome
