"""Bundles whose document takes many times its bytes of memory: reading one stays under 500 MiB."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import mreg
from mreg.artifacts.tar import END, header
from mreg.domain import bundle
from mreg.domain.bundle import DOCUMENT_LIMIT, ELEMENTS_LIMIT
from mreg.errors import BadInput
from tests.hostile import attack

WIDE = "\U0001f600".encode()
"""A character that makes Python keep the whole text with 4 bytes for each character."""

LONG = DOCUMENT_LIMIT - 1000
MANY = ELEMENTS_LIMIT - 100


def document(tags: bytes, description: bytes = WIDE, events: bytes = b"") -> bytes:
    """A document with these parts, in canonical order and with the right sum."""
    first = (
        b'{"blobs":[],"events":[' + events + b'],"format":"mreg.bundle.v1","model":{"description":"' + description
        + b'","directions":{},"name":"m","primary_metric":"","tags":{' + tags + b"}}"
    )  # fmt: skip
    last = b',"versions":[]}'
    return first + b',"sha256":"' + hashlib.sha256(first + last).hexdigest().encode() + b'"' + last


def listed(one: Callable[[int], bytes], elements: int) -> bytes:
    """As many of these parts as there may be."""
    room = LONG
    parts = []
    for number in range(MANY // elements):
        part = one(number)
        room -= len(part) + 1
        if room < 0:
            break
        parts.append(part)
    return b",".join(parts)


def padded(tags: bytes) -> bytes:
    """A document of these tags with the longest description."""
    return document(tags, WIDE + b"a" * (LONG - len(tags)))


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "a text": lambda: document(b"", WIDE + b"a" * LONG),
    "escapes": lambda: document(b"", WIDE + rb"\n" * (LONG // 2)),
    "texts": lambda: padded(listed(lambda number: b'"%06x":"%06x"' % (number, number), 1)),
    "lists": lambda: padded(listed(lambda number: b'"%06x":[]' % number, 2)),
    "objects of objects": lambda: document(b"", WIDE, listed(lambda _: b'{"":{"":0}}', 3)),
    "nested lists": lambda: padded(listed(lambda number: b'"%x":' % number + b"[" * 400 + b"]" * 400, 401)),
    "more nested lists": lambda: document(b"", WIDE, b",".join([b"[" * 400 + b"]" * 400] * (LONG // 801))),
    "more objects": lambda: document(b"", WIDE, b",".join([b"{}"] * (LONG // 3))),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_reading_a_bundle_stays_under_500_mib(kind: str, tmp_path: Path) -> None:
    data = DOCUMENTS[kind]()
    assert len(data) <= DOCUMENT_LIMIT
    path = tmp_path / "hostile.mreg"
    path.write_bytes(header("mreg.json", len(data)) + data + bytes(-len(data) % 512) + END)
    del data
    for words in (("export", "--inspect"), ("import",)):
        outcome = attack(*words, str(path), peak_bytes=500 << 20)
        assert outcome.code in (2, 6), outcome


def test_a_bundle_that_could_not_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model").write_text("model")
    with mreg.open_registry() as registry:
        registry.push("model", name="m")
        registry.push("model", name="m", tags={"a": "b" * 2000})
        one, both = (registry.export(name, file).size_bytes for name, file in (("m@1", "1.mreg"), ("m", "2.mreg")))
        assert one < both
        monkeypatch.setattr(bundle, "DOCUMENT_LIMIT", 3000)
        registry.export("m@1", "3.mreg")
        with pytest.raises(BadInput, match=r"^m cannot be exported: its bundle would list [0-9,]+ bytes") as failure:
            registry.export("m", "4.mreg")
        assert failure.value.hint == "export single versions: mreg export m@1"
        assert not Path("4.mreg").exists()
        monkeypatch.setattr(bundle, "ELEMENTS_LIMIT", 20)
        with pytest.raises(BadInput, match=r"^m@1 cannot be exported: its bundle would list"):
            registry.export("m@1", "4.mreg")
