"""A catalog, a manifest or a working folder that another person prepared never leads a command out of its place."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mreg.artifacts.destination import Destination
from mreg.artifacts.local import LocalBackend
from mreg.artifacts.store import ArtifactStore
from mreg.domain.digest import Digest
from mreg.domain.manifest import Manifest, ManifestEntry
from mreg.domain.paths import reserved_on_windows
from mreg.errors import BadInput, Corrupt
from mreg.registry.local import LocalRegistry
from mreg.server.ui.links import external_link
from tests.conftest import local_registry
from tests.hostile import attack, plant, printable_only, snapshot, untouched
from tests.servers import Place

CORRUPT = 6


@pytest.fixture
def catalog() -> Path:
    """A catalog of a file ``m@1`` and a folder ``net@1``, with its artifacts beside it."""
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    Path("net/sub").mkdir(parents=True)
    Path("net/config.json").write_text("{}")
    Path("net/sub/weights.bin").write_text("weights")
    os.mkdir("fx")
    with opened() as registry:
        registry.push("model.pkl", name="m", metrics={"accuracy": 0.5}, tags={"a": "b"}, aliases=("champion",))
        registry.push("net", name="net")
    os.unlink("model.pkl")
    os.rename("net", "source")
    os.mkdir("sentinel")
    plant("sentinel")
    return Path("fx/catalog.db")


def opened() -> LocalRegistry:
    return local_registry(catalog=os.path.abspath("fx/catalog.db"), artifacts=os.path.abspath("fx/artifacts"))


def change(catalog: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(catalog)
    with connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(sql, values)
    connection.close()


def run(*words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """A command on that catalog as a process of its own: its exit code and what it said."""
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("fx/catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", os.path.abspath("fx/artifacts"))
    done = attack(*words)
    assert printable_only(done.out + done.err, allowed="\n\t"), done
    return done.code, done.text


NAMES = ["{sentinel}/owned", "../../evil", "../evil", "..", ".", "", "a/b", "a\\b", "..\\evil", "C:evil", "a\0b", "a\nb",
         "a\x1b[2J", "a\u202eb", "x" * 256, b"model.pkl"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_pull_never_writes_where_an_artifact_name_in_the_catalog_leads(
    catalog: Path, name: str | bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = name.format(sentinel=os.path.abspath("sentinel")) if isinstance(name, str) else name
    change(catalog, "UPDATE versions SET artifact_name = ?", stored)
    with untouched("..", but=("here/fx",)):
        code, text = run("pull", "m@1", "--force", monkeypatch=monkeypatch)
        assert code == CORRUPT
        assert (
            "cannot read the row " in text or "invalid value of artifact_name in the catalog: expected a string" in text
        )
        for reference in ("m@1", "net@1"):
            for destination in (None, ".", "copy"):
                for force in (False, True):
                    with opened() as registry, pytest.raises(Corrupt):
                        registry.pull(reference, destination, force=force)


@pytest.mark.parametrize("name", ["-rf", "--force", "-", ".bashrc", ".git", "..."])
@pytest.mark.parametrize("model", ["m", "net"])
def test_a_pull_asks_for_a_destination_before_it_makes_an_option_or_a_hidden_file(
    catalog: Path, name: str, model: str
) -> None:
    change(catalog, "UPDATE versions SET artifact_name = ?", name)
    os.mkdir("into")
    places: list[str | None] = [None, "into"] if model == "m" else [None]
    with opened() as registry:
        for place in places:
            with untouched("..", but=("here/fx",)), pytest.raises(BadInput) as caught:
                registry.pull(f"{model}@1", place)
            assert caught.value.message == (
                f"cannot take the destination from the catalog: the artifact name '{name}' begins with '{name[0]}'"
            )
            word = caught.value.hint.split()[3]
            assert caught.value.hint.startswith(f"mreg pull {model}@1 {'./' if place is None else 'into/'}")
            registry.pull(f"{model}@1", word)
            assert not os.path.basename(word).startswith(("-", "."))
        registry.pull(f"{model}@1", f"./{name}" if name not in ("...", ".git") else ".hidden")


def test_a_hint_with_a_stored_name_is_quoted_for_the_shell(catalog: Path) -> None:
    change(catalog, "UPDATE versions SET artifact_name = ?", "-$(touch PWNED) x")
    with opened() as registry, pytest.raises(BadInput) as caught:
        registry.pull("m@1")
    assert caught.value.hint == "mreg pull m@1 './$(touch PWNED) x'"


def test_a_folder_with_hidden_files_and_names_like_options_can_be_pulled(catalog: Path) -> None:
    for name in (".gitattributes", "-x", "--force", ".cache/x"):
        path = Path("source") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    with opened() as registry:
        registry.push("source", name="net")
        assert registry.pull("net@2", "copy").destination == Path("copy").absolute()
    assert Path("copy/.gitattributes").read_text() == ".gitattributes"
    assert Path("copy/-x").read_text() == "-x"


# A partial pull that another person prepared


def folder_version(root: Path, store: ArtifactStore) -> tuple[Digest, tuple[ManifestEntry, ...]]:
    """A stored folder of two files, and its manifest's entries."""
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub" / "weights.bin").write_text("weights")
    stored = store.put(str(root))
    return stored.digest, store.manifest(stored.digest).entries


def receive(store: ArtifactStore, digest: Digest, entries: tuple[ManifestEntry, ...], path: Path) -> None:
    """A pull that goes on from what an earlier one left, as those over a network do."""
    blobs = {entry.digest: Path("source") / entry.path for entry in entries}
    place = Destination(path, lambda wanted: (iter([blobs[one.digest].read_bytes()]) for one in wanted), resumable=True)
    place.receive_folder(digest, Manifest(entries), force=False)


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a link in its place": lambda partial, victim: partial.symlink_to(victim),
    "a link to a file in its place": lambda partial, victim: partial.symlink_to(victim / "documents/thesis.txt"),
    "a file in its place": lambda partial, victim: partial.write_text("file"),
    "a hard link in its place": lambda partial, victim: os.link(victim / "documents/thesis.txt", partial),
    "a pipe in its place": lambda partial, victim: os.mkfifo(partial),
    "a link for a folder": lambda partial, victim: (partial.mkdir(), (partial / "sub").symlink_to(victim)),
    "a link for a file": lambda partial, victim: (
        partial.mkdir(),
        (partial / "config.json").symlink_to(victim / "documents/thesis.txt"),
    ),
    "a hard link for a file": lambda partial, victim: (
        partial.mkdir(),
        os.link(victim / "documents/thesis.txt", partial / "config.json"),
    ),
    "a folder for a file": lambda partial, victim: (partial / "config.json/x").mkdir(parents=True),
    "a file for a folder": lambda partial, victim: (partial.mkdir(), (partial / "sub").write_text("x")),
    "links beside them": lambda partial, victim: (
        partial.mkdir(),
        (partial / "x").symlink_to(victim),
        (partial / "y").symlink_to(victim / "bin/tool"),
    ),
    "folders beside them": lambda partial, victim: (partial / ".git/hooks/a/b").mkdir(parents=True),
    "a very deep folder": lambda partial, victim: deep(partial),
    "a pipe for a file": lambda partial, victim: (partial.mkdir(), os.mkfifo(partial / "config.json")),
    "the right file, setuid": lambda partial, victim: (
        partial.mkdir(),
        (partial / "config.json").write_text("{}"),
        (partial / "config.json").chmod(0o4644),
    ),
}


def deep(partial: Path) -> None:
    """A folder in a folder, 1,500 times: deeper than Python's recursion limit, and than a path can be long."""
    partial.mkdir()
    current = os.open(partial, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=current)
        inner = os.open("deep", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("ending", ["digest", "0123456789ab"])
def test_a_planted_partial_pull_leads_no_write_and_no_removal_outside(
    tmp_path: Path, planted: str, ending: str
) -> None:
    store = ArtifactStore(LocalBackend(tmp_path / "store"))
    digest, entries = folder_version(Path("source"), store)
    plant(victim := tmp_path / "victim")
    os.mkdir("project")
    partial = Path("project") / f".net.mreg-{digest.value[:16] if ending == 'digest' else ending}"
    PLANTED[planted](partial, victim)
    try:
        with untouched(victim):
            receive(store, digest, entries, Path("project/net").absolute())
    finally:
        subprocess.run(["rm", "-rf", partial], check=True)  # too deep for those who clean up after tests
    found = snapshot("project/net")
    assert {name: kind[0] for name, kind in found.items()} == {
        ".": "folder",
        "config.json": "file",
        "sub": "folder",
        "sub/weights.bin": "file",
    }
    assert os.stat("project/net/config.json").st_mode & 0o7000 == 0
    assert os.stat("project/net/config.json").st_nlink == 1


PLANTED_FILES: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda partial, victim: partial.symlink_to(victim / "documents/thesis.txt"),
    "a link to nothing": lambda partial, victim: partial.symlink_to(victim / "new"),
    "a link to a folder": lambda partial, victim: partial.symlink_to(victim),
    "a hard link": lambda partial, victim: os.link(victim / "documents/thesis.txt", partial),
    "a pipe": lambda partial, victim: os.mkfifo(partial),
    "a folder": lambda partial, victim: (partial / "x").mkdir(parents=True),
    "the right file, setuid": lambda partial, victim: (partial.write_text("weights"), partial.chmod(0o4644)),
}


@pytest.mark.parametrize("planted", PLANTED_FILES)
@pytest.mark.parametrize("ending", ["digest", "0123456789ab"])
def test_a_planted_partial_pull_of_a_file_leads_no_write_outside(tmp_path: Path, planted: str, ending: str) -> None:
    Path("source").write_text("weights")
    digest = ArtifactStore(LocalBackend(tmp_path / "store")).put("source").digest
    plant(victim := tmp_path / "victim")
    os.mkdir("project")
    partial = Path("project") / f".net.mreg-{digest.value[:16] if ending == 'digest' else ending}"
    PLANTED_FILES[planted](partial, victim)
    place = Destination(
        Path("project/net").absolute(), lambda _wanted: (iter([b"weights"]) for _ in "1"), resumable=True
    )
    with untouched(victim):
        place.receive_file(digest, 7, force=False)
    found = os.lstat("project/net")
    assert (Path("project/net").read_text(), stat.S_ISREG(found.st_mode), found.st_nlink) == ("weights", True, 1)
    assert found.st_mode & 0o7000 == 0


def test_what_a_person_named_like_a_partial_pull_is_not_removed(catalog: Path) -> None:
    Path(".copy.mreg-notes").write_text("mine")
    with opened() as registry:
        registry.pull("m@1", "copy")
    assert Path(".copy.mreg-notes").read_text() == "mine"


# Manifests, sizes and trees


def test_a_manifest_deeper_than_the_recursion_limit_is_pulled_or_refused(catalog: Path) -> None:
    path = "/".join(["d"] * 1200)
    content = hashlib.sha256(b"x").hexdigest()
    store_manifest(catalog, [{"executable": False, "path": path, "sha256": content, "size": 1}], blobs=[b"x"])
    try:
        with opened() as registry:
            registry.pull("net@1", "copy")
        assert (Path("copy") / path).read_text() == "x"
    finally:
        subprocess.run(["rm", "-rf", "copy"], check=True)


@pytest.mark.parametrize(
    "paths", [["a", "a/b"], ["../x"], ["/x"], ["a\\..\\x"], ["a", "a"], ["A", "a"], ["C:x"], ["a\0b"]]
)
def test_a_hostile_manifest_writes_nothing(catalog: Path, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    content = hashlib.sha256(b"x").hexdigest()
    entries = [{"executable": False, "path": path, "sha256": content, "size": 1} for path in paths]
    store_manifest(catalog, entries, blobs=[b"x"])
    with untouched("..", but=("here/fx",)):
        assert run("pull", "net@1", "copy", monkeypatch=monkeypatch)[0] == CORRUPT


def test_a_large_file_that_a_row_calls_a_folder_does_not_fill_the_memory(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b'{"files":[' + b"[]," * (20 << 20)
    put_blob(data)
    change(catalog, "UPDATE artifacts SET digest = ? WHERE kind = 'folder'", hashlib.sha256(data).hexdigest())
    for words in (["pull", "net@1", "copy"], ["verify", "net@1"], ["export", "net@1"], ["compare", "net@1", "net@1"]):
        assert run(*words, monkeypatch=monkeypatch)[0] in (0, CORRUPT)
    assert not os.path.lexists("copy")


@pytest.mark.parametrize("size", [0, 1, 6, 2**40, 2**63 - 1])
def test_a_size_in_a_row_that_lies_is_found(catalog: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    change(catalog, "UPDATE artifacts SET size_bytes = ? WHERE kind = 'file'", size)
    for words in (["pull", "m@1", "copy"], ["verify", "m@1"], ["export", "m@1"], ["pull", "m@1", "--stdout"]):
        assert run(*words, monkeypatch=monkeypatch)[0] in (CORRUPT, 8)
    assert not os.path.lexists("copy")


@pytest.mark.parametrize("size", [4, 6, 2**63 - 1])
def test_a_size_that_lies_is_found_over_a_network(bucket: Place, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model.pkl").write_bytes(b"\x80\x04K\x01.")
    with local_registry() as registry:
        registry.push("model.pkl", name="m")
    change(Path("catalog.db"), "UPDATE artifacts SET size_bytes = ?", size)
    for words in (["pull", "m@1", "copy"], ["verify", "m@1"], ["export", "m@1"], ["pull", "m@1", "--stdout"]):
        assert attack(*words).code in (CORRUPT, 8)
    assert not os.path.lexists("copy")


def test_a_version_that_has_several_parents_stands_in_the_tree_once(
    catalog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for level in range(40):  # each level's two are both made from both of the level before: 2**40 ways
        for side in (0, 1):
            for parent in (0, 1):
                version_id = 1000 + 2 * level + side
                bury(catalog, version_id, parent_id=998 + 2 * level + parent if level else 1, table=parent)
    code, text = run("lineage", "m@1", monkeypatch=monkeypatch)
    assert code == 0
    assert len(text.splitlines()) < 400


def bury(catalog: Path, version_id: int, *, parent_id: int, table: int) -> None:
    if table:
        change(
            catalog,
            "INSERT OR IGNORE INTO deleted_versions SELECT ?, model_id, 'm', ?, ?, ?, '2026-01-01T00:00:00.000000Z' "
            "FROM models LIMIT 1",
            version_id,
            version_id,
            parent_id,
            "0" * 64,
        )
        return
    connection = sqlite3.connect(catalog)
    connection.row_factory = sqlite3.Row
    with connection:
        row = dict(connection.execute("SELECT * FROM versions WHERE version_id = 1").fetchone())
        row |= {"version_id": version_id, "version": version_id, "parent_id": parent_id}
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT OR IGNORE INTO versions ({', '.join(row)}) VALUES ({marks})", row)
    connection.close()


def put_blob(data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    place = Path("fx/artifacts/blobs/sha256") / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return digest


def store_manifest(catalog: Path, entries: list[dict[str, object]], blobs: list[bytes]) -> None:
    """Make ``net@1`` a folder of these entries."""
    document = {"files": entries, "format": "mreg.manifest.v1"}
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    for blob in blobs:
        put_blob(blob)
    change(
        catalog, "UPDATE artifacts SET digest = ?, size_bytes = 1, file_count = 1 WHERE kind = 'folder'", put_blob(data)
    )


# Rows


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("UPDATE versions SET run_url = ?", "https://x\n"), ("UPDATE versions SET git_remote = ?", "a\x1b[2J"),
        ("UPDATE versions SET created_by = ?", "\u202eada"), ("UPDATE versions SET created_by = ?", b"ada"),
        ("UPDATE versions SET description = ?", "a\0b"), ("UPDATE versions SET version = ?", -1),
        ("UPDATE versions SET version = ?", 2**40), ("UPDATE versions SET version = ?", 1.5),
        ("UPDATE versions SET environment = ?", "[" * 100_000), ("UPDATE versions SET environment = ?", '{"a": 1}'),
        ("UPDATE versions SET created_at = ?", "0001-01-01T00:00:00.000000Z"),
        ("UPDATE versions SET created_at = ?", "9999-12-31T23:59:59.999999Z"),
        ("UPDATE versions SET created_at = ?", "2026-01-01"), ("UPDATE versions SET git_dirty = ?", 7),
        ("UPDATE versions SET stage = ?", "production"), ("UPDATE versions SET parent_id = ?", "x"),
        ("UPDATE artifacts SET size_bytes = ?", -1), ("UPDATE artifacts SET size_bytes = ?", 1.5),
        ("UPDATE artifacts SET file_count = ?", 2**62), ("UPDATE artifacts SET file_count = ?", -1),
        ("UPDATE artifacts SET digest = substr(digest, 2) || ?", "A"), ("UPDATE artifacts SET kind = ?", "link"),
        ("UPDATE metrics SET exact = ?", "nan"), ("UPDATE metrics SET exact = ?", "9" * 5000),
        ("UPDATE metrics SET exact = ?", "1_0"), ("UPDATE metrics SET name = ?", "a=b"),
        ("UPDATE metrics SET name = ?", b"accuracy"), ("UPDATE version_tags SET name = ?", "a\nb"),
        ("UPDATE version_tags SET value = ?", b"b"), ("UPDATE version_tags SET value = ?", "x" * 5001),
        ("UPDATE aliases SET alias = ?", "latest"), ("UPDATE aliases SET alias = ?", "../x"),
        ("UPDATE models SET name = name || ?", "/../x"), ("UPDATE models SET primary_metric = ?", "a\nb"),
        ("UPDATE models SET version_count = ?", -1), ("UPDATE models SET created_by = ?", "a\x1b]0;x\x07"),
    ],
)  # fmt: skip
def test_a_value_that_mreg_would_not_store_is_corrupt_where_it_is_read(catalog: Path, sql: str, value: object) -> None:
    change(catalog, sql, value)
    with opened() as registry, pytest.raises(Corrupt):
        registry.models()
        for name in ("m", "net"):
            registry.show(name)


def test_a_stored_address_that_a_browser_could_run_is_text_alone() -> None:
    for address in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "JaVaScRiPt:x", "//x", "git@h:p"):
        assert external_link(address) == ""
    assert external_link("https://example.com/run") == "https://example.com/run"


@pytest.mark.parametrize("number", [2**31 - 1, 2**63 - 1, -5, "x"])
def test_a_last_version_that_leaves_no_number_is_corrupt(catalog: Path, number: object) -> None:
    change(catalog, "UPDATE models SET last_version = ?", number)
    Path("new").write_text("new")
    with opened() as registry, pytest.raises(Corrupt):
        registry.push("new", name="m")


@pytest.mark.parametrize("seq", [2**63 - 1, 0, -7])
def test_an_event_out_of_the_order_is_corrupt_for_readers_and_writers(catalog: Path, seq: int) -> None:
    change(catalog, "UPDATE events SET seq = ? WHERE seq = (SELECT max(seq) FROM events)", seq)
    with opened() as registry:
        with pytest.raises(Corrupt):
            registry.history()
        with pytest.raises(Corrupt):
            registry.verify_audit()
    if seq > 0:
        with opened() as registry, pytest.raises(Corrupt):
            registry.register("another")


@pytest.mark.parametrize(
    "name", ["con", "NUL.txt", "com1", "a/aux/b", "lpt\u00b9", "a:b", "name.", "name ", "x/y./z", "CONIN$"]
)
def test_names_that_windows_takes_for_something_else_are_known(name: str) -> None:
    assert reserved_on_windows(name)


@pytest.mark.parametrize("name", ["console", "com", "com10", ".gitattributes", "-x", "a/b.txt", "nul_1", "prn-x"])
def test_other_names_are_fine_on_windows(name: str) -> None:
    assert not reserved_on_windows(name)
