import hashlib
import json
import sys
import tracemalloc
import unicodedata
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry, check_together, sizes_in
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


@given(manifests(), st.lists(st.text('"{}$ é/', min_size=1, max_size=5), max_size=2))
def test_the_canonical_bytes_are_json_with_sorted_keys(manifest: Manifest, folders: list[str]) -> None:
    try:
        manifest = Manifest(manifest.entries, tuple(folders))
    except BadInput:
        return
    document = json.loads(manifest.canonical())
    assert (
        json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == manifest.canonical()
    )
    assert Manifest.parse(manifest.canonical()) == manifest
    assert len(document["files"]) == len(manifest.entries) + len(folders)


def test_the_memory_of_parsing_is_a_small_multiple_of_the_bytes() -> None:
    data = Manifest(tuple(ManifestEntry(f"f{number:06}", 0, ZERO) for number in range(20_000))).canonical()
    tracemalloc.start()
    try:
        Manifest.parse(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data)


@given(manifests())
def test_sizes_are_found_without_parsing(manifest: Manifest) -> None:
    inner = f'","sha256":"{ZERO.value}","size":7}}'  # the end of an entry, in a path
    odd = (ManifestEntry(f"Q{inner}", 1, ZERO), ManifestEntry(f"Q/{inner}/x", 2, ZERO), ManifestEntry('Q"', 3, ZERO))
    manifest = Manifest((*manifest.entries, *odd), ("Q2", f"Q3{inner}"))
    expected = [(entry.digest.value, entry.size) for entry in manifest.entries]
    assert list(sizes_in(manifest.canonical())) == expected


@given(manifests(), st.randoms(use_true_random=False))
def test_the_order_of_finding_files_does_not_matter(manifest: Manifest, random: Random) -> None:
    shuffled = list(manifest.entries)
    random.shuffle(shuffled)
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
def test_a_manifest_that_is_not_as_mreg_writes_it_is_refused(change: Callable[[Any], object]) -> None:
    manifest = Manifest((ManifestEntry("a", 1, ZERO), ManifestEntry("b", 2, ZERO)))
    document = json.loads(manifest.canonical())
    change(document["files"])
    with pytest.raises(Corrupt):
        Manifest.parse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def entries_of(paths: list[str]) -> tuple[ManifestEntry, ...]:
    return tuple(ManifestEntry(path, 1, ZERO) for path in paths)


@given(manifests(), st.data())
def test_no_edit_of_the_bytes_comes_through_as_the_same_manifest(manifest: Manifest, data: st.DataObject) -> None:
    canonical = manifest.canonical()
    start = data.draw(st.integers(0, len(canonical)))
    end = data.draw(st.integers(start, min(len(canonical), start + 20)))
    put = data.draw(
        st.binary(max_size=12) | st.sampled_from([b" ", b"\n", b"0", b"../", b"\\u0061", b'"x":1,', b"-", b"1e3"])
    )
    changed = canonical[:start] + put + canonical[end:]
    try:
        found = Manifest.parse(changed)
    except Corrupt as error:
        assert error.message.startswith(
            ("invalid manifest: ", "invalid manifest: it is not valid JSON", "the manifest is ")
        )
    else:
        assert found.canonical() == changed
        assert (found == manifest) == (changed == canonical)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["path", "size", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(JSON, st.sampled_from(["files", "format", "entry", "path", "size", "sha256", "executable"]))
def test_a_manifest_with_a_value_of_another_type_is_refused(value: object, place: str) -> None:
    document = json.loads(Manifest(entries_of(["a"])).canonical())
    if place == "entry":
        document["files"][0] = value
    elif place in document:
        document[place] = value
    else:
        document["files"][0][place] = value
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    try:
        assert Manifest.parse(data).canonical() == data
    except Corrupt:
        pass


def test_a_manifest_nested_to_the_ground_is_refused() -> None:
    for data in (b"[" * 100_000, b'{"format":' + b"[" * 100_000, b'{"files":' * 50_000):
        with pytest.raises(Corrupt) as caught:
            Manifest.parse(data)
        assert caught.value.message == "invalid manifest: it is not valid JSON"


def test_sizes_that_no_file_can_have_are_refused() -> None:
    with pytest.raises(BadInput) as caught:
        ManifestEntry("a", 2**63, ZERO)
    assert caught.value.message == f"the file 'a' is too large: the limit is {2**63 - 1} bytes"
    with pytest.raises(BadInput) as caught:
        ManifestEntry("a", -1, ZERO)
    assert caught.value.message == "the size of 'a' is negative"
    with pytest.raises(BadInput) as caught:
        Manifest((ManifestEntry("a", 2**63 - 1, ZERO), ManifestEntry("b", 1, ZERO)))
    assert caught.value.message == f"the files are too large: the limit is {2**63 - 1} bytes in total"
    assert Manifest((ManifestEntry("a", 2**63 - 2, ZERO), ManifestEntry("b", 1, ZERO))).size == 2**63 - 1


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "A", "b", "a-", "é", "É", "a!"]), min_size=1, max_size=3).map("/".join),
        max_size=6,
    )
)
def test_files_stand_side_by_side_unless_one_takes_anothers_place(paths: list[str]) -> None:
    def collide(one: str, other: str) -> bool:
        first, second = one.lower(), other.lower()
        return first == second or first.startswith(second + "/") or second.startswith(first + "/")

    clash = any(collide(one, other) for place, one in enumerate(paths) for other in paths[:place])
    try:
        Manifest(entries_of(paths))
    except BadInput:
        assert clash
    else:
        assert not clash


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\:."), min_size=1, max_size=8))
def test_names_equal_under_any_unicode_form_or_case_folding_are_refused(name: str) -> None:
    twins = {unicodedata.normalize(form, name) for form in ("NFC", "NFD", "NFKC", "NFKD")} | {
        name.casefold(),
        name.lower(),
    }
    for twin in twins - {name}:
        try:
            entries = entries_of([name, twin])
        except BadInput:
            continue
        with pytest.raises(BadInput):
            Manifest(entries)


def test_the_messages_name_both_files() -> None:
    with pytest.raises(BadInput) as caught:
        Manifest(entries_of(["README", "readme"]))
    assert caught.value.message == "the file names 'README' and 'readme' are the same on some systems"
    assert caught.value.hint == "rename one of them"
    with pytest.raises(BadInput) as caught:
        Manifest(entries_of(["X", "x-y", "x/y/z"]))
    assert caught.value.message == "'X' cannot be both a file and the folder of 'x/y/z'"


def _calls(work: Callable[[], object]) -> int:
    """Return the number of calls, of Python and of C functions, that ``work`` makes."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_very_deep_paths_cost_no_more_than_their_length() -> None:
    shallow = [f"a/{number}" for number in range(100)]
    deep = ["/".join(["a"] * 2_000) + f"/{number}" for number in range(100)]
    # Work for each part would be 200,000 calls.
    assert _calls(lambda: check_together(deep)) <= _calls(lambda: check_together(shallow)) + 10
    manifest = Manifest(entries_of(deep))
    assert Manifest.parse(manifest.canonical()) == manifest


# Empty folders

GOLDEN = (
    ManifestEntry("config.json", 2, Digest.sha256(hashlib.sha256(b"{}").hexdigest())),
    ManifestEntry("bin/run", 3, Digest.sha256(hashlib.sha256(b"run").hexdigest()), True),
)


@pytest.mark.parametrize(
    ("folders", "digest"),
    [
        ((), "dc28a919e840c476a3b79a43bd5acd4a7b7bc16b6ed05b7c2b5a90c0318018ba"),
        (("logs",), "a288084ee2855f3edfe89839feb2af0095de9151787cab83b1025ed0fea21d9d"),
    ],
)
def test_the_digest_of_a_folder_never_changes(folders: tuple[str, ...], digest: str) -> None:
    assert hashlib.sha256(Manifest(GOLDEN, folders).canonical()).hexdigest() == digest


def test_empty_folders_are_entries_whose_path_ends_in_a_slash() -> None:
    nothing = hashlib.sha256(b"").hexdigest()
    assert json.loads(Manifest(GOLDEN, ("logs", "a/b")).canonical()) == {
        "format": "mreg.manifest.v2",
        "files": [
            {"executable": False, "path": "a/b/", "sha256": nothing, "size": 0},
            *({"executable": one.executable, "path": one.path, "sha256": one.digest.value, "size": one.size}
              for one in reversed(GOLDEN)),
            {"executable": False, "path": "logs/", "sha256": nothing, "size": 0},
        ],
    }  # fmt: skip


@given(manifests(), st.lists(PATHS, max_size=4))
def test_a_manifest_with_empty_folders_is_what_its_canonical_bytes_say(manifest: Manifest, folders: list[str]) -> None:
    try:
        made = Manifest(manifest.entries, tuple(folders))
    except BadInput:
        return
    assert Manifest.parse(made.canonical()) == made
    assert (made.canonical() == manifest.canonical()) is (not folders)


@pytest.mark.parametrize("folder", ["", "/", "../x", "/x", "a//b", "a/", "a/../b", "C:x", "a\nb"])
def test_an_empty_folder_that_could_leave_the_folder_is_refused(folder: str) -> None:
    with pytest.raises(BadInput):
        Manifest(GOLDEN, (folder,))
    entry = {"executable": False, "path": f"{folder}/", "sha256": hashlib.sha256(b"").hexdigest(), "size": 0}
    hostile = {"files": [entry], "format": "mreg.manifest.v2"}
    with pytest.raises(Corrupt):
        Manifest.parse(json.dumps(hostile, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "folders", [("bin",), ("config.json",), ("Config.JSON/x",), ("a", "A"), ("a", "a"), ("a", "a/b")]
)
def test_an_empty_folder_beside_the_same_name_or_with_content_is_refused(folders: tuple[str, ...]) -> None:
    with pytest.raises(BadInput):
        Manifest(GOLDEN, folders)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(format="mreg.manifest.v1"),
        lambda document: document.update(format="mreg.manifest.v3"),
        lambda document: document["files"].pop(),
        lambda document: document["files"][-1].update(size=1),
        lambda document: document["files"][-1].update(executable=True),
        lambda document: document["files"][-1].update(sha256="0" * 64),
    ],
)
def test_another_form_of_an_empty_folder_is_refused(change: Callable[[Any], object]) -> None:
    document = json.loads(Manifest(GOLDEN, ("logs",)).canonical())
    change(document)
    with pytest.raises(Corrupt):
        Manifest.parse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
