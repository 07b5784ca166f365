from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.errors import BadInput
from mreg.remote.blobs import BATCH_BLOBS
from mreg.wire.batches import BLOBS_LIMIT, decode_batch, decode_digests, encode_batch, encode_digests

ONE = "0" * 64


def digest(data: bytes) -> Digest:
    return Digest.sha256(sha256(data).hexdigest())


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_a_batch_comes_back_as_it_was_written(contents: list[bytes]) -> None:
    blobs = {digest(data): data for data in contents}
    assert decode_batch(encode_batch(blobs)) == blobs


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"\nx",
        f"{ONE} 1\n\n".encode(),
        f"{ONE} 1\n\nxy".encode(),
        f"{ONE} -1\n\n".encode(),
        f"{ONE} 01\n\nx".encode(),
        f"{ONE} 99999999999999999999\n\nx".encode(),
        f"{ONE.replace('0', 'A')} 1\n\nx".encode(),
        f"../{ONE[3:]} 1\n\nx".encode(),
        f"{ONE} 1\r\n\r\nx".encode(),
        b"\xff 1\n\nx",
    ],
)
def test_another_form_of_a_batch_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        decode_batch(body)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=8))
def test_digests_come_back_as_they_were_written(contents: list[bytes]) -> None:
    digests = [digest(data) for data in contents]
    assert decode_digests(encode_digests(digests)) == digests


@pytest.mark.parametrize("text", ["", ",", "x", f"{ONE},", f"sha256:{ONE}", f"{ONE}\n"])
def test_other_digests_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match="invalid digests"):
        decode_digests(text)


def test_a_batch_has_a_limited_number_of_blobs() -> None:
    line = f"{'0' * 64} 0\n".encode()
    assert len(decode_batch(line * BLOBS_LIMIT + b"\n")) == 1
    with pytest.raises(BadInput) as caught:
        decode_batch(line * (BLOBS_LIMIT + 1) + b"\n")
    assert caught.value.message == "too many blobs in one request: 1,001; the maximum is 1,000"
    assert caught.value.hint == "send the others in further requests"
    assert BATCH_BLOBS <= BLOBS_LIMIT  # those of mreg's own client, in this and earlier releases
