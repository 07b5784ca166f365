"""Random manifests and bundles: refused as what they are, and nothing is made of them."""

from __future__ import annotations

import hashlib
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.artifacts.bundle_file import BundleFile
from mreg.artifacts.tar import END, header
from mreg.domain.bundle_fields import read_event
from mreg.domain.events import event_hash
from mreg.domain.manifest import Manifest
from mreg.errors import BadInput, Corrupt
from tests.attacks.test_fuzz_catalog import NUMBERS, TEXTS
from tests.conftest import FULL
from tests.hostile import attack, bounded, plant, untouched

ROUNDS = 20_000 if FULL else 400
VALUES: list[Any] = [*TEXTS, *NUMBERS, True, False, [], {}, [[]], [{}], {"a": 1}, ["x"], "\ud800", 2**70]


def canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a document has a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def edited(document: Any, chance: random.Random) -> Any:
    """The document with one value replaced, removed or added."""
    copy = json.loads(json.dumps(document))
    *before, last = chance.choice([place for place in places(copy) if place])
    target = copy
    for key in before:
        target = target[key]
    how = chance.random()
    if how < 0.8:
        target[last] = chance.choice(VALUES)
    elif how < 0.9 or isinstance(target, list):
        del target[last]
    else:
        target[chance.choice(TEXTS)[:50]] = chance.choice(VALUES)
    return copy


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with some changed, cut, doubled or put in."""
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice([0, 1, 1, 8, 512, 10_000]))
    put = chance.choice([b"", b"\0", b"\xff", b"../", bytes(512), data[start:end] * 2, os.fsencode("é"), b"[" * 2000])
    return data[:start] + put + data[end:]


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_a_random_manifest_is_the_same_again_or_corrupt() -> None:
    chance = random.Random(23)
    entry = {"executable": False, "path": "a", "sha256": "0" * 64, "size": 1}
    document = {"files": [entry, {**entry, "path": "sub/b"}], "format": "mreg.manifest.v1"}
    for _ in range(ROUNDS):
        data = canonical(edited(document, chance))
        if chance.random() < 0.3:
            data = damaged(data, chance)
        with bounded(data):
            try:
                manifest = Manifest.parse(data)
            except Corrupt:
                pass
            else:
                assert manifest.canonical() == data


@pytest.fixture
def bundle() -> bytes:
    """A bundle of a model with two versions, one of them a folder."""
    Path("net").mkdir()
    Path("net/a").write_text("a")
    Path("model").write_text("model")
    with mreg.open_registry() as registry:
        registry.push("model", name="m", metrics={"accuracy": 0.5}, tags={"a": "b"}, aliases=("champion",))
        registry.push("net", name="m", parent="m@1", data={"train": "s3://bucket/x@3"}, parameters={"lr": "0.1"})
        registry.export("m", "m.mreg")
    return Path("m.mreg").read_bytes()


def repacked(bundle: bytes, document: Any, chance: random.Random) -> bytes:
    """The bundle with another document, whose sums are right where they can be."""
    with BundleFile("m.mreg") as file:
        size = len(file.bundle.canonical())
    rest = bundle[512 + size + -size % 512 :]
    if chance.random() < 0.8:
        for event in document.get("events", []) if isinstance(document.get("events"), list) else []:
            try:
                event["hash"] = event_hash(read_event({**event, "hash": "0" * 64}))
            except (mreg.MregError, ValueError, TypeError, RecursionError):
                continue
    document.pop("sha256", None)
    document["sha256"] = hashlib.sha256(canonical(document)).hexdigest()
    data = canonical(document)
    return header("mreg.json", len(data)) + data + bytes(-len(data) % 512) + rest


@pytest.mark.campaign
@pytest.mark.timeout(3600 if FULL else 120)
def test_a_random_bundle_is_imported_whole_or_refused(bundle: bytes) -> None:
    chance = random.Random(24)
    with BundleFile("m.mreg") as file:
        document = json.loads(file.bundle.canonical())
    assert repacked(bundle, json.loads(json.dumps(document)), random.Random(1)) == bundle
    assert bundle.endswith(END)
    os.makedirs("../around")
    plant("../around")
    os.mkdir("fx")
    here = os.path.abspath("hostile.mreg")
    with untouched("../around"):
        for number in range(ROUNDS // 8):
            data = (
                repacked(bundle, edited(document, chance), chance) if chance.random() < 0.7 else damaged(bundle, chance)
            )
            Path(here).write_bytes(data)
            with (
                bounded(data[:2000]),
                mreg.open_registry(
                    catalog=os.path.abspath("fx/catalog.db"), artifacts=os.path.abspath("fx/a")
                ) as other,
            ):
                try:
                    other.import_bundle(here, f"imported-{number}")
                except (BadInput, Corrupt):
                    assert not [one for one in other.models() if str(one.model.name) == f"imported-{number}"]
                else:
                    other.show(f"imported-{number}")
        assert attack("import", here).code in (0, 2, 6)
