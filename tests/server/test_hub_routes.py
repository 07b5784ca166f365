"""The routes of the Hugging Face Hub: documents, headers, names, errors and access."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.domain.commit import commit_id, version_of_commit
from mreg.domain.model import ModelVersion
from mreg.errors import NotFound
from mreg.registry.local import LocalRegistry
from mreg.registry.tokens import new_token
from mreg.results.tokens import Role
from mreg.server import listings
from mreg.server.settings import ServerSettings
from tests.server.conftest import Served

WEIGHTS = bytes(range(256)) * 40
CONFIG = b'{"layers": 2}'


@pytest.fixture
def net(registry: LocalRegistry) -> ModelVersion:
    """A folder with a folder in it."""
    folder = Path("net")
    (folder / "sub dir" / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(CONFIG)
    (folder / "sub dir" / "wéights.bin").write_bytes(WEIGHTS)
    (folder / "sub dir" / "deep" / "a.txt").write_text("a")
    return registry.push(folder, name="team/churn", tags={"base_model": "acme/base"})


@pytest.fixture
def served(in_process: Callable[..., Served], net: ModelVersion, registry: LocalRegistry) -> Served:
    """A server with the folder, and with a model without a slash that is a file."""
    Path("model.pkl").write_bytes(WEIGHTS)
    registry.push("model.pkl", name="solo")
    return in_process()


def test_a_commit_id_is_the_number_and_the_digest_of_a_version(net: ModelVersion) -> None:
    commit = commit_id(net)
    assert commit == f"00000001{net.artifact.digest.value[:32]}"
    assert version_of_commit(commit) == 1
    for other in ("", "1", commit[:-1], commit + "0", commit.upper(), "0" * 40, "f" * 40, commit[:-1] + "\n"):
        assert version_of_commit(other) is None, other


def test_the_description_of_a_model_has_its_commit_and_files(served: Served, net: ModelVersion) -> None:
    found = served.get("/api/models/team/churn").json()
    assert (found["id"], found["modelId"], found["sha"]) == ("team/churn", "team/churn", commit_id(net))
    assert found["siblings"] == [
        {"rfilename": name} for name in ("config.json", "sub dir/deep/a.txt", "sub dir/wéights.bin")
    ]
    assert found["tags"] == ["base_model:acme/base"]
    assert (found["private"], found["gated"], found["disabled"]) == (False, False, False)
    assert served.get("/api/models/team%2Fchurn").json() == found
    for revision in ("main", "latest", "1", "v1", "best~1", commit_id(net), f"sha256:{net.artifact.digest.value}"):
        answer = served.get(f"/api/models/team/churn/revision/{quote(revision, safe='')}")
        assert answer.status_code == (404 if "best" in revision else 200), revision
        assert "best" in revision or answer.json() == found
    (sibling,) = served.get("/api/models/solo/revision/main?blobs=True").json()["siblings"]
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    assert sibling == {
        "rfilename": "model.pkl",
        "size": 10240,
        "blobId": digest[:40],
        "lfs": {"sha256": digest, "size": 10240, "pointerSize": 134},
    }


def test_a_listing_has_files_and_folders(served: Served) -> None:
    tree = "/api/models/team/churn/tree/1"

    def listed(path: str) -> list[tuple[str, str]]:
        return [(entry["type"], entry["path"]) for entry in served.get(path).json()]

    deep, weights = ("file", "sub dir/deep/a.txt"), ("file", "sub dir/wéights.bin")
    assert listed(f"{tree}?recursive=True&expand=False") == [("file", "config.json"), deep, weights]
    assert listed(tree) == [("file", "config.json"), ("directory", "sub dir")]
    assert listed(f"{tree}/sub%20dir") == [("directory", "sub dir/deep"), weights]
    assert listed(f"{tree}/sub%20dir/?recursive=true") == [deep, weights]
    entry = served.get(tree).json()[0]
    digest = hashlib.sha256(CONFIG).hexdigest()
    assert entry == {
        "type": "file",
        "path": "config.json",
        "size": len(CONFIG),
        "oid": digest[:40],
        "lfs": {"oid": digest, "size": len(CONFIG), "pointerSize": 134},
    }
    for path in ("none", "sub", "config.json", "..", "%2E%2E", "sub%20dir/../.."):
        missing = served.get(f"{tree}/{path}")
        assert (missing.status_code, missing.headers["x-error-code"]) == (404, "EntryNotFound"), path


def test_a_file_has_the_headers_that_the_client_reads(served: Served, net: ModelVersion) -> None:
    path = "/team/churn/resolve/main/sub%20dir/w%C3%A9ights.bin"
    etag = f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    for method in ("GET", "HEAD"):
        found = served.ask(method, path)
        assert (found.status_code, found.content) == (200, WEIGHTS if method == "GET" else b"")
        assert found.headers["x-repo-commit"] == commit_id(net)
        assert found.headers["etag"] == found.headers["x-linked-etag"] == etag
        assert found.headers["x-linked-size"] == found.headers["content-length"] == "10240"
        assert found.headers["accept-ranges"] == "bytes"
        assert not [name for name in found.headers if "xet" in name.lower()]
    assert served.get(path.replace("/main/", f"/{commit_id(net)}/")).content == WEIGHTS
    assert served.get("/solo/resolve/main/model.pkl").content == WEIGHTS
    assert served.get(path, headers={"If-None-Match": etag}).status_code == 304


RANGES = {
    "bytes=0-9": (206, WEIGHTS[:10]),
    "bytes=10239-": (206, WEIGHTS[-1:]),
    "bytes=-5": (206, WEIGHTS[-5:]),
    "bytes=10240-": (416, None),
    "bytes=99999-100000": (416, None),
    "bytes=0-1,4-5": (200, WEIGHTS),
    "bytes=0-0,-1": (200, WEIGHTS),
    "bytes=5-1": (200, WEIGHTS),
    "bytes=99999999999999999999999-": (200, WEIGHTS),
    "items=0-1": (200, WEIGHTS),
}


def test_ranges_are_answered_as_http_has_them(served: Served, net: ModelVersion) -> None:
    for asked, (status, content) in RANGES.items():
        found = served.get("/team/churn/resolve/main/sub%20dir/w%C3%A9ights.bin", headers={"Range": asked})
        assert (found.status_code, found.headers["x-repo-commit"]) == (status, commit_id(net)), asked
        if content is None:
            assert found.headers["content-range"] == "bytes */10240"
            assert "10,240 bytes" in found.headers["x-error-message"]
        else:
            assert found.content == content, asked


MISSING = {
    "/api/models/nix": ("RepoNotFound", "model 'nix' not found"),
    "/api/models/team": ("RepoNotFound", "model 'team' not found"),
    "/api/models/nix/revision/main": ("RepoNotFound", "model 'nix' not found"),
    "/api/models/solo/revision/7": ("RevisionNotFound", "solo has no version 7"),
    "/api/models/solo/revision/Staging": ("RevisionNotFound", "no version of solo is in Staging"),
    "/api/models/solo/revision/refs%2Fpr%2F1": ("RevisionNotFound", "solo has no revision 'refs/pr/1'"),
    "/api/models/solo/revision/%2E%2E": ("RevisionNotFound", "solo has no revision '..'"),
    "/api/models/solo/revision/%00": ("RevisionNotFound", "solo has no revision '\\x00'"),
    "/api/models/solo/revision/" + "a" * 5000: ("RevisionNotFound", "solo has no revision 'aaa"),
    "/api/models/solo/revision/" + "0" * 40: ("RevisionNotFound", "solo has no revision '000"),
    "/api/models/solo/revision/00000001" + "0" * 32: ("RevisionNotFound", "solo has no revision '00000001"),
    "/api/models/solo/revision/%252e": ("RevisionNotFound", "solo has no revision '%2e'"),
    "/api/models/solo/tree/0": ("RevisionNotFound", "solo has no revision '0'"),
    "/solo/resolve/main/nope": ("EntryNotFound", "solo@1 has no file 'nope'"),
    "/solo/resolve/main/": ("EntryNotFound", "solo@1 has no file ''"),
    "/solo/resolve/main/..%2Fmodel.pkl": ("EntryNotFound", "solo@1 has no file '../model.pkl'"),
    "/solo/resolve/main/../../etc/passwd": ("EntryNotFound", "solo@1 has no file '../../etc/passwd'"),
    "/solo/resolve/main/%2Fetc%2Fpasswd": ("EntryNotFound", "solo@1 has no file '/etc/passwd'"),
    "/solo/resolve/main/model.pkl%00": ("EntryNotFound", "solo@1 has no file 'model.pkl\\x00'"),
    "/solo/resolve/main/model.pkl%0d%0aX:%20y": ("EntryNotFound", "solo@1 has no file 'model.pkl\\r\\nX: y'"),
    "/solo/resolve/main/%E2%80%AEmodel.pkl": ("EntryNotFound", "solo@1 has no file '\\u202emodel.pkl'"),
    "/solo/resolve/main/" + "a" * 7000: ("EntryNotFound", "solo@1 has no file 'aaa"),
    "/team/churn/resolve/main/sub%20dir": ("EntryNotFound", "team/churn@1 has no file 'sub dir'"),
    "/team/churn/resolve/main/sub%20dir/": ("EntryNotFound", "team/churn@1 has no file 'sub dir/'"),
    "/solo/resolve/a%2F..%2Fb/model.pkl": ("RevisionNotFound", "solo has no revision 'a/../b'"),
    "/solo/resolve/a/../b/model.pkl": ("RevisionNotFound", "solo has no alias 'a'"),
    "/nix/resolve/main/model.pkl": ("RepoNotFound", "model 'nix' not found"),
    "/../resolve/main/model.pkl": ("RepoNotFound", "invalid model name '..'"),
    "/%2e%2e/solo/resolve/main/model.pkl": ("RepoNotFound", "invalid model name '../solo'"),
    "/so%00lo/resolve/main/model.pkl": ("RepoNotFound", "invalid model name 'so\\x00lo'"),
    "/" + "a" * 200 + "/resolve/main/f": ("RepoNotFound", "the model name 'aaaa"),
    "/a/b/c/resolve/main/f": ("RepoNotFound", "'a/b/c' is not a repository of the Hub: its name has more than one slash"),
    "/api/models/a/b/c": ("RepoNotFound", "'a/b/c' is not a repository of the Hub: its name has more than one slash"),
    "/api/datasets/a/b": ("RepoNotFound", "this server has models only"),
    "/api/spaces/a/b/revision/main": ("RepoNotFound", "this server has models only"),
}  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_missing_has_the_error_code_of_the_hub(served: Served, net: ModelVersion, method: str) -> None:
    for path, (code, message) in MISSING.items():
        found = served.ask(method, path)
        assert (found.status_code, found.headers.get("x-error-code")) == (404, code), path
        assert found.headers["x-error-message"].startswith(message), found.headers["x-error-message"]
        assert len(found.headers["x-error-message"]) <= 500
        assert found.headers["content-type"] == "application/problem+json"
        has_commit = code == "EntryNotFound"
        assert ("x-repo-commit" in found.headers) == has_commit, path
        assert not has_commit or "team" not in path or found.headers["x-repo-commit"] == commit_id(net)


def test_a_path_that_is_not_utf8_is_refused(served: Served) -> None:
    for path in ("/solo/resolve/%ff/model.pkl", "/solo/resolve/main/%ff", "/api/models/%ff", "/api/models/a/tree/%ff"):
        found = served.get(path)
        assert (found.status_code, found.headers["x-error-message"]) == (400, "the path is not valid UTF-8"), path


def test_main_is_the_latest_version_unless_an_alias_has_that_name(served: Served, registry: LocalRegistry) -> None:
    def sha(revision: str) -> str:
        return str(served.get(f"/api/models/solo/revision/{revision}").json()["sha"])

    Path("model.pkl").write_bytes(b"two")
    second = registry.push("model.pkl", name="solo")
    assert sha("main") == sha("2") == commit_id(second)
    registry.archive("solo@2")
    assert sha("main") == sha("latest") == sha("1")
    registry.set_alias("solo@2", "Main")
    assert sha("main") == sha("2") != sha("latest")
    assert served.get("/api/models/solo").json()["sha"] == sha("2")


def test_files_with_equal_bytes_and_other_names_are_other_commits(served: Served, registry: LocalRegistry) -> None:
    Path("renamed.pkl").write_bytes(WEIGHTS)
    registry.push("renamed.pkl", name="solo")
    first, second = (served.get(f"/api/models/solo/revision/{number}").json() for number in (1, 2))
    assert first["sha"] != second["sha"]
    for info, name in ((first, "model.pkl"), (second, "renamed.pkl")):
        assert served.get(f"/solo/resolve/{info['sha']}/{name}").content == WEIGHTS


def test_a_deleted_version_is_a_missing_revision(served: Served, registry: LocalRegistry) -> None:
    commit = served.get("/api/models/solo").json()["sha"]
    registry.delete("solo@1")
    found = served.get(f"/solo/resolve/{commit}/model.pkl")
    assert (found.status_code, found.headers["x-error-code"]) == (404, "RevisionNotFound")


def test_paths_of_the_api_and_the_page_take_precedence(served: Served, registry: LocalRegistry) -> None:
    Path("f").write_bytes(b"x")
    for name in ("resolve", "models/resolve", "team/resolve", "ui/models", "api/models", "models"):
        registry.push("f", name=name)
    assert served.get("/models/resolve/versions/1").json()["reference"] == "resolve@1"
    assert served.get("/ui/models/resolve/versions/1").headers["content-type"].startswith("text/html")
    assert served.get("/ui/models/resolve/1/f").status_code == 404
    for path in (
        "/resolve/resolve/main/f",
        "/team/resolve/resolve/main/f",
        "/models/resolve/main/f",
        "/models/resolve/resolve/main/f",
        "/api/models/resolve/main/f",
    ):
        assert served.get(path).content == b"x", path
    assert served.get("/api/models/resolve").json()["id"] == "resolve"
    assert served.get("/api/models/models/resolve").json()["id"] == "models/resolve"


def test_a_file_may_have_any_path(in_process: Callable[..., Served], registry: LocalRegistry) -> None:
    paths = ("resolve/main/a", "tree/1", "revision/b", "a b#c?d%2e&e", "日本/ü")
    for path in paths:
        Path("odd", path).parent.mkdir(parents=True, exist_ok=True)
        Path("odd", path).write_text(path)
    registry.push("odd", name="odd")
    served = in_process()
    for path in paths:
        assert served.get(f"/odd/resolve/main/{quote(path)}").text == path
    for folder in ("tree", "revision", "resolve/main"):
        (entry,) = served.get(f"/api/models/odd/tree/main/{folder}").json()
        assert entry["path"] in paths


def test_only_reading_is_possible(served: Served) -> None:
    for path in ("/api/models/solo", "/solo/resolve/main/model.pkl", "/team/churn/resolve/main/config.json"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            found = served.ask(method, path)
            assert (found.status_code, found.headers["allow"]) == (405, "GET, HEAD"), (method, path)


def test_every_token_may_read_and_others_get_the_errors_of_the_hub(
    in_process: Callable[..., Served], net: ModelVersion
) -> None:
    made = {role: new_token(role.name.lower(), role) for role in Role}
    served = in_process(ServerSettings(tokens=tuple(one.token for one in made.values())))
    paths = ("/api/models/team/churn", "/api/models/team/churn/tree/1", "/team/churn/resolve/main/config.json")
    for path in (*paths, "/api/whoami-v2"):
        missing = served.get(path)
        assert (missing.status_code, missing.headers["x-error-code"]) == (401, "RepoNotFound")
        assert missing.headers["x-error-message"] == "missing token; set HF_TOKEN to a token of this server"
        wrong = served.get(path, headers={"Authorization": "Bearer hf_wrong"})
        assert (wrong.status_code, "x-error-code" in wrong.headers) == (401, False)
        assert wrong.headers["x-error-message"] == "Invalid credentials in Authorization header"
        for one in made.values():
            assert served.get(path, headers={"Authorization": f"Bearer {one.secret}"}).status_code == 200
    reader = {"Authorization": f"Bearer {made[Role.READER].secret}"}
    assert served.get("/api/models/team/churn", headers=reader).json()["private"] is True
    found = served.get("/api/whoami-v2", headers=reader).json()
    assert (found["type"], found["name"], found["auth"]["accessToken"]["role"]) == ("user", "reader", "reader")
    assert "x-error-message" not in served.get("/models").headers


def test_the_manifest_of_a_folder_is_read_once(
    served: Served, net: ModelVersion, registry: LocalRegistry, store: Path
) -> None:
    served.get("/api/models/team/churn/tree/1")
    paths = [f"/team/churn/resolve/{commit_id(net)}/config.json", "/models/team%2Fchurn/versions/1/files/config.json"]
    for path in (paths[0], *paths):
        assert served.get(path).content == CONFIG
        digest = net.artifact.digest.value
        (store / f"blobs/sha256/{digest[:2]}/{digest[2:]}").unlink(missing_ok=True)
    registry.delete("team/churn@1")
    assert [served.get(path).status_code for path in paths] == [404, 404]


def test_listings_are_dropped_at_their_limit(
    registry: LocalRegistry, net: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "FILES_LIMIT", 4)
    kept = listings.Listings()
    Path("net", "more").write_text("x")
    second = registry.push("net", name="team/churn")  # 4 files
    first = kept.files(registry, net)
    assert kept.files(registry, net) is first
    assert kept.files(registry, second) is kept.files(registry, second)
    assert kept.files(registry, net) is not first
    Path("net", "still more").write_text("x")
    large = registry.push("net", name="team/churn")
    assert kept.files(registry, large) is not kept.files(registry, large)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60))
def test_every_text_is_a_revision_or_a_missing_one(registry: LocalRegistry, net: ModelVersion, text: str) -> None:
    try:
        found = registry.revision(net.model_name, text)
    except NotFound as error:
        assert error.details["kind"] == "version"
    else:
        assert found == net
