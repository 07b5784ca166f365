"""Imports from the Hugging Face Hub, which is played by the Hub's endpoint of `mreg serve`, with the Hub's own client."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mreg.domain.commit import commit_id
from mreg.domain.text import TEXT_LIMIT
from mreg.errors import BadInput, Corrupt, MregError, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.results.imports import ImportReport, ImportStatus
from tests.conftest import Mreg, local_registry
from tests.forger import Answer, Forger, Request
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
    with local_registry() as opened:
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
    hub.answer = lambda line: ("500 Internal Server Error", "text/plain", "no") if "/api/" in line else None
    with pytest.raises(Unavailable, match=r"cannot read team/churn: .*500"):
        mine.import_hub("team/churn")
    hub.stop()
    with pytest.raises(Unavailable) as caught:
        mine.import_hub("team/churn")
    assert mine.models() == ()
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
    info = {"id": "team/churn", "sha": sha, "siblings": [{"rfilename": path, "size": 1, "blobId": "0" * 40}]}
    hub.answer = lambda _line: ("200 OK", "application/json", json.dumps(info))
    with pytest.raises(BadInput):
        mine.import_hub("team/churn")
    assert not (tmp_path / "cache").exists()


@pytest.fixture
def forger(hub: Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forger]:
    """A hub of another person, before the server of the Hub's routes."""
    from huggingface_hub import constants

    made = Forger(hub.port)
    monkeypatch.setattr(constants, "ENDPOINT", made.endpoint)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", made.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    )
    yield made
    made.stop()


def _headed(answer: Answer, status: int | None = None, **headers: str) -> Answer:
    names = {name.replace("_", "-") for name in headers}
    kept = tuple((name, value) for name, value in answer.headers if name.lower() not in names)
    added = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return replace(answer, status=status or answer.status, headers=kept + added)


@pytest.mark.parametrize(
    ("status", "header", "value"),
    [
        (200, "etag", "../../../../stolen"),
        (200, "etag", "{root}/stolen"),
        (200, "etag", 'W/"../../../stolen"'),
        (200, "etag", "W.."),
        (200, "x_linked_etag", '"{root}/stolen"'),
        (200, "x_repo_commit", "../../../stolen"),
        (404, "x_repo_commit", "{root}/stolen"),
    ],
)
def test_a_header_of_an_endpoint_is_no_path(
    mine: LocalRegistry, registry: LocalRegistry, forger: Forger, tmp_path: Path, status: int, header: str, value: str
) -> None:
    pushed(registry)
    lies = {"x_linked_etag": "", "x_error_code": "EntryNotFound", header: value.format(root=tmp_path)}
    forger.after = lambda request, answer: _headed(answer, status, **lies) if "/resolve/" in request.path else answer
    with pytest.raises(BadInput, match="the endpoint names an invalid"):
        mine.import_hub("team/churn")
    assert not list(tmp_path.rglob("*stolen*"))
    assert mine.models() == ()


def test_a_digest_in_a_list_of_an_endpoint_is_no_path(
    mine: LocalRegistry, registry: LocalRegistry, forger: Forger, tmp_path: Path
) -> None:
    pushed(registry)

    def lie(request: Request, answer: Answer) -> Answer:
        if "/tree/" not in request.path:
            return answer
        entries = json.loads(answer.body)
        for entry in entries:
            entry["lfs"]["oid"] = "../../../../stolen"
            entry["xetHash"] = "0" * 64
        return replace(answer, body=json.dumps(entries).encode())

    forger.after = lie
    with pytest.raises(BadInput, match=r"invalid digest '../../../../stolen'"):
        mine.import_hub("team/churn")


@pytest.mark.parametrize("how", ["a next page", "a redirect"])
def test_the_token_is_not_sent_to_a_server_that_an_endpoint_names(
    mine: LocalRegistry, registry: LocalRegistry, forger: Forger, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pushed(registry)
    other = Forger(forger.target)
    there = f"http://localhost:{other.port}/api/models/team/churn/tree/main?recursive=true"

    def lead(request: Request, answer: Answer) -> Answer:
        if "/tree/" not in request.path:
            return answer
        if how == "a redirect":
            return _headed(answer, 302, location=there)
        return _headed(answer, link=f'<{there}>; rel="next"')

    forger.after = lead
    try:
        if how == "a redirect":
            mine.import_hub("team/churn")
        else:
            with pytest.raises(BadInput, match="the endpoint names another server: 'localhost:"):
                mine.import_hub("team/churn")
    finally:
        other.stop()
    assert any(("authorization", "Bearer hf_secret") in _lower(one) for one in forger.seen)
    assert not [one for one in other.seen if "authorization" in dict(_lower(one))]


def _lower(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in request.headers)


def test_pages_without_an_end_are_refused(
    mine: LocalRegistry, registry: LocalRegistry, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.sources import huggingface

    monkeypatch.setattr(huggingface, "ANSWERS_LIMIT", 20)
    pushed(registry)
    forger.after = lambda request, answer: (
        _headed(answer, link=f'<{forger.endpoint}{request.path}>; rel="next"') if "/tree/" in request.path else answer
    )
    with pytest.raises(BadInput, match="the endpoint gives more than 20 answers"):
        mine.import_hub("team/churn")


def test_an_answer_of_another_path_is_limited_too(
    mine: LocalRegistry, registry: LocalRegistry, forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.sources import huggingface

    monkeypatch.setattr(huggingface, "ANSWER_BYTES", 1 << 20)
    pushed(registry)
    forger.before = lambda request: (
        Answer(body=b"[" * (4 << 20)) if request.path == "/x" else Answer(status=302, headers=(("Location", "/x"),))
    )
    with pytest.raises(BadInput, match="the answer of the endpoint has more than 1 MiB"):
        mine.import_hub("team/churn")


def test_an_answer_without_end_is_refused(mine: LocalRegistry, hub: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    from mreg.sources import huggingface

    monkeypatch.setattr(huggingface, "ANSWER_BYTES", 1 << 20)
    hub.answer = lambda _line: ("200 OK", "application/json", "[" * (4 << 20))
    with pytest.raises(BadInput, match="the answer of the endpoint has more than 1 MiB"):
        mine.import_hub("team/churn")


def test_an_answer_that_takes_too_long_is_refused(
    mine: LocalRegistry, registry: LocalRegistry, hub: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mreg.sources import huggingface

    monkeypatch.setattr(huggingface, "ANSWER_SECONDS", -1.0)
    pushed(registry)
    with pytest.raises(Unavailable, match="the answer of the endpoint takes more than -1 seconds"):
        mine.import_hub("team/churn")


def test_an_import_without_the_client_names_the_extra(mine: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", None)
    with pytest.raises(BadInput) as caught:
        mine.import_hub("team/churn")
    assert caught.value.message.startswith("an import from the Hugging Face Hub needs huggingface_hub: ")
    assert caught.value.hint == "pip install 'mreg[hf]'"
    assert "HF_HUB_DISABLE_TELEMETRY" not in os.environ
