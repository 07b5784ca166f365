"""The client of an object store: one try of each request, and a failure for each answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.stores import client as client_module
from mreg.stores.bucket import Bucket
from mreg.stores.client import ObjectClient, connect
from mreg.stores.failures import Failure, Kind
from mreg.stores.responses import LONGEST_BODY, answered, failure_of
from mreg.stores.settings import StoreSettings
from tests.conftest import EVERY_STORE
from tests.faults.test_words_of_the_store import answering, error
from tests.servers import Place

DETAILS = """
Debug source:
NotFound {
    path: "k",
    source: RetryError(
        RetryErrorImpl {
            inner: Status {
                status: 404,
                body: None,
            },
        },
    ),
}"""


def client_at(url: str, endpoint: str) -> ObjectClient:
    return ObjectClient(connect(url, StoreSettings(endpoint_url=endpoint)))


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@EVERY_STORE
def test_objects_are_put_read_listed_and_removed(place: Place) -> None:
    client = client_at(place.url, place.endpoint)
    key = f"{place.prefix}/a b/+~ü"
    etag, _ = client.put(key, b"0123456789", create=True)
    with pytest.raises(Failure) as caught:
        client.put(key, b"other", create=True)
    assert caught.value.status == 412
    head = client.head(key)
    assert (head.size, head.etag) == (10, etag)
    body = client.get(key, 2, 3)
    assert body is not None
    assert bytes(body.read()) == b"234"
    assert client.get(key, etag=etag) is None
    assert [(name, found.size) for page in client.pages(f"{place.prefix}/a") for name, found in page] == [(key, 10)]
    assert list(chain(*client.pages(f"{place.prefix}/b"))) == []
    with urllib.request.urlopen(client.presign("GET", key, 60)) as answer:
        assert answer.read() == b"0123456789"
    client.delete(key)
    client.delete(key)
    with pytest.raises(Failure) as caught:
        client.head(key)
    assert caught.value.status == 404


@EVERY_STORE
def test_a_presigned_url_of_a_bucket_gives_an_object(place: Place) -> None:
    bucket = Bucket(place.url, StoreSettings(endpoint_url=place.endpoint), print)
    place.write("key", b"content")
    with urllib.request.urlopen(bucket.presign("key", 60)) as answer:
        assert answer.read() == b"content"


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 429, 500, 503])
def test_an_error_document_is_read_from_what_the_client_says(status: int, keys: None) -> None:
    text = "a &lt;b&gt; &amp; c\n\nDebug source:\nNotFound {\n    inner: Status {\n        status: 404,\n"
    with answering(status, error("Odd", text)) as port:
        client = client_at("s3://models/x", f"http://127.0.0.1:{port}")
        with pytest.raises(Failure) as caught:
            client.get("k")
        with pytest.raises(Failure) as of_put:
            client.put("k", b"x", create=True)
    for failure in (caught.value, of_put.value):
        assert (failure.kind, failure.status, failure.code) == (Kind.ANSWER, status, "Odd")
        assert failure.text.startswith("a <b> & c\n\nDebug source:")


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_is_another_region(status: int, keys: None) -> None:
    with answering(status, b"") as port:
        bucket = Bucket("s3://models/x", StoreSettings(endpoint_url=f"http://127.0.0.1:{port}"), print)
        with pytest.raises(mreg.Unavailable, match=r"s3://models/x is in another region \(301\)"):
            bucket.fetch("k")


def test_the_credentials_of_a_failed_provider_are_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = Bucket("s3://models/x", StoreSettings(endpoint_url="http://127.0.0.1:1"), print)
    with pytest.raises(mreg.Unavailable, match="no credentials found"):
        bucket.fetch("k")
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = sh -c 'echo no >&2; exit 3'\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    bucket = Bucket("s3://models/x", StoreSettings(endpoint_url="http://127.0.0.1:1"), print)
    with pytest.raises(mreg.Unavailable, match="credentials from custom-process: no"):
        bucket.fetch("k")


def test_a_client_that_cannot_be_created_fails_when_it_is_used_and_not_before() -> None:
    bucket = Bucket("s3://models/x", StoreSettings(endpoint_url="http://127.0.0.1:1", aws_profile="absent"), print)
    bucket.prepare()
    with pytest.raises(mreg.MregError, match="AWS profile 'absent' not found"):
        bucket.call("list_objects_v2")


def test_a_process_that_returns_keys_is_asked_for_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    answer = tmp_path / "answer"
    answer.write_text(f'{{"Version": 1, "AccessKeyId": "{key}", "SecretAccessKey": "{secret}"}}')
    config = tmp_path / "config"
    config.write_text(f"[profile other]\ncredential_process = cat {answer}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    place.write("key", b"content")
    settings = StoreSettings(endpoint_url=place.endpoint, aws_profile="other")
    assert Bucket(place.url, settings, print).fetch("key") is not None


def test_the_keys_of_a_profile_are_used_without_botocore(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key, secret = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    stored = tmp_path / "credentials"
    stored.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(stored))
    place.write("key", b"content")
    code = (
        "import sys\nfrom mreg.stores.bucket import Bucket\nfrom mreg.stores.settings import StoreSettings\n"
        f"found = Bucket({place.url!r}, StoreSettings(endpoint_url={place.endpoint!r}), print).fetch('key')\n"
        "loaded = [name for name in ('boto3', 'botocore', 'urllib3') if name in sys.modules]\n"
        "sys.exit(str(loaded) if loaded or found[0] != b'content' else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "endpoint",
    ["http://[bad", "nonsense", "ftp://host", "http://", "http://a b", "http://host:port", "http://h/\n", "https:///k"],
)
def test_an_address_of_no_store_is_refused(endpoint: str, keys: None) -> None:
    with pytest.raises(mreg.BadProfile, match="is not the URL of a store"):
        Bucket("s3://models/x", StoreSettings(endpoint_url=endpoint), print).fetch("k")


@pytest.mark.parametrize("prefix", ["a//b", "a/./b", "../b"])
def test_a_prefix_that_the_client_cannot_use_is_refused(prefix: str, keys: None) -> None:
    bucket = Bucket(f"s3://models/{prefix}", StoreSettings(endpoint_url="http://127.0.0.1:1"), print)
    with pytest.raises(mreg.BadProfile, match="segment"):
        bucket.fetch("k")


def test_an_interrupt_ends_a_request_that_waits(keys: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_at("s3://models/x", f"http://127.0.0.1:{silent.getsockname()[1]}")

        def interrupt() -> None:
            connection, _ = silent.accept()
            with connection:
                os.kill(os.getpid(), signal.SIGINT)
                ended.wait(30)

        ended = threading.Event()
        other = threading.Thread(target=interrupt)
        other.start()
        with pytest.raises(KeyboardInterrupt):
            client.get("k")
        ended.set()
        other.join()


def test_an_upload_has_time_for_its_bytes(keys: None) -> None:
    asked: list[float] = []
    connection = connect("s3://models/x", StoreSettings(endpoint_url="http://127.0.0.1:1"))
    make = connection.make
    connection.make = lambda options, checksum: (
        asked.append(options["read_timeout"].total_seconds()),
        make(options, checksum),
    )[1]
    client = ObjectClient(connection)
    for size in (10, 1 << 20, 8 << 20, 256 << 20):
        client._store(size)
    seconds = client_module.READ_SECONDS
    assert asked == [seconds, 4 * seconds, 128 * seconds]


@given(st.text(max_size=3000), st.integers(100, 599))
def test_any_body_is_a_failure_with_its_status(body: str, status: int) -> None:
    failure = answered(status, body)
    assert failure.status == status
    shown = f"Object not found: Error performing GET http://h/k in 1ms - Server returned non-2xx status code: 404 Not Found: {body}\n"
    found = failure_of(Exception(shown + DETAILS), "http://h")
    assert (found.kind, found.status) == (Kind.ANSWER, 404)


@pytest.mark.parametrize(
    "body",
    ["<Error>" * 100_000, "<Error><Code>" + "x" * 1_000_000, "<" * 1_000_000, "<script>" * 200_000, "\n" * 1_000_000,
     "<Error><Message>" + "&amp;" * 500_000, "<Error><Message>x" + " " * 500_000 + "y</Message>",
     "<?xml?>" + " " * 500_000 + "x", "<html>" + "<script" * 100_000, "x" + "\n " * 500_000],
    ids=range(10),
)  # fmt: skip
def test_a_long_body_is_looked_at_up_to_a_limit(body: str) -> None:
    failure = answered(400, body)
    assert len(failure.page) <= LONGEST_BODY
    assert len(failure.text) <= LONGEST_BODY
