"""An object store that answers wrongly: the command fails and says so, or nothing is lost."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mreg
from mreg.catalog.bucket import BucketDatabase
from mreg.catalog.packing import pack
from mreg.catalog.schema import SCHEMA
from mreg.s3.bucket import Bucket, BucketSettings
from tests.conftest import EVERY_STORE, ROOT, Mreg
from tests.forger import Answer, Forger, Request
from tests.servers import BUCKET, Place, bucket_of

KEY = "catalog.db"
LARGE = (8 << 20) + 1000
FOREIGN = "does not come from an S3 store"

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
