"""Long operations of a registry on a server: the results, errors and files of a local registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import mreg
from mreg.errors import BadInput, Corrupt, NotAllowed, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.registry.remote import RemoteRegistry
from mreg.remote.connection import Connection
from tests.proxy import Proxy
from tests.server.conftest import Tokens
from tests.server.test_long_operations import InProcess, garbage, guarded

Remote = Callable[..., RemoteRegistry]


@pytest.fixture
def remote(registry: LocalRegistry) -> Iterator[Remote]:
    """Opens a registry on a server; its notices are in ``notices``."""
    opened: list[RemoteRegistry] = []

    def open_remote(url: str, secret: str = "", notices: list[str] | None = None) -> RemoteRegistry:
        notice = (notices if notices is not None else []).append
        connection = Connection(url, token=lambda: secret)
        opened.append(RemoteRegistry(connection, registry.profile, notice))  # type: ignore[abstract]
        return opened[-1]

    yield open_remote
    for one in opened:
        one.close()


@pytest.fixture
def filled(registry: LocalRegistry) -> LocalRegistry:
    """A model with a file, a folder and an alias."""
    Path("model").write_bytes(b"m" * 300_000)
    Path("net/sub").mkdir(parents=True)
    Path("net/a").write_text("a")
    Path("net/sub/b").write_text("b")
    registry.push("model", name="team/m", metrics={"accuracy": 0.5}, aliases=["champion"])
    registry.push("net", name="team/m")
    return registry


@pytest.fixture
def over(filled: LocalRegistry, in_process: InProcess, remote: Remote) -> RemoteRegistry:
    """The filled registry over HTTP."""
    return remote(in_process().url)


@pytest.mark.parametrize("reference", [None, "team/m", "team/m@1", "team/m/1", "team/m@champion"])
def test_verify_returns_the_same_as_locally(over: RemoteRegistry, filled: LocalRegistry, reference: str | None) -> None:
    progress: list[tuple[int, int]] = []
    found = over.verify(reference, progress=lambda *both: progress.append(both))
    assert found == filled.verify(reference)
    assert progress[-1] == (found.size_bytes, found.size_bytes)


@pytest.mark.parametrize("reference", ["none", "team/m@9", "team/m@-", "team/n/1"])
def test_verify_raises_the_same_as_locally(over: RemoteRegistry, filled: LocalRegistry, reference: str) -> None:
    with pytest.raises(mreg.MregError) as here:
        filled.verify(reference)
    with pytest.raises(type(here.value)) as there:
        over.verify(reference)
    assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)


def test_the_other_examinations_return_the_same_as_locally(over: RemoteRegistry, filled: LocalRegistry) -> None:
    assert over.verify_audit() == filled.verify_audit()
    assert over.examine() == filled.examine()
    first, *others = [check.name for check in over.check()]
    assert first == "reach the server"
    assert others[-len(filled.check()) :] == [check.name for check in filled.check()]
    with pytest.raises(BadInput, match="sample must be above 0"):
        over.verify(sample=0)


def test_gc_removes_what_was_seen(over: RemoteRegistry, filled: LocalRegistry, store: Path) -> None:
    garbage(store, 2_500)
    seen = over.gc()
    assert sorted(seen, key=str) == sorted(filled.gc(), key=str)
    garbage(store, 1, "later")
    progress: list[tuple[int, int]] = []
    removed = over.gc(remove=True, seen=seen, progress=lambda *both: progress.append(both))
    assert len(removed) == 2_500
    assert progress
    assert len(over.gc(remove=True, grace=timedelta(hours=2))) == 1
    with pytest.raises(BadInput, match="grace"):
        over.gc(grace=timedelta(seconds=-1))


class Passes(list[str]):
    """The names of the passes of a progress."""

    def __call__(self, _done: int, _total: int) -> None: ...

    def name_pass(self, name: str) -> None:
        self.append(name)


def test_each_pass_of_an_export_and_an_import_has_a_name(over: RemoteRegistry) -> None:
    packed, imported = Passes(), Passes()
    over.export("team/m", "m.mreg", progress=packed)
    over.import_bundle("m.mreg", "copy", progress=imported)
    assert (packed, imported) == (["pack", "fetch"], ["verify", "send", "import"])


@pytest.mark.parametrize("reference", ["team/m", "team/m@1", "team/m/2", "team/m@champion"])
def test_an_export_is_the_same_file_as_locally(over: RemoteRegistry, filled: LocalRegistry, reference: str) -> None:
    os.mkdir("there")
    os.mkdir("here")
    mine = filled.export(reference, "here")
    progress: list[tuple[int, int]] = []
    found = over.export(reference, "there", progress=lambda *both: progress.append(both))
    assert (found.reference, found.versions, found.size_bytes) == (mine.reference, mine.versions, mine.size_bytes)
    assert found.destination.name == mine.destination.name
    assert found.destination.read_bytes() == mine.destination.read_bytes()
    assert progress[-1] == (found.size_bytes, found.size_bytes)
    assert [path.name for path in Path("there").iterdir()] == [mine.destination.name]


def test_an_export_refuses_the_same_destinations_as_locally(over: RemoteRegistry, filled: LocalRegistry) -> None:
    Path("taken").write_text("taken")
    os.mkdir(".git")
    for destination in ("taken", ".git/m.mreg", "none/m.mreg", "s3://bucket/m.mreg"):
        with pytest.raises(mreg.MregError) as here:
            filled.export("team/m", destination)
        with pytest.raises(type(here.value)) as there:
            over.export("team/m", destination)
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    assert Path("taken").read_text() == "taken"
    over.export("team/m", "taken", force=True)
    assert Path("taken").stat().st_size > 300_000
    with pytest.raises(NotFound, match=r"^model 'none' not found$"):
        over.export("none")


def test_an_export_of_damaged_bytes_writes_nothing(over: RemoteRegistry, store: Path) -> None:
    blob = next(path for path in store.rglob("*") if path.is_file() and path.stat().st_size == 300_000)
    blob.chmod(0o600)
    blob.write_bytes(b"x" * 300_000)
    with pytest.raises(Corrupt, match="damaged"):
        over.export("team/m", "out.mreg")
    assert not [path.name for path in Path().iterdir() if "mreg" in path.name]


def test_an_import_is_the_same_as_locally(over: RemoteRegistry, remote: Remote, registry: LocalRegistry) -> None:
    over.export("team/m", "m.mreg")
    local = mreg.open_registry(catalog=os.path.abspath("other.db"), artifacts=os.path.abspath("other"))
    said: list[str] = []
    with local:
        expected = local.import_bundle("m.mreg", "copy", aliases=True)
    again = remote(str(over.connection.address), notices=said)
    progress: list[tuple[int, int]] = []
    found = again.import_bundle("m.mreg", "copy", aliases=True, progress=lambda *both: progress.append(both))
    assert found == expected
    assert not said
    assert progress
    assert registry.version("copy@champion").version == 1
    assert all(version.already_there for version in over.import_bundle("m.mreg", "copy").versions)
    with pytest.raises(BadInput):
        over.import_bundle("m.mreg", "bad name")


def test_a_damaged_bundle_is_refused_as_locally(over: RemoteRegistry, filled: LocalRegistry) -> None:
    over.export("team/m", "m.mreg")
    data = Path("m.mreg").read_bytes()
    for content in (b"", b"x", data[:-2000], data[:100_000] + b"y" + data[100_001:]):
        Path("bad.mreg").write_bytes(content)
        with pytest.raises(mreg.MregError) as here:
            filled.import_bundle("bad.mreg", "copy")
        with pytest.raises(type(here.value)) as there:
            over.import_bundle("bad.mreg", "copy")
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    with pytest.raises(NotFound):
        over.import_bundle("missing.mreg")


def test_a_backup_is_a_verified_catalog(over: RemoteRegistry, filled: LocalRegistry) -> None:
    mine, found = filled.backup("mine.db"), over.backup("there.db")
    assert (found.rows, found.events, found.last_hash) == (mine.rows, mine.events, mine.last_hash)
    assert found.target == os.path.abspath("there.db")
    with mreg.open_registry(catalog=found.target, artifacts=os.path.abspath("none")) as opened:
        assert opened.verify_audit() == filled.verify_audit()
    for destination in ("there.db", "none/x.db", "s3://x/y"):
        with pytest.raises(mreg.MregError) as here:
            filled.backup(destination)
        with pytest.raises(type(here.value)) as there:
            over.backup(destination)
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    over.backup("there.db", force=True)
    assert sorted(path.name for path in Path().glob("*.db*")) == ["mine.db", "there.db"]


def test_a_role_that_is_too_low_is_named(
    filled: LocalRegistry,
    in_process: InProcess,
    tokens: Tokens,
    remote: Remote,
) -> None:
    server = in_process(guarded(tokens))
    reader = remote(server.url, tokens.secrets["reader"])
    for call in (reader.gc, reader.examine, lambda: reader.backup("b.db"), reader.verify):
        with pytest.raises(NotAllowed, match="has role reader; this needs role "):
            call()
    assert {check.error or check.lacks for check in reader.check()} == {""}  # a note says what was not checked
    reader.export("team/m@1", "one.mreg")
    writer = remote(server.url, tokens.secrets["writer"])
    writer.import_bundle("one.mreg", "copy")
    assert filled.history("copy@1")[0].actor == "writer"


# Faults


@pytest.fixture
def cut(filled: LocalRegistry, in_process: InProcess) -> Iterator[Proxy]:
    proxy = Proxy(in_process().port)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_download_that_is_cut_is_continued(cut: Proxy, remote: Remote, filled: LocalRegistry, share: float) -> None:
    mine = filled.export("team/m", "mine.mreg")
    over = remote(cut.endpoint)
    over.verify_audit()
    cut.down = 0
    cut.cut_down_after = 2_000 + int(mine.size_bytes * share)
    found = over.export("team/m", "there.mreg")
    assert found.destination.read_bytes() == mine.destination.read_bytes()
    assert len([line for line in cut.requests if line.startswith("GET /prepared/")]) == 2


@pytest.mark.parametrize("after", [1, 300, 100_000, 300_000])
def test_an_import_that_is_cut_is_repeated(cut: Proxy, remote: Remote, filled: LocalRegistry, after: int) -> None:
    filled.export("team/m", "mine.mreg")
    over = remote(cut.endpoint)
    over.verify_audit()
    cut.up = 0
    cut.cut_up_after = after
    found = over.import_bundle("mine.mreg", "copy")
    assert [version.already_there for version in found.versions] == [False, False]
    assert len(filled.show("copy").versions) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("verify", "the connection was lost, and nothing was changed: ", "repeat the command"),
        (
            "gc",
            "the connection was lost, and part of the garbage might have been removed: ",
            "repeat the command: it removes the rest",
        ),
        (
            "import",
            "the connection was lost, and the versions of the bundle might have been imported: ",
            "repeat the command: versions that exist are not imported again",
        ),
    ],
)
def test_a_lost_connection_says_what_can_have_been_changed(
    cut: Proxy, remote: Remote, filled: LocalRegistry, name: str, message: str, hint: str
) -> None:
    filled.export("team/m", "mine.mreg")
    over = remote(cut.endpoint)
    over.verify_audit()
    calls: dict[str, Callable[[], object]] = {
        "verify": over.verify,
        "gc": lambda: over.gc(remove=True),
        "first import": lambda: over.import_bundle("mine.mreg", "cope"),
        "import": lambda: over.import_bundle("mine.mreg", "copy"),
    }
    cut.down = 0
    calls[name if name != "import" else "first import"]()
    whole, cut.down = cut.down, 0
    cut.cut_down_after = whole - 60  # in the last event
    with pytest.raises(Unavailable) as failure:
        calls[name]()
    assert failure.value.message.startswith(message)
    assert failure.value.hint == hint
    calls[name]()
    if name == "import":
        assert len(filled.show("copy").versions) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("call", "action", "command"),
    [
        (lambda over: over.restore("b.db"), "restore a backup", "mreg restore b.db"),
        (lambda over: over.upgrade(dry_run=True), "upgrade the catalog", "mreg upgrade --dry-run"),
        (
            lambda over: over.import_mlflow("http://u:secret@h", models=["a*", "b"]),
            "import from MLflow",
            "mreg import mlflow:URI --model 'a*' --model b",
        ),
        (
            lambda over: over.import_hub("a/b", revision="v1"),
            "import from the Hugging Face Hub",
            "mreg import hf:a/b@v1",
        ),
    ],
)
def test_what_a_server_does_not_offer_names_the_command_to_use(
    remote: Remote, call: Callable[[RemoteRegistry], object], action: str, command: str
) -> None:
    with pytest.raises(BadInput) as failure:
        call(remote("https://models.example"))
    assert (
        failure.value.message
        == f"cannot {action} through https://models.example: the command needs direct access to the catalog"
    )
    assert command in failure.value.hint
    assert "secret" not in failure.value.hint


def test_damage_on_the_server_is_a_matter_of_its_operator(
    over: RemoteRegistry, filled: LocalRegistry, store: Path, tmp_path: Path
) -> None:
    digest = filled.version("team/m@2").artifact.digest.value
    (store / "blobs/sha256" / digest[:2] / digest[2:]).unlink()
    for call in (
        lambda: over.pull("team/m@2", tmp_path / "back"),
        lambda: over.export("team/m@2", tmp_path / "x.mreg"),
    ):
        with pytest.raises(Corrupt) as raised:
            call()
        assert raised.value.message.count("team/m@2") == 1
        assert raised.value.hint.startswith("operator of the server: ")


def test_ctrl_c_says_that_the_server_stops_and_what_can_have_been_changed(
    filled: LocalRegistry, over: RemoteRegistry
) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    filled.push("model", name="team/gone")
    filled.delete("team/gone", force=True)
    with pytest.raises(KeyboardInterrupt) as raised:
        over.verify(progress=interrupt)
    assert raised.value.__notes__ == ["the server stops the operation, too; nothing was changed\nrepeat the command"]
    with pytest.raises(KeyboardInterrupt) as raised:
        over.gc(remove=True, progress=interrupt)
    assert raised.value.__notes__ == [
        "the server stops the operation, too; part of the garbage might have been removed\n"
        "repeat the command: it removes the rest"
    ]
