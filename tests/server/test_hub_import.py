"""Imports from the Hugging Face Hub, which is played by the Hub's endpoint of `mreg serve`, with the Hub's own client."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.commit import commit_id
from mreg.domain.text import TEXT_LIMIT
from mreg.errors import BadInput, Corrupt, MregError, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.results.imports import ImportReport, ImportStatus
from tests.conftest import Mreg
from tests.proxy import Proxy
from tests.server.conftest import Served

CARD = "---\nlicense: mit\n---\n# Churn\n\nTells who leaves.\n"


@pytest.fixture
def mine(registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """The registry that imports; ``registry`` is the one that the endpoint serves."""
    registry.models()
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "mine" / "catalog.db"))
    monkeypatch.setenv("MREG_ARTIFACTS", str(tmp_path / "mine" / "artifacts"))
    with mreg.open_registry() as opened:
        opened.models()
        yield opened


@pytest.fixture
def hub(in_process: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A line to a server of the Hub's routes, which the client uses."""
    from huggingface_hub import constants

    proxy = Proxy(in_process().port)
    monkeypatch.setattr(constants, "ENDPOINT", proxy.endpoint)
    template = proxy.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield proxy
    proxy.stop()


def pushed(registry: LocalRegistry, text: str = "one", card: str = CARD, name: str = "team/churn") -> str:
    """Push a model to the hub; its commit."""
    folder = Path("net")
    (folder / "sub dir").mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(card)
    (folder / "sub dir" / "wéights.bin").write_bytes(text.encode() * 1000)
    commit = commit_id(registry.push(folder, name=name))
    shutil.rmtree(folder)
    return commit


def only(report: ImportReport) -> Any:
    (entry,) = report.versions
    return entry


def test_a_revision_is_imported_once(mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, tmp_path: Path) -> None:
    commit = pushed(registry)
    planned = only(mine.import_hub("team/churn", dry_run=True))
    assert (planned.status, planned.reference, planned.source) == (ImportStatus.PLANNED, None, f"team/churn@{commit}")
    assert mine.models() == ()
    progress: list[tuple[int, int]] = []
    entry = only(mine.import_hub("team/churn", progress=lambda done, total: progress.append((done, total))))
    assert (entry.status, str(entry.reference)) == (ImportStatus.ADDED, "team/churn@1")
    assert progress[-1] == (entry.size_bytes, entry.size_bytes)
    version = mine.version("team/churn@1")
    assert version.description == "# Churn\n\nTells who leaves."
    assert version.data == {"huggingface": f"hf://team/churn@{commit}"}
    assert version.artifact.digest == registry.version("team/churn@1").artifact.digest
    assert mine.history("team/churn@1")[-1].details["imported"] == {"reference": f"hf:team/churn@{commit}"}
    mine.promote("team/churn@1", to="production")
    before = mine.history()
    hub.requests.clear()
    again = only(mine.import_hub("team/churn"))
    assert (again.status, str(again.reference)) == (ImportStatus.PRESENT, "team/churn@1")
    assert again.stage.value == "Production"
    assert mine.history() == before
    assert not [line for line in hub.requests if "/resolve/" in line]
    pushed(registry, "two")
    assert str(only(mine.import_hub("team/churn")).reference) == "team/churn@2"
    assert only(mine.import_hub("team/churn", revision=commit)).status is ImportStatus.PRESENT
    assert not mine.verify().problems


def test_a_revision_is_named_by_stage_and_the_model_by_the_user(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, command: Mreg
) -> None:
    pushed(registry)
    pushed(registry, "two")
    registry.promote("team/churn@1", to="production")
    done = command("import", "hf:team/churn@production", "--as", "mine", "--format", "plain")
    assert done.code == 0, done.err
    assert done.out.splitlines()[1].split("\t")[1] == "mine@1"
    assert command("import", "hf:team/churn@production", "--as", "mine", "-q").out == "mine@1\n"
    assert mine.version("mine@1").artifact.digest == registry.version("team/churn@1").artifact.digest


@pytest.mark.parametrize(
    ("repository", "revision", "kind", "message"),
    [
        ("team/nothing", "", NotFound, "{hub} has no repository 'team/nothing'"),
        ("team/churn", "nothing", NotFound, "team/churn has no revision 'nothing'"),
        ("team/churn", "../../x", BadInput, "invalid revision '../../x'"),
        ("team/churn", "a/../b", BadInput, "invalid revision 'a/../b'"),
        ("team/churn", "/etc", BadInput, "invalid revision '/etc'"),
        ("team/churn", "a\x1b[2Jb", BadInput, "invalid revision 'a\\x1b[2Jb'"),
        ("", "", BadInput, "the name of the repository is empty"),
        ("../x", "", BadInput, "invalid model name '../x'"),
        ("a/b/c", "", BadInput, "invalid repository 'a/b/c'"),
        ("a/..", "", BadInput, "invalid model name 'a/..'"),
        ("https://x/y", "", BadInput, "invalid model name 'https://x/y'"),
    ],
)
def test_a_name_that_the_hub_does_not_have_or_cannot_have_is_refused(
    mine: LocalRegistry,
    registry: LocalRegistry,
    hub: Proxy,
    repository: str,
    revision: str,
    kind: type[MregError],
    message: str,
) -> None:
    pushed(registry)
    with pytest.raises(kind) as caught:
        mine.import_hub(repository, revision=revision)
    assert caught.value.message == message.replace("{hub}", hub.endpoint)
    assert mine.models() == ()


def test_a_hub_that_fails_is_named(mine: LocalRegistry, registry: LocalRegistry, hub: Proxy) -> None:
    pushed(registry)
    hub.answer = lambda line: ("500 Internal Server Error", "text/plain", "no") if "/resolve/" in line else None
    with pytest.raises((Unavailable, NotFound)) as caught:
        mine.import_hub("team/churn")
    assert caught.value.message.startswith("cannot read team/churn@") or "is not in the cache" in caught.value.message
    hub.stop()
    with pytest.raises(Unavailable) as caught:
        mine.import_hub("team/churn")
    assert caught.value.message == f"cannot read team/churn: cannot reach {hub.endpoint}: Connection refused"
    assert caught.value.hint == "check the network and the endpoint (HF_ENDPOINT)"


def test_an_offline_client_imports_from_its_cache(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, snapshot_download

    commit = pushed(registry)
    snapshot_download("team/churn")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    entry = only(mine.import_hub("team/churn", "offline"))
    assert (entry.source, str(entry.reference)) == (f"team/churn@{commit}", "offline@1")
    with pytest.raises(NotFound) as caught:
        mine.import_hub("team/other")
    assert caught.value.message == "team/other is not in the cache, and the client is offline"
    assert caught.value.hint == "to download it: unset HF_HUB_OFFLINE"


@pytest.mark.parametrize("size", [3000, 2999])
def test_a_damaged_file_of_the_cache_is_not_imported(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, size: int
) -> None:
    from huggingface_hub import snapshot_download

    pushed(registry)
    weights = Path(snapshot_download("team/churn"), "sub dir", "wéights.bin")
    weights.resolve().write_bytes(b"x" * size)
    with pytest.raises(Corrupt, match=r"the file 'sub dir/wéights.bin' is damaged"):
        mine.import_hub("team/churn")
    assert mine.models() == ()


def test_a_link_that_leads_out_of_the_cache_is_refused(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, tmp_path: Path
) -> None:
    from huggingface_hub import snapshot_download

    pushed(registry)
    card = Path(snapshot_download("team/churn"), "README.md")
    (tmp_path / "secret").write_text(CARD)
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    with pytest.raises(BadInput, match=r"the file 'README.md' of team/churn is not in its cache"):
        mine.import_hub("team/churn")


def test_a_long_model_card_is_cut_and_the_rest_is_a_file(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy
) -> None:
    pushed(registry, card="# Long\n" + "x\0" * TEXT_LIMIT)
    entry = only(mine.import_hub("team/churn"))
    assert entry.left_out == ("the end of the model card: the limit of a description is 20,000 characters",)
    assert len(mine.version("team/churn@1").description) == TEXT_LIMIT


@pytest.mark.parametrize(
    ("sha", "path"),
    [
        ("../../../x", "a"),
        ("x" * 40, "a"),
        ("0" * 39, "a"),
        ("0" * 40, "../../x"),
        ("0" * 40, "/etc/x"),
        ("0" * 40, "a\x1b"),
    ],
)
def test_an_endpoint_cannot_choose_where_the_client_writes(
    mine: LocalRegistry, hub: Proxy, tmp_path: Path, sha: str, path: str
) -> None:
    import json

    info = {"id": "team/churn", "sha": sha, "siblings": [{"rfilename": path, "size": 1, "blobId": "0" * 40}]}
    hub.answer = lambda _line: ("200 OK", "application/json", json.dumps(info))
    with pytest.raises(BadInput):
        mine.import_hub("team/churn")
    assert not (tmp_path / "cache").exists()


def test_an_answer_without_end_is_refused(mine: LocalRegistry, hub: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.sources import huggingface

    monkeypatch.setattr(huggingface, "ANSWER_BYTES", 1 << 20)
    hub.answer = lambda _line: ("200 OK", "application/json", "[" * (4 << 20))
    with pytest.raises(BadInput, match="the answer of the endpoint has more than 1 MiB"):
        mine.import_hub("team/churn")


def test_an_import_without_the_client_names_the_extra(mine: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", None)
    with pytest.raises(BadInput) as caught:
        mine.import_hub("team/churn")
    assert caught.value.message.startswith("an import from the Hugging Face Hub needs huggingface_hub: ")
    assert caught.value.hint == "pip install 'mreg[hf]'"
    assert "HF_HUB_DISABLE_TELEMETRY" not in os.environ
