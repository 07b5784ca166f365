"""Clients that have the presigned URL of a part, and add to the request what the server did not sign."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests

from mreg.artifacts import direct_upload
from mreg.artifacts.claims import Uploader
from mreg.artifacts.s3 import S3Backend
from mreg.domain.digest import Digest, blob_key
from mreg.domain.names import ModelName
from mreg.errors import BadInput, Unavailable
from mreg.remote.connection import Connection
from mreg.stores.bucket import Bucket
from mreg.stores.settings import StoreSettings
from mreg.wire.protocol import DIRECT_BYTES
from tests.conftest import EVERY_STORE, local_registry
from tests.contracts.test_s3_backend import backend_at
from tests.proxy import Proxy
from tests.servers import Place

SECRET = os.urandom(1 << 20)
DIGEST = Digest.sha256(hashlib.sha256(SECRET).hexdigest())


@EVERY_STORE
def test_a_store_that_copies_for_a_part_takes_no_direct_uploads(place: Place) -> None:
    backend = backend_at(place)
    place.write(blob_key(DIGEST), SECRET)
    upload = direct_upload.begin(
        backend, Uploader("eve", ModelName("team/net")), DIGEST, len(SECRET), datetime.now(UTC), total_limit=1 << 30
    )
    copied = requests.put(
        upload.presign(1, len(SECRET), 60),
        data=b"x" * len(SECRET),
        headers={"x-amz-copy-source": f"models/{place.prefix}/{blob_key(DIGEST)}"},
        timeout=60,
    )
    assert (not backend.direct_refusal()) is (copied.status_code == 403)
    upload.discard()
    assert ([*place.keys("probes"), *place.keys("direct")], place.uploads()) == ([], [])


@pytest.mark.parametrize(
    "object_store, is_strict", [("seaweedfs", True), ("radosgw", False)], indirect=["object_store"]
)
def test_a_server_offers_direct_uploads_only_if_the_store_refuses_unsigned_headers(
    place: Place, is_strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_ENDPOINT_URL", place.endpoint)
    registry = local_registry(catalog="catalog.db", artifacts=place.url)
    model = ModelName("m")
    (needed,) = registry.missing_blobs(model, {DIGEST: DIRECT_BYTES}, direct=True)
    assert needed.direct is is_strict
    if not is_strict:
        with pytest.raises(BadInput, match="this server takes no direct uploads"):
            registry.begin_direct(model, DIGEST, DIRECT_BYTES, seconds=60, total_limit=1 << 30, permitted=True)


@pytest.fixture
def backend_behind(place: Place) -> Iterator[tuple[S3Backend, Proxy]]:
    """A backend whose requests pass a proxy."""
    proxy = Proxy(place.server.port)
    yield S3Backend(Bucket(place.url, StoreSettings(endpoint_url=proxy.endpoint), lambda _text: None)), proxy
    proxy.stop()


def refuse_once(proxy: Proxy, status: str) -> list[str]:
    """Answer the first request by a presigned URL; return the list of all of them."""
    seen: list[str] = []

    def answer(line: str) -> tuple[str, str, str] | None:
        seen.extend([line] * ("X-Amz-Signature" in line))
        return (status, "application/xml", "<Error/>") if seen == [line] else None

    proxy.answer = answer
    return seen


def test_the_probe_of_an_overloaded_store_is_sent_again(backend_behind: tuple[S3Backend, Proxy]) -> None:
    backend, proxy = backend_behind
    seen = refuse_once(proxy, "503 Slow Down")
    assert (backend.direct_refusal(), len(seen)) == ("", 3)


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
def test_a_probe_that_finds_nothing_out_is_repeated_with_the_next_upload(
    backend_behind: tuple[S3Backend, Proxy], status: str
) -> None:
    backend, proxy = backend_behind
    refuse_once(proxy, status)
    assert backend.direct_refusal() == (
        "the store did not answer a probe, which is repeated with the next upload: "
        f"{proxy.endpoint} refused the part of an upload by a presigned URL (HTTP {status[:3]})"
    )
    assert backend.direct_refusal() == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "[::ffff:127.0.0.1]"])
def test_a_server_elsewhere_names_no_service_of_this_machine(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service, Connection("http://models.example", insecure=True) as line:
        store = line.to_store(f"http://{host}:{service.getsockname()[1]}")
        with pytest.raises(Unavailable, match="leads to this machine, and the server is not on it"):
            store.request("GET", "/x")
        arrived = service.accept()[0]
        with arrived:
            assert arrived.recv(1) == b""
