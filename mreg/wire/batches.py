"""Many small blobs in one request: a line for each, then the bytes of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mreg.domain.digest import HEX, Digest
from mreg.errors import BadInput

BATCH_LIMIT = 8 << 20
"""Maximum size of a batch in bytes."""

BLOBS_LIMIT = 1_000
"""Maximum number of blobs of a batch; each costs the server a third of a millisecond or more, whatever its size."""

_LINE = re.compile(rb"([0-9a-f]{64}) (0|[1-9][0-9]{0,9})")


def encode_batch(blobs: Mapping[Digest, bytes]) -> bytes:
    """Return blobs as one body."""
    lines = "".join(f"{digest.value} {len(data)}\n" for digest, data in blobs.items())
    return b"".join((lines.encode(), b"\n", *blobs.values()))


def decode_batch(body: bytes) -> dict[Digest, bytes]:
    """Return the blobs of a body; whether their bytes have the digests is not checked.

    Raises:
        BadInput: It has another form.
    """
    lines, _, data = body.partition(b"\n\n") if not body.startswith(b"\n") else (b"", b"", body[1:])
    blobs: dict[Digest, bytes] = {}
    place = 0
    count = lines.count(b"\n") + 1
    if count > BLOBS_LIMIT:
        raise BadInput(
            f"too many blobs in one request: {count:,}; the maximum is {BLOBS_LIMIT:,}",
            hint="send the others in further requests",
        )
    for line in lines.split(b"\n") if lines else ():
        match = _LINE.fullmatch(line)
        if match is None:
            raise _invalid("expected lines with SHA-256 and size, then an empty line")
        end = place + int(match[2])
        blobs[Digest.sha256(match[1].decode())] = data[place:end]
        place = end
    if place != len(data):
        raise _invalid(f"expected {place} bytes after the empty line, got {len(data)}")
    return blobs


def encode_digests(digests: Iterable[Digest]) -> str:
    """Return digests as the value of a parameter."""
    return ",".join(digest.value for digest in digests)


def decode_digests(text: str) -> list[Digest]:
    """Return the digests of a parameter.

    Raises:
        BadInput: It has another form.
    """
    words = text.split(",")
    if not all(HEX.fullmatch(word) for word in words):
        raise BadInput("invalid digests: expected 64 hexadecimal digits of each, separated by commas")
    return [Digest.sha256(word) for word in words]


def _invalid(why: str) -> BadInput:
    return BadInput(f"invalid batch of blobs: {why}")
