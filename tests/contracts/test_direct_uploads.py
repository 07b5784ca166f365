"""Uploads by presigned URLs to the S3 stores: parts, their joining, and what is left of an upload."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from mreg.artifacts import direct_upload, s3_direct
from mreg.artifacts.backend import DirectUpload, SupportsDirectUploads
from mreg.artifacts.claims import Uploader
from mreg.artifacts.s3 import S3Backend
from mreg.artifacts.store import ArtifactStore
from mreg.domain.digest import Digest, blob_key
from mreg.domain.names import ModelName
from mreg.errors import BadInput, Conflict, NotFound
from mreg.registry.local import LocalRegistry
from mreg.server import direct
from tests.conftest import EVERY_STORE
from tests.contracts.test_s3_backend import backend_at
from tests.servers import Place

ADA = Uploader("ada", ModelName("team/net"))
DATA = os.urandom((16 << 20) + 5)
DIGEST = Digest.sha256(hashlib.sha256(DATA).hexdigest())
NOW = datetime.now(UTC)


@pytest.fixture
def backend(place: Place) -> S3Backend:
    return backend_at(place)


@pytest.fixture
def begin(backend: S3Backend) -> Callable[[], DirectUpload]:
    return lambda: direct_upload.begin(backend, ADA, DIGEST, len(DATA), NOW, total_limit=1 << 30)


def send(upload: DirectUpload, data: bytes = DATA, *, most: int = 100) -> None:
    missing, _ = direct_upload.missing_parts(upload, len(data))
    for number, size in list(missing.items())[:most]:
        start = (number - 1) * (8 << 20)
        url = upload.presign(number, size, 60)
        assert requests.put(url, data=data[start : start + size], timeout=60).status_code == 200


def ignore(_done: int, _total: int) -> None:
    """Ignore the progress."""


def test_a_backend_of_s3_takes_direct_uploads(backend: S3Backend) -> None:
    assert isinstance(backend, SupportsDirectUploads)
    assert ArtifactStore(backend).direct_uploads is backend


@EVERY_STORE
def test_the_parts_become_a_blob(backend: S3Backend, begin: Callable[[], DirectUpload], place: Place) -> None:
    upload = begin()
    assert direct_upload.missing_parts(upload, len(DATA)) == ({1: 8 << 20, 2: 8 << 20, 3: 5}, 0)
    send(upload, most=1)
    again = begin()
    assert direct_upload.missing_parts(again, len(DATA)) == ({2: 8 << 20, 3: 5}, 8 << 20)
    send(again)
    old_url = again.presign(1, 8 << 20, 60)
    steps: list[tuple[int, int]] = []
    direct_upload.finish(again, DIGEST, len(DATA), lambda *step: steps.append(step))
    assert (steps[-1], place.read(blob_key(DIGEST)) == DATA) == ((len(DATA), 2 * len(DATA)), True)
    assert requests.put(old_url, data=b"x" * (8 << 20), timeout=60).status_code in (404, 500)  # 500: moto
    assert place.read(blob_key(DIGEST)) == DATA
    # Until it is discarded, it can be finished again.
    direct_upload.finish(begin(), DIGEST, len(DATA), ignore)
    again.discard()
    assert (place.keys("direct"), place.uploads()) == ([], [])
    with pytest.raises(NotFound):
        again.open()
    with pytest.raises(NotFound):
        again.move(f"{blob_key(DIGEST)}x", len(DATA), lambda _count: None)
    assert backend.find_direct(ADA.direct(DIGEST, len(DATA))) is None


@EVERY_STORE
def test_an_upload_that_another_request_joins_meanwhile_is_finished(
    begin: Callable[[], DirectUpload], place: Place
) -> None:
    send(begin())
    first, second = begin(), begin()
    first.join()
    direct_upload.finish(second, DIGEST, len(DATA), ignore)
    assert place.read(blob_key(DIGEST)) == DATA


@EVERY_STORE
def test_parts_that_are_listed_incompletely_while_another_request_joins_them_are_not_removed(
    begin: Callable[[], DirectUpload], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(begin())
    first, second, listed = begin(), begin(), s3_direct._listed
    asked: list[object] = []

    def incomplete(*words: Any) -> Any:
        asked.append(words)
        if len(asked) > 1:
            return listed(*words)
        first.join()
        return {}

    monkeypatch.setattr(s3_direct, "_listed", incomplete)
    direct_upload.finish(second, DIGEST, len(DATA), ignore)
    assert place.read(blob_key(DIGEST)) == DATA


@EVERY_STORE
def test_an_upload_that_another_request_joins_is_found_while_it_is_joined(
    backend: S3Backend, begin: Callable[[], DirectUpload], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, listed = begin(), s3_direct._uploads
    send(first)

    def join_afterwards(*words: Any) -> Any:
        found = listed(*words)
        first.join()
        return found

    monkeypatch.setattr(s3_direct, "_uploads", join_afterwards)
    second = backend.find_direct(ADA.direct(DIGEST, len(DATA)))
    assert second is not None and second.joined
    direct_upload.finish(second, DIGEST, len(DATA), ignore)
    assert place.read(blob_key(DIGEST)) == DATA


@EVERY_STORE
def test_a_large_object_is_copied_in_parts(
    begin: Callable[[], DirectUpload], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_direct, "COPY_BYTES", 6 << 20)
    upload = begin()
    send(upload)
    steps: list[int] = []
    direct_upload.finish(upload, DIGEST, len(DATA), lambda done, _total: steps.append(done - len(DATA)))
    upload.discard()
    assert place.read(blob_key(DIGEST)) == DATA
    assert [step for step in steps if step > 0] == [6 << 20, 12 << 20, len(DATA)]
    assert (place.keys("direct"), place.uploads()) == ([], [])


def test_an_upload_that_is_not_as_announced_is_removed(begin: Callable[[], DirectUpload], place: Place) -> None:
    upload = begin()
    send(upload, most=2)
    with pytest.raises(BadInput, match=r"is not complete: 1 part missing$"):
        direct_upload.finish(upload, DIGEST, len(DATA), ignore)
    upload = begin()
    send(upload)
    requests.put(upload.presign(4, 5, 60), data=b"12345", timeout=60)
    with pytest.raises(BadInput, match=r"is not complete: 1 part too many$"):
        direct_upload.finish(upload, DIGEST, len(DATA), ignore)
    upload = begin()
    send(upload, DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with pytest.raises(BadInput, match="the bytes do not match their digest"):
        direct_upload.finish(upload, DIGEST, len(DATA), ignore)
    assert place.keys() == []
    upload = begin()
    upload.discard()
    with pytest.raises(Conflict, match="discarded"):
        upload.join()


def test_an_upload_whose_parts_are_gone_begins_again(begin: Callable[[], DirectUpload], place: Place) -> None:
    send(begin(), most=1)
    client = place.server.client()
    for upload in client.list_multipart_uploads(Bucket="models", Prefix=f"{place.prefix}/")["Uploads"]:
        client.abort_multipart_upload(Bucket="models", Key=upload["Key"], UploadId=upload["UploadId"])
    (before,) = place.keys("direct")
    assert direct_upload.missing_parts(begin(), len(DATA))[1] == 0
    assert len(place.keys("direct")) == 1 and place.keys("direct") != [before]


def test_unfinished_uploads_are_listed_and_discarded(
    backend: S3Backend, begin: Callable[[], DirectUpload], place: Place
) -> None:
    store = ArtifactStore(backend)
    upload = begin()
    send(upload, most=2)
    (found,) = store.unfinished()
    assert (found.size, found.name.startswith("direct/")) == (16 << 20, True)
    assert found.modified >= NOW - timedelta(seconds=5)
    send(upload)
    upload.join()
    (found,) = store.unfinished()
    assert found.size == len(DATA)
    place.write("direct/notes.txt", b"of somebody else")
    store.discard(found)
    assert (place.keys(), place.uploads(), list(store.unfinished())) == (["direct/notes.txt"], [], [])


def announce(backend: S3Backend, size: int, uploader: Uploader = ADA, now: datetime = NOW) -> DirectUpload:
    return direct_upload.begin(backend, uploader, DIGEST, size, now, total_limit=100)


def test_a_caller_has_a_limited_number_of_unfinished_uploads(
    backend: S3Backend, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_upload, "CALLER_LIMIT", 2)
    for size in (10, 11):
        announce(backend, size)
    with pytest.raises(Conflict) as raised:
        announce(backend, 12)
    assert raised.value.message == (
        "this client has 2 unfinished direct uploads of 21 bytes, and can have at most 2 of 100 bytes together"
    )
    assert raised.value.hint.startswith("upload the blob to the server, or repeat interrupted pushes")
    assert (len(place.keys("direct")), len(place.uploads())) == (2, 2)
    announce(backend, 10)  # continued
    announce(backend, 10, Uploader("bob", ADA.model))
    assert len(place.keys("direct")) == 3
    with pytest.raises(Conflict):  # a token that counts with that of the others
        announce(backend, 10, Uploader("ada/ci", ADA.model, counts_as=ADA.caller))
    announce(backend, 12, now=NOW + timedelta(hours=25))
    assert len(place.keys("direct")) == 2  # the expired ones have made room


def test_a_caller_has_unfinished_uploads_of_limited_size(backend: S3Backend, place: Place) -> None:
    announce(backend, 60)
    other = Uploader(ADA.caller, ModelName("other"))
    with pytest.raises(Conflict, match="has 1 unfinished direct upload of 60 bytes, and can have at most 100 of 100"):
        announce(backend, 41, other)
    announce(backend, 40, other)
    assert (len(place.keys("direct")), len(place.uploads())) == (2, 2)


def test_uploads_at_the_same_time_do_not_exceed_the_limit(backend: S3Backend, place: Place) -> None:
    def begin(size: int) -> bool:
        with suppress(Conflict):
            announce(backend, size)
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        begun = sum(pool.map(begin, range(30, 38)))
    assert begun <= 3 and len(place.keys("direct")) == len(place.uploads()) == begun


def test_an_upload_expires_a_day_after_its_last_part(
    backend: S3Backend, begin: Callable[[], DirectUpload], place: Place
) -> None:
    upload = begin()
    (begun,) = backend.direct_uploads("")
    time.sleep(2)
    send(upload, most=1)
    for seconds, left in ((1, 1), (30, 0)):
        direct_upload.remove_expired(backend, begun.modified + timedelta(hours=24, seconds=seconds))
        assert (len(place.keys("direct")), len(place.uploads())) == (left, left)


def test_a_running_server_removes_expired_uploads(
    bucket: Place, registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "REMOVAL_SECONDS", 0.05)
    later = timedelta(0)
    served = LocalRegistry(replace(registry._session, now=lambda: datetime.now(UTC) + later))  # type: ignore[abstract]
    send(announce(backend_at(bucket), 100), DATA[:100])
    notes: list[str] = []
    with direct.upkeep(served, notes.append):
        time.sleep(0.3)
        assert len(bucket.keys("direct")) == 1
        later = timedelta(hours=25)
        deadline = time.monotonic() + 20
        while bucket.keys("direct") and time.monotonic() < deadline:
            time.sleep(0.05)
    assert (bucket.keys("direct"), bucket.uploads(), notes) == ([], [], [])
