"""A network that changes one bit of an upload: on each store a push ends with the file's own bytes there, or it fails."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import mreg
from mreg.stores.integrity import IntegrityCheck
from tests.conftest import EVERY_STORE
from tests.proxy import Proxy
from tests.servers import Place, bucket_of

KEY = "catalog.db"
LARGE = (8 << 20) + 1000

KINDS = {
    "small blob": ("PUT", "/blobs/"),
    "part": ("PUT", "partNumber=1"),
    "complete": ("POST", "uploadId="),
    "catalog": ("PUT", f"/{KEY} "),
}
"""Method and a part of the first line of each kind of upload."""


@pytest.fixture
def registry(proxy: Proxy, bucket: Place, monkeypatch: pytest.MonkeyPatch, impatient: None) -> Iterator[mreg.Registry]:
    """A registry whose catalog is in the bucket as well, with one version in it."""
    monkeypatch.setenv("MREG_CATALOG", f"{bucket.url}/{KEY}")
    Path("first").write_bytes(b"first")
    with mreg.open_registry() as registry:
        registry.push("first", name="m")
        yield registry


def refuse_other_bytes(place: Place) -> None:
    """Whatever is there under the name of a blob has its bytes."""
    for key in place.keys("blobs/"):
        assert hashlib.sha256(place.read(key)).hexdigest() == key.removeprefix("blobs/sha256/").replace("/", "")


@EVERY_STORE
@pytest.mark.parametrize("times", [1, 1000], ids=["once", "always"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_bit_is_never_pushed(
    kind: str, times: int, proxy: Proxy, bucket: Place, registry: mreg.Registry, tmp_path: Path
) -> None:
    method, sign = KINDS[kind]
    data = os.urandom(LARGE if kind in ("part", "complete") else 1000)
    Path("model.bin").write_bytes(data)
    proxy.flip = lambda line: line.startswith(method) and sign in line and len(proxy.flipped) < times
    try:
        registry.push("model.bin", name="m")
    except mreg.MregError as error:
        assert proxy.flipped
        assert "an upload was damaged in transit" in error.message or kind == "complete"
        proxy.heal()
        if kind == "catalog":
            return
        with pytest.raises(mreg.NotFound):
            registry.show("m@2")
        registry.push("model.bin", name="m")
    else:
        assert proxy.flipped
        proxy.heal()
    refuse_other_bytes(bucket)
    registry.pull("m@2", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


@EVERY_STORE
def test_a_file_of_a_folder_whose_bit_changed_is_never_pushed(
    proxy: Proxy, bucket: Place, registry: mreg.Registry
) -> None:
    Path("folder").mkdir()
    for number in range(20):
        Path("folder", str(number)).write_bytes(os.urandom(100))
    proxy.flip = lambda line: "/blobs/" in line and len(proxy.flipped) < 3
    try:
        registry.push("folder", name="m")
    except mreg.Unavailable as error:
        assert "an upload was damaged in transit" in error.message
        proxy.heal()
        registry.push("folder", name="m")
    refuse_other_bytes(bucket)
    assert len(bucket.keys("blobs/")) == 22


@pytest.mark.parametrize("object_store", ["moto"], indirect=True)
def test_damaged_bytes_that_a_killed_push_left_on_a_store_that_checks_nothing_are_replaced(
    bucket: Place, registry: mreg.Registry
) -> None:
    data = os.urandom(1000)
    Path("model.bin").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    bucket.write(f"blobs/sha256/{digest[:2]}/{digest[2:]}", data[:-1] + bytes([data[-1] ^ 1]))
    registry.push("model.bin", name="m")
    refuse_other_bytes(bucket)


CHECKS = {"seaweedfs": IntegrityCheck.SUM, "radosgw": IntegrityCheck.SIGNATURE, "moto": IntegrityCheck.TAG}


@EVERY_STORE
def test_what_a_store_checks_is_tried_and_not_assumed(
    place: Place, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = request.node.callspec.params["object_store"]
    assert bucket_of(place).integrity is CHECKS[kind]
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    assert bucket_of(place).integrity is (
        IntegrityCheck.MD5 if kind == "seaweedfs" else CHECKS[kind]
    )  # it does not check signatures
    assert place.keys() == []
