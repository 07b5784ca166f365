import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.errors import BadInput, Corrupt

DIGESTS = st.binary(max_size=8).map(lambda data: Digest.sha256(hashlib.sha256(data).hexdigest()))
ZERO = Digest.sha256("0" * 64)
PARTS = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-éß", min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    entries: list[ManifestEntry] = []
    for path in draw(st.lists(PATHS, max_size=8)):
        entry = ManifestEntry(path, draw(st.integers(0, 2**60)), draw(DIGESTS), draw(st.booleans()))
        try:
            Manifest((*entries, entry))
        except BadInput:
            continue
        entries.append(entry)
    return Manifest(tuple(entries))


@given(manifests())
def test_a_manifest_is_what_its_canonical_bytes_say(manifest: Manifest) -> None:
    assert Manifest.parse(manifest.canonical()) == manifest


@given(manifests(), st.randoms(use_true_random=False))
def test_the_order_of_finding_files_does_not_matter(manifest: Manifest, random: object) -> None:
    shuffled = list(manifest.entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Manifest(tuple(shuffled)).canonical() == manifest.canonical()


@given(st.binary(max_size=200))
def test_other_bytes_are_no_manifest(data: bytes) -> None:
    with pytest.raises(Corrupt):
        Manifest.parse(data)


@given(manifests(), st.data())
def test_changed_bytes_are_another_manifest_or_none(manifest: Manifest, data: st.DataObject) -> None:
    canonical = manifest.canonical()
    place = data.draw(st.integers(0, len(canonical) - 1))
    changed = canonical[:place] + bytes([canonical[place] ^ 1]) + canonical[place + 1 :]
    try:
        assert Manifest.parse(changed) != manifest
    except Corrupt:
        pass


@pytest.mark.parametrize(
    "path",
    ["../x", "/x", "a/../../x", "a\\..\\x", "a//b", "", ".", "a/.", "C:x", "c:\\x", "a\nb", "a\0b", "a\x1b[2J",
     "x" * 256, "a\u202eb", "\udcff", "/".join(["d" * 200] * 25)],
)  # fmt: skip
def test_a_path_that_could_leave_the_folder_is_refused(path: str) -> None:
    with pytest.raises(BadInput):
        ManifestEntry(path, 1, ZERO)
    hostile = {
        "files": [{"executable": False, "path": path, "sha256": "0" * 64, "size": 1}],
        "format": "mreg.manifest.v1",
    }
    with pytest.raises(Corrupt):
        Manifest.parse(json.dumps(hostile, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [("x", "x"), ("x", "x/y"), ("README", "readme"), ("\u00e9", "e\u0301"), ("a/b", "A/b/c"), ("ß", "SS"), ("ﬁ", "fi")],
)
def test_two_files_that_can_not_stand_side_by_side_everywhere_are_refused(one: str, other: str) -> None:
    with pytest.raises(BadInput):
        Manifest((ManifestEntry(one, 1, ZERO), ManifestEntry(other, 1, ZERO)))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.append(files[0]),
        lambda files: files[0].update(size=-1),
        lambda files: files[0].update(size=1.0),
        lambda files: files[0].update(size=True),
        lambda files: files[0].update(sha256="A" * 64),
        lambda files: files[0].update(sha256="0" * 63),
        lambda files: files[0].update(executable=1),
        lambda files: files[0].update(more=1),
        lambda files: files[0].pop("size"),
        lambda files: files.reverse(),
    ],
)
def test_a_manifest_that_is_not_as_mreg_writes_it_is_refused(change: object) -> None:
    manifest = Manifest((ManifestEntry("a", 1, ZERO), ManifestEntry("b", 2, ZERO)))
    document = json.loads(manifest.canonical())
    change(document["files"])  # type: ignore[operator]
    with pytest.raises(Corrupt):
        Manifest.parse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "text", ["", "sha256", "sha256:", "sha256:" + "0" * 63, "sha256:" + "A" * 64, "md5:" + "0" * 64, "0" * 64]
)
def test_another_text_is_no_digest(text: str) -> None:
    with pytest.raises(BadInput):
        Digest.parse(text)


@given(DIGESTS)
def test_a_digest_is_what_its_text_says(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest
